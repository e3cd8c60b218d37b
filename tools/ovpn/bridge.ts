/**
 * Carries IP packets between a TUN device and a flow: each packet of one is a packet of the other, bare.
 * What does not fit is dropped, as networks do. Ends when the flow goes down or a stop is asked for.
 */

import { Errno, OuroError } from "../../lib/errno.ts";
import type { Flow } from "../../lib/flow/flow.ts";
import { EventSource } from "../../lib/sys/epoll.ts";
import type { Tun } from "../../lib/sys/tun.ts";

/** Largest IP packet, bytes. */
const PACKET_BYTES_MAX = 65536;
/** Packets taken from one side before the other has its turn. */
const PACKETS_A_TURN = 64;

/** What was carried in one direction. */
export interface Carried {
  packets: number;
  bytes: number;
  /** Packets that did not fit. */
  dropped: number;
}

/** Counts a packet by the result of writing it. */
function count(carried: Carried, n: number, bytes: number): void {
  if (n < 0) {
    carried.dropped++;
    return;
  }
  carried.packets++;
  carried.bytes += bytes;
}

/** Carries packets until the flow is down (`"down"`) or the signal aborts (`"stopped"`). */
export async function bridge(
  tun: Tun,
  flow: Flow,
  signal: AbortSignal,
  toFlow: Carried,
  fromFlow: Carried,
): Promise<"down" | "stopped"> {
  const buffer = new Uint8Array(PACKET_BYTES_MAX);
  const watch = EventSource.get().watch(tun.raw, { read: true }, () => {
    for (let i = 0; i < PACKETS_A_TURN; i++) {
      const n = tun.read(buffer);
      if (n <= 0) return;
      count(toFlow, flow.writeSync(buffer.subarray(0, n), { nonblock: true }), n);
    }
  });
  try {
    while (!signal.aborted) {
      const packet = await flow.read({ signal });
      if (packet.length > 0) count(fromFlow, tun.write(packet), packet.length);
      for (let i = 0; i < PACKETS_A_TURN; i++) {
        const n = flow.readSync(buffer, { nonblock: true });
        if (n === -Errno.EAGAIN) break;
        if (n < 0 && n !== -Errno.EMSGSIZE) return "down";
        if (n > 0) count(fromFlow, tun.write(buffer.subarray(0, n)), n);
      }
    }
    return "stopped";
  } catch (error) {
    if (signal.aborted) return "stopped";
    if (error instanceof OuroError) return "down";
    throw error;
  } finally {
    watch.close();
  }
}
