/** A network segment in memory, for the data paths of Ethernet IPCPs: every station hears every frame. */

import type { MessageBatch } from "../../lib/sys/message_batch.ts";
import { PKT, sockaddrLl } from "../../lib/sys/netsock.ts";
import type { Wire } from "../../ipcp/shim/data/wire.ts";

const EAGAIN = 11;
/** Offset of sll_pkttype in a sockaddr_ll. */
const PKTTYPE_AT = 10;

/** Joins stations. */
export class MemorySegment {
  readonly stations: MemoryStation[] = [];

  /** A station with a MAC address. */
  station(mac: Uint8Array): MemoryStation {
    const station = new MemoryStation(this, mac);
    this.stations.push(station);
    return station;
  }
}

/** One station: what it has received and not read yet, and the wire of its IPCP. */
export class MemoryStation implements Wire {
  readonly #frames: { readonly bytes: Uint8Array; readonly name: Uint8Array }[] = [];
  /** Errno of the next sends, e.g. 100 while the link is down; 0 for none. */
  failing = 0;
  /** The main thread calls. */
  called = false;
  readonly joins = false;

  constructor(private readonly segment: MemorySegment, readonly mac: Uint8Array) {}

  /** Put bytes on the segment as they are. */
  transmit(bytes: Uint8Array): void {
    for (const other of this.segment.stations) if (other !== this) other.#hear(bytes);
  }

  #hear(bytes: Uint8Array): void {
    const to = bytes.subarray(0, 6);
    const mine = to.every((b, i) => b === this.mac[i]);
    this.hearAs(
      bytes,
      mine ? PKT.host : to.every((b) => b === 0xff) ? PKT.broadcast : PKT.otherHost,
    );
  }

  /** Hear a frame that the kernel calls so (`PKT`). */
  hearAs(bytes: Uint8Array, kind: number): void {
    const name = sockaddrLl(1, 0, bytes.subarray(6, 12));
    name[PKTTYPE_AT] = kind;
    this.#frames.push({ bytes: bytes.slice(), name });
  }

  receive(batch: MessageBatch): number {
    const got = this.#frames.splice(0, batch.count);
    for (const [i, { bytes, name }] of got.entries()) batch.put(i, bytes, name);
    return got.length === 0 ? -EAGAIN : got.length;
  }

  send(batch: MessageBatch, from: number, n: number): number {
    if (this.failing !== 0) return -this.failing;
    for (let i = from; i < from + n; i++) this.transmit(batch.message(i));
    return n;
  }

  wait(): boolean {
    return this.called;
  }

  /** What it has received since last asked, as frames; for stations without an IPCP. */
  heard(): Uint8Array[] {
    return this.#frames.splice(0).map(({ bytes }) => bytes);
  }
}
