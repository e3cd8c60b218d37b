/**
 * The end of the daemon, while it still serves requests (spec 20 §15): IPCPs need it to end themselves.
 * Only what was started here is signalled; other processes notice that their flows go down (spec 20 §19.6).
 */

import { kill } from "../lib/sys/process.ts";
import { Signal } from "../lib/sys/signals.ts";
import type { Daemon } from "./daemon.ts";
import type { Ipcps } from "./ipcps.ts";

/** Children that have not ended by then are killed, ms (spec 20 §15.2). */
const KILL_MS = 30_000;
/** And given up when even that did not help, ms. */
const GIVE_UP_MS = 32_000;

/** Stops all children and waits for them. */
export async function shutDown(d: Daemon, ipcps: Ipcps): Promise<void> {
  d.children.end();
  const running = d.children.running();
  if (running.length === 0) return;
  const programs = running.filter((pid) => !d.registry.ipcps.has(pid));
  // Programs first: the IPCPs carry their last words.
  for (const pid of programs) kill(pid, Signal.TERM);
  for (const pid of running) if (d.registry.ipcps.has(pid)) kill(pid, Signal.TERM);
  // A stopped one would not hear of it.
  for (const pid of running) kill(pid, Signal.CONT);
  const timer = setTimeout(() => {
    for (const pid of d.children.running()) {
      d.log.warn(`Killing child ${pid}, which did not end.`);
      kill(pid, Signal.KILL);
    }
  }, KILL_MS);
  let giveUp: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([
    Promise.all(running.map((pid) => ipcps.ended(pid))),
    new Promise<void>((done) => giveUp = setTimeout(done, GIVE_UP_MS)),
  ]);
  clearTimeout(timer);
  clearTimeout(giveUp);
}
