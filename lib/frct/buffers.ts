/**
 * Private copies of packets: buffers of a few sizes, kept for reuse so that the data path allocates nothing.
 * Pure.
 *
 * One pool serves all flows of a thread. A buffer belongs to exactly one owner between `take` and `give`; the pool
 * counts what is out, so that a test can see that everything came back. Idle buffers above a bound are left to the
 * garbage collector.
 */

/** Sizes of buffers, bytes; a message above the largest gets a buffer of its own that is not kept. */
const CLASSES = [128, 2048, 16384, 65536] as const;
/** Idle bytes kept per class: 4 MiB is eight full windows of 2 KiB. */
const IDLE_BYTES_MAX = 4 << 20;

/** Reusable byte buffers. */
export class BufferPool {
  /** Buffers taken and not given back. */
  live = 0;
  readonly #idle: Uint8Array[][] = CLASSES.map(() => []);

  /** A buffer of at least `bytes`; contents are whatever they were. */
  take(bytes: number): Uint8Array {
    this.live++;
    for (let i = 0; i < CLASSES.length; i++) {
      if (bytes <= CLASSES[i]!) return this.#idle[i]!.pop() ?? new Uint8Array(CLASSES[i]!);
    }
    return new Uint8Array(bytes);
  }

  /** Gives back a buffer of `take`. */
  give(buffer: Uint8Array): void {
    this.live--;
    for (let i = 0; i < CLASSES.length; i++) {
      if (buffer.length !== CLASSES[i]) continue;
      const idle = this.#idle[i]!;
      if (idle.length * buffer.length < IDLE_BYTES_MAX) idle.push(buffer);
      return;
    }
  }
}

/**
 * Copies up to this many bytes run as a loop (about 1 ns a byte); the view that a piece of an array needs costs about
 * 80 ns.
 */
const LOOP_BYTES_MAX = 64;

/** Copies `len` bytes without allocating for short ones. */
export function copyBytes(
  src: Uint8Array,
  from: number,
  len: number,
  dst: Uint8Array,
  at: number,
): void {
  if (from === 0 && len === src.length) dst.set(src, at);
  else if (len <= LOOP_BYTES_MAX) {
    for (let i = 0; i < len; i++) dst[at + i] = src[from + i]!;
  } else dst.set(src.subarray(from, from + len), at);
}
