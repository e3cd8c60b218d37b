/** Sequence numbers: unsigned 32 bits, compared modulo 2^32 (spec 31 §3). Pure. */

/** Whether `a` comes before `b`. */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** How far `b` lies behind `a`: `a - b` as a signed 32-bit number. */
export function distance(a: number, b: number): number {
  return (a - b) | 0;
}

/** `a + n` modulo 2^32. */
export function plus(a: number, n: number): number {
  return (a + n) >>> 0;
}

/** The 32-bit edge nearest to `near` whose low 24 bits are `low24` (signed 24-bit difference, 31 §10.4). */
export function extend24(low24: number, near: number): number {
  const delta = ((low24 - near) << 8) >> 8;
  return (near + delta) >>> 0;
}
