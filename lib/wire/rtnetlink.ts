/**
 * Link messages of the kernel (rtnetlink): RTM_NEWLINK and RTM_DELLINK. Pure.
 *
 * Host byte order, little-endian here. A datagram holds messages, each padded to 4 bytes:
 * `nlmsghdr` {len u32, type u16, flags u16, seq u32, pid u32}, `ifinfomsg` {family u8, pad u8, type u16,
 * index i32, flags u32, change u32}, then attributes {len u16, type u16, value} padded to 4.
 * Other messages and attributes are skipped; a length that does not fit ends the parse.
 */

/** One change of a link. */
export interface LinkChange {
  readonly index: number;
  /** The device's name, or undefined if the message does not say. */
  readonly name: string | undefined;
  /** The device is gone. */
  readonly deleted: boolean;
  /** Administratively up and with a carrier. */
  readonly up: boolean;
  readonly mtu: number | undefined;
  readonly mac: Uint8Array | undefined;
}

/** Of other families is what a bridge says: a DELLINK there is of a device that has left it and lives on. */
const AF_UNSPEC = 0;
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const HEADER_BYTES = 16;
const INFO_BYTES = 16;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
/** Longest name with its terminating zero, bytes. */
const NAME_BYTES_MAX = 16;
const IFF_UP = 1;
const IFF_RUNNING = 0x40;

/** All link changes of one datagram. */
export function parseLinks(b: Uint8Array): LinkChange[] {
  const v = new DataView(b.buffer, b.byteOffset, b.length);
  const changes: LinkChange[] = [];
  for (let at = 0; b.length - at >= HEADER_BYTES;) {
    const length = v.getUint32(at, true);
    const type = v.getUint16(at + 4, true);
    if (length < HEADER_BYTES || length > b.length - at) break;
    const isLink = (type === RTM_NEWLINK || type === RTM_DELLINK) &&
      length >= HEADER_BYTES + INFO_BYTES && b[at + HEADER_BYTES] === AF_UNSPEC;
    if (isLink) {
      changes.push(parseOne(b, v, at, at + length, type === RTM_DELLINK));
    }
    at += (length + 3) & ~3;
  }
  return changes;
}

function parseOne(
  b: Uint8Array,
  v: DataView,
  at: number,
  end: number,
  deleted: boolean,
): LinkChange {
  const info = at + HEADER_BYTES;
  const index = v.getInt32(info + 4, true);
  const flags = v.getUint32(info + 8, true);
  let mtu: number | undefined;
  let mac: Uint8Array | undefined;
  let name: string | undefined;
  for (let attr = info + INFO_BYTES; end - attr >= 4;) {
    const length = v.getUint16(attr, true);
    const type = v.getUint16(attr + 2, true);
    if (length < 4 || length > end - attr) break;
    if (type === IFLA_IFNAME) name = nameOf(b.subarray(attr + 4, attr + length));
    if (type === IFLA_MTU && length >= 8) mtu = v.getUint32(attr + 4, true);
    if (type === IFLA_ADDRESS && length >= 10) mac = b.slice(attr + 4, attr + 10);
    attr += (length + 3) & ~3;
  }
  const up = !deleted && (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0;
  return { index, name, deleted, up, mtu, mac };
}

function nameOf(b: Uint8Array): string | undefined {
  const end = b.indexOf(0);
  if (end <= 0 || end >= NAME_BYTES_MAX) return undefined;
  return new TextDecoder().decode(b.subarray(0, end));
}
