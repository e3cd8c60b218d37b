/**
 * RIBs as file systems under the prototype's paths (spec 80 §8), served by a thread of its own: each process's own, and in
 * the IRMd those of the programs.
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
import type { FuseOrder, FuseReport } from "./fuse_worker.ts";
import type { RibTree } from "./tree.ts";

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

/** Who is shown as the owner of the files. */
export interface RibOwner {
  readonly uid: number;
  readonly gid: number;
}

/** A tree that is mounted. */
interface Mounted {
  readonly path: string;
  readonly device: Fd;
  readonly tree: RibTree;
  readonly stopped: PromiseWithResolvers<void>;
}

/** The file systems that a process serves, and their one thread, which starts with the first of them. */
export class RibServer {
  readonly #dir: string;
  readonly #mounted = new Map<number, Mounted>();
  readonly #serving = Promise.withResolvers<void>();
  #thread: FuseThread | undefined;
  #nextTree = 1;
  #closed = false;

  constructor(instance: Instance) {
    this.#dir = ribDir(instance);
  }

  /** How many are mounted. */
  get size(): number {
    return this.#mounted.size;
  }

  /** Mounts a tree as `name`: its number, or why that cannot be, in one line. */
  open(name: string, tree: RibTree, owner?: RibOwner): number | string {
    if (!isRibName(name)) return `${JSON.stringify(name)} cannot name a directory`;
    if (this.#closed) return "it has ended";
    const path = `${this.#dir}/${name}`;
    try {
      const others = othersDirectory(this.#dir);
      if (others !== undefined) return others;
      // What a dead process left there.
      unmountDead(path);
      makeDirectory(path);
      const device = mountFuse(path);
      const number = this.#nextTree++;
      this.#mounted.set(number, { path, device, tree, stopped: Promise.withResolvers() });
      this.#thread ??= this.#start();
      this.#thread.order({
        order: "serve",
        tree: number,
        fd: device.raw,
        path,
        uid: owner?.uid ?? Deno.uid() ?? 0,
        gid: owner?.gid ?? Deno.gid() ?? 0,
      });
      return number;
    } catch (e) {
      if (e instanceof SysError || e instanceof Error) return e.message;
      throw e;
    }
  }

  #start(): FuseThread {
    return new FuseThread((tree) => this.#mounted.get(tree)?.tree, {
      serving: () => this.#serving.resolve(),
      stopped: (tree) => this.#stopped(tree),
      // A thread that died serves nobody: the kernel must hear of it, or readers wait for ever.
      died: () => void this.close(),
    });
  }

  /** Resolves when the thread has given up the capabilities that it does not need, or has ended. */
  get serving(): Promise<void> {
    return this.#thread === undefined ? Promise.resolve() : this.#serving.promise;
  }

  /** Unmounts a tree and removes its directory, as soon as the thread gets to it. Idempotent. */
  async unmount(tree: number): Promise<void> {
    const mounted = this.#mounted.get(tree);
    if (mounted === undefined || this.#thread === undefined) return;
    this.#thread.order({ order: "stop", tree });
    await mounted.stopped.promise;
  }

  /** The thread will not use its descriptor any more. */
  #stopped(tree: number): void {
    const mounted = this.#mounted.get(tree);
    if (mounted === undefined) return;
    this.#mounted.delete(tree);
    // Whoever still waits for an answer gets an error now.
    mounted.device.close();
    try {
      Deno.removeSync(mounted.path);
    } catch {
      // Still mounted: the IRMd removes it when this process has ended.
    }
    mounted.stopped.resolve();
  }

  /** Unmounts all and removes their directories. Idempotent, bounded. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, STOP_MS));
    await Promise.race([Promise.all([...this.#mounted.keys()].map((t) => this.unmount(t))), late]);
    clearTimeout(timer);
    this.#thread?.end();
    this.#serving.resolve();
    for (const [tree, { path }] of this.#mounted) {
      unmountDead(path);
      this.#stopped(tree);
    }
  }
}

/** The thread, and how it is told something while it waits for the kernel. */
class FuseThread {
  readonly #wake = new WakeFd();
  readonly #posted = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;

  constructor(
    treeOf: (tree: number) => RibTree | undefined,
    on: { serving(): void; stopped(tree: number): void; died(): void },
  ) {
    const channel = ribChannel();
    const answerer = new RibAnswerer(channel, treeOf);
    this.#worker = new Worker(new URL("./fuse_worker.ts", import.meta.url), { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<FuseReport>) => {
      if (data.say === "serving") on.serving();
      else if (data.say === "stopped") on.stopped(data.tree);
      else answerer.answer(data.question, Date.now() / 1000);
    };
    this.#worker.onerror = (e) => {
      e.preventDefault();
      on.died();
    };
    this.order({
      order: "start",
      wakeFd: this.#wake.fd,
      channel,
      posted: this.#posted.buffer,
    });
  }

  order(order: FuseOrder): void {
    Atomics.add(this.#posted, 0, 1);
    this.#worker.postMessage(order);
    this.#wake.wake();
  }

  end(): void {
    this.#worker.terminate();
    this.#wake.close();
  }
}

/** Whether it is not for us to mount below a directory: who made it first could lead us elsewhere. In one line. */
function othersDirectory(dir: string): string | undefined {
  const { isDirectory, uid } = Deno.lstatSync(dir);
  if (!isDirectory) return `${dir} is no directory`;
  if (uid === 0 || uid === realUid()) return undefined;
  return `${dir} belongs to uid ${uid} (remove it and start again)`;
}

function makeDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { mode: 0o755 });
  } catch (e) {
    if (!(e instanceof Deno.errors.AlreadyExists)) throw e;
  }
}
