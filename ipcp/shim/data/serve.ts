/** What the workers of all shim IPCPs do; each type gives its framing. */

import { FlowSetShm } from "../../../lib/shm/flow_set.ts";
import { NetSocket } from "../../../lib/sys/netsock.ts";
import { report, serve } from "../../data/worker.ts";
import type { Framing } from "./framing.ts";
import { ShimRx } from "./rx.ts";
import { ShimTx } from "./tx.ts";
import { SocketWire, type Wire } from "./wire.ts";

/** What every lower side says to its workers: the socket, which the main thread owns. */
interface Link {
  readonly fd: number;
}

/** The wire of a thread: its socket, which the main thread owns, and what is readable when that one calls. */
type WireOf = (socket: NetSocket, wakeFd: number) => Wire;

/** Serve the way from the processes to the network. */
export function serveTx<L extends Link>(
  framingOf: (link: L) => Framing,
  wireOf: WireOf = (socket, wakeFd) => new SocketWire(socket, wakeFd),
): void {
  serve((init, parts) => {
    const link = init.extra as L;
    const set = FlowSetShm.open(init.instance, init.pid);
    const wire = wireOf(NetSocket.adopt(link.fd), init.wakeFd);
    const tx = new ShimTx(parts, set, wire, framingOf(link));
    return () => {
      tx.run();
      set.close();
    };
  });
}

/** Serve the way from the network to the processes. */
export function serveRx<L extends Link>(
  framingOf: (link: L) => Framing,
  wireOf: WireOf = (socket, wakeFd) => new SocketWire(socket, wakeFd),
): void {
  serve((init, parts) => {
    const link = init.extra as L;
    const wire = wireOf(NetSocket.adopt(link.fd), init.wakeFd);
    const rx = new ShimRx(parts, wire, framingOf(link), (from, bytes, share) => {
      report({ say: "mgmt", from, bytes, share });
    });
    return () => rx.run();
  });
}
