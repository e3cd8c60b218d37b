/**
 * One IRMd a node, and what a killed one left behind (spec 10 §2.1, spec 20 §14.4, §19.13): the lock, shared
 * memory, sockets of IPCPs, and IPCPs that have lost their IRMd.
 */

import { basename } from "@std/path";
import { Errno } from "../lib/errno.ts";
import type { Instance } from "../lib/instance.ts";
import type { Logger } from "../lib/log.ts";
import { CALLED_AS } from "../lib/self.ts";
import { Lockfile } from "../lib/shm/lockfile.ts";
import { SysError } from "../lib/sys/ffi.ts";
import { kill, pidAlive, procArgv, procVariable } from "../lib/sys/process.ts";
import { Signal } from "../lib/sys/signals.ts";

const SHM_DIR = "/dev/shm";
/** How long another IRMd may take between making the lock and writing its pid, ms. */
const LOCK_MS = 500;

/** A start that cannot go on; the text is one line for the log. */
export class StartError extends Error {
  override readonly name: string = "StartError";
}

/** Takes the lock, clearing up after a dead owner. Throws `StartError`. */
export async function takeLock(instance: Instance, log: Logger): Promise<void> {
  const endMs = performance.now() + LOCK_MS;
  for (;;) {
    if (create(instance)) {
      // Nobody else is here, so whatever lies about is nobody's.
      try {
        removeStale(instance, log, undefined);
      } catch (e) {
        Lockfile.unlink(instance);
        throw e;
      }
      return;
    }
    const owner = ownerOfLock(instance);
    if (owner === undefined) continue;
    if (owner === 0 && performance.now() < endMs) {
      await new Promise((done) => setTimeout(done, 10));
      continue;
    }
    if (owner !== 0 && isIrmd(owner)) {
      throw new StartError(`IRMd already running (${owner}), exiting.`);
    }
    log.warn("IRMd didn't properly shut down last time.");
    removeStale(instance, log, owner);
    const unlinked = Lockfile.unlink(instance);
    if (unlinked < 0 && unlinked !== -Errno.ENOENT) {
      throw new StartError(`Lockfile error: cannot remove the lock of process ${owner}.`);
    }
    log.warn("Stale resources cleaned.");
  }
}

/** As `Lockfile.owner`. Throws `StartError` when the lock is another user's and not for us to read. */
function ownerOfLock(instance: Instance): number | undefined {
  try {
    return Lockfile.owner(instance);
  } catch (e) {
    if (!(e instanceof SysError) || e.errno !== Errno.EACCES) throw e;
    const whose = ownerOf(`${SHM_DIR}${e.object}`);
    const by = whose === undefined ? "another user" : `uid ${whose}`;
    throw new StartError(`Lockfile error: this node belongs to ${by} (${SHM_DIR}${e.object}).`);
  }
}

function create(instance: Instance): boolean {
  try {
    return Lockfile.create(instance);
  } catch (e) {
    if (!(e instanceof SysError)) throw e;
    throw new StartError(
      e.errno === Errno.ENOSPC
        ? "Lockfile error: /dev/shm is full."
        : `Lockfile error: ${e.message}.`,
    );
  }
}

/**
 * The words a process was started with, or undefined when not known. A link to the portable form has
 * the runtime in its command line; the name it was called by goes before that.
 */
function startWords(pid: number): string[] | undefined {
  const argv = procArgv(pid);
  const called = procVariable(pid, CALLED_AS);
  return called === undefined ? argv : [called, ...argv ?? []];
}

/** Whether a process is a running IRMd: another program may have got the pid since. */
function isIrmd(pid: number): boolean {
  if (pid === Deno.pid || !pidAlive(pid)) return false;
  const words = startWords(pid);
  // Not readable or cleared: the safe answer is that it is one.
  if (words === undefined || words.length === 0) return true;
  return words.some((word) => basename(word) === "irmd");
}

/** Removes shared memory, IPCP sockets and orphaned IPCPs of earlier runs. Throws `StartError`. */
function removeStale(instance: Instance, log: Logger, owner: number | undefined): void {
  for (const pid of ipcpSockets(instance)) {
    if (owner !== undefined && isOrphan(pid, owner)) {
      log.warn(`Killing orphaned IPCP ${pid}.`);
      kill(pid, Signal.KILL);
    }
    remove(`${instance.socketDir}/ipcp.${pid}.sock`);
  }
  const base = instance.shmBase.slice(1);
  const mine = new RegExp(`^${base}\\.(gspp|pup\\.\\d+|rbuff\\.\\d+\\.\\d+|set\\.\\d+)$`);
  for (const name of entries(SHM_DIR)) {
    if (mine.test(name)) remove(`${SHM_DIR}/${name}`);
  }
}

function ipcpSockets(instance: Instance): number[] {
  return entries(instance.socketDir).flatMap((name) => {
    const pid = /^ipcp\.(\d+)\.sock$/.exec(name)?.[1];
    return pid === undefined ? [] : [Number(pid)];
  });
}

/** Whether a process is an IPCP that the dead IRMd `owner` started. */
function isOrphan(pid: number, owner: number): boolean {
  const words = startWords(pid) ?? [];
  const at = words.findIndex((word) => basename(word).startsWith("ipcpd-"));
  // Behind a link come the words of the runtime first.
  return at >= 0 && words.indexOf(String(owner), at) > at;
}

function entries(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map((e) => e.name);
  } catch {
    return [];
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (e) {
    if (e instanceof Deno.errors.NotFound) return;
    const uid = ownerOf(path);
    const whose = uid === undefined ? "" : ` of uid ${uid}`;
    throw new StartError(`Cannot remove the left-over ${path}${whose}; remove it and start again.`);
  }
}

function ownerOf(path: string): number | undefined {
  try {
    return Deno.lstatSync(path).uid ?? undefined;
  } catch {
    return undefined;
  }
}
