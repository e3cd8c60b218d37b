/**
 * Packets from one pool to another (spec 10 §8): one allocation, one copy, the source freed. Payload of
 * a pool that another user owns is copied with pread and pwrite on its descriptor, so that its owner
 * can neither cut the memory away under the copy nor change bounds after they were checked.
 */

import { Errno } from "../errno.ts";
import type { Pool } from "./pool.ts";

let scratch = new Uint8Array(4096);

/**
 * Copies the packet in block `off` of `from` into a new block of `to` and frees the source in every
 * case. The same pool gives the same block. Returns the new offset; -EINVAL for a block that is not
 * held, -EMSGSIZE for forged bounds or too large a packet, -EAGAIN when `to` has no block of that
 * class, -EIO when the source was cut short.
 */
export function transfer(from: Pool, off: number, to: Pool): number {
  if (from === to) return from.get(off) === 0 ? off : -Errno.EINVAL;
  const n = from.inspect(off);
  if (n === -Errno.EINVAL) return n;
  const at = from.at;
  let result = n < 0 ? n : to.alloc(n);
  if (result >= 0 && n > 0) {
    to.inspect(result);
    const copied = copy(from, at, to, to.at, n);
    if (copied < 0) {
      to.remove(result);
      result = copied;
    }
  }
  from.remove(off);
  return result;
}

/** Copies `n` bytes between checked positions. 0, or -EIO for a short one. */
function copy(from: Pool, at: number, to: Pool, toAt: number, n: number): number {
  const source = from.object;
  const target = to.object;
  if (source !== null) {
    if (target === null) {
      return source.pread(to.u8.subarray(toAt, toAt + n), n, at) === n ? 0 : -Errno.EIO;
    }
    if (scratch.length < n) scratch = new Uint8Array(n);
    if (source.pread(scratch, n, at) !== n) return -Errno.EIO;
    return target.pwrite(scratch, n, toAt) === n ? 0 : -Errno.EIO;
  }
  const bytes = from.u8.subarray(at, at + n);
  if (target !== null) return target.pwrite(bytes, n, toAt) === n ? 0 : -Errno.EIO;
  to.u8.set(bytes, toAt);
  return 0;
}
