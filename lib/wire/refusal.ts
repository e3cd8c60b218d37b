/**
 * Why a flow was refused, as it stands where an accepted one has its OAP response (our addition): a byte 0, which begins no
 * OAP header, and one line of UTF-8. Prototypes send nothing there and skip it. Pure.
 */

import { printable } from "../printable.ts";
import { WireError } from "./mod.ts";

/** Longest text, bytes. */
export const REFUSAL_BYTES_MAX = 256;

const utf8 = new TextDecoder();

/** The reason in the bytes, or an error where they are none. */
export function parse(b: Uint8Array): string | WireError {
  if (b.length < 2 || b.length > 1 + REFUSAL_BYTES_MAX) {
    return new WireError("length", `${b.length} bytes`);
  }
  if (b[0] !== 0) return new WireError("mark", `${b[0]}`);
  // Ethernet pads short frames.
  const end = b.indexOf(0, 1);
  return printable(utf8.decode(b.subarray(1, end < 0 ? b.length : end)));
}

/** The bytes of a reason, cut to what fits; none for an empty one. */
export function encode(reason: string): Uint8Array {
  if (reason === "") return new Uint8Array(0);
  const room = new Uint8Array(1 + REFUSAL_BYTES_MAX);
  const line = printable(reason);
  const { written } = new TextEncoder().encodeInto(line, room.subarray(1));
  return room.subarray(0, 1 + written);
}

/** One line for people. */
export function describe(b: Uint8Array): string {
  const reason = parse(b);
  return `refusal: ${reason}`;
}

/** The reason in the bytes; undefined where there is none. */
export function refusalText(b: Uint8Array): string | undefined {
  const reason = parse(b);
  return reason instanceof WireError || reason === "" ? undefined : reason;
}
