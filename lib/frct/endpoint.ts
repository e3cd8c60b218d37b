/**
 * FRCT, flow and retransmission control: what the flow library drives (spec 31). Pure.
 *
 * {@linkcode FrctEndpoint} is one end of one flow as a pure machine: it is given the time, packets and
 * messages, and says what to send, what to deliver and when to be called again. It owns no clock, timer, memory
 * of others or I/O. The header format is behind the interface, because a later one will live beside version 1.
 *
 * How a shell uses it (`lib/flow`), all times in µs of one monotonic clock, fractions allowed:
 *
 * - *write*: get a block of `headerBytes + len`, call `write(now, src, from, len, out, at)`: header and payload are put
 *   at `out[at…]` and a private copy is kept where it may be needed again. -EAGAIN: window closed, wait for
 *   {@linkcode FrctEvent.Writable}; nothing was written. Encryption and CRC come after it, on the whole. `begin` and `sent`
 *   are its two halves.
 * - *packet*: after CRC and decryption, `onPacket(now, b, at, end)` copies what it keeps, so the block can be freed
 *   at once. A reader that waits calls `onPacketDirect` instead: the next message in order goes straight into its buffer.
 * - *read*: `pendingBytes()` is the length of what is left of the next message or -1; `read` copies from it.
 * - after each of these, and after `onTimer`, `if (ep.outputDue)` then call `pollBytes`/`poll` until 0: each is one
 *   packet to send now (acknowledgement, rendez-vous, retransmission), to be encrypted anew.
 * - *timer*: call `onTimer(now)` when `deadlineUs()` has passed. Early or repeated calls do no harm.
 * - *close*: `close(now)`, go on as before while `lingering(now)`, then tell the IRMd `deallocWaitS(now)`, then `dispose()`.
 *
 * Bits returned by `onPacket` and `onTimer` tell what changed; {@linkcode FrctEvent}.
 */
import type { BufferPool } from "./buffers.ts";
import type { RoomFor } from "./receiver.ts";

/** What an input changed; bits. */
export const FrctEvent = {
  /** A message can be read that could not before. */
  Readable: 1,
  /** A write that was refused with -EAGAIN can be repeated. */
  Writable: 2,
  /** The endpoint has given up (nothing heard for R); reads drain, writes fail with -EFLOWDOWN. */
  Down: 4,
} as const;

/**
 * Bits of `flags` (FRCTFRTX, FRCTFRESCNTL, FRCTFLINGER of spec 30 §13).
 *
 * @example
 * ```ts
 * import { Flow, FrctFlag, QOS } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * await using flow = await Flow.alloc("echo", { qos: QOS.data });
 * flow.setFrctFlags(FrctFlag.Rescntl); // close without waiting for acknowledgements
 * assertEquals(flow.frctFlags, FrctFlag.Rtx | FrctFlag.Rescntl);
 * ```
 */
export const FrctFlag = {
  /** Retransmission; fixed by the QoS of the flow. */
  Rtx: 1,
  /** The peer's window limits what is sent. */
  Rescntl: 2,
  /** Close waits for acknowledgement. */
  Linger: 4,
} as const;

/** What an endpoint is made of. */
export interface FrctConfig {
  /** Reliable (QoS loss 0) or unreliable ordered. */
  reliable: boolean;
  /** Maximum packet lifetime of the flow, ms. */
  mplMs: number;
  /** Random 32 bits: the first sequence number. */
  initialSeqno: number;
  /** Where copies of packets live; share one per thread. */
  buffers: BufferPool;
  /** How many packets of so many bytes can be on their way to us without being lost for want of memory; 256 when absent. */
  room?: RoomFor | undefined;
}

/** Counters and state of one end, in the order of spec 30 §12 (the last block is ours). */
export interface FrctStats {
  /** Maximum packet lifetime. */
  mplNs: number;
  /** Longest time to acknowledge (A). */
  maxAckNs: number;
  /** Longest time to retransmit (R). */
  maxRtxNs: number;
  /** Smoothed round trip, 0 before the first sample. */
  srttNs: number;
  /** Its mean deviation. */
  rttDevNs: number;
  /** Retransmission time-out, back-off included. */
  rtoNs: number;
  /** Oldest unacknowledged sequence number. */
  sndLwe: number;
  /** First sequence number not allowed. */
  sndRwe: number;
  /** Time since the last data sent. */
  sndInactiveNs: number;
  /** Next sequence number. */
  sndSeqno: number;
  /** Next sequence number the reader gets. */
  rcvLwe: number;
  /** First sequence number not accepted. */
  rcvRwe: number;
  /** Time since the last packet heard. */
  rcvInactiveNs: number;
  /** Last acknowledgement sent. */
  rcvLastAck: number;
  /** Packets sent again because they seemed lost. */
  retransmissions: number;
  /** Round trips looked at. */
  rttProbes: number;
  /** Round trips that gave a sample. */
  rttEstimates: number;
  /** Packets received twice or too late. */
  duplicates: number;
  /** Window updates that came too late or made no sense. */
  delayedAcks: number;
  /** Rendez-vous sent. */
  rendezVous: number;
  /** Packets beyond the window. */
  outOfWindow: number;
  /** Packets received twice behind a gap. */
  outOfQueue: number;
  /** Sequence numbers that never came: lost packets of a flow without retransmission. */
  missing: number;
  /** Bare acknowledgements and window updates sent. */
  bareSent: number;
  /** Copies sent ahead of any sign of loss, on lossy paths only. */
  repeats: number;
  /** Retransmission time-outs. */
  timeouts: number;
  /** Packets dropped because their header was not sane. */
  malformed: number;
  /** Data and acknowledgements of a peer that make no sense in our state. */
  refused: number;
}

/** One end of a flow with FRCT. See the head of this file for how to drive it. */
export interface FrctEndpoint {
  /** Version of the header format. */
  readonly version: number;
  /** Bytes in front of every payload. */
  readonly headerBytes: number;
  /** Has given up: nothing is sent any more. */
  readonly down: boolean;
  /** `poll` has something to send now. */
  readonly outputDue: boolean;
  /** {@linkcode FrctFlag} bits in force. */
  readonly flags: number;

  /** The reader has had everything: the peer said that no more comes (reliable flows). */
  readonly ended: boolean;

  /** Whether `write` would be accepted now. */
  writable(): boolean;
  /**
   * Takes a message of `len` bytes at `src[from]` and puts the packet at `out[at]`.
   * @returns bytes of the packet, or -EAGAIN (window closed), -EFLOWDOWN, -EPIPE (closed), -EMSGSIZE (no room in `out`)
   */
  write(
    nowUs: number,
    src: Uint8Array,
    from: number,
    len: number,
    out: Uint8Array,
    at: number,
  ): number;
  /**
   * First half of `write` for callers that place the payload themselves and want the packet on its way before the
   * bookkeeping: puts the header of the next data packet at `out[at]`. Nothing changes until {@linkcode sent}.
   * @param empty the packet is a message of no bytes; one without payload says otherwise that no more comes
   * @returns `headerBytes`, or as `write`
   */
  begin(nowUs: number, out: Uint8Array, at: number, empty?: boolean): number;
  /** Second half: the packet of `begin` went out with this payload (or was lost: a reliable flow sends it again). */
  sent(nowUs: number, src: Uint8Array, from: number, len: number, empty?: boolean): void;

  /** Takes the packet `b[at, end)`; keeps no reference to `b`. @returns {@linkcode FrctEvent} bits */
  onPacket(nowUs: number, b: Uint8Array, at: number, end: number): number;
  /**
   * As `onPacket`, for a reader that waits with room for `max` bytes: when the packet is the next message in order, nothing is
   * queued before it and it fits, the machine keeps no copy and the caller takes the payload from `b` itself.
   * @returns bytes of payload to take at `b[at + headerBytes]` (0 is an empty message), or -1 when there is nothing to take;
   *   then look at `pendingBytes()`
   */
  onPacketDirect(nowUs: number, b: Uint8Array, at: number, end: number, max: number): number;
  /** {@linkcode FrctEvent} bits since the last call; for callers of `onPacketDirect`. */
  takeEvents(): number;
  /** To be called at `deadlineUs()`. @returns {@linkcode FrctEvent} bits */
  onTimer(nowUs: number): number;
  /** When `onTimer` wants to be called; Infinity when never. */
  deadlineUs(): number;

  /** Bytes of the packet `poll` would give now; 0 when there is none. */
  pollBytes(nowUs: number): number;
  /** Writes the next packet due at `out[at]`. @returns its bytes, 0 when there is none, -EMSGSIZE when it does not fit */
  poll(nowUs: number, out: Uint8Array, at: number): number;

  /** Bytes left of the next message in order, or -1 when there is none. */
  pendingBytes(): number;
  /**
   * Copies up to `max` bytes of the next message; it is gone when its last byte was copied. @returns bytes, -EAGAIN
   * when none
   */
  read(nowUs: number, into: Uint8Array, at: number, max: number): number;
  /** Drops what is left of the next message. */
  skip(nowUs: number): void;

  /** No more writes; acknowledges what arrived. */
  close(nowUs: number): void;
  /** Whether close has to go on serving the flow: data is unacknowledged, the linger flag is set, R is not over. */
  lingering(nowUs: number): boolean;
  /** Seconds the layer below should hold the flow (spec 31 §9); negative while lingering. */
  deallocWaitS(nowUs: number): number;
  /** Sets Rescntl and Linger; Rtx stays as the QoS says. */
  setFlags(flags: number): void;
  /** A snapshot for people and the RIB. */
  stats(nowUs: number): FrctStats;
  /** Gives all buffers back. The endpoint must not be used after it. */
  dispose(): void;
}
