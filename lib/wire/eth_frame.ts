/**
 * Headers of the two Ethernet IPCPs, from the destination MAC to the payload. Pure.
 *
 * Source: spec 50 §11 and §12. Big-endian.
 *
 * | off | DIX (18 bytes)          | LLC (17 bytes)                           |
 * |-----|-------------------------|------------------------------------------|
 * | 0   | destination MAC         | destination MAC                          |
 * | 6   | source MAC              | source MAC                               |
 * | 12  | ethertype u16           | length u16 = 3 + payload bytes           |
 * | 14  | deid u16, 0 management  | DSAP u8, bits reversed; SAP 1 management |
 * | 15  |                         | SSAP u8, bits reversed                   |
 * | 16  | length u16, payload     | control u8 = 0x03                        |
 *
 * The length field counts, not the frame: short frames are padded. A length beyond the frame is
 * refused (spec 50 §18 S5). Payload may be empty (keep-alives).
 */

/** Bytes of the headers. */
export const DIX_HEADER_BYTES = 18;
export const LLC_HEADER_BYTES = 17;
/** DIX bytes after the ethertype; the device's MTU covers these and the payload. */
export const DIX_OVERHEAD_BYTES = 4;
export const LLC_OVERHEAD_BYTES = 3;
/** Endpoint id / SAP of management. */
export const DIX_MGMT_EID = 0;
export const LLC_MGMT_SAP = 1;
/** Flow SAPs; the C table ends at 63. */
export const LLC_SAP_FIRST = 2;
export const LLC_SAP_LAST = 63;
/** Larger values in the length field are ethertypes. */
export const LLC_LENGTH_MAX = 0x05ff;
/** Ethertypes that may be configured. */
export const ETHERTYPE_MIN = 0x0600;
export const ETHERTYPE_MAX = 0xfffe;

const LLC_CONTROL = 0x03;
const AT = { dst: 0, src: 6, type: 12, deid: 14, dixLength: 16, dsap: 14, ssap: 15, control: 16 };

/** A parsed header; the owner reuses it. MACs are left in the frame at offsets 0 and 6. */
export interface EthHeader {
  /** Endpoint id (DIX) or plain SAP (LLC) that the frame is for. */
  deid: number;
  /** Plain source SAP (LLC), 0 for DIX. */
  seid: number;
  /** Where the payload starts, and one past its end. */
  start: number;
  end: number;
}

/** Offset of the sender's MAC address in a frame; the receiver's is at its start. */
export const SRC_MAC_AT = AT.src;
/** Bytes of a MAC address. */
export const MAC_BYTES = 6;

/** A byte with its bits in reverse order (bit 0 <-> bit 7). */
export function reverseBits(x: number): number {
  let r = 0;
  for (let i = 0; i < 8; i++) if (x & (1 << i)) r |= 0x80 >> i;
  return r;
}

const REVERSED = Uint8Array.from({ length: 256 }, (_, i) => reverseBits(i));

/** Parse a DIX frame in `[at, end)`: 0 and `out` filled, or a negative reason ({@linkcode EthReason}). */
export function parseDix(
  b: Uint8Array,
  at: number,
  end: number,
  ethertype: number,
  out: EthHeader,
): number {
  if (end - at < DIX_HEADER_BYTES) return EthReason.short;
  if (((b[at + AT.type]! << 8) | b[at + AT.type + 1]!) !== ethertype) return EthReason.type;
  const length = (b[at + AT.dixLength]! << 8) | b[at + AT.dixLength + 1]!;
  if (length > end - at - DIX_HEADER_BYTES) return EthReason.length;
  out.deid = (b[at + AT.deid]! << 8) | b[at + AT.deid + 1]!;
  out.seid = 0;
  out.start = at + DIX_HEADER_BYTES;
  out.end = out.start + length;
  return 0;
}

/** Parse an LLC frame in `[at, end)`: 0 and `out` filled, or a negative reason. */
export function parseLlc(b: Uint8Array, at: number, end: number, out: EthHeader): number {
  if (end - at < LLC_HEADER_BYTES) return EthReason.short;
  const length = (b[at + AT.type]! << 8) | b[at + AT.type + 1]!;
  if (length > LLC_LENGTH_MAX) return EthReason.type;
  // The length counts the three LLC bytes; less would make the payload end before it starts.
  if (length < LLC_OVERHEAD_BYTES || length > end - at - 14) return EthReason.length;
  if (b[at + AT.control] !== LLC_CONTROL) return EthReason.control;
  out.deid = REVERSED[b[at + AT.dsap]!]!;
  out.seid = REVERSED[b[at + AT.ssap]!]!;
  out.start = at + LLC_HEADER_BYTES;
  out.end = out.start + length - LLC_OVERHEAD_BYTES;
  return 0;
}

/** Reasons for which a frame is refused. */
export const EthReason = { short: -1, type: -2, length: -3, control: -4 } as const;

function putMacs(dst: Uint8Array, src: Uint8Array, into: Uint8Array, at: number): void {
  for (let i = 0; i < MAC_BYTES; i++) {
    into[at + AT.dst + i] = dst[i]!;
    into[at + AT.src + i] = src[i]!;
  }
}

/** Write the 18 bytes of a DIX header; MACs are 6 bytes each, the caller has room. */
export function encodeDix(
  dst: Uint8Array,
  src: Uint8Array,
  ethertype: number,
  deid: number,
  length: number,
  into: Uint8Array,
  at: number,
): void {
  putMacs(dst, src, into, at);
  putDix(ethertype, deid, length, into, at);
}

/** Write what follows the MACs in the DIX header of the frame at `at`. */
export function putDix(
  ethertype: number,
  deid: number,
  length: number,
  into: Uint8Array,
  at: number,
): void {
  into[at + AT.type] = ethertype >>> 8;
  into[at + AT.type + 1] = ethertype;
  into[at + AT.deid] = deid >>> 8;
  into[at + AT.deid + 1] = deid;
  into[at + AT.dixLength] = length >>> 8;
  into[at + AT.dixLength + 1] = length;
}

/** Write the 17 bytes of an LLC header for `length` bytes of payload; SAPs are plain. */
export function encodeLlc(
  dst: Uint8Array,
  src: Uint8Array,
  dsap: number,
  ssap: number,
  length: number,
  into: Uint8Array,
  at: number,
): void {
  putMacs(dst, src, into, at);
  putLlc(dsap, ssap, length, into, at);
}

/** Write what follows the MACs in the LLC header of the frame at `at`. */
export function putLlc(
  dsap: number,
  ssap: number,
  length: number,
  into: Uint8Array,
  at: number,
): void {
  const total = length + LLC_OVERHEAD_BYTES;
  into[at + AT.type] = total >>> 8;
  into[at + AT.type + 1] = total;
  into[at + AT.dsap] = REVERSED[dsap & 0xff]!;
  into[at + AT.ssap] = REVERSED[ssap & 0xff]!;
  into[at + AT.control] = LLC_CONTROL;
}
