/**
 * Pieces of management messages that are too long for one packet: the part behind the fixed header of each layout (code
 * 43 of the shim IPCPs, 4 of flow allocators). Ours: a prototype logs an unknown code and goes on. Pure.
 *
 * Big-endian, packed, 24 bytes and what follows them:
 *
 * | off | size | field | ask | go | piece | all |                                       |
 * |-----|------|-------|-----|----|-------|-----|---------------------------------------|
 * | 0   | 1    | what  | 0   | 1  | 2     | 3   |                                       |
 * | 1   | 3    | zero  |     |    |       |     | ignored on receipt                    |
 * | 4   | 4    | id    | x   | x  | x     | x   | of the message, the sender's choice   |
 * | 8   | 4    | total | x   |    | x     |     | bytes of the message                  |
 * | 12  | 4    | at    |     |    | x     |     | where the piece begins in it          |
 * | 16  | 8    | proof |     | x  | x     |     | of the receiver, repeated by sender   |
 * | 24  |      | bytes |     |    | x     |     | the piece                             |
 *
 * The sender asks; the receiver keeps nothing but answers `go` with a proof that only it can make, so that who sends
 * pieces receives at its address; `all` says that the message is whole. Frames that are filled up to a least length end
 * in bytes beyond `total`, which are none of the piece.
 */

import { WireError } from "./mod.ts";

/** Bytes before those of the piece. */
export const LENGTH = 24;
/** Bytes of a proof. */
export const PROOF_BYTES = 8;
/** Longest message in pieces. */
export const TOTAL_BYTES_MAX = 65_536;

/** May a message of this length come in pieces? */
export interface PieceAsk {
  readonly kind: "piece_ask";
  readonly id: number;
  readonly total: number;
}

/** It may. */
export interface PieceGo {
  readonly kind: "piece_go";
  readonly id: number;
  readonly proof: Uint8Array;
}

/** A part of it. */
export interface Piece {
  readonly kind: "piece";
  readonly id: number;
  readonly total: number;
  readonly at: number;
  readonly proof: Uint8Array;
  readonly bytes: Uint8Array;
}

/** All of it is here. */
export interface PieceAll {
  readonly kind: "piece_all";
  readonly id: number;
}

/** Any of them. */
export type PieceMsg = PieceAsk | PieceGo | Piece | PieceAll;

const WHAT = { piece_ask: 0, piece_go: 1, piece: 2, piece_all: 3 } as const;

/** Whether a management message is one of these. */
export function isPieceMsg(m: { readonly kind: string }): m is PieceMsg {
  return m.kind in WHAT;
}

/** What begins at `at`; copies its parts. */
export function parse(b: Uint8Array, at: number): PieceMsg | WireError {
  if (b.length - at < LENGTH) return new WireError("piece", `short: ${b.length - at} bytes`);
  const v = new DataView(b.buffer, b.byteOffset + at, b.length - at);
  const id = v.getUint32(4);
  const total = v.getUint32(8);
  const from = v.getUint32(12);
  const proof = () => b.slice(at + 16, at + LENGTH);
  const tooLong = total === 0 || total > TOTAL_BYTES_MAX;
  switch (v.getUint8(0)) {
    case WHAT.piece_ask:
      if (tooLong) return new WireError("total", `${total}`);
      return { kind: "piece_ask", id, total };
    case WHAT.piece_go:
      return { kind: "piece_go", id, proof: proof() };
    case WHAT.piece: {
      if (tooLong) return new WireError("total", `${total}`);
      if (from >= total) return new WireError("at", `${from} of ${total}`);
      const bytes = b.slice(at + LENGTH, Math.min(b.length, at + LENGTH + total - from));
      if (bytes.length === 0) return new WireError("bytes", "none");
      return { kind: "piece", id, total, at: from, proof: proof(), bytes };
    }
    case WHAT.piece_all:
      return { kind: "piece_all", id };
  }
  return new WireError("what", `unknown: ${v.getUint8(0)}`);
}

/** Bytes that {@linkcode encode} writes. */
export function encodedLength(m: PieceMsg): number {
  return LENGTH + (m.kind === "piece" ? m.bytes.length : 0);
}

/** Write at `at`; the caller has room for {@linkcode encodedLength}. */
export function encode(m: PieceMsg, into: Uint8Array, at: number): void {
  into.fill(0, at, at + LENGTH);
  const v = new DataView(into.buffer, into.byteOffset + at, LENGTH);
  v.setUint8(0, WHAT[m.kind]);
  v.setUint32(4, m.id);
  if ("total" in m) v.setUint32(8, m.total);
  if ("proof" in m) into.set(m.proof.subarray(0, PROOF_BYTES), at + 16);
  if (m.kind !== "piece") return;
  v.setUint32(12, m.at);
  into.set(m.bytes, at + LENGTH);
}

/** One line for people. */
export function describe(m: PieceMsg): string {
  switch (m.kind) {
    case "piece_ask":
      return `ask to send ${m.total} bytes in pieces, id ${m.id}`;
    case "piece_go":
      return `go, id ${m.id}`;
    case "piece":
      return `bytes ${m.at}…${m.at + m.bytes.length} of ${m.total}, id ${m.id}`;
    case "piece_all":
      return `all there, id ${m.id}`;
  }
}
