/**
 * The network below a shim IPCP, as its data threads use it: messages in batches, and waiting for them.
 */

import { type MessageBatch, type NetSocket, Poller } from "../../../lib/sys/netsock.ts";

export interface Wire {
  /** Messages may come joined (`MessageBatch.segmentBytes`). */
  readonly joins: boolean;
  /** Receive up to the batch's count: messages, or -11 if there are none, or another negative errno. */
  receive(batch: MessageBatch): number;
  /** Send messages `from..from+n`: the number sent, or a negative errno about the first one. */
  send(batch: MessageBatch, from: number, n: number): number;
  /** Wait for messages or the main thread, at most `timeoutMs` (-1 for ever). Whether that one called. */
  wait(timeoutMs: number): boolean;
}

/** A socket as the wire. */
export class SocketWire implements Wire {
  readonly #socket: NetSocket;
  readonly #poller: Poller;
  readonly joins: boolean;

  /** @param wakeFd readable when the main thread calls */
  constructor(socket: NetSocket, wakeFd: number, joins = false) {
    this.joins = joins;
    this.#socket = socket;
    this.#poller = new Poller(socket.fd, wakeFd);
  }

  receive(batch: MessageBatch): number {
    return this.#socket.receive(batch);
  }
  send(batch: MessageBatch, from: number, n: number): number {
    return this.#socket.send(batch, from, n);
  }
  wait(timeoutMs: number): boolean {
    return this.#poller.wait(timeoutMs);
  }
}
