/**
 * Packets from one pool to another (spec 10 §8): one allocation, one copy, the source freed. Payload of
 * a pool that another user owns is copied with pread and pwrite on its descriptor, so that its owner
 * can neither cut the memory away under the copy nor change bounds after they were checked.
 */

import { Errno } from "../errno.ts";
import type { Pool } from "./pool.ts";

/**
 * Copies the packet in block `off` of `from` into a new block of `to` and frees the source in every
 * case. The same pool gives the same block. Returns the new offset; -EINVAL for a block that is not
 * held, -EMSGSIZE for forged bounds or too large a packet, -EAGAIN when `to` has no block of that
 * class, -EIO when one of them was cut short or forged meanwhile.
 */
export function transfer(from: Pool, off: number, to: Pool): number {
  if (from === to) return from.get(off) === 0 ? off : -Errno.EINVAL;
  const n = from.inspect(off);
  if (n === -Errno.EINVAL) return n;
  const at = from.at;
  let result = n < 0 ? n : to.alloc(n);
  if (result >= 0 && (to.inspect(result) !== n || copy(from, at, to, to.at, n) !== n)) {
    to.remove(result);
    result = -Errno.EIO;
  }
  from.remove(off);
  return result;
}

/** Copies `n` bytes between checked positions: how many, or a negative errno. */
function copy(from: Pool, at: number, to: Pool, toAt: number, n: number): number {
  if (n === 0) return 0;
  const source = from.object;
  const target = to.object;
  // The kernel writes to the other mapping as well: where its owner cut it short this is an error, not a signal.
  if (source !== null) return source.pread(to.u8.subarray(toAt, toAt + n), n, at);
  const bytes = from.u8.subarray(at, at + n);
  if (target !== null) return target.pwrite(bytes, n, toAt);
  to.u8.set(bytes, toAt);
  return n;
}
