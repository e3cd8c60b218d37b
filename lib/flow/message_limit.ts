/**
 * How long a message of a flow may be (spec 30 §1, spec 50 §18 R11): the wire has no fragmentation, so one message
 * is one packet, and a packet must fit a block of the pool and the layer below.
 *
 * A block keeps room beside the payload for everything that a flow adds (FRCT header, IV, tag, CRC), so those count
 * against the layer only. What the layer carries is told by its IPCP; the prototype's doesn't, and then messages
 * that are too long for the layer are lost without notice. Pure.
 */

import type { SduLimits } from "../irm/messages.ts";

/** Packet that the layers of most networks carry, bytes (spec 31 §12: about 1400 over eth and udp). */
const USUAL_PACKET_BYTES = 1400;
/** Longest piece of a byte stream: fits the 16 KiB class of every pool, of which there are many blocks. */
const PIECE_BYTES_MAX = 16000;

/**
 * Longest message of a flow, bytes.
 *
 * @param blockBytes largest payload of a block of the pool
 * @param overheadBytes what the flow adds to a message: FRCT header, IV, tag, CRC
 * @param sdu what the layer below carries
 */
export function messageLimit(blockBytes: number, overheadBytes: number, sdu: SduLimits): number {
  const { sduBytesMax } = sdu;
  if (sduBytesMax === undefined) return blockBytes;
  return Math.max(0, Math.min(blockBytes, sduBytesMax - overheadBytes));
}

/** The limits of one flow: those of its beginning, or lower ones while the layer says that it carries less. */
export class MessageLimits {
  messageBytesMax = 0;
  streamBytes = 0;
  #told = -1;

  /** Parameters as those of {@linkcode messageLimit} and {@linkcode pieceBytes}. */
  constructor(
    readonly blockBytes: number,
    readonly overheadBytes: number,
    readonly sdu: SduLimits,
    readonly direct: boolean,
  ) {
    this.follow(0);
  }

  /** Whether the layer carries less than when the flow began. */
  get fell(): boolean {
    return this.#told > 0 && this.#told < (this.sdu.sduBytesMax ?? Infinity);
  }

  /** The layer carries packets of `told` bytes now; 0: what it carried at the beginning, which is never exceeded. */
  follow(told: number): void {
    if (told === this.#told) return;
    this.#told = told;
    const sdu = this.fell ? { ...this.sdu, sduBytesMax: told } : this.sdu;
    const { blockBytes, overheadBytes, direct } = this;
    this.messageBytesMax = messageLimit(blockBytes, overheadBytes, sdu);
    this.streamBytes = pieceBytes(this.messageBytesMax, overheadBytes, sdu, direct);
  }
}

/** A size that is too long and its limit, for the text of an error. */
export function tooLongText(bytes: number, limit: number): string {
  return `${bytes} bytes (a message of this flow holds at most ${limit})`;
}

/**
 * Pieces that a byte stream is cut to, bytes: as long as a message may be, but not so long that a packet is
 * fragmented further below, where the loss of a fragment loses it all.
 *
 * @param direct the other end is a process of this host without an IPCP between
 */
export function pieceBytes(
  limit: number,
  overheadBytes: number,
  sdu: SduLimits,
  direct: boolean,
): number {
  const whole = sdu.sduBytesWhole ?? sdu.sduBytesMax ??
    (direct ? Infinity : USUAL_PACKET_BYTES);
  return Math.max(1, Math.min(limit, PIECE_BYTES_MAX, whole - overheadBytes));
}
