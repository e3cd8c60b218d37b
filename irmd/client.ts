/** One connection to irm.sock: who is at the other end, and whether it still is (spec 20 §2.1, §19.2, 9). */

import type { PeerCred, SeqSocket } from "../lib/sys/socket.ts";

/** See the file's comment. Made for each request; the server owns the socket. */
export class Client {
  readonly #socket: SeqSocket;
  readonly #onHangup = new Set<() => void>();
  #watching = false;
  #gone = false;

  constructor(socket: SeqSocket, readonly cred: PeerCred) {
    this.#socket = socket;
  }

  /** Primary and supplementary groups of the client, as the kernel says. */
  get gids(): number[] {
    return [...new Set([this.cred.gid, ...this.#socket.peerGroups()])];
  }

  /** Whether the client has hung up, asked from the kernel. */
  get gone(): boolean {
    return this.#gone ||= this.#socket.hungUp;
  }

  /** Calls back when the client hangs up. Returns a function that gives up watching. */
  onHangup(call: () => void): () => void {
    this.#onHangup.add(call);
    if (!this.#watching) {
      this.#watching = true;
      this.#socket.onHangup(() => {
        this.#gone = true;
        for (const c of [...this.#onHangup]) c();
      });
    }
    return () => this.#onHangup.delete(call);
  }
}
