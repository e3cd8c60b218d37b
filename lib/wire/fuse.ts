/**
 * The kernel's FUSE protocol, version 7.19, as much of it as a file system that is only read needs (`<linux/fuse.h>`). Pure.
 *
 * Host byte order, which is little endian wherever this runs. A request is one read of `/dev/fuse`, its answer one write:
 *
 * | request | size | field  | answer | size | field                       |
 * |---------|------|--------|--------|------|-----------------------------|
 * | 0       | 4    | length | 0      | 4    | length                      |
 * | 4       | 4    | opcode | 4      | 4    | 0, or a negative error      |
 * | 8       | 8    | unique | 8      | 8    | unique of the request       |
 * | 16      | 8    | node   | 16     |      | what the operation answers  |
 * | 24      | 16   | uid, gid, pid, padding |||                          |
 * | 40      |      | what the operation asks |||                         |
 *
 * Numbers of 64 bits are read as far as a double holds them exactly; `unique` is kept as it came.
 */

import { WireError } from "./mod.ts";

/** Bytes before what an operation asks. */
export const IN_BYTES = 40;
/** Bytes before what an operation answers. */
export const OUT_BYTES = 16;
/** Longest piece of a file in one answer, and what a buffer for requests has to hold. */
export const DATA_BYTES_MAX = 131072;
export const REQUEST_BYTES_MAX = DATA_BYTES_MAX + 4096;
/** The node of the mount's root. */
export const ROOT = 1;

/** Operations by number; others are answered with ENOSYS. */
export const Op = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  statfs: 17,
  release: 18,
  getxattr: 22,
  listxattr: 23,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  access: 34,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
} as const;

/** A request of the kernel. */
export interface FuseRequest {
  readonly op: number;
  /** Two 32-bit words, to be sent back. */
  readonly uniqueLo: number;
  readonly uniqueHi: number;
  readonly node: number;
  /** LOOKUP: the name looked for. */
  readonly name: string;
  /** READ, READDIR, RELEASE, RELEASEDIR: what OPEN answered. */
  readonly handle: number;
  /** READ, READDIR: where to begin, and at most how many bytes. */
  readonly offset: number;
  readonly size: number;
  /** INIT: version of the kernel. FORGET: how many look-ups. BATCH_FORGET: nodes and their numbers in turn. */
  readonly numbers: readonly number[];
}

/** Reads a request: one whole read of the device. */
export function parse(bytes: Uint8Array): FuseRequest | WireError {
  if (bytes.length < IN_BYTES) return new WireError("header", `short: ${bytes.length} bytes`);
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = v.getUint32(0, true);
  if (length !== bytes.length) return new WireError("length", `${length} of ${bytes.length} bytes`);
  const op = v.getUint32(4, true);
  const need = BODY_BYTES[op] ?? 0;
  if (length - IN_BYTES < need) return new WireError("body", `short: ${length - IN_BYTES} bytes`);
  const at = IN_BYTES;
  const reads = op === Op.read || op === Op.readdir;
  const handles = reads || op === Op.release || op === Op.releasedir;
  return {
    op,
    uniqueLo: v.getUint32(8, true),
    uniqueHi: v.getUint32(12, true),
    node: u64(v, 16),
    name: op === Op.lookup ? nameOf(bytes.subarray(at)) : "",
    handle: handles ? u64(v, at) : 0,
    offset: reads ? u64(v, at + 8) : 0,
    size: reads ? v.getUint32(at + 16, true) : 0,
    numbers: numbersOf(op, v),
  };
}

/** Bytes that an operation asks with at least. */
const BODY_BYTES: Readonly<Record<number, number>> = {
  [Op.lookup]: 1,
  [Op.forget]: 8,
  [Op.read]: 20,
  [Op.readdir]: 20,
  [Op.release]: 8,
  [Op.releasedir]: 8,
  [Op.init]: 8,
  [Op.batchForget]: 8,
};

function u64(v: DataView, at: number): number {
  return v.getUint32(at, true) + v.getUint32(at + 4, true) * 2 ** 32;
}

function nameOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function numbersOf(op: number, v: DataView): number[] {
  const at = IN_BYTES;
  if (op === Op.init) return [v.getUint32(at, true), v.getUint32(at + 4, true)];
  if (op === Op.forget) return [u64(v, at)];
  if (op !== Op.batchForget) return [];
  const numbers: number[] = [];
  const n = Math.min(v.getUint32(at, true), Math.floor((v.byteLength - at - 8) / 16));
  for (let i = 0; i < n; i++) {
    numbers.push(u64(v, at + 8 + i * 16), u64(v, at + 16 + i * 16));
  }
  return numbers;
}

/** What a file or directory is like. */
export interface Attributes {
  readonly node: number;
  readonly directory: boolean;
  readonly size: number;
  /** Seconds since 1970. */
  readonly timeSec: number;
  readonly uid: number;
  readonly gid: number;
}

/** An answer to a request: an error (positive number), or what the operation answers. */
export function encode(
  { uniqueLo, uniqueHi }: FuseRequest,
  answer: number | Uint8Array,
): Uint8Array<ArrayBuffer> {
  const body = typeof answer === "number" ? NOTHING : answer;
  const bytes = new Uint8Array(OUT_BYTES + body.length);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, bytes.length, true);
  v.setInt32(4, typeof answer === "number" ? -answer : 0, true);
  v.setUint32(8, uniqueLo, true);
  v.setUint32(12, uniqueHi, true);
  bytes.set(body, OUT_BYTES);
  return bytes;
}

const NOTHING = new Uint8Array(0);

/** Answer to INIT: version 7.19, nothing beyond it. */
export function initAnswer(): Uint8Array {
  const bytes = new Uint8Array(24);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, 7, true);
  v.setUint32(4, 19, true);
  v.setUint32(8, DATA_BYTES_MAX, true);
  v.setUint32(20, DATA_BYTES_MAX, true);
  return bytes;
}

/** How long the kernel may believe attributes and names, s. */
const VALID_SEC = 1;
const ATTRIBUTES_BYTES = 88;
const DIRECTORY_MODE = 0o40755;
const FILE_MODE = 0o100644;

function putAttributes(v: DataView, at: number, a: Attributes): void {
  v.setUint32(at, a.node, true);
  v.setUint32(at + 8, a.size, true);
  v.setUint32(at + 16, a.directory ? 0 : 1, true);
  for (let i = 0; i < 3; i++) v.setUint32(at + 24 + i * 8, a.timeSec, true);
  v.setUint32(at + 60, a.directory ? DIRECTORY_MODE : FILE_MODE, true);
  v.setUint32(at + 64, a.directory ? 2 : 1, true);
  v.setUint32(at + 68, a.uid, true);
  v.setUint32(at + 72, a.gid, true);
  v.setUint32(at + 80, 4096, true);
}

/** Answer to LOOKUP. */
export function entryAnswer(a: Attributes): Uint8Array {
  const bytes = new Uint8Array(40 + ATTRIBUTES_BYTES);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, a.node, true);
  v.setUint32(16, VALID_SEC, true);
  v.setUint32(24, VALID_SEC, true);
  putAttributes(v, 40, a);
  return bytes;
}

/** Answer to GETATTR. */
export function attributesAnswer(a: Attributes): Uint8Array {
  const bytes = new Uint8Array(16 + ATTRIBUTES_BYTES);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, VALID_SEC, true);
  putAttributes(v, 16, a);
  return bytes;
}

/** Answer to OPEN (of a file: read directly, from the beginning on) and OPENDIR. */
export function openAnswer(handle: number, file: boolean): Uint8Array {
  const bytes = new Uint8Array(16);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, handle, true);
  v.setUint32(8, file ? DIRECT_IO | NONSEEKABLE : 0, true);
  return bytes;
}

const DIRECT_IO = 1;
const NONSEEKABLE = 4;

/** Answer to STATFS: a file system without blocks. */
export function statfsAnswer(): Uint8Array {
  const bytes = new Uint8Array(80);
  const v = new DataView(bytes.buffer);
  v.setUint32(40, 4096, true);
  v.setUint32(44, 255, true);
  v.setUint32(48, 4096, true);
  return bytes;
}

/** An entry of a directory. */
export interface DirectoryEntry {
  readonly name: string;
  readonly directory: boolean;
}

const DT_DIR = 4;
const DT_REG = 8;

/** Answer to READDIR: entries from number `from` on that fit `size` bytes. */
export function entriesAnswer(
  entries: readonly DirectoryEntry[],
  from: number,
  size: number,
): Uint8Array {
  const bytes = new Uint8Array(Math.min(size, DATA_BYTES_MAX));
  const v = new DataView(bytes.buffer);
  let at = 0;
  for (let i = from; i < entries.length; i++) {
    const { name, directory } = entries[i]!;
    const encoded = new TextEncoder().encode(name);
    const length = (24 + encoded.length + 7) & ~7;
    if (at + length > bytes.length) break;
    // Inodes of a listing are nobody's business but must not be 0.
    v.setUint32(at, i + 1, true);
    v.setUint32(at + 8, i + 1, true);
    v.setUint32(at + 16, encoded.length, true);
    v.setUint32(at + 20, directory ? DT_DIR : DT_REG, true);
    bytes.set(encoded, at + 24);
    at += length;
  }
  return bytes.subarray(0, at);
}

/** One line about a request. */
export function describe(bytes: Uint8Array): string {
  const r = parse(bytes);
  if (r instanceof WireError) return `fuse: ${r}`;
  const op = Object.entries(Op).find(([, n]) => n === r.op)?.[0] ?? `operation ${r.op}`;
  return `fuse: ${op} of node ${r.node}${r.name === "" ? "" : ` ${JSON.stringify(r.name)}`}`;
}
