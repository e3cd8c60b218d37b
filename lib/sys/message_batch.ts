/**
 * The buffers of recvmmsg and sendmmsg (`struct mmsghdr`, `struct iovec` of <sys/socket.h>, LP64).
 *
 * Safety: headers, vectors, names and data are buffers that live as long as the batch, and hold each other's
 * addresses; the kernel uses them only during a call, and one thread uses a batch.
 */

/** Bytes kept per address: the longest of the kinds in use, rounded up. */
export const NAME_BYTES = 32;
/** Bytes of a header. */
export const MMSGHDR_BYTES = 64;

const MMSGHDR_WORDS = 16;
const IOVEC_WORDS = 4;
const WORD = { namelen: 2, controllen: 10, msgFlags: 12, msgLen: 14 } as const;
/** A control message of one int (CMSG_SPACE), its length with it, and what UDP_GRO says in it (<linux/udp.h>). */
const CONTROL_BYTES = 24;
const CONTROL_LENGTH = 20;
const SOL_UDP = 17;
const UDP_GRO = 104;
const MSG_TRUNC = 0x20;

/** Buffers of one recvmmsg or sendmmsg: `count` messages of up to `slotBytes` each, with addresses. */
export class MessageBatch {
  readonly count: number;
  readonly slotBytes: number;
  /** Message i is at `i * slotBytes`. */
  readonly data: Uint8Array;
  /** Address i is at `i * NAME_BYTES`. */
  readonly names: Uint8Array;
  readonly headers: Uint8Array<ArrayBuffer>;
  readonly #words: Int32Array;
  readonly #iov: Int32Array;
  /** Bytes of the addresses. */
  readonly nameBytes: number;
  /** Where in its slot the message begins that is looked at; not 0 for later ones of a joined one. */
  shift = 0;
  /** Words of the control messages; undefined where messages are never joined. */
  readonly #control: Int32Array | undefined;

  /** @param joined leaves room for what the kernel says of datagrams that it joined, {@linkcode segmentBytes} */
  constructor(count: number, slotBytes: number, nameBytes: number, joined = false) {
    this.count = count;
    this.slotBytes = slotBytes;
    this.nameBytes = nameBytes;
    this.data = new Uint8Array(count * slotBytes);
    this.names = new Uint8Array(count * NAME_BYTES);
    this.headers = new Uint8Array(count * MMSGHDR_WORDS * 4);
    this.#words = new Int32Array(this.headers.buffer);
    const iov = new Uint8Array(count * IOVEC_WORDS * 4);
    this.#iov = new Int32Array(iov.buffer);
    const at = (b: Uint8Array<ArrayBuffer>) =>
      BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(b)));
    const data = at(this.data as Uint8Array<ArrayBuffer>);
    const names = at(this.names as Uint8Array<ArrayBuffer>);
    const iovs = at(iov);
    const h = new BigUint64Array(this.headers.buffer);
    const v = new BigUint64Array(iov.buffer);
    for (let i = 0; i < count; i++) {
      h[i * 8] = names + BigInt(i * NAME_BYTES);
      h[i * 8 + 1] = BigInt(nameBytes);
      h[i * 8 + 2] = iovs + BigInt(i * IOVEC_WORDS * 4);
      h[i * 8 + 3] = 1n;
      v[i * 2] = data + BigInt(i * slotBytes);
      v[i * 2 + 1] = BigInt(slotBytes);
    }
    if (!joined) return;
    const control = new Uint8Array(count * CONTROL_BYTES);
    this.#control = new Int32Array(control.buffer);
    const controls = at(control);
    for (let i = 0; i < count; i++) {
      h[i * 8 + 4] = controls + BigInt(i * CONTROL_BYTES);
      h[i * 8 + 5] = BigInt(CONTROL_BYTES);
    }
  }

  /** Where the message begins that is looked at in slot i. */
  at(i: number): number {
    return i * this.slotBytes + this.shift;
  }

  /** Before sending: the length of message i. */
  setLength(i: number, bytes: number): void {
    this.#iov[i * IOVEC_WORDS + 2] = bytes;
  }
  /** The length that was set for message i. */
  lengthSet(i: number): number {
    return this.#iov[i * IOVEC_WORDS + 2]!;
  }
  /** Before sending: the address of message i; at most the batch's address length. */
  setName(i: number, name: Uint8Array): void {
    const at = i * NAME_BYTES;
    for (let k = 0; k < name.length; k++) this.names[at + k] = name[k]!;
  }
  /** Put a message into slot i as if it had been received, cut like a longer one of the network. */
  put(i: number, bytes: Uint8Array, name: Uint8Array): void {
    const n = Math.min(bytes.length, this.slotBytes);
    const at = i * MMSGHDR_WORDS;
    this.data.set(bytes.subarray(0, n), i * this.slotBytes);
    this.setName(i, name);
    this.#words[at + WORD.msgLen] = bytes.length;
    this.#words[at + WORD.msgFlags] = n < bytes.length ? MSG_TRUNC : 0;
  }
  /** The bytes of message i as it is to be sent, a copy. */
  message(i: number): Uint8Array {
    const at = i * this.slotBytes;
    return this.data.slice(at, at + this.#iov[i * IOVEC_WORDS + 2]!);
  }

  /** After receiving: the length of message i, or -1 if it was longer than a slot. */
  length(i: number): number {
    const at = i * MMSGHDR_WORDS;
    return this.#words[at + WORD.msgFlags]! & MSG_TRUNC ? -1 : this.#words[at + WORD.msgLen]!;
  }
  /**
   * After receiving: the length of each of the datagrams that message i was joined of, the last may be shorter; 0
   * when it is one.
   */
  segmentBytes(i: number): number {
    const control = this.#control;
    if (control === undefined) return 0;
    if (this.#words[i * MMSGHDR_WORDS + WORD.controllen]! < CONTROL_LENGTH) return 0;
    const c = i * (CONTROL_BYTES / 4);
    return control[c + 2] === SOL_UDP && control[c + 3] === UDP_GRO ? control[c + 4]! : 0;
  }
  /** After receiving: the length that message i had, whether it fitted or not. */
  wholeLength(i: number): number {
    return this.#words[i * MMSGHDR_WORDS + WORD.msgLen]!;
  }
  /** Before receiving: the kernel has overwritten lengths of addresses and flags of `n` messages. */
  rearm(n: number): void {
    for (let i = 0; i < n; i++) {
      this.#words[i * MMSGHDR_WORDS + WORD.namelen] = this.nameBytes;
      if (this.#control !== undefined) {
        this.#words[i * MMSGHDR_WORDS + WORD.controllen] = CONTROL_BYTES;
      }
      this.#words[i * MMSGHDR_WORDS + WORD.msgFlags] = 0;
    }
  }
}
