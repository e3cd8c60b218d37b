/**
 * Link-state update: one link as its node announces it (spec 60 §11.1). Pure.
 *
 * Big endian, exactly 24 bytes, one a packet of a Management flow:
 *
 * | offset | size | field  | meaning                                    |
 * |--------|------|--------|--------------------------------------------|
 * | 0      | 8    | d_addr | the neighbour                              |
 * | 8      | 8    | s_addr | the node that announces                    |
 * | 16     | 8    | seqno  | counts up; a receiver takes greater ones   |
 *
 * Addresses are 32 bits here: others are refused, as is 0, which is no address and stops prototypes (spec 60 §19 W2).
 * The number stays exact up to 2^53, a count that no node reaches; larger ones are refused.
 *
 * **Withdrawal** (ours). The prototype has none; there a dead link ages out. Between our own nodes a link that went is
 * announced once more with the neighbour's address in the upper 32 bits of `d_addr` as well. A prototype passes it on,
 * stores it as a link to a node of which nobody else tells, never uses it, and lets it age out.
 */

import { dotted } from "./dt_pci.ts";
import { WireError } from "./mod.ts";

/** Bytes of an update. */
export const LENGTH = 24;

/** A link as announced. */
export interface LinkState {
  /** The neighbour, 1 … 2^32-1. */
  readonly dst: number;
  /** Who announces, 1 … 2^32-1. */
  readonly src: number;
  /** 0 … 2^53-1. */
  readonly seqno: number;
  /** The link is gone. */
  readonly withdrawn: boolean;
}

// Byte by byte: a view of 24 bytes costs more than all that is read through it, and a large layer reads many.

function u32(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

function u64(b: Uint8Array, at: number): number {
  return u32(b, at) * 0x100000000 + u32(b, at + 4);
}

function putU32(n: number, into: Uint8Array, at: number): void {
  into[at] = n >>> 24;
  into[at + 1] = n >>> 16;
  into[at + 2] = n >>> 8;
  into[at + 3] = n;
}

/** The update in `b`, or why it is none. */
export function parse(b: Uint8Array): LinkState | WireError {
  if (b.length !== LENGTH) return new WireError("length", `${b.length} of ${LENGTH} bytes`);
  const dst = u32(b, 4);
  const src = u64(b, 8);
  const seqno = u64(b, 16);
  const upper = u32(b, 0);
  if (dst === 0 || (upper !== 0 && upper !== dst)) return new WireError("d_addr", "not an address");
  if (src === 0 || src > 0xffffffff) return new WireError("s_addr", "not an address");
  if (src === dst) return new WireError("d_addr", "a link to itself");
  if (seqno > Number.MAX_SAFE_INTEGER) return new WireError("seqno", "too large");
  return { dst, src, seqno, withdrawn: upper !== 0 };
}

/** Writes the update at `at`: 24, or an error with nothing written. */
export function encode(m: LinkState, into: Uint8Array, at = 0): number | WireError {
  if (into.length - at < LENGTH) return new WireError("length", "no room");
  putU32(m.withdrawn ? m.dst : 0, into, at);
  putU32(m.dst, into, at + 4);
  putU32(0, into, at + 8);
  putU32(m.src, into, at + 12);
  putU32(Math.floor(m.seqno / 0x100000000), into, at + 16);
  putU32(m.seqno, into, at + 20);
  return LENGTH;
}

/** One line for people. */
export function describe(b: Uint8Array): string {
  const m = parse(b);
  if (m instanceof WireError) return `lsu: ${m}`;
  const has = m.withdrawn ? "no longer has" : "has";
  return `lsu: ${dotted(m.src)} ${has} a link to ${dotted(m.dst)}, number ${m.seqno}`;
}
