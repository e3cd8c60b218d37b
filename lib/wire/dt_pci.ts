/**
 * The header of data transfer packets in a unicast layer (spec 60 §6.1). Pure.
 *
 * Little endian, no padding. `A` is the layer's address size, `E` its size of endpoint ids:
 *
 * | offset | size | field       | meaning                                           |
 * |--------|------|-------------|---------------------------------------------------|
 * | 0      | A    | destination | address of the receiver, low bytes                |
 * | A      | 1    | cube        | QoS cube: 0 best effort, 1 video, 2 voice         |
 * | A+1    | 1    | TTL         | hops left; starts at the layer's maximum          |
 * | A+2    | 1    | ECN         | congestion seen on the way, OR of all hops        |
 * | A+3    | E    | EID         | endpoint of the receiver, low bytes               |
 * | A+3+E  |      | payload     | may be empty (keepalive of the flow above)        |
 *
 * No source, length, version or checksum: a packet is as long as that of the flow below. Flat addresses are 4 bytes
 * and EIDs 8, which makes 15 bytes. An EID is two 32-bit words here, since a packet's way knows no BigInt.
 */

import { WireError } from "./mod.ts";

/** Smallest and largest size of an address that the header can carry, bytes. */
export const ADDR_BYTES_MIN = 1;
export const ADDR_BYTES_MAX = 8;
/** Smallest and largest size of an endpoint id, bytes. */
export const EID_BYTES_MIN = 1;
export const EID_BYTES_MAX = 8;

/** Where the fields of a layer's header are, from its first byte. */
export interface DtPciLayout {
  readonly addrBytes: number;
  readonly eidBytes: number;
  readonly cubeAt: number;
  readonly ttlAt: number;
  readonly ecnAt: number;
  readonly eidAt: number;
  /** Length of the whole header. */
  readonly headerBytes: number;
}

/** The layout for a layer's sizes; they must be in the range above. */
export function dtPciLayout(addrBytes: number, eidBytes: number): DtPciLayout {
  return {
    addrBytes,
    eidBytes,
    cubeAt: addrBytes,
    ttlAt: addrBytes + 1,
    ecnAt: addrBytes + 2,
    eidAt: addrBytes + 3,
    headerBytes: addrBytes + 3 + eidBytes,
  };
}

/** The layout of layers with flat addresses: 15 bytes. */
export const FLAT_LAYOUT: DtPciLayout = dtPciLayout(4, 8);

/** A header; the caller owns the record and uses it again for the next packet. */
export interface DtPci {
  /** Destination, its low 32 bits. */
  dst: number;
  cube: number;
  ttl: number;
  ecn: number;
  /** Endpoint id, high and low 32 bits. */
  eidHi: number;
  eidLo: number;
}

/** A record for {@linkcode parse}. */
export function emptyDtPci(): DtPci {
  return { dst: 0, cube: 0, ttl: 0, ecn: 0, eidHi: 0, eidLo: 0 };
}

/** Little-endian number of at most 4 bytes. */
function word(b: Uint8Array, at: number, bytes: number): number {
  let n = 0;
  for (let i = Math.min(bytes, 4) - 1; i >= 0; i--) n = ((n << 8) | b[at + i]!) >>> 0;
  return n;
}

function putWord(n: number, into: Uint8Array, at: number, bytes: number): void {
  for (let i = 0; i < bytes; i++) into[at + i] = i < 4 ? n >>> (8 * i) : 0;
}

/**
 * Reads the header at `at` into `out`: 0, or -1 if `[at, end)` is too short. An address whose bytes above the fourth
 * are not zero is no address of ours: it reads as 0, which is nobody's.
 */
export function parse(
  b: Uint8Array,
  at: number,
  end: number,
  layout: DtPciLayout,
  out: DtPci,
): number {
  if (end - at < layout.headerBytes) return -1;
  out.dst = word(b, at, layout.addrBytes);
  for (let i = 4; i < layout.addrBytes; i++) if (b[at + i] !== 0) out.dst = 0;
  out.cube = b[at + layout.cubeAt]!;
  out.ttl = b[at + layout.ttlAt]!;
  out.ecn = b[at + layout.ecnAt]!;
  out.eidLo = word(b, at + layout.eidAt, layout.eidBytes);
  out.eidHi = layout.eidBytes > 4 ? word(b, at + layout.eidAt + 4, layout.eidBytes - 4) : 0;
  return 0;
}

/** Writes the header at `at`: its bytes, or -1 with nothing written if there is no room. */
export function encode(pci: DtPci, into: Uint8Array, at: number, layout: DtPciLayout): number {
  if (at < 0 || into.length - at < layout.headerBytes) return -1;
  putWord(pci.dst, into, at, layout.addrBytes);
  into[at + layout.cubeAt] = pci.cube;
  into[at + layout.ttlAt] = pci.ttl;
  into[at + layout.ecnAt] = pci.ecn;
  const low = Math.min(4, layout.eidBytes);
  putWord(pci.eidLo, into, at + layout.eidAt, low);
  if (layout.eidBytes > 4) putWord(pci.eidHi, into, at + layout.eidAt + 4, layout.eidBytes - 4);
  return layout.headerBytes;
}

/** Why a layer cannot have such sizes, or undefined. */
export function badSizes(addrBytes: number, eidBytes: number): WireError | undefined {
  if (addrBytes < ADDR_BYTES_MIN || addrBytes > ADDR_BYTES_MAX) {
    return new WireError("addr_size", `${addrBytes}, not ${ADDR_BYTES_MIN} to ${ADDR_BYTES_MAX}`);
  }
  if (eidBytes < EID_BYTES_MIN || eidBytes > EID_BYTES_MAX) {
    return new WireError("eid_size", `${eidBytes}, not ${EID_BYTES_MIN} to ${EID_BYTES_MAX}`);
  }
  return undefined;
}

/** An address as people see it: the bytes in the order of the header, in hex with dots (spec 60 §4). */
export function dotted(addr: number): string {
  const hex = (shift: number) => ((addr >>> shift) & 0xff).toString(16).padStart(2, "0");
  return `${hex(0)}.${hex(8)}.${hex(16)}.${hex(24)}`;
}

/** One line for people. */
export function describe(b: Uint8Array, layout: DtPciLayout = FLAT_LAYOUT): string {
  const pci = emptyDtPci();
  if (parse(b, 0, b.length, layout, pci) < 0) return `dt: short: ${b.length} bytes`;
  const hex = (n: number) => n.toString(16).padStart(8, "0");
  const eid = pci.eidHi === 0 && pci.eidLo < 64 ? `${pci.eidLo}` : hex(pci.eidHi) + hex(pci.eidLo);
  return `dt: to ${dotted(pci.dst)} eid ${eid} cube ${pci.cube} ttl ${pci.ttl} ecn ${pci.ecn}, ` +
    `${b.length - layout.headerBytes} bytes`;
}
