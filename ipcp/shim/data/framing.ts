/**
 * How a shim IPCP wraps packets of flows for its lower layer and tells received ones apart; each type has its own.
 *
 * One object a thread. `wrap` writes header and address of message `i` of a batch; `unwrap` says what a
 * received message is: the flow it is for, {@linkcode MGMT}, or {@linkcode REFUSED}, and where its payload
 * is. Nothing is delivered that does not come from the flow's own peer (spec 50 §18 S1, S4, S5, S7).
 */

import type { MessageBatch } from "../../../lib/sys/netsock.ts";
import type { ShimMgmtCodec } from "../../../lib/wire/shim_mgmt.ts";
import type { FlowTable } from "../../data/table.ts";

/** A management message. */
export const MGMT = 0;
/** A message for nobody. */
export const REFUSED = -1;

export interface Framing {
  readonly headerBytes: number;
  /** Bytes of the batch's addresses. */
  readonly nameBytes: number;
  /** Bytes of a slot that holds the largest message, and one more to notice larger ones. */
  readonly slotBytes: number;
  /** Longest payload of a packet right now, bytes. */
  readonly payloadMax: number;
  /** Header and address of message i; its payload of `length` bytes is already behind the header. */
  wrap(table: FlowTable, flowId: number, batch: MessageBatch, i: number, length: number): void;
  /** What message i of `n` bytes is; sets `start` and `end`. */
  unwrap(table: FlowTable, batch: MessageBatch, i: number, n: number): number;
  /** Payload of the last message, as positions in the batch's data. */
  start: number;
  end: number;
  /** Address of the sender of message i, a copy. */
  sender(batch: MessageBatch, i: number): Uint8Array;
  /** Of a sender's address: what its network is, and what can be told apart of it (a port cannot), in bytes. */
  readonly networkBytes: number;
  readonly addressBytes: number;
  /** Where those of message i begin in {@linkcode addresses}. */
  addressAt(batch: MessageBatch, i: number): number;
  addresses(batch: MessageBatch): Uint8Array;
  /** The layout of management messages, and the bytes of a name's hash in them. */
  readonly codec: ShimMgmtCodec;
  readonly hashBytes: number;
}
