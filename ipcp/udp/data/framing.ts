/** Packets of flows in UDP datagrams: the endpoint id of the receiver before the payload (spec 50 §13). */

import {
  EID_BYTES,
  encodeEid,
  HASH_BYTES,
  MGMT_EID,
  parseEid,
  udpMgmt,
} from "../../../lib/wire/udp_mgmt.ts";
import { type MessageBatch, NAME_BYTES } from "../../../lib/sys/netsock.ts";
import type { FlowTable } from "../../data/table.ts";
import { type Framing, MGMT, REFUSED } from "../../shim/data/framing.ts";

/** What the main thread tells a worker of the socket; plain values, to be posted. */
export interface UdpLink {
  readonly fd: number;
  /** Bytes of its addresses. */
  readonly nameBytes: number;
  /** Longest payload of a packet, bytes. */
  readonly payloadMax: number;
}

/** The parts of a socket address that name a peer, as `[first, last)` (flow info of IPv6 does not). */
const V4_BYTES = 16;
const V6 = { flowInfo: 4, address: 8, end: 28 };

export class UdpFraming implements Framing {
  readonly headerBytes = EID_BYTES;
  readonly nameBytes: number;
  readonly slotBytes: number;
  readonly payloadMax: number;
  readonly codec = udpMgmt;
  readonly hashBytes = HASH_BYTES;
  readonly networkBytes: number;
  readonly addressBytes: number;
  /** Where the address is in a socket address. */
  readonly #addressAt: number;
  start = 0;
  end = 0;

  constructor({ nameBytes, payloadMax }: Omit<UdpLink, "fd">) {
    this.nameBytes = nameBytes;
    this.payloadMax = payloadMax;
    // The first 24 bits of an IPv4 address, 64 of an IPv6 address: who can forge one can its neighbours.
    const isV4 = nameBytes === V4_BYTES;
    this.networkBytes = isV4 ? 3 : 8;
    this.addressBytes = isV4 ? 4 : 16;
    this.#addressAt = isV4 ? 4 : V6.address;
    this.slotBytes = (EID_BYTES + payloadMax + 64) & ~63;
  }

  wrap(table: FlowTable, flowId: number, batch: MessageBatch, i: number, length: number): void {
    encodeEid(table.remoteEid(flowId), batch.data, i * batch.slotBytes);
    table.copyPeer(flowId, batch.names, i * NAME_BYTES);
    batch.setLength(i, EID_BYTES + length);
  }

  unwrap(table: FlowTable, batch: MessageBatch, i: number, n: number): number {
    const at = batch.at(i);
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

  addresses(batch: MessageBatch): Uint8Array {
    return batch.names;
  }
  addressAt(_batch: MessageBatch, i: number): number {
    return i * NAME_BYTES + this.#addressAt;
  }

  sender(batch: MessageBatch, i: number): Uint8Array {
    const name = batch.names.slice(i * NAME_BYTES, i * NAME_BYTES + this.nameBytes);
    // What is no part of the peer's identity must not distinguish it.
    if (this.nameBytes === V4_BYTES) name.fill(0, 8);
    else name.fill(0, V6.flowInfo, V6.address);
    return name;
  }
}
