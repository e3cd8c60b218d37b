/**
 * How a shim IPCP wraps packets of flows for its lower layer and tells received ones apart.
 *
 * One object a thread. `wrap` writes header and address of message `i` of a batch; `unwrap` says what a
 * received message is: the flow it is for, {@linkcode MGMT}, or {@linkcode REFUSED}, and where its payload
 * is. Nothing is delivered that does not come from the flow's own peer (spec 50 §18 S1, S4, S5, S7).
 */

import {
  DIX_HEADER_BYTES,
  DIX_MGMT_EID,
  type EthHeader,
  LLC_HEADER_BYTES,
  LLC_MGMT_SAP,
  MAC_BYTES,
  parseDix,
  parseLlc,
  putDix,
  putLlc,
  SRC_MAC_AT,
} from "../../lib/wire/eth_frame.ts";
import { EID_BYTES, encodeEid, MGMT_EID, parseEid } from "../../lib/wire/udp_mgmt.ts";
import { type MessageBatch, NAME_BYTES, PKT } from "../../lib/sys/netsock.ts";
import { SharedDevice } from "./device.ts";
import type { FlowTable } from "./table.ts";

/** A management message. */
export const MGMT = 0;
/** A message for nobody. */
export const REFUSED = -1;

/** What the main thread tells a worker about the lower layer; plain values, to be posted. */
export type FramingSpec =
  | { readonly kind: "udp"; readonly nameBytes: number; readonly payloadMax: number }
  | {
    readonly kind: "dix" | "llc";
    readonly ethertype: number;
    /** sockaddr_ll of the device for sending, but for the interface index. */
    readonly to: Uint8Array;
    /** Memory of the {@linkcode SharedDevice}. */
    readonly device: SharedArrayBuffer;
    /** Longest payload that a batch has room for, bytes. */
    readonly payloadMax: number;
  };

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
}

/** The parts of a socket address that name a peer, as `[first, last)` (flow info of IPv6 does not). */
const V4_BYTES = 16;
const V6 = { flowInfo: 4, address: 8, end: 28 };

class UdpFraming implements Framing {
  readonly headerBytes = EID_BYTES;
  readonly nameBytes: number;
  readonly slotBytes: number;
  readonly payloadMax: number;
  start = 0;
  end = 0;

  constructor(nameBytes: number, payloadMax: number) {
    this.nameBytes = nameBytes;
    this.payloadMax = payloadMax;
    this.slotBytes = (EID_BYTES + payloadMax + 64) & ~63;
  }

  wrap(table: FlowTable, flowId: number, batch: MessageBatch, i: number, length: number): void {
    encodeEid(table.remoteEid(flowId), batch.data, i * batch.slotBytes);
    table.copyPeer(flowId, batch.names, i * NAME_BYTES);
    batch.setLength(i, EID_BYTES + length);
  }

  unwrap(table: FlowTable, batch: MessageBatch, i: number, n: number): number {
    const at = i * batch.slotBytes;
    const eid = parseEid(batch.data, at, at + n);
    if (eid < 0) return REFUSED;
    this.start = at;
    this.end = at + n;
    if (eid === MGMT_EID) return MGMT;
    const flowId = table.flowOf(eid);
    if (flowId === 0) return REFUSED;
    this.start = at + EID_BYTES;
    const name = i * NAME_BYTES;
    if (this.nameBytes === V4_BYTES) {
      return table.peerIs(flowId, batch.names, name, 0, 8) ? flowId : REFUSED;
    }
    return table.peerIs(flowId, batch.names, name, 0, V6.flowInfo) &&
        table.peerIs(flowId, batch.names, name, V6.address, V6.end)
      ? flowId
      : REFUSED;
  }

  sender(batch: MessageBatch, i: number): Uint8Array {
    const name = batch.names.slice(i * NAME_BYTES, i * NAME_BYTES + this.nameBytes);
    // What is no part of the peer's identity must not distinguish it.
    if (this.nameBytes === V4_BYTES) name.fill(0, 8);
    else name.fill(0, V6.flowInfo, V6.address);
    return name;
  }
}

/** Offsets of sll_ifindex and sll_pkttype in a sockaddr_ll. */
const IFINDEX_AT = 4;
const PKTTYPE_AT = 10;

/** Whether all bytes of the MAC address at `at` have one value. */
function isAll(b: Uint8Array, at: number, value: number): boolean {
  for (let k = 0; k < MAC_BYTES; k++) if (b[at + k] !== value) return false;
  return true;
}

class EthFraming implements Framing {
  readonly headerBytes: number;
  readonly nameBytes = 20;
  readonly slotBytes: number;
  start = 0;
  end = 0;
  readonly #dix: boolean;
  readonly #ethertype: number;
  /** Where frames go: the device of {@linkcode SharedDevice}. */
  readonly #to: Uint8Array;
  readonly #toView: DataView;
  readonly #device: SharedDevice;
  readonly #header: EthHeader = { deid: 0, seid: 0, start: 0, end: 0 };

  constructor(
    dix: boolean,
    ethertype: number,
    to: Uint8Array,
    device: SharedDevice,
    payloadMax: number,
  ) {
    this.#dix = dix;
    this.#ethertype = ethertype;
    this.#to = to.slice();
    this.#toView = new DataView(this.#to.buffer);
    this.#device = device;
    this.headerBytes = dix ? DIX_HEADER_BYTES : LLC_HEADER_BYTES;
    this.slotBytes = (DIX_HEADER_BYTES + payloadMax + 127) & ~63;
  }

  get payloadMax(): number {
    this.#device.refresh();
    return this.#device.payloadMax;
  }

  wrap(table: FlowTable, flowId: number, batch: MessageBatch, i: number, length: number): void {
    const b = batch.data, at = i * batch.slotBytes;
    table.copyPeer(flowId, b, at);
    const { mac, index } = this.#device;
    for (let k = 0; k < MAC_BYTES; k++) b[at + SRC_MAC_AT + k] = mac[k]!;
    const deid = table.remoteEid(flowId);
    if (this.#dix) putDix(this.#ethertype, deid, length, b, at);
    else putLlc(deid, table.localEid(flowId), length, b, at);
    this.#toView.setInt32(IFINDEX_AT, index, true);
    batch.setName(i, this.#to);
    batch.setLength(i, this.headerBytes + length);
  }

  unwrap(table: FlowTable, batch: MessageBatch, i: number, n: number): number {
    const kind = batch.names[i * NAME_BYTES + PKTTYPE_AT];
    const at = i * batch.slotBytes, h = this.#header;
    // The loopback calls ff:ff:ff:ff:ff:ff a multicast. A C responder that answers before it has stored the
    // address sends its reply to 00:00:00:00:00:00 (spec 50 §18 R1); the machine looks closer at those.
    const forAll = kind !== PKT.host && kind !== PKT.outgoing && isAll(batch.data, at, 0xff);
    const lost = kind === PKT.otherHost && isAll(batch.data, at, 0);
    if (kind !== PKT.host && !forAll && !lost) return REFUSED;
    const bad = this.#dix
      ? parseDix(batch.data, at, at + n, this.#ethertype, h)
      : parseLlc(batch.data, at, at + n, h);
    if (bad !== 0) return REFUSED;
    this.start = h.start;
    this.end = h.end;
    if (this.#dix ? h.deid === DIX_MGMT_EID : h.deid === LLC_MGMT_SAP) {
      return this.#dix || h.seid === LLC_MGMT_SAP ? MGMT : REFUSED;
    }
    if (kind !== PKT.host) return REFUSED;
    const flowId = table.flowOf(h.deid);
    if (flowId === 0 || !table.peerIs(flowId, batch.data, at + SRC_MAC_AT, 0, MAC_BYTES)) {
      return REFUSED;
    }
    return this.#dix || table.remoteEid(flowId) === h.seid ? flowId : REFUSED;
  }

  sender(batch: MessageBatch, i: number): Uint8Array {
    const at = i * batch.slotBytes + SRC_MAC_AT;
    return batch.data.slice(at, at + MAC_BYTES);
  }
}

/** The framing of a thread. */
export function framingOf(spec: FramingSpec): Framing {
  if (spec.kind === "udp") return new UdpFraming(spec.nameBytes, spec.payloadMax);
  const { kind, ethertype, to, payloadMax } = spec;
  const device = new SharedDevice(spec.device);
  return new EthFraming(kind === "dix", ethertype, to, device, payloadMax);
}
