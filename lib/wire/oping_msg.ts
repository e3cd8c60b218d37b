/**
 * The message of `oping` (spec 80 §2.2): one a packet, request and reply have the same form. Pure.
 *
 *     offset size
 *     0      4    type, big endian: 0 request, 1 reply
 *     4      4    id, big endian, from 0 up by 1
 *     8      8    seconds of the sender's CLOCK_MONOTONIC, host order (little endian here)
 *     16     8    nanoseconds of it, host order
 *     24     ...  fill, zeros from us; a server returns it as it came
 *
 * A client sends 64..1500 bytes. Only the sender reads its time stamp, so its byte order is never
 * between machines. A server looks at the type alone, so it answers what has 4 bytes.
 */

import { WireError } from "./mod.ts";

/** Bytes that a client needs of a reply. */
export const LENGTH = 24;
/** Bytes that a server needs of a request. */
export const TYPE_LENGTH = 4;
/** Sizes a client may choose. */
export const SIZE_MIN = 64;
export const SIZE_MAX = 1500;

export const TYPE_REQUEST = 0;
export const TYPE_REPLY = 1;

const AT = { TYPE: 0, ID: 4, SECONDS: 8, NANOSECONDS: 16 } as const;
const NS_PER_S = 1e9;

/** What a message says; the caller owns and reuses it. */
export interface OpingMsg {
  type: number;
  id: number;
  /** The sender's monotonic time, ns. */
  stampNs: number;
}

/** The type of a message, or -1 when it is too short to have one. */
export function typeOf(b: Uint8Array, at: number, end: number): number {
  return end - at < TYPE_LENGTH ? -1 : u32be(b, at + AT.TYPE);
}

/** Turns a request into its reply, in place. The buffer must hold {@linkcode TYPE_LENGTH} bytes. */
export function makeReply(b: Uint8Array, at: number): void {
  b[at] = 0;
  b[at + 1] = 0;
  b[at + 2] = 0;
  b[at + 3] = TYPE_REPLY;
}

/** Reads a message into `out`; 0 for good, -1 when there are less than {@linkcode LENGTH} bytes. */
export function parse(b: Uint8Array, at: number, end: number, out: OpingMsg): 0 | -1 {
  if (end - at < LENGTH) return -1;
  out.type = u32be(b, at + AT.TYPE);
  out.id = u32be(b, at + AT.ID);
  out.stampNs = u64le(b, at + AT.SECONDS) * NS_PER_S + u64le(b, at + AT.NANOSECONDS);
  return 0;
}

/** Writes the head of a message; the fill is the caller's. Returns the bytes, -1 without room. */
export function encode(b: Uint8Array, at: number, msg: Readonly<OpingMsg>): number {
  if (b.length - at < LENGTH) return -1;
  putU32be(b, at + AT.TYPE, msg.type);
  putU32be(b, at + AT.ID, msg.id);
  const seconds = Math.floor(msg.stampNs / NS_PER_S);
  putU64le(b, at + AT.SECONDS, seconds);
  putU64le(b, at + AT.NANOSECONDS, msg.stampNs - seconds * NS_PER_S);
  return LENGTH;
}

/** One line for any bytes. */
export function describe(b: Uint8Array, at = 0, end: number = b.length): string {
  const msg: OpingMsg = { type: 0, id: 0, stampNs: 0 };
  const short = parse(b, at, end, msg) < 0;
  if (short) return `oping ${new WireError("message", `short: ${Math.max(0, end - at)} bytes`)}`;
  const type = msg.type === TYPE_REQUEST
    ? "request"
    : msg.type === TYPE_REPLY
    ? "reply"
    : `type ${msg.type}`;
  return `oping ${type} id ${msg.id} stamp ${msg.stampNs} ns, ${end - at} bytes`;
}

function u32be(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

function u32le(b: Uint8Array, at: number): number {
  return ((b[at + 3]! << 24) | (b[at + 2]! << 16) | (b[at + 1]! << 8) | b[at]!) >>> 0;
}

/** As a double: exact below 2^53, which a monotonic clock stays. */
function u64le(b: Uint8Array, at: number): number {
  return u32le(b, at + 4) * 0x1_0000_0000 + u32le(b, at);
}

function putU32be(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24;
  b[at + 1] = value >>> 16;
  b[at + 2] = value >>> 8;
  b[at + 3] = value;
}

function putU32le(b: Uint8Array, at: number, value: number): void {
  b[at] = value;
  b[at + 1] = value >>> 8;
  b[at + 2] = value >>> 16;
  b[at + 3] = value >>> 24;
}

function putU64le(b: Uint8Array, at: number, value: number): void {
  putU32le(b, at, value % 0x1_0000_0000);
  putU32le(b, at + 4, Math.floor(value / 0x1_0000_0000));
}
