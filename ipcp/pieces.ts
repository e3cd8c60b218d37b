/**
 * Management messages that are too long for one packet: cut, sent in pieces and rejoined, between our own nodes. Pure.
 *
 *     sender                       receiver
 *     piece_ask ─────────────────▶            (again after a while; nobody answers: a prototype, `refused`)
 *               ◀───────────────── piece_go   (keeps nothing; the proof says who asked)
 *     piece, piece, piece … ─────▶            (`taken`; again, all of them, while there is no piece_all)
 *               ◀───────────────── piece_all  (the message is given out once)
 *
 * What strangers cost is bounded: memory only for a source that has shown that it receives at its address, some messages
 * of each and of all, for seconds; a piece that contradicts the others drops the message. An answer in pieces goes to
 * nobody who has not shown that it receives, so a forged asker is not sent more than it asked with.
 *
 * `P` is how the layer describes a far end; `key` is the same for the same one.
 */

import { hashOf } from "../lib/hash.ts";
import { HashAlgo } from "../lib/codes.ts";
import {
  LENGTH,
  type Piece,
  type PieceAsk,
  type PieceGo,
  type PieceMsg,
  PROOF_BYTES,
  TOTAL_BYTES_MAX,
} from "../lib/wire/mgmt_piece.ts";
import { Deadlines } from "./deadlines.ts";

/** When a question that is not answered is sent again, µs after the first; the last is the end of patience. */
export const ASK_US = [150_000, 400_000, 900_000] as const;
/** How often and after which pause all pieces are sent again while the receiver does not have all. */
export const RESENDS_MAX = 5;
export const RESEND_US = 300_000;
/** Messages that are being sent, and rejoined: in all and of one source. */
export const SENDING_MAX = 256;
export const JOINING_MAX = 128;
export const JOINING_PER_SOURCE_MAX = 8;
/** Bytes of all messages that are being rejoined. */
export const JOINING_BYTES_MAX = 4 * 1024 * 1024;
/** A message that is not whole by then is forgotten, µs; a whole one is known that long, for pieces sent again. */
export const JOINING_US = 5e6;
/** Whole messages that are remembered. */
const WHOLE_MAX = 512;

/** What is to be done. */
export type PieceEffect<P> =
  | { readonly kind: "send_piece"; readonly to: P; readonly m: PieceMsg }
  /** The far end takes the message: it is on its way. */
  | { readonly kind: "taken"; readonly token: number }
  /** It does not rejoin pieces, or is not there. */
  | { readonly kind: "refused"; readonly token: number };

interface Sending<P> {
  readonly to: P;
  readonly key: string;
  readonly bytes: Uint8Array;
  readonly token: number;
  readonly sinceUs: number;
  tries: number;
  /** Undefined until the receiver says go. */
  proof: Uint8Array | undefined;
}

interface Joining {
  readonly source: string;
  readonly bytes: Uint8Array;
  /** Parts that are here, in order, without overlap: from, to. */
  readonly parts: [number, number][];
}

export class Pieces<P> {
  /** Pieces that were dropped. */
  dropped = 0;
  readonly #room: number;
  readonly #random: () => number;
  readonly #secret: Uint8Array;
  readonly #sending = new Map<number, Sending<P>>();
  readonly #sendingDue = new Deadlines<number>();
  readonly #joining = new Map<string, Joining>();
  readonly #whole = new Map<string, true>();
  /** When what is being rejoined, or is whole, is forgotten. */
  readonly #joinDue = new Deadlines<string>();
  readonly #perSource = new Map<string, number>();
  #joiningBytes = 0;
  readonly #out: PieceEffect<P>[] = [];

  /**
   * @param messageBytesMax longest packet with its piece header, without that of the layout
   * @param random 32 bits each time, not to be guessed
   */
  constructor(messageBytesMax: number, random: () => number) {
    this.#room = messageBytesMax - LENGTH;
    this.#random = random;
    const secret = new DataView(new ArrayBuffer(32));
    for (let i = 0; i < 8; i++) secret.setUint32(4 * i, random() >>> 0);
    this.#secret = new Uint8Array(secret.buffer);
  }

  /** The next thing to do, oldest first. */
  poll(): PieceEffect<P> | undefined {
    return this.#out.shift();
  }

  /** Messages that are being rejoined. */
  get joiningCount(): number {
    return this.#joining.size;
  }
  /** Messages that are being sent. */
  get sendingCount(): number {
    return this.#sending.size;
  }

  /**
   * Send a message in pieces; false if it is too long for that too, or too many are on their way.
   * @param later it was sent whole just now: only if it is not cancelled until the first question would be asked again
   */
  send(
    nowUs: number,
    to: P,
    key: string,
    bytes: Uint8Array,
    token: number,
    later = false,
  ): boolean {
    if (bytes.length > TOTAL_BYTES_MAX || this.#room < 1) return false;
    if (this.#sending.size >= SENDING_MAX) return false;
    let id = this.#random() >>> 0;
    while (this.#sending.has(id)) id = this.#random() >>> 0;
    const s: Sending<P> = { to, key, bytes, token, sinceUs: nowUs, tries: 0, proof: undefined };
    this.#sending.set(id, s);
    if (later) this.#sendingDue.set(id, nowUs + ASK_US[0]);
    else this.#ask(id, s);
    return true;
  }

  /** The message of this token is not wanted any more. */
  cancel(token: number): void {
    for (const [id, s] of this.#sending) if (s.token === token) this.#done(id);
  }

  #ask(id: number, s: Sending<P>): void {
    this.#out.push({
      kind: "send_piece",
      to: s.to,
      m: { kind: "piece_ask", id, total: s.bytes.length },
    });
    this.#sendingDue.set(id, s.sinceUs + ASK_US[s.tries]!);
  }

  #sendAll(nowUs: number, id: number, s: Sending<P>): void {
    const { to, bytes } = s;
    const total = bytes.length;
    for (let at = 0; at < total; at += this.#room) {
      const m: Piece = {
        kind: "piece",
        id,
        total,
        at,
        proof: s.proof!,
        bytes: bytes.subarray(at, at + this.#room),
      };
      this.#out.push({ kind: "send_piece", to, m });
    }
    this.#sendingDue.set(id, nowUs + RESEND_US);
  }

  #done(id: number): void {
    this.#sending.delete(id);
    this.#sendingDue.delete(id);
  }

  /** One of these messages came; a whole message, if it made one whole. */
  onMessage(nowUs: number, from: P, key: string, m: PieceMsg): Uint8Array | undefined {
    switch (m.kind) {
      case "piece_ask":
        return this.#onAsk(from, key, m);
      case "piece":
        return this.#onPiece(nowUs, from, key, m);
      case "piece_go":
        return this.#onGo(nowUs, key, m);
      case "piece_all": {
        const s = this.#sending.get(m.id);
        if (s?.proof !== undefined && s.key === key) this.#done(m.id);
        else this.dropped++;
      }
    }
    return undefined;
  }

  #onAsk(from: P, key: string, { id, total }: PieceAsk): undefined {
    const proof = this.#proof(key, id, total);
    this.#out.push({ kind: "send_piece", to: from, m: { kind: "piece_go", id, proof } });
  }

  #onGo(nowUs: number, key: string, { id, proof }: PieceGo): undefined {
    const s = this.#sending.get(id);
    if (s === undefined || s.key !== key || s.proof !== undefined) {
      this.dropped++;
      return;
    }
    s.proof = proof;
    s.tries = 0;
    this.#out.push({ kind: "taken", token: s.token });
    this.#sendAll(nowUs, id, s);
  }

  /** What shows that a source was told to go: nobody else can make it. */
  #proof(key: string, id: number, total: number): Uint8Array {
    const text = new TextEncoder().encode(`${key}\0${id}\0${total}`);
    const b = new Uint8Array(this.#secret.length + text.length);
    b.set(this.#secret);
    b.set(text, this.#secret.length);
    return (hashOf(HashAlgo.SHA3_256, b) as Uint8Array).subarray(0, PROOF_BYTES);
  }

  #onPiece(nowUs: number, from: P, key: string, p: Piece): Uint8Array | undefined {
    const proof = this.#proof(key, p.id, p.total);
    if (!proof.every((x, i) => x === p.proof[i])) return this.#drop();
    const slot = `${key}\0${p.id}`;
    if (this.#whole.has(slot)) return this.#tellAll(from, p.id);
    const joining = this.#joining.get(slot) ?? this.#begin(nowUs, slot, key, p.total);
    if (joining === undefined) return this.#drop();
    const end = p.at + p.bytes.length;
    if (joining.bytes.length !== p.total || end > p.total) {
      this.#forget(slot);
      return this.#drop();
    }
    const known = joining.parts.find(([a, b]) => p.at < b && a < end);
    if (known !== undefined) {
      // Sent again is the same; anything else that overlaps is not ours.
      const [a, b] = known;
      const same = a <= p.at && end <= b &&
        p.bytes.every((x, i) => x === joining.bytes[p.at + i]);
      if (!same) this.#forget(slot);
      return same ? undefined : this.#drop();
    }
    joining.bytes.set(p.bytes, p.at);
    insert(joining.parts, p.at, end);
    const [first] = joining.parts;
    if (first![0] !== 0 || first![1] !== p.total) return undefined;
    this.#forget(slot);
    this.#remember(nowUs, slot);
    this.#tellAll(from, p.id);
    return joining.bytes;
  }

  #drop(): undefined {
    this.dropped++;
  }

  #tellAll(to: P, id: number): undefined {
    this.#out.push({ kind: "send_piece", to, m: { kind: "piece_all", id } });
  }

  #begin(nowUs: number, slot: string, source: string, total: number): Joining | undefined {
    const own = this.#perSource.get(source) ?? 0;
    if (own >= JOINING_PER_SOURCE_MAX || this.#joining.size >= JOINING_MAX) return undefined;
    if (this.#joiningBytes + total > JOINING_BYTES_MAX) return undefined;
    const joining: Joining = { source, bytes: new Uint8Array(total), parts: [] };
    this.#joining.set(slot, joining);
    this.#perSource.set(source, own + 1);
    this.#joiningBytes += total;
    this.#joinDue.set(slot, nowUs + JOINING_US);
    return joining;
  }

  #forget(slot: string): void {
    const joining = this.#joining.get(slot);
    if (joining === undefined) return;
    this.#joining.delete(slot);
    this.#joinDue.delete(slot);
    this.#joiningBytes -= joining.bytes.length;
    const left = this.#perSource.get(joining.source)! - 1;
    if (left > 0) this.#perSource.set(joining.source, left);
    else this.#perSource.delete(joining.source);
  }

  #remember(nowUs: number, slot: string): void {
    const oldest = this.#whole.keys().next().value;
    if (this.#whole.size >= WHOLE_MAX && oldest !== undefined) {
      this.#whole.delete(oldest);
      this.#joinDue.delete(oldest);
    }
    this.#whole.set(slot, true);
    this.#joinDue.set(slot, nowUs + JOINING_US);
  }

  /** Do what is due. */
  onTimer(nowUs: number): void {
    for (;;) {
      const slot = this.#joinDue.take(nowUs);
      if (slot === undefined) break;
      this.#whole.delete(slot);
      this.#forget(slot);
    }
    for (;;) {
      const id = this.#sendingDue.take(nowUs);
      if (id === undefined) return;
      const s = this.#sending.get(id);
      if (s !== undefined) this.#overdue(nowUs, id, s);
    }
  }

  #overdue(nowUs: number, id: number, s: Sending<P>): void {
    s.tries += 1;
    if (s.proof !== undefined) {
      if (s.tries <= RESENDS_MAX) this.#sendAll(nowUs, id, s);
      else this.#done(id);
    } else if (s.tries < ASK_US.length) this.#ask(id, s);
    else {
      this.#done(id);
      this.#out.push({ kind: "refused", token: s.token });
    }
  }

  /** When {@linkcode onTimer} has something to do next, µs, or Infinity. */
  deadlineUs(): number {
    return Math.min(this.#sendingDue.nextUs, this.#joinDue.nextUs);
  }
}

/** Adds a part that overlaps none, joined with those that it touches. */
function insert(parts: [number, number][], from: number, to: number): void {
  let i = 0;
  while (i < parts.length && parts[i]![1] < from) i++;
  if (i < parts.length && parts[i]![1] === from) {
    parts[i]![1] = to;
    if (i + 1 < parts.length && parts[i + 1]![0] === to) {
      parts[i]![1] = parts[i + 1]![1];
      parts.splice(i + 1, 1);
    }
  } else if (i < parts.length && parts[i]![0] === to) parts[i]![0] = from;
  else parts.splice(i, 0, [from, to]);
}
