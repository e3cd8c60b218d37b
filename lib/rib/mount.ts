/**
 * The RIB of this process as a file system under the prototype's paths (spec 80 §8), served by a thread of its own.
 *
 * On for root's processes of the system's own node where `/dev/fuse` exists. `OURO_RIB=off` turns it off, `OURO_RIB=on`
 * turns it on for nodes with a prefix, too; their files are below `PREFIX/tmp/ouroboros`. A process that cannot mount
 * goes on without: nothing depends on it.
 */

import { SysError } from "../sys/ffi.ts";
import type { Fd } from "../sys/fd.ts";
import { FUSE_DEVICE, mountFuse } from "../sys/fuse.ts";
import { unmountDead } from "../sys/mount.ts";
import { WakeFd } from "../sys/netsock.ts";
import { realUid } from "../sys/users.ts";
import type { Instance } from "../instance.ts";
import { RibAnswerer, ribChannel } from "./channel.ts";
import type { FuseReport, FuseStart } from "./fuse_worker.ts";
import type { Rib } from "./tree.ts";

/** How long the thread may take to stop, ms. */
const STOP_MS = 500;

/** The directory in which the processes of a node mount theirs. */
export function ribDir(instance: Instance): string {
  return `${instance.prefix}/tmp/ouroboros`;
}

/** Whether processes of this node mount their RIB. */
export function ribIsOn(instance: Instance): boolean {
  const word = Deno.env.get("OURO_RIB");
  if (word === "off" || (word !== "on" && instance.prefix !== "")) return false;
  if (realUid() !== 0) return false;
  try {
    return Deno.statSync(FUSE_DEVICE).isCharDevice === true;
  } catch {
    return false;
  }
}

/** Whether a name can be a directory of its own there. */
export function isRibName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\0]/.test(name);
}

/** A file system that is mounted. */
export class RibMount {
  readonly #path: string;
  readonly #device: Fd;
  readonly #wake = new WakeFd();
  readonly #worker: Worker;
  readonly #serving = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<void>();
  #closed = false;

  private constructor(path: string, device: Fd, rib: Rib) {
    this.#path = path;
    this.#device = device;
    const channel = ribChannel();
    const answerer = new RibAnswerer(channel, rib);
    this.#worker = new Worker(new URL("./fuse_worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<FuseReport>) => {
      if (data.say === "serving") this.#serving.resolve();
      else if (data.say === "stopped") this.#stopped.resolve();
      else answerer.answer(data.question, Date.now() / 1000);
    };
    // A thread that died serves nobody: the kernel must hear of it, or readers wait for ever.
    this.#worker.onerror = (e) => {
      e.preventDefault();
      this.#stopped.resolve();
      void this.close();
    };
    const start: FuseStart = {
      fd: device.raw,
      wakeFd: this.#wake.fd,
      path,
      channel,
      uid: Deno.uid() ?? 0,
      gid: Deno.gid() ?? 0,
    };
    this.#worker.postMessage(start);
  }

  /** Mounts a tree as `name`; or says in one line why that cannot be. */
  static open(instance: Instance, name: string, rib: Rib): RibMount | string {
    if (!isRibName(name)) return `${JSON.stringify(name)} cannot name a directory`;
    const path = `${ribDir(instance)}/${name}`;
    try {
      // What a dead process left there.
      unmountDead(path);
      makeDirectory(path);
      return new RibMount(path, mountFuse(path), rib);
    } catch (e) {
      if (e instanceof SysError || e instanceof Error) return e.message;
      throw e;
    }
  }

  /** Resolves when the thread has given up the capabilities that it does not need, or has died. */
  get serving(): Promise<void> {
    return Promise.race([this.#serving.promise, this.#stopped.promise]);
  }

  /** Unmounts it and removes the directory. Idempotent, bounded. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake.wake();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, STOP_MS));
    await Promise.race([this.#stopped.promise, late]);
    clearTimeout(timer);
    // Whoever still waits for an answer gets an error now.
    this.#device.close();
    this.#worker.terminate();
    this.#wake.close();
    try {
      Deno.removeSync(this.#path);
    } catch {
      // Still mounted: the IRMd removes it when this process has ended.
    }
  }
}

function makeDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { mode: 0o755 });
  } catch (e) {
    if (!(e instanceof Deno.errors.AlreadyExists)) throw e;
  }
}
