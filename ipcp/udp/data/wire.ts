/** UDP as the wire of the data threads: datagrams to one peer leave and arrive as one call, where the kernel can do so. */

import type { MessageBatch, NetSocket } from "../../../lib/sys/netsock.ts";
import { joinSegments, SegmentSender } from "../../../lib/sys/segments.ts";
import { SocketWire } from "../../shim/data/wire.ts";

/** Receives datagrams joined. */
export function receivingWire(socket: NetSocket, wakeFd: number): SocketWire {
  return new SocketWire(socket, wakeFd, joinSegments(socket.fd));
}

/** Sends runs of datagrams as one. */
export class SegmentWire extends SocketWire {
  readonly #fd: number;
  #batch: MessageBatch | undefined;
  #sender: SegmentSender | undefined;

  constructor(socket: NetSocket, wakeFd: number) {
    super(socket, wakeFd);
    this.#fd = socket.fd;
  }

  override send(batch: MessageBatch, from: number, n: number): number {
    if (this.#sender === undefined || this.#batch !== batch) {
      this.#batch = batch;
      this.#sender = new SegmentSender(batch);
    }
    return this.#sender.send(this.#fd, from, n);
  }
}
