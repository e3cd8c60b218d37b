/**
 * The directory in which programs mount their RIB, `/tmp/ouroboros` (spec 20 §1, §13, §14.9; spec 80 §8). No C program
 * starts without it, so the system's own node always provides it; other nodes do where the RIB is on. What processes
 * leave mounted when they die is removed here.
 */

import type { Instance } from "../lib/instance.ts";
import type { Logger } from "../lib/log.ts";
import { isRibName, ribDir, ribIsOn, RibServer } from "../lib/rib/mount.ts";
import { Rib } from "../lib/rib/tree.ts";
import { moveAway, unmountDead } from "../lib/sys/mount.ts";
import { effectiveUid } from "../lib/sys/users.ts";
import type { Registry } from "./registry/mod.ts";
import { irmdComponents } from "./rib.ts";
import { RibPrograms } from "./rib_programs.ts";

/** See the file's comment. */
export class RibDir {
  readonly #dir: string;
  readonly #log: Logger;
  readonly #on: boolean;
  readonly #instance: Instance;
  /** What this daemon serves: its own, and those of programs. */
  #files: RibServer | undefined;
  /** What programs show; undefined where nothing is. */
  programs: RibPrograms | undefined;

  constructor(instance: Instance, log: Logger) {
    this.#instance = instance;
    this.#log = log;
    this.#dir = ribDir(instance);
    this.#on = instance.prefix === "" || ribIsOn(instance);
    if (!this.#on) return;
    const dir = this.#dir;
    if (isSquatted(dir) && moveAway(dir)) log.warn(`${dir} was another user's, it is made anew.`);
    try {
      Deno.mkdirSync(dir, { recursive: instance.prefix !== "" });
      // Every user's programs mount below it; sticky, so that nobody removes another's entry.
      Deno.chmodSync(dir, 0o1777);
    } catch (e) {
      if (e instanceof Deno.errors.AlreadyExists) {
        log.warn(`${dir} already exists...`);
        for (const { name } of entries(dir)) this.#removeDead(name);
      } else log.warn(`Failed to create ${dir}.`);
    }
  }

  /** Shows what the daemon knows, beside its IPCPs, and from now on what programs say. */
  show(registry: Registry): void {
    if (!ribIsOn(this.#instance)) return;
    const rib = new Rib();
    rib.add(() => irmdComponents(registry));
    const files = new RibServer(this.#instance);
    const mounted = files.open(`proc.${Deno.pid}`, rib);
    if (typeof mounted === "string") return this.#log.warn(`The RIB is not mounted: ${mounted}.`);
    this.#files = files;
    this.programs = new RibPrograms(this.#instance, this.#log, files, registry);
  }

  /** A process is gone: its mount goes if it left one behind. `ipcp` is its name if it was an IPCP. */
  forget(pid: number, ipcp: string | undefined): void {
    if (!this.#on) return;
    const name = ipcp ?? `proc.${pid}`;
    if (!isRibName(name)) return;
    // Not looked at first: whoever serves what another has mounted there may never answer.
    const path = `${this.#dir}/${name}`;
    if (unmountDead(path) === 0) this.#remove(path);
  }

  /** Unmounts and removes an entry whose server does not answer any more. */
  #removeDead(name: string): void {
    const path = `${this.#dir}/${name}`;
    try {
      Deno.lstatSync(path);
      return; // Alive, or never mounted.
    } catch (e) {
      // ENOTCONN: the file system's process has gone.
      if (!(e instanceof Error) || !/not connected|os error 107/.test(e.message)) return;
    }
    if (unmountDead(path) === 0) this.#remove(path);
  }

  #remove(path: string): void {
    try {
      Deno.removeSync(path);
    } catch {
      this.#log.warn(`Failed to remove ${path}.`);
    }
  }

  /** Removes the daemon's own, and the directory if nobody uses it. */
  async close(): Promise<void> {
    if (!this.#on) return;
    await this.#files?.close();
    try {
      Deno.removeSync(this.#dir);
    } catch {
      this.#log.error(`Failed to remove ${this.#dir}`);
    }
  }
}

/** Whether another user was first, as everybody may be in /tmp: a directory that is closed lets no C program start. */
function isSquatted(dir: string): boolean {
  try {
    const { isDirectory, uid } = Deno.lstatSync(dir);
    return !isDirectory || uid !== effectiveUid();
  } catch (e) {
    // What is there is a file system whose user lets nobody look.
    return !(e instanceof Deno.errors.NotFound);
  }
}

function entries(dir: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(dir)];
  } catch {
    return [];
  }
}
