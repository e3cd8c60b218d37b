/**
 * The directory in which C programs mount their statistics, `/tmp/ouroboros` (spec 20 §1, §13, §14.9). Ours do
 * not use it, but no C program starts without it, so the system's own node provides it and removes dead mounts.
 */

import type { Instance } from "../lib/instance.ts";
import type { Logger } from "../lib/log.ts";
import { unmountDead } from "../lib/sys/mount.ts";

const DIR = "/tmp/ouroboros";

/** See the file's comment. A node with a prefix has none. */
export class RibDir {
  readonly #log: Logger;
  readonly #on: boolean;

  constructor(instance: Instance, log: Logger) {
    this.#log = log;
    this.#on = instance.prefix === "";
    if (!this.#on) return;
    try {
      Deno.mkdirSync(DIR);
      // Every user's programs mount below it; sticky, so that nobody removes another's entry.
      Deno.chmodSync(DIR, 0o1777);
    } catch (e) {
      if (e instanceof Deno.errors.AlreadyExists) {
        log.warn(`${DIR} already exists...`);
        for (const { name } of entries()) this.#removeDead(name);
      } else log.warn(`Failed to create ${DIR}.`);
    }
  }

  /** A process is gone: its mount goes if it left one behind. `ipcp` is its name if it was an IPCP. */
  forget(pid: number, ipcp: string | undefined): void {
    if (!this.#on) return;
    const name = ipcp ?? `proc.${pid}`;
    if (name.includes("/") || name === "." || name === "..") return;
    this.#removeDead(name);
  }

  /** Unmounts and removes an entry whose server does not answer any more. */
  #removeDead(name: string): void {
    const path = `${DIR}/${name}`;
    try {
      Deno.lstatSync(path);
      return; // Alive, or never mounted.
    } catch (e) {
      // ENOTCONN: the file system's process has gone.
      if (!(e instanceof Error) || !/not connected|os error 107/.test(e.message)) return;
    }
    if (unmountDead(path) < 0) return;
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
      Deno.removeSync(DIR);
    } catch {
      this.#log.error(`Failed to remove ${DIR}`);
    }
  }
}

function entries(): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(DIR)];
  } catch {
    return [];
  }
}
