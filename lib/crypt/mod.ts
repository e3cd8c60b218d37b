/**
 * Protection of the packets of an encrypted flow (spec 30 §10, spec 40 §10).
 *
 * A packet is `IV || ciphertext || tag` without additional data; the IV is random but for bit 7 of its
 * first byte, the phase of the epoch it is under. A {@linkcode PacketCipher} serves both directions of
 * one end of a flow and belongs to one thread. Nothing is allocated for a packet with libcrypto once
 * the views of the buffers in use are known.
 */

import { Errno } from "../errno.ts";
import { cipherByNid, type CipherInfo } from "../wire/oap_ids.ts";
import { IvAndTag } from "../sys/libcrypto.ts";
import { type BackendName, type Bytes, type CipherKey, createKey } from "./backend.ts";
import { EPOCH_KEY_BYTES, EpochRule, KeySchedule } from "./epoch.ts";

export { cipherBackend } from "./backend.ts";

/** Random bytes taken from the system at once. */
const RANDOM_POOL_BYTES = 4096;
/** Cipher id, epoch, packets counted and whether the peer is behind, 32 bits each, in front of the keys of a state. */
const STATE_FIXED_BYTES = 16;
/** Views remembered; pool blocks come back in turn, so a few hundred are enough. */
const VIEWS = 512;

/** For tests: another rotation, source of IVs or implementation. */
export interface PacketCipherOptions {
  readonly rotationBit?: number;
  readonly random?: (into: Bytes) => void;
  readonly backend?: BackendName;
}

/** The cipher of one end of a flow. */
export class PacketCipher implements Disposable {
  /** Bytes before the plaintext: the IV. */
  readonly headroom: number;
  /** Bytes after the ciphertext: the tag; 0 for the CTR ciphers. */
  readonly tailroom: number;

  readonly #info: CipherInfo;
  readonly #schedule: KeySchedule;
  readonly #rule: EpochRule;
  readonly #backend: BackendName | undefined;
  readonly #keys = new Map<number, CipherKey>();
  readonly #fill: (into: Bytes) => void;
  readonly #io: IvAndTag;
  readonly #iv: Bytes;
  readonly #tag: Bytes;
  readonly #random = new Uint8Array(RANDOM_POOL_BYTES);
  #randomAt = RANDOM_POOL_BYTES;
  #scratch = new Uint8Array(2048);
  readonly #views = new ViewCache();
  #sendKey: CipherKey;
  #sendEpoch = 0;

  private constructor(
    info: CipherInfo,
    schedule: KeySchedule,
    rule: EpochRule,
    io: IvAndTag,
    first: CipherKey,
    o: PacketCipherOptions,
  ) {
    this.#info = info;
    this.headroom = info.ivBytes;
    this.tailroom = info.tagBytes;
    this.#schedule = schedule;
    this.#rule = rule;
    this.#backend = o.backend;
    this.#fill = o.random ?? ((b) => void crypto.getRandomValues(b));
    this.#io = io;
    this.#iv = io.iv;
    this.#tag = io.tag;
    this.#keys.set(rule.epoch, first);
    this.#sendKey = first;
    this.#sendEpoch = rule.epoch;
  }

  /**
   * Makes the cipher of a flow from what the IRMd gave.
   * @param nid cipher id (OpenSSL's number)
   * @param key 32 bytes, copied
   * @returns `-ENOMEM` for a cipher that is not there, `-EINVAL` for a key of another length
   */
  static create(nid: number, key: Uint8Array, o: PacketCipherOptions = {}): PacketCipher | number {
    const info = cipherByNid(nid);
    if (!info) return -Errno.ENOMEM;
    if (key.length !== EPOCH_KEY_BYTES) return -Errno.EINVAL;
    const io = new IvAndTag(info.tagBytes);
    const first = createKey(info, key, io, o.backend);
    if (!first) return -Errno.ENOMEM;
    return new PacketCipher(info, new KeySchedule(key), new EpochRule(o.rotationBit), io, first, o);
  }

  /**
   * Goes on where {@linkcode takeState} stopped, in another thread. The caller wipes `state`.
   * @returns as `create`; `-EINVAL` for bytes that are no state
   */
  static fromState(state: Uint8Array, o: PacketCipherOptions = {}): PacketCipher | number {
    if (state.length < STATE_FIXED_BYTES) return -Errno.EINVAL;
    const view = new DataView(state.buffer, state.byteOffset, state.byteLength);
    const info = cipherByNid(view.getUint32(0));
    if (!info) return -Errno.ENOMEM;
    const epoch = view.getUint32(4);
    const rule = new EpochRule(
      o.rotationBit,
      epoch,
      view.getUint32(8),
      view.getUint32(12) !== 0,
    );
    const schedule = KeySchedule.fromState(state.subarray(STATE_FIXED_BYTES));
    const key = schedule?.key(epoch);
    if (!schedule || !key) return -Errno.EINVAL;
    const io = new IvAndTag(info.tagBytes);
    const current = createKey(info, key, io, o.backend);
    return current ? new PacketCipher(info, schedule, rule, io, current, o) : -Errno.ENOMEM;
  }

  /** What another thread needs to go on with this cipher: secret bytes. This one is wiped. */
  takeState(): Bytes {
    const keys = this.#schedule.state();
    const state = new Uint8Array(STATE_FIXED_BYTES + keys.length);
    const view = new DataView(state.buffer);
    view.setUint32(0, this.#info.nid);
    view.setUint32(4, this.#rule.epoch);
    view.setUint32(8, this.#rule.counted);
    view.setUint32(12, this.#rule.behind ? 1 : 0);
    state.set(keys, STATE_FIXED_BYTES);
    keys.fill(0);
    this.wipe();
    return state;
  }

  /** Epoch that is sent with, from 0. */
  get epoch(): number {
    return this.#rule.epoch;
  }

  /**
   * Encrypts `src[at, at + len)` into `dst` from `dstAt`: `headroom + len + tailroom` bytes. The
   * ciphertext may lie exactly where the plaintext was (`dstAt + headroom === at` in one array),
   * other overlaps are not allowed.
   * @returns bytes written, or `-EMSGSIZE`, `-ECRYPT`
   */
  encryptInto(
    src: Uint8Array<ArrayBufferLike>,
    at: number,
    len: number,
    dst: Uint8Array<ArrayBufferLike>,
    dstAt: number,
  ): number {
    const { ivBytes, tagBytes } = this.#info;
    const total = ivBytes + len + tagBytes;
    if (len < 0 || at < 0 || dstAt < 0 || at + len > src.length || dstAt + total > dst.length) {
      return -Errno.EMSGSIZE;
    }
    const epoch = this.#rule.epoch;
    if (epoch !== this.#sendEpoch) {
      const key = this.#key(epoch);
      if (!key) return -Errno.ECRYPT;
      this.#sendKey = key;
      this.#sendEpoch = epoch;
    }
    const iv = this.#iv;
    this.#nextIv(ivBytes, epoch & 1);
    const from = this.#views.at(src, at);
    const to = this.#views.at(dst, dstAt + ivBytes);
    if (!this.#sendKey.seal(from, len, to)) return -Errno.ECRYPT;
    for (let i = 0; i < ivBytes; i++) dst[dstAt + i] = iv[i]!;
    const tagAt = dstAt + ivBytes + len;
    for (let i = 0; i < tagBytes; i++) dst[tagAt + i] = this.#tag[i]!;
    this.#rule.sent();
    if (this.#rule.epoch !== epoch) this.#turn();
    return total;
  }

  /**
   * Decrypts the packet `src[at, at + len)` into `dst` from `dstAt`; the two may overlap.
   * @returns bytes of plaintext, or `-ECRYPT` for a packet that is short or does not authenticate;
   * then the place in `dst` is zeroed. `-EMSGSIZE` when `dst` is too short.
   */
  decryptInto(
    src: Uint8Array<ArrayBufferLike>,
    at: number,
    len: number,
    dst: Uint8Array<ArrayBufferLike>,
    dstAt: number,
  ): number {
    const { ivBytes, tagBytes } = this.#info;
    const n = len - ivBytes - tagBytes;
    if (at < 0 || at + len > src.length || n < 0) return -Errno.ECRYPT;
    if (dstAt < 0 || dstAt + n > dst.length) return -Errno.EMSGSIZE;
    const iv = this.#iv;
    for (let i = 0; i < ivBytes; i++) iv[i] = src[at + i]!;
    let from: Bytes;
    if (src.buffer === dst.buffer) {
      // A failed attempt destroys what it read when it wrote there: work from a copy.
      if (this.#scratch.length < n) this.#scratch = new Uint8Array(n + n / 2);
      this.#scratch.set(src.subarray(at + ivBytes, at + ivBytes + n));
      from = this.#scratch;
    } else {
      from = this.#views.at(src, at + ivBytes);
    }
    const tagAt = at + ivBytes + n;
    for (let i = 0; i < tagBytes; i++) this.#tag[i] = src[tagAt + i]!;
    const to = this.#views.at(dst, dstAt);
    const epoch = this.#openAny(from, n, to);
    if (epoch < 0) {
      for (let i = 0; i < n; i++) dst[dstAt + i] = 0;
      return -Errno.ECRYPT;
    }
    const before = this.#rule.epoch;
    this.#rule.received(epoch);
    if (this.#rule.epoch !== before) this.#turn();
    return n;
  }

  /** Tries the possible epochs; the one that authenticated, else -1. Moves nothing. */
  #openAny(from: Bytes, n: number, to: Bytes): number {
    if (this.#info.tagBytes === 0) {
      const epoch = this.#rule.epochOfUntagged(this.#iv[0]! >> 7);
      return this.#key(epoch)?.open(from, n, to) ? epoch : -1;
    }
    let last = 0;
    for (let i = 0;; i++) {
      const epoch = this.#rule.candidate(i);
      if (epoch < 0) break;
      if (this.#key(epoch)?.open(from, n, to)) return epoch;
      last = epoch;
    }
    // The farthest is another one next time: forged packets must not make us hold all of them.
    this.#keys.get(last)?.[Symbol.dispose]();
    this.#keys.delete(last);
    this.#rule.failed();
    return -1;
  }

  #key(epoch: number): CipherKey | undefined {
    const held = this.#keys.get(epoch);
    if (held) return held;
    const bytes = this.#schedule.key(epoch);
    const made = bytes && createKey(this.#info, bytes, this.#io, this.#backend);
    if (!made) return undefined;
    this.#keys.set(epoch, made);
    return made;
  }

  /** The epoch moved: forget the keys that no packet may use any more. */
  #turn(): void {
    const oldest = this.#rule.epoch - 1;
    for (const [e, k] of this.#keys) {
      if (e < oldest) {
        k[Symbol.dispose]();
        this.#keys.delete(e);
      }
    }
    this.#schedule.forgetBelow(oldest);
  }

  #nextIv(n: number, phase: number): void {
    const iv = this.#iv;
    if (this.#randomAt + n > RANDOM_POOL_BYTES) {
      this.#fill(this.#random);
      this.#randomAt = 0;
    }
    for (let i = 0; i < n; i++) iv[i] = this.#random[this.#randomAt + i]!;
    this.#randomAt += n;
    iv[0] = (iv[0]! & 0x7f) | (phase << 7);
  }

  /** Wipes all keys; the cipher cannot be used afterwards. */
  wipe(): void {
    for (const k of this.#keys.values()) k[Symbol.dispose]();
    this.#keys.clear();
    this.#schedule.wipe();
    this.#scratch.fill(0);
    this.#views.clear();
    this.#sendEpoch = -1;
  }

  [Symbol.dispose](): void {
    this.wipe();
  }
}

/** Views of buffers by start, so that a block that comes back needs no new view. */
class ViewCache {
  readonly #bases: (Uint8Array<ArrayBufferLike> | undefined)[] = new Array(VIEWS).fill(undefined);
  readonly #starts = new Int32Array(VIEWS);
  readonly #views: (Bytes | undefined)[] = new Array(VIEWS).fill(undefined);

  /** `base` from `start` to its end. */
  at(base: Uint8Array<ArrayBufferLike>, start: number): Bytes {
    // Pool blocks are powers of two apart and headers are a few bytes: mix both parts of the start.
    const slot = ((start >>> 8) ^ (start & 0xff)) & (VIEWS - 1);
    if (this.#bases[slot] === base && this.#starts[slot] === start) return this.#views[slot]!;
    const view = base.subarray(start) as Bytes;
    this.#bases[slot] = base;
    this.#starts[slot] = start;
    this.#views[slot] = view;
    return view;
  }

  clear(): void {
    this.#bases.fill(undefined);
    this.#views.fill(undefined);
  }
}
