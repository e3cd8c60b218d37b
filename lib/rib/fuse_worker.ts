/** The thread that serves the file systems of RIBs: reads the kernel's requests, answers them, asks the main thread. */

import { Errno } from "../errno.ts";
import { keepCapabilities, UNMOUNTING } from "../sys/caps.ts";
import { Fd } from "../sys/fd.ts";
import { unmountDead } from "../sys/mount.ts";
import { PollSet } from "../sys/netsock.ts";
import { parse, REQUEST_BYTES_MAX } from "../wire/fuse.ts";
import { WireError } from "../wire/mod.ts";
import { RibAsker, type RibQuestion } from "./channel.ts";
import { RibFileSystem } from "./file_system.ts";

/** What the thread is told. It blocks between orders: whoever posts one counts it and wakes it. */
export type FuseOrder =
  | {
    readonly order: "start";
    readonly wakeFd: number;
    readonly channel: SharedArrayBuffer;
    /** Orders that were posted, one word. */
    readonly posted: SharedArrayBuffer;
  }
  | {
    readonly order: "serve";
    /** Number of the tree. */
    readonly tree: number;
    /** Descriptor of `/dev/fuse`; the main thread's, which closes it once it is told that this is over. */
    readonly fd: number;
    /** Where it is mounted. */
    readonly path: string;
    readonly uid: number;
    readonly gid: number;
  }
  | { readonly order: "stop"; readonly tree: number };

/** What it says: that it has given up what it does not need, a question to a tree, or that a tree is not mounted any more. */
export type FuseReport =
  | { readonly say: "serving" }
  | { readonly say: "question"; readonly question: RibQuestion }
  | { readonly say: "stopped"; readonly tree: number };

const scope = globalThis as unknown as {
  onmessage: ((e: MessageEvent<FuseOrder>) => void) | null;
  postMessage(report: FuseReport): void;
};

/** A file system that is served. */
interface Served {
  readonly tree: number;
  readonly path: string;
  readonly device: Fd;
  readonly files: RibFileSystem;
}

class FuseThread {
  readonly #posted: Int32Array<SharedArrayBuffer>;
  readonly #poll: PollSet;
  readonly #asker: RibAsker;
  readonly #buffer = new Uint8Array(REQUEST_BYTES_MAX);
  #served: Served[] = [];
  /** Orders that were heard; the start is one. */
  #heard = 1;

  constructor(start: FuseOrder & { order: "start" }) {
    this.#posted = new Int32Array(start.posted);
    this.#poll = new PollSet(start.wakeFd);
    const ask = (question: RibQuestion) => scope.postMessage({ say: "question", question });
    this.#asker = new RibAsker(start.channel, ask);
  }

  obey(order: FuseOrder): void {
    this.#heard += 1;
    if (order.order === "serve") {
      const { tree, path, fd, uid, gid } = order;
      const files = new RibFileSystem(this.#asker.view(tree), uid, gid);
      this.#served.push({ tree, path, device: new Fd(fd, "/dev/fuse"), files });
    } else if (order.order === "stop") {
      const s = this.#served.find(({ tree }) => tree === order.tree);
      if (s !== undefined) this.#drop(s);
    }
    this.#watch();
    this.serve();
  }

  /** Serves until there is another order. */
  serve(): void {
    while (Atomics.load(this.#posted, 0) === this.#heard) {
      if (this.#poll.wait()) continue;
      const ended = this.#served.filter((s, i) => this.#poll.isReady(i) && !this.#answer(s));
      if (ended.length === 0) continue;
      for (const s of ended) this.#drop(s);
      this.#watch();
    }
  }

  #watch(): void {
    this.#poll.watch(this.#served.map((s) => s.device.raw));
  }

  /** Answers one request; false: somebody unmounted it. */
  #answer({ device, files }: Served): boolean {
    const buffer = this.#buffer;
    const n = device.read(buffer);
    if (n === -Errno.ENODEV || n === -Errno.EBADF) return false;
    if (n <= 0) return true; // nothing, or a request that was given up
    const request = parse(buffer.subarray(0, n));
    if (request instanceof WireError) return true;
    const answer = files.answer(request, Date.now() / 1000);
    // A request that was given up meanwhile has no taker.
    if (answer !== undefined) device.write(answer);
    return true;
  }

  #drop(s: Served): void {
    this.#served = this.#served.filter((other) => other !== s);
    unmountDead(s.path);
    scope.postMessage({ say: "stopped", tree: s.tree });
  }
}

let thread: FuseThread | undefined;

scope.onmessage = ({ data }) => {
  if (thread !== undefined) return thread.obey(data);
  if (data.order !== "start") return;
  // What serves everybody's requests keeps just what it needs to unmount.
  keepCapabilities(UNMOUNTING);
  thread = new FuseThread(data);
  scope.postMessage({ say: "serving" });
  thread.serve();
};
