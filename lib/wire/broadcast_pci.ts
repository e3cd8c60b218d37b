/**
 * The header of packets between two of our own members of a broadcast layer. Pure.
 *
 * Big endian, 12 bytes, then the application's packet:
 *
 * | offset | size | field  | meaning                                                            |
 * |--------|------|--------|--------------------------------------------------------------------|
 * | 0      | 8    | origin | random number of the member where the packet entered; 0: a message |
 * | 8      | 4    | seq    | counts the origin's packets; of a message its code                 |
 *
 * Members of the prototype get and send bare packets (spec 50 §16), so this header is seen on flows between two of our
 * own alone. An origin of 0 is a message between the two ends of a flow; code 1, the only one, says farewell. The number
 * of the origin is two 32-bit words here.
 */

import { WireError } from "./mod.ts";

/** Bytes of the header. */
export const LENGTH = 12;
/** Code of the message that ends a connection. */
export const FAREWELL = 1;

/** A header; the caller owns the record and uses it again for the next packet. */
export interface BroadcastPci {
  originHi: number;
  originLo: number;
  seq: number;
}

/** Reads the header at `[at, end)` into `out`: undefined, or why it is none. */
export function parse(
  u8: Uint8Array,
  at: number,
  end: number,
  out: BroadcastPci,
): WireError | undefined {
  if (end - at < LENGTH || end > u8.length) return SHORT;
  out.originHi = word(u8, at);
  out.originLo = word(u8, at + 4);
  out.seq = word(u8, at + 8);
  return undefined;
}

const SHORT = new WireError("header", `short: less than ${LENGTH} bytes`);

function word(u8: Uint8Array, at: number): number {
  return (u8[at]! << 24 | u8[at + 1]! << 16 | u8[at + 2]! << 8 | u8[at + 3]!) >>> 0;
}

/** Writes the header at `at`: its length, or an error when there is no room. */
export function encode(pci: BroadcastPci, u8: Uint8Array, at: number): number | WireError {
  if (at < 0 || u8.length - at < LENGTH) return SHORT;
  put(u8, at, pci.originHi);
  put(u8, at + 4, pci.originLo);
  put(u8, at + 8, pci.seq);
  return LENGTH;
}

function put(u8: Uint8Array, at: number, value: number): void {
  u8[at] = value >>> 24;
  u8[at + 1] = value >>> 16;
  u8[at + 2] = value >>> 8;
  u8[at + 3] = value;
}

/** One line about a packet. */
export function describe(u8: Uint8Array): string {
  const pci = { originHi: 0, originLo: 0, seq: 0 };
  const refused = parse(u8, 0, u8.length, pci);
  if (refused !== undefined) return `broadcast: ${refused} (${u8.length} bytes)`;
  if (pci.originHi === 0 && pci.originLo === 0) {
    return `broadcast: ${pci.seq === FAREWELL ? "farewell" : `message ${pci.seq}`}`;
  }
  const origin = hex(pci.originHi) + hex(pci.originLo);
  return `broadcast: packet ${pci.seq} of ${origin}, ${u8.length - LENGTH} bytes`;
}

function hex(n: number): string {
  return n.toString(16).padStart(8, "0");
}
