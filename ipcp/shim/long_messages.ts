/**
 * Messages of a shim IPCP that are longer than its lower layer carries: in pieces, between our own nodes
 * (`../pieces.ts`). Pure.
 */

import { isWireError } from "../../lib/wire/mod.ts";
import { isPieceMsg, type PieceMsg, TOTAL_BYTES_MAX } from "../../lib/wire/mgmt_piece.ts";
import type { ShimMgmt, ShimMgmtCodec } from "../../lib/wire/shim_mgmt.ts";
import { Pieces } from "../pieces.ts";
import type { Addr } from "./name_cache.ts";

/** A packet with a piece is no longer than this, so that few paths must cut it again, bytes. */
const PACKET_BYTES_MAX = 1400;

/** What is to be done. */
export type LongEffect =
  | { readonly kind: "send"; readonly to: Addr; readonly bytes: Uint8Array }
  /** The far end takes the message of this flow. */
  | { readonly kind: "taken"; readonly flowId: number }
  /** It rejoins none: a prototype, or nobody. */
  | { readonly kind: "refused"; readonly flowId: number };

export class LongMessages {
  readonly #codec: ShimMgmtCodec;
  readonly #hashBytes: number;
  readonly #pieces: Pieces<Addr>;

  constructor(
    codec: ShimMgmtCodec,
    hashBytes: number,
    mgmtBytesMax: number,
    random: () => number,
  ) {
    this.#codec = codec;
    this.#hashBytes = hashBytes;
    this.#pieces = new Pieces(Math.min(mgmtBytesMax, PACKET_BYTES_MAX) - codec.headerBytes, random);
  }

  /**
   * The request of a flow was sent whole: unless it is answered soon, it goes in pieces as well, which makes up for its loss
   * and shows that we receive at our address.
   */
  insist(nowUs: number, to: Addr, bytes: Uint8Array, flowId: number): void {
    this.#pieces.send(nowUs, to, to.toHex(), bytes, flowId, true);
  }

  /** Send the request or answer of a flow; false if it is too long in pieces too. */
  send(nowUs: number, to: Addr, m: ShimMgmt, flowId: number): boolean {
    const bytes = new Uint8Array(this.#codec.encodedLength(m));
    if (isWireError(this.#codec.encode(m, bytes, 0, TOTAL_BYTES_MAX))) return false;
    return this.#pieces.send(nowUs, to, to.toHex(), bytes, flowId);
  }

  /** The message of a flow is not wanted any more. */
  cancel(flowId: number): void {
    this.#pieces.cancel(flowId);
  }

  /** A piece came: the message that it made whole, `malformed` if that is none, undefined if there is none yet. */
  onMessage(nowUs: number, from: Addr, m: PieceMsg): ShimMgmt | "malformed" | undefined {
    const bytes = this.#pieces.onMessage(nowUs, from.slice(), from.toHex(), m);
    if (bytes === undefined) return undefined;
    const whole = this.#codec.parse(bytes, this.#hashBytes, TOTAL_BYTES_MAX);
    return isWireError(whole) || isPieceMsg(whole) ? "malformed" : whole;
  }

  /** The next thing to do, oldest first. */
  poll(): LongEffect | undefined {
    const e = this.#pieces.poll();
    if (e === undefined) return undefined;
    if (e.kind !== "send_piece") return { kind: e.kind, flowId: e.token };
    const bytes = new Uint8Array(this.#codec.encodedLength(e.m));
    this.#codec.encode(e.m, bytes, 0);
    return { kind: "send", to: e.to, bytes };
  }

  onTimer(nowUs: number): void {
    this.#pieces.onTimer(nowUs);
  }

  deadlineUs(): number {
    return this.#pieces.deadlineUs();
  }
}
