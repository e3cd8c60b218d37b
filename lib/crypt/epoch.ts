/**
 * Which key a packet of an encrypted flow is under: key schedule and epoch rule (spec 30 §10).
 *
 * Pure. K(0) is the session key, K(n+1) = HKDF-SHA256(K(n), SHA-256(K(0)), `o7s-key-rotation`, 32).
 * An end is in one epoch e: it sends with K(e) and phase bit e & 1; it receives with e, e-1, e+1 or
 * e+2, and success with a higher epoch moves it there. After 2^20 packets under K(e), both directions
 * counted, it goes on to e+1. This is the interoperable rule of spec 30 §10, not the prototype's, which
 * loses the peer after packet loss. What it adds, so that no loss parts the ends:
 * - an end does not leave a peer behind that still sends with e-1, for up to 2^30 packets;
 * - of what none of the four keys opens, each packet tries one more of the 64 epochs beyond, in turn:
 *   the sender may have gone on alone through an outage.
 *
 * Invariant: nothing moves before a packet has authenticated (spec 40 §18.18); a forged packet only
 * costs the attempts. The CTR ciphers have no tag to try against: there the epoch follows the phase
 * bit, backwards in the first quarter of an epoch and forwards in the rest.
 */

import { builtin } from "../builtin.ts";

/** Bytes of an epoch key. */
export const EPOCH_KEY_BYTES = 32;
/** Packets of an epoch as power of two (spec 40 §10.2). */
export const ROTATION_BIT = 20;
/** Label of the schedule. */
const INFO = "o7s-key-rotation";
/** SHA-256 of the session key. */
const SALT_BYTES = 32;
/** Epoch and key in a state. */
const STATE_KEY_BYTES = 4 + EPOCH_KEY_BYTES;
/** Epochs tried above the current one on every packet. */
const AHEAD = 2;
/** Epochs beyond those, of which each packet that nothing opened tries one. */
const FAR = 64;
/** Epochs' worth of packets that are sent under one key while the peer is behind. */
const PATIENCE = 1024;

/** The keys of the epochs around the current one; older ones are wiped. */
export class KeySchedule {
  readonly #salt: Uint8Array;
  readonly #keys = new Map<number, Uint8Array>();
  #newest = 0;

  /** Copies the session key. */
  constructor(sessionKey: Uint8Array);
  /** @internal An empty schedule, for {@linkcode KeySchedule.fromState}. */
  constructor(sessionKey: undefined, salt: Uint8Array);
  constructor(sessionKey: Uint8Array | undefined, salt?: Uint8Array) {
    this.#salt = salt ?? builtin("node:crypto").createHash("sha256").update(sessionKey!).digest();
    if (sessionKey !== undefined) this.#keys.set(0, sessionKey.slice());
  }

  /** The schedule that {@linkcode KeySchedule.state} describes, undefined for other bytes. Copies the keys. */
  static fromState(state: Uint8Array): KeySchedule | undefined {
    const n = (state.length - SALT_BYTES) / STATE_KEY_BYTES;
    if (!Number.isInteger(n) || n < 1) return undefined;
    const view = new DataView(state.buffer, state.byteOffset, state.byteLength);
    const schedule = new KeySchedule(undefined, state.slice(0, SALT_BYTES));
    for (let i = 0; i < n; i++) {
      const at = SALT_BYTES + i * STATE_KEY_BYTES;
      const epoch = view.getUint32(at);
      schedule.#keys.set(epoch, state.slice(at + 4, at + STATE_KEY_BYTES));
      schedule.#newest = Math.max(schedule.#newest, epoch);
    }
    return schedule;
  }

  /** Salt and keys, secret: `salt`, then epoch (32 bits) and key of each. */
  state(): Uint8Array<ArrayBuffer> {
    const state = new Uint8Array(SALT_BYTES + this.#keys.size * STATE_KEY_BYTES);
    const view = new DataView(state.buffer);
    state.set(this.#salt);
    let at = SALT_BYTES;
    for (const [epoch, key] of this.#keys) {
      view.setUint32(at, epoch);
      state.set(key, at + 4);
      at += STATE_KEY_BYTES;
    }
    return state;
  }

  /** Key of an epoch that is not forgotten; derives forward as needed. Owned by the schedule. */
  key(epoch: number): Uint8Array | undefined {
    while (this.#newest < epoch) {
      const last = this.#keys.get(this.#newest);
      if (!last) return undefined;
      const next = new Uint8Array(
        builtin("node:crypto").hkdfSync("sha256", last, this.#salt, INFO, EPOCH_KEY_BYTES),
      );
      this.#keys.set(++this.#newest, next);
    }
    return this.#keys.get(epoch);
  }

  /** Wipes the keys of all epochs below `epoch`. */
  forgetBelow(epoch: number): void {
    this.key(epoch); // The chain must not be cut below the newest key that will be needed.
    for (const [e, k] of this.#keys) {
      if (e < epoch) {
        k.fill(0);
        this.#keys.delete(e);
      }
    }
  }

  /** Wipes everything. */
  wipe(): void {
    for (const k of this.#keys.values()) k.fill(0);
    this.#keys.clear();
    this.#salt.fill(0);
  }
}

/** The epoch of one end of a flow. */
export class EpochRule {
  readonly #epochPackets: number;
  #epoch: number;
  #counted: number;
  #behind: boolean;
  #failures = 0;

  constructor(rotationBit: number = ROTATION_BIT, epoch = 0, counted = 0, behind = false) {
    this.#epochPackets = 2 ** rotationBit;
    this.#epoch = epoch;
    this.#counted = counted;
    this.#behind = behind;
  }

  /** The epoch that is sent with. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Packets counted in this epoch, both directions. */
  get counted(): number {
    return this.#counted;
  }

  /** The peer was last heard in the epoch before. */
  get behind(): boolean {
    return this.#behind;
  }

  /** A packet was sent under the current epoch. */
  sent(): void {
    this.#count();
  }

  /** The `i`-th epoch to try on a received packet (0, 1, 2, …), -1 after the last. */
  candidate(i: number): number {
    // In the order of likelihood: e, e-1 (there is none below 0), e+1, e+2, then one farther ahead.
    if (i === 0) return this.#epoch;
    if (i === 1 && this.#epoch > 0) return this.#epoch - 1;
    const ahead = this.#epoch > 0 ? i - 1 : i;
    if (ahead <= AHEAD) return this.#epoch + ahead;
    return ahead === AHEAD + 1 ? this.#epoch + ahead + this.#failures % FAR : -1;
  }

  /** No candidate opened a packet. */
  failed(): void {
    this.#failures++;
  }

  /** A packet authenticated under `epoch`. */
  received(epoch: number): void {
    if (epoch < this.#epoch) {
      this.#behind = true;
      return;
    }
    if (epoch > this.#epoch) {
      this.#epoch = epoch;
      this.#counted = 0;
    } else if (this.#behind) {
      // Packets of the peer that are still on their way under the key before must find it.
      this.#counted = Math.min(this.#counted, this.#epochPackets * 3 / 4);
    }
    this.#behind = false;
    this.#count();
  }

  /** Epoch of a received packet without tag, from its phase bit; the move is made by `received`. */
  epochOfUntagged(phase: number): number {
    if (phase === (this.#epoch & 1)) return this.#epoch;
    if (this.#counted >= this.#epochPackets / 4) return this.#epoch + 1;
    return Math.max(0, this.#epoch - 1);
  }

  #count(): void {
    const most = this.#behind ? this.#epochPackets * PATIENCE : this.#epochPackets;
    if (++this.#counted < most) return;
    this.#epoch++;
    this.#counted = 0;
  }
}
