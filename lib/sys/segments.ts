/**
 * Many datagrams to one address as one call of the network stack: UDP_SEGMENT on the way out, UDP_GRO on the way in
 * (Linux 4.18 and 5.0; <linux/udp.h>). On the wire nothing changes: the kernel, or the device, cuts and joins.
 *
 * C: `sendmmsg`, `setsockopt` of <sys/socket.h>, LP64 as in `message_batch.ts`.
 *
 * Safety: headers and control messages are buffers that live as long as the object; the kernel uses them only during a
 * call, and one thread uses an object.
 */

import { Errno } from "../errno.ts";
import { errno, lazyLibc } from "./ffi.ts";
import { type MessageBatch, MMSGHDR_BYTES, NAME_BYTES } from "./message_batch.ts";

const sys = lazyLibc(
  {
    // int sendmmsg(int fd, struct mmsghdr *v, unsigned int n, int flags)
    sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
    // int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
    setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  } as const,
);

// <netinet/udp.h>, <linux/udp.h>.
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
/** Segments of one call; the kernel takes so many since 4.18. */
const SEGMENTS_MAX = 64;
/** Bytes of one call: what an IPv4 datagram holds. */
const CALL_BYTES_MAX = 65_000;
/** CMSG_SPACE and CMSG_LEN of a u16. */
const CONTROL_BYTES = 24;
const CONTROL_LENGTH = 18;

/** Words of a struct mmsghdr. */
const WORDS = MMSGHDR_BYTES / 4;
const WORD = { iovlen: 6, control: 8, controllen: 10, flags: 12 } as const;

// <asm-generic/errno.h>.
const ENOPROTOOPT = 92;
const EOPNOTSUPP = 95;

/** Failures that say "not as segments": too long for the path, no checksums by the device, an old kernel. */
const NOT_IN_SEGMENTS: ReadonlySet<number> = new Set([
  Errno.EINVAL,
  Errno.EMSGSIZE,
  Errno.EIO,
  ENOPROTOOPT,
  EOPNOTSUPP,
]);

/** Asks that datagrams which came together are given together; whether the kernel does so. See `MessageBatch.segmentBytes`. */
export function joinSegments(fd: number): boolean {
  return sys().setsockopt(fd, SOL_UDP, UDP_GRO, new Uint8Array(new Int32Array([1]).buffer), 4) ===
    0;
}

/** Sends the messages of one batch; runs to the same address and of the same length go as one. */
export class SegmentSender {
  readonly #batch: MessageBatch;
  readonly #from: Int32Array;
  readonly #headers: Uint8Array<ArrayBuffer>;
  readonly #words: Int32Array;
  readonly #sizes: Uint16Array;
  /** Messages of each call. */
  readonly #counts: Int32Array;
  /** Addresses of the control messages, two words each. */
  readonly #controls: Int32Array;
  /** Messages from this length on go alone: the path has refused them as segments. */
  #aloneBytes = Infinity;

  constructor(batch: MessageBatch) {
    const { count } = batch;
    this.#batch = batch;
    this.#from = new Int32Array(batch.headers.buffer);
    this.#headers = new Uint8Array(count * MMSGHDR_BYTES);
    this.#words = new Int32Array(this.#headers.buffer);
    this.#counts = new Int32Array(count);
    const control = new Uint8Array(count * CONTROL_BYTES);
    const view = new DataView(control.buffer);
    const base = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(control)));
    const addresses = new BigUint64Array(count);
    for (let g = 0; g < count; g++) {
      const at = g * CONTROL_BYTES;
      view.setBigUint64(at, BigInt(CONTROL_LENGTH), true);
      view.setInt32(at + 8, SOL_UDP, true);
      view.setInt32(at + 12, UDP_SEGMENT, true);
      addresses[g] = base + BigInt(at);
    }
    this.#sizes = new Uint16Array(control.buffer);
    this.#controls = new Int32Array(addresses.buffer);
  }

  /** Send messages `from..from+n`: the number sent, or a negative errno about the first one. */
  send(fd: number, from: number, n: number): number {
    const calls = this.#gather(from, from + n);
    const done = sys().sendmmsg(fd, this.#headers, calls, 0);
    if (done < 0) {
      const error = errno();
      if (this.#counts[0] === 1 || !NOT_IN_SEGMENTS.has(error)) return -error;
      this.#aloneBytes = this.#batch.lengthSet(from);
      return this.send(fd, from, n);
    }
    let sent = 0;
    for (let g = 0; g < done; g++) sent += this.#counts[g]!;
    return sent;
  }

  /** Makes the headers of the calls for messages `from..to`; how many. */
  #gather(from: number, to: number): number {
    let calls = 0;
    for (let i = from; i < to; calls++) {
      const n = this.#run(i, to);
      const w = calls * WORDS;
      for (let k = 0; k < WORDS; k++) this.#words[w + k] = this.#from[i * WORDS + k]!;
      this.#words[w + WORD.iovlen] = n;
      this.#words[w + WORD.flags] = 0;
      if (n > 1) {
        this.#words[w + WORD.control] = this.#controls[2 * calls]!;
        this.#words[w + WORD.control + 1] = this.#controls[2 * calls + 1]!;
        this.#words[w + WORD.controllen] = CONTROL_BYTES;
        this.#sizes[(calls * CONTROL_BYTES + 16) >> 1] = this.#batch.lengthSet(i);
      }
      this.#counts[calls] = n;
      i += n;
    }
    return calls;
  }

  /** How many messages from `i` on go as one: all as long as the first, the last one may be shorter. */
  #run(i: number, to: number): number {
    const batch = this.#batch;
    const bytes = batch.lengthSet(i);
    if (bytes === 0 || bytes >= this.#aloneBytes) return 1;
    const most = Math.min(to - i, SEGMENTS_MAX, Math.trunc(CALL_BYTES_MAX / bytes));
    let n = 1;
    while (n < most) {
      const next = batch.lengthSet(i + n);
      if (next > bytes || next === 0 || !this.#sameName(i, i + n)) break;
      n++;
      if (next < bytes) break;
    }
    return n;
  }

  #sameName(i: number, j: number): boolean {
    const names = this.#batch.names;
    const a = i * NAME_BYTES;
    const b = j * NAME_BYTES;
    for (let k = 0; k < this.#batch.nameBytes; k++) {
      if (names[a + k] !== names[b + k]) return false;
    }
    return true;
  }
}
