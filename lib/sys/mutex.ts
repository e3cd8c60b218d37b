/**
 * Robust mutexes in shared memory that libc's `pthread_mutex_t` users share with us (spec 10 §3.2,
 * §12.4), without libc: its lock waits for ever or aborts when another process wrote over the mutex, and its
 * unlock stores through list pointers that it reads from there (spec 10 §3.3).
 *
 * Here only the lock word counts, every wait ends, and a lock always succeeds: from an owner that
 * died, that does not exist, or that keeps a lock unreasonably long it is taken over. Who locks must
 * therefore bear a state that was changed half, or by two at a time.
 *
 * Checked with glibc 2.36, x86_64. A mutex belongs to the thread that locked it: lock and unlock with
 * no suspension point between.
 */

import { monotonicNs, yieldCpu } from "./clock.ts";
import { entryOf, futexUnlockPi, futexWake, LockOwner, threadExists } from "./futex.ts";
import type { Mapping } from "./mman.ts";
import { Patience } from "./patience.ts";

/** `sizeof(pthread_mutex_t)` on x86_64. */
export const MUTEX_BYTES = 40;

/** Byte offsets of the words used: lock (owner's thread id and two flags), count, owner, kind. */
export const MutexLayout = { LOCK: 0, COUNT: 4, OWNER: 8, KIND: 16 } as const;

/** The same as words behind the first, the lock. */
const COUNT = MutexLayout.COUNT >> 2;
const OWNER = MutexLayout.OWNER >> 2;
const KIND = MutexLayout.KIND >> 2;
const WAITERS = 0x80000000 | 0;
const OWNER_DIED = 0x40000000;
const TID = 0x3fffffff;
/** Kinds: robust and process-shared; the second inherits priority. */
export const KIND_ROBUST = 0x90;
export const KIND_ROBUST_PI = 0xb0;

/**
 * Taking a lock without going to sleep: critical sections here last some 100 ns. Whoever sleeps on one
 * is given it by the next unlock and holds it until it is awake again, tens of microseconds later; by
 * then the other side sleeps too, and so on for every packet. So we look, then let others run (the
 * holder may have been interrupted on this very processor), then nap
 * ({@linkcode Patience}).
 *
 * Looks: about 2 µs. With one processor there is nothing to look for.
 */
const LOOKS_MAX = navigator.hardwareConcurrency > 1 ? 200 : 0;
/** Times the processor is given up; a millisecond when nobody else runs. */
const YIELDS_MAX = 2000;
/** The same for a mutex that has used up our patience. */
const YIELDS_MIN = 50;
/**
 * After so many of them we look whether the holder is there at all, and at the clock: on a host with much other work each
 * lasts for milliseconds.
 */
const YIELDS_LOOK = 50;
/** Longest time for all of them, ns. */
const YIELD_NS = 100e6;

/** A view of a mutex in mapped memory, for one thread. */
export class Mutex {
  readonly #words: Int32Array<ArrayBuffer>;
  /** Index of the lock word. */
  readonly #lock: number;
  readonly #self = LockOwner.self;
  readonly #entry: number;
  /** Made when it is needed: few locks ever try it. */
  #patience: Patience | undefined;

  /** The mutex at `offset` of a mapping; `inherit`, as what it was made, is not asked of the memory. */
  constructor(
    private readonly mapping: Mapping,
    offset: number,
    private readonly inherit = false,
  ) {
    this.#words = mapping.words;
    this.#lock = offset >> 2;
    this.#entry = entryOf(mapping.ref(offset, MUTEX_BYTES), inherit);
  }

  /** Makes an unlocked mutex of whatever is there. */
  init(): void {
    this.#words.fill(0, this.#lock, this.#lock + (MUTEX_BYTES >> 2));
    this.#words[this.#lock + KIND] = this.inherit ? KIND_ROBUST_PI : KIND_ROBUST;
  }

  /**
   * Locks. False when the lock was taken over from an owner that did not unlock: what it protects may
   * be half changed.
   */
  lock(): boolean {
    const { tid, held } = this.#self;
    held[0] = this.#entry;
    if (Atomics.compareExchange(this.#words, this.#lock, 0, tid) !== 0) return this.#lockBusy();
    this.#words[this.#lock + OWNER] = tid;
    return true;
  }

  /** Unlocks what this thread locked. */
  unlock(): void {
    const words = this.#words;
    const lock = this.#lock;
    const { tid, held } = this.#self;
    words[lock + COUNT] = 1;
    words[lock + OWNER] = 0;
    // Something else there: waiters, or the lock was taken from us.
    if (Atomics.compareExchange(words, lock, tid, 0) !== tid) this.#unlockContended();
    held[0] = 0;
  }

  #unlockContended(): void {
    const word = this.#words[this.#lock]!;
    if ((word & TID) !== this.#self.tid) return;
    const at = this.mapping.ref(this.#lock << 2);
    if (this.inherit && futexUnlockPi(at)) return;
    Atomics.store(this.#words, this.#lock, 0);
    futexWake(at, 1);
  }

  #lockBusy(): boolean {
    for (let k = 0; k < LOOKS_MAX; k++) {
      if (Atomics.load(this.#words, this.#lock) === 0 && this.#take(0)) return true;
    }
    const yields = this.#patience?.over ? YIELDS_MIN : YIELDS_MAX;
    let untilNs = 0;
    for (let k = 1; k <= yields; k++) {
      yieldCpu();
      const word = Atomics.load(this.#words, this.#lock);
      // Of a mutex with priority inheritance and waiters the kernel makes one of them the owner.
      const free = word === 0 || ((word & OWNER_DIED) !== 0 && !(this.inherit && word < 0));
      if (free && this.#take(word)) return word === 0;
      if (k % YIELDS_LOOK !== 0) continue;
      const nowNs = monotonicNs();
      if (untilNs === 0) untilNs = nowNs + YIELD_NS;
      if (nowNs >= untilNs || this.#isForged(word)) break;
    }
    return this.#lockLate();
  }

  /** Whether a lock word names a holder that is nowhere, or us: the kernel takes the names of threads that die away. */
  #isForged(word: number): boolean {
    const holder = word & TID;
    return holder !== 0 && (holder === this.#self.tid || !threadExists(holder));
  }

  /** The lock is held for about a millisecond already, or by nobody. */
  #lockLate(): boolean {
    const { tid } = this.#self;
    this.#patience ??= new Patience();
    let clean = true;
    const locked = this.#patience.await(() => {
      const word = Atomics.load(this.#words, this.#lock);
      const holder = word & TID;
      if (word !== 0 && holder !== tid && threadExists(holder)) return false;
      // Free, or nobody is there to unlock it.
      clean = word === 0;
      return this.#take(word);
    });
    if (locked) return clean;
    // No comparison: a word that never stays the same must not keep us here.
    Atomics.store(this.#words, this.#lock, tid);
    return false;
  }

  /** Becomes the owner, if the lock word is still `word`. */
  #take(word: number): boolean {
    const { tid } = this.#self;
    const taken = tid | (word & WAITERS);
    if (Atomics.compareExchange(this.#words, this.#lock, word, taken) !== word) return false;
    this.#words[this.#lock + OWNER] = tid;
    return true;
  }
}
