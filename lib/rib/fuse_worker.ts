/** The thread that serves the RIB's file system: reads the kernel's requests, answers them, asks the main thread. */

import { Errno } from "../errno.ts";
import { keepCapabilities, UNMOUNTING } from "../sys/caps.ts";
import { Fd } from "../sys/fd.ts";
import { unmountDead } from "../sys/mount.ts";
import { Poller } from "../sys/netsock.ts";
import { parse, REQUEST_BYTES_MAX } from "../wire/fuse.ts";
import { WireError } from "../wire/mod.ts";
import { RibAsker, type RibQuestion } from "./channel.ts";
import { RibFileSystem } from "./file_system.ts";

/** What the thread gets at its start. */
export interface FuseStart {
  /** Descriptor of `/dev/fuse`; the main thread's, which closes it. */
  readonly fd: number;
  readonly wakeFd: number;
  /** Where it is mounted. */
  readonly path: string;
  readonly channel: SharedArrayBuffer;
  readonly uid: number;
  readonly gid: number;
}

/** What it says: that it has given up what it does not need, a question to the tree, or that nothing is mounted any more. */
export type FuseReport =
  | { readonly say: "serving" }
  | { readonly say: "question"; readonly question: RibQuestion }
  | { readonly say: "stopped" };

const scope = globalThis as unknown as {
  onmessage: ((e: MessageEvent<FuseStart>) => void) | null;
  postMessage(report: FuseReport): void;
};

scope.onmessage = ({ data: start }) => {
  // What serves everybody's requests keeps just what it needs to unmount.
  keepCapabilities(UNMOUNTING);
  scope.postMessage({ say: "serving" });
  serve(start);
  unmountDead(start.path);
  scope.postMessage({ say: "stopped" });
};

/** Until the wake-up, or somebody unmounted it. */
function serve({ fd, wakeFd, channel, uid, gid }: FuseStart): void {
  const device = new Fd(fd, "/dev/fuse");
  const poller = new Poller(fd, wakeFd);
  const asker = new RibAsker(
    channel,
    (question) => scope.postMessage({ say: "question", question }),
  );
  const files = new RibFileSystem(asker, uid, gid);
  const buffer = new Uint8Array(REQUEST_BYTES_MAX);
  while (!poller.wait(-1)) {
    const n = device.read(buffer);
    if (n === -Errno.ENODEV) return;
    if (n <= 0) continue; // nothing, or a request that was given up
    const request = parse(buffer.subarray(0, n));
    if (request instanceof WireError) continue;
    const answer = files.answer(request, Date.now() / 1000);
    // A request that was given up meanwhile has no taker.
    if (answer !== undefined) device.write(answer);
  }
}
