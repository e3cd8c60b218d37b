/**
 * Condition variables in shared memory that libc's `pthread_cond_t` users share with us, without libc:
 * its wait takes the mutex again without any limit and its signal waits for ever for a waiter that was killed
 * (spec 10 §3.3), so a forged word could stop whoever calls it. Here every wait ends, and a forged
 * word can cost no more than a wake-up that comes late or for nothing.
 *
 * The words are those of glibc 2.25 to 2.40, checked with 2.36, x86_64. Waiters stand in two groups:
 * new ones enter group 2, signals go to group 1, and when group 1 is served the groups change places.
 *
 * | Word         | Content                                                                             |
 * | ------------ | ----------------------------------------------------------------------------------- |
 * | `WSEQ`       | 64 bits: waiters that ever came × 2 + index (0, 1) of group 2                        |
 * | `G1_START`   | 64 bits: place of the first waiter of group 1 in that count × 2 + index of group 2 then |
 * | `REFS` + g   | waiters about to sleep or asleep in group g × 2 + 1 when somebody waits for their end |
 * | `SIZE` + g   | waiters of group g not yet signalled; of group 2 only those that left, negative       |
 * | `ORIG_SIZE`  | waiters that group 1 began with × 4 + lock of these words (0 free, 1 held, 2 contended) |
 * | `WREFS`      | waiters × 8 + flags                                                                   |
 * | `SIGNALS` + g | signals of group g not yet taken × 2 + 1 when the group is closed; waiters sleep here |
 */

import { monotonicNs, yieldCpu } from "./clock.ts";
import { futexWait, futexWake } from "./futex.ts";
import type { Mapping } from "./mman.ts";
import type { Mutex } from "./mutex.ts";
import { Patience } from "./patience.ts";

/** `sizeof(pthread_cond_t)` on x86_64. */
export const COND_BYTES = 48;

/** Byte offsets of the words; those of `WSEQ` and `G1_START` have 64 bits. */
export const CondLayout = {
  WSEQ: 0,
  G1_START: 8,
  REFS: 16,
  SIZE: 24,
  ORIG_SIZE: 32,
  WREFS: 36,
  SIGNALS: 40,
} as const;

const WSEQ = CondLayout.WSEQ >> 3;
const G1_START = CondLayout.G1_START >> 3;
const REFS = CondLayout.REFS >> 2;
const SIZE = CondLayout.SIZE >> 2;
const ORIG_SIZE = CondLayout.ORIG_SIZE >> 2;
const WREFS = CondLayout.WREFS >> 2;
const SIGNALS = CondLayout.SIGNALS >> 2;

/** Flags of a fresh one: process-shared, CLOCK_MONOTONIC; a waiter counts 8. */
const FLAGS = 3;
const WAITER = 8;
/** The lock of the words. */
const LOCK_BITS = 3;
const LOCK_HELD = 1;
const LOCK_CONTENDED = 2;
const CLOSED = 1;
const EVERYBODY = 0x7fffffff;
/** Times the processor is given up before napping; the less when our patience is used up. */
const YIELDS_MAX = 2000;
const YIELDS_MIN = 50;
/** Longest time for them, ns, looked at after so many: on a host with much other work each lasts for milliseconds. */
const YIELD_NS = 100e6;
const YIELDS_LOOK = 50;
/** Times a signal may be snatched away before a waiter calls itself woken. */
const SNATCHES_MAX = 100;

/** A view of a condition variable in mapped memory. */
export class Cond {
  // Made when somebody waits: every ring has two conditions, and hardly any has a waiter.
  #wordsMade: Int32Array<ArrayBuffer> | undefined;
  #longsMade: BigInt64Array<ArrayBuffer> | undefined;
  #patienceMade: Patience | undefined;

  /** The condition variable at `offset` of a mapping. */
  constructor(private readonly mapping: Mapping, private readonly offset: number) {}

  get #words(): Int32Array<ArrayBuffer> {
    const { mapping, offset } = this;
    return this.#wordsMade ??= mapping.words.subarray(offset >> 2, (offset + COND_BYTES) >> 2);
  }

  get #longs(): BigInt64Array<ArrayBuffer> {
    return this.#longsMade ??= new BigInt64Array(this.mapping.buffer, this.offset, 2);
  }

  get #patience(): Patience {
    return this.#patienceMade ??= new Patience();
  }

  /** Makes a fresh one, without waiters, of whatever is there. */
  init(): void {
    const words = this.#words;
    words.fill(0);
    words[WREFS] = FLAGS;
  }

  /** Whether somebody waits; waiters come with the mutex held. */
  get waited(): boolean {
    return this.mapping.words[(this.offset >> 2) + WREFS]! >>> 3 !== 0;
  }

  /** Whether nobody waits and that is what is written there; other numbers were written by no waiter. */
  get idle(): boolean {
    return this.mapping.words[(this.offset >> 2) + WREFS] === FLAGS;
  }

  /**
   * Waits with `mutex` locked until signalled, until `deadlineNs` of CLOCK_MONOTONIC (finite),
   * or for no reason; the mutex is unlocked meanwhile. False when it was taken over, as {@linkcode Mutex.lock}.
   */
  wait(mutex: Mutex, deadlineNs: number): boolean {
    const words = this.#words;
    const entered = Atomics.add(this.#longs, WSEQ, 2n);
    const group = Number(entered & 1n);
    const place = entered >> 1n;
    Atomics.add(words, WREFS, WAITER);
    mutex.unlock();
    if (!this.#awaitSignal(group, place, deadlineNs)) this.#leave(group, place);
    // 3: the last one, and somebody waits for that to destroy the object.
    if (Atomics.sub(words, WREFS, WAITER) >>> 2 === 3) futexWake(this.#ref(WREFS), EVERYBODY);
    return mutex.lock();
  }

  /** Wakes one waiter, if there is one. */
  signal(): void {
    this.#wake(false);
  }

  /** Wakes all waiters. */
  broadcast(): void {
    this.#wake(true);
  }

  /** Sleeps until signalled, or until the group is closed. False when the deadline came first. */
  #awaitSignal(group: number, place: bigint, deadlineNs: number): boolean {
    const words = this.#words;
    for (let snatched = 0; snatched < SNATCHES_MAX;) {
      const signals = Atomics.load(words, SIGNALS + group);
      if ((signals & CLOSED) !== 0 || this.#isPast(place)) return true;
      if (signals !== 0) {
        if (this.#takeSignal(group, place, signals)) return true;
        snatched += 1;
        continue;
      }
      if (monotonicNs() >= deadlineNs) return false;
      this.#sleep(group, place, deadlineNs);
    }
    return true;
  }

  #sleep(group: number, place: bigint, deadlineNs: number): void {
    const words = this.#words;
    // While we are counted here, no signaller gives the group to new waiters.
    Atomics.add(words, REFS + group, 2);
    if ((Atomics.load(words, SIGNALS + group) & CLOSED) === 0 && !this.#isPast(place)) {
      futexWait(this.#ref(SIGNALS + group), 0, deadlineNs);
    }
    if (Atomics.sub(words, REFS + group, 2) === 3) {
      Atomics.and(words, REFS + group, ~1);
      futexWake(this.#ref(REFS + group), EVERYBODY);
    }
  }

  #takeSignal(group: number, place: bigint, signals: number): boolean {
    const words = this.#words;
    const at = SIGNALS + group;
    if (Atomics.compareExchange(words, at, signals, signals - 2) !== signals) return false;
    if (this.#isPast(place)) {
      // Our group had ended: this was a signal for a waiter that uses its place now, and it may be asleep already.
      if ((Atomics.load(words, at) & CLOSED) === 0) Atomics.add(words, at, 2);
      futexWake(this.#ref(at), 1);
    }
    return true;
  }

  /** Whether the waiter of that place was in a group that is served and gone. */
  #isPast(place: bigint): boolean {
    return place < Atomics.load(this.#longs, G1_START) >> 1n;
  }

  /** Takes a waiter that was not signalled out of its group. */
  #leave(group: number, place: bigint): void {
    const words = this.#words;
    this.#lock();
    const start = Atomics.load(this.#longs, G1_START) >> 1n;
    const inGroup2 = place >= start + BigInt(words[ORIG_SIZE]! >>> 2);
    const signalled = place < start || (!inGroup2 && words[SIZE + group] === 0);
    if (!signalled) words[SIZE + group] = words[SIZE + group]! - 1;
    this.#unlock();
    // It came too late for us, but somebody else may wait for it.
    if (signalled) this.signal();
  }

  #wake(all: boolean): void {
    if (!this.waited) return;
    this.#lock();
    const group1 = Number(Atomics.load(this.#longs, WSEQ) & 1n) ^ 1;
    const served = this.#serve(group1, all);
    if ((all || !served) && this.#switchGroups(group1)) this.#serve(group1 ^ 1, all);
    this.#unlock();
  }

  /** Signals one or all of a group's waiters. False when it has none. */
  #serve(group: number, all: boolean): boolean {
    const words = this.#words;
    const size = words[SIZE + group]!;
    if (size === 0) return false;
    const n = all ? size : 1;
    words[SIZE + group] = size - n;
    Atomics.add(words, SIGNALS + group, n * 2);
    futexWake(this.#ref(SIGNALS + group), all ? EVERYBODY : 1);
    return true;
  }

  /** Makes group 2 the new group 1, if it has waiters; whether there are any to signal then. */
  #switchGroups(group1: number): boolean {
    const words = this.#words;
    const longs = this.#longs;
    const start = Atomics.load(longs, G1_START) >> 1n;
    const size1 = BigInt(words[ORIG_SIZE]! >>> 2);
    // Waiters that came after those of group 1, when WSEQ was that.
    const after = (wseq: bigint) => Number(BigInt.asUintN(30, (wseq >> 1n) - start - size1));
    if (((after(Atomics.load(longs, WSEQ)) + words[SIZE + (group1 ^ 1)]!) | 0) === 0) return false;
    Atomics.or(words, SIGNALS + group1, CLOSED);
    // All of the old group 1 are signalled and on their way out; one that was killed never leaves.
    if (!this.#soon(() => Atomics.load(words, REFS + group1) >>> 1 === 0)) {
      Atomics.store(words, REFS + group1, 0);
    }
    Atomics.add(longs, G1_START, (size1 << 1n) + (group1 === 1 ? 1n : -1n));
    Atomics.store(words, SIGNALS + group1, 0);
    // In one step: who comes from now on is in the other group, and would be forgotten if it were counted in this one.
    const size = after(Atomics.xor(longs, WSEQ, 1n));
    this.#setOrigSize(size);
    words[SIZE + (group1 ^ 1)] = words[SIZE + (group1 ^ 1)]! + size;
    return words[SIZE + (group1 ^ 1)] !== 0;
  }

  /** With the words locked; somebody may say meanwhile that the lock is contended, which must not be lost. */
  #setOrigSize(size: number): void {
    const words = this.#words;
    const held = Atomics.exchange(words, ORIG_SIZE, (size << 2) | LOCK_HELD) & LOCK_BITS;
    if (held !== LOCK_HELD) Atomics.store(words, ORIG_SIZE, (size << 2) | LOCK_CONTENDED);
  }

  #lock(): void {
    const words = this.#words;
    const locked = this.#soon(() => {
      const word = Atomics.load(words, ORIG_SIZE);
      return (word & LOCK_BITS) === 0 &&
        Atomics.compareExchange(words, ORIG_SIZE, word, word | LOCK_HELD) === word;
    });
    // Its holder is gone.
    if (!locked) Atomics.or(words, ORIG_SIZE, LOCK_CONTENDED);
  }

  #unlock(): void {
    if ((Atomics.and(this.#words, ORIG_SIZE, ~LOCK_BITS) & LOCK_BITS) !== LOCK_HELD) {
      futexWake(this.#ref(ORIG_SIZE), EVERYBODY);
    }
  }

  /** Waits for `done`, which is a matter of nanoseconds for others that run. False: it did not happen. */
  #soon(done: () => boolean): boolean {
    const yields = this.#patience.over ? YIELDS_MIN : YIELDS_MAX;
    let untilNs = 0;
    for (let k = 1; k <= yields; k++) {
      if (done()) return true;
      yieldCpu();
      if (k % YIELDS_LOOK !== 0) continue;
      const nowNs = monotonicNs();
      if (untilNs === 0) untilNs = nowNs + YIELD_NS;
      if (nowNs >= untilNs) break;
    }
    return this.#patience.await(done);
  }

  #ref(word: number) {
    return this.mapping.ref(this.offset + word * 4);
  }
}
