/**
 * Connections to the IRMd that are used again (our addition, `FLOW_KEEP`): one that is there costs the IRMd neither an
 * accept nor a look at who it is. The prototype's IRMd, and one that is short of connections, close after each reply as
 * ever; then each request has a connection of its own.
 */

import { FLOW_KEEP } from "../codes.ts";
import { Errno } from "../errno.ts";
import { SysError } from "../sys/ffi.ts";
import type { SeqSocket } from "../sys/socket.ts";
import type { IrmMsg } from "./messages.ts";

/** Connections of a thread that wait for a request. */
const IDLE_MAX = 4;

/** Those of one thread. */
export class KeptConnections {
  readonly #idle: SeqSocket[] = [];
  #closed = false;

  /** One that the IRMd has left open, if there is one. */
  take(): SeqSocket | undefined {
    for (let s = this.#idle.pop(); s !== undefined; s = this.#idle.pop()) {
      if (!s.hungUp) return s;
      s.close();
    }
    return undefined;
  }

  /** A connection after its reply: kept when the IRMd says that it keeps it, closed otherwise. */
  give(socket: SeqSocket, reply: IrmMsg): void {
    const kept = ((reply.opts ?? 0) & FLOW_KEEP) !== 0;
    if (kept && !this.#closed && this.#idle.length < IDLE_MAX) this.#idle.push(socket);
    else socket.close();
  }

  /** Closes all. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#idle.splice(0)) socket.close();
  }
}

/**
 * Whether a request that failed on a kept connection was never read: the IRMd closed the connection at the same moment, because
 * it was silent for long or others needed it.
 */
export function neverRead(e: unknown): boolean {
  return e instanceof SysError && (e.errno === Errno.EPIPE || e.errno === Errno.ECONNRESET);
}
