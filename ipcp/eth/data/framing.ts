/** Packets of flows in Ethernet frames, DIX or LLC (spec 50 §11, §12). */

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
} from "../../../lib/wire/eth_frame.ts";
import { dixMgmt, llcMgmt } from "../../../lib/wire/eth_mgmt.ts";
import type { ShimMgmtCodec } from "../../../lib/wire/shim_mgmt.ts";
import { type MessageBatch, NAME_BYTES, PKT } from "../../../lib/sys/netsock.ts";
import type { FlowTable } from "../../data/table.ts";
import { type Framing, MGMT, REFUSED } from "../../shim/data/framing.ts";
import { SharedDevice } from "./device.ts";

/** What the main thread tells a worker of the socket; plain values, to be posted. */
export interface EthLink {
  readonly fd: number;
  readonly dix: boolean;
  readonly ethertype: number;
  /** sockaddr_ll of the device for sending, but for the interface index. */
  readonly to: Uint8Array;
  /** Memory of the {@linkcode SharedDevice}. */
  readonly device: SharedArrayBuffer;
  /** Longest payload that a batch has room for, bytes. */
  readonly payloadMax: number;
  /** Of a name's hash. */
  readonly hashBytes: number;
}

/** Offsets of sll_ifindex and sll_pkttype in a sockaddr_ll. */
const IFINDEX_AT = 4;
const PKTTYPE_AT = 10;

/** Whether all bytes of the MAC address at `at` have one value. */
function isAll(b: Uint8Array, at: number, value: number): boolean {
  for (let k = 0; k < MAC_BYTES; k++) if (b[at + k] !== value) return false;
  return true;
}

export class EthFraming implements Framing {
  readonly headerBytes: number;
  readonly nameBytes = 20;
  readonly slotBytes: number;
  readonly codec: ShimMgmtCodec;
  readonly hashBytes: number;
  readonly networkBytes = MAC_BYTES;
  readonly addressBytes = MAC_BYTES;
  start = 0;
  end = 0;
  readonly #dix: boolean;
  readonly #ethertype: number;
  /** Where frames go: the device of {@linkcode SharedDevice}. */
  readonly #to: Uint8Array;
  readonly #toView: DataView;
  readonly #device: SharedDevice;
  readonly #header: EthHeader = { deid: 0, seid: 0, start: 0, end: 0 };

  constructor({ dix, ethertype, to, device, payloadMax, hashBytes }: Omit<EthLink, "fd">) {
    this.codec = dix ? dixMgmt : llcMgmt;
    this.hashBytes = hashBytes;
    this.#dix = dix;
    this.#ethertype = ethertype;
    this.#to = to.slice();
    this.#toView = new DataView(this.#to.buffer);
    this.#device = new SharedDevice(device);
    this.headerBytes = dix ? DIX_HEADER_BYTES : LLC_HEADER_BYTES;
    this.slotBytes = (DIX_HEADER_BYTES + payloadMax + 127) & ~63;
  }

  get payloadMax(): number {
    this.#device.refresh();
    return this.#device.payloadMax;
  }

  wrap(table: FlowTable, flowId: number, batch: MessageBatch, i: number, length: number): void {
    const b = batch.data;
    const at = i * batch.slotBytes;
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
    const at = i * batch.slotBytes;
    const h = this.#header;
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

  addresses(batch: MessageBatch): Uint8Array {
    return batch.data;
  }
  addressAt(batch: MessageBatch, i: number): number {
    return i * batch.slotBytes + SRC_MAC_AT;
  }

  sender(batch: MessageBatch, i: number): Uint8Array {
    const at = this.addressAt(batch, i);
    return batch.data.slice(at, at + MAC_BYTES);
  }
}
