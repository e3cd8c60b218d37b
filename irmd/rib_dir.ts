/**
 * The directory in which programs mount their RIB, `/tmp/ouroboros` (spec 20 §1, §13, §14.9; spec 80 §8). No C program
 * starts without it, so the system's own node always provides it; other nodes do where the RIB is on. What processes
 * leave mounted when they die is removed here.
 */

import type { Instance } from "../lib/instance.ts";
import type { Logger } from "../lib/log.ts";
import { isRibName, ribDir, ribIsOn } from "../lib/rib/mount.ts";
import { unmountDead } from "../lib/sys/mount.ts";

/** See the file's comment. */
export class RibDir {
  readonly #dir: string;
  readonly #log: Logger;
  readonly #on: boolean;

  constructor(instance: Instance, log: Logger) {
    this.#log = log;
    this.#dir = ribDir(instance);
    this.#on = instance.prefix === "" || ribIsOn(instance);
    if (!this.#on) return;
    const dir = this.#dir;
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

  /** Removes the directory if nobody uses it. */
  close(): void {
    if (!this.#on) return;
    try {
      Deno.removeSync(this.#dir);
    } catch {
      this.#log.error(`Failed to remove ${this.#dir}`);
    }
  }
}

function entries(dir: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(dir)];
  } catch {
    return [];
  }
}
