/**
 * Messages of the directory, a DHT of the unicast IPCPs of a layer (dht.proto, spec 70 §6): payload of a data transfer
 * packet to EID 1. Pure.
 *
 * proto2; unknown fields are skipped at every level. `src` is who sends; keys and ids have the length of the layer's
 * hashes; a value is an address, 8 bytes big endian. A node lives with what prototypes send and is stricter in what it
 * believes (spec 70 §13.2): contacts and values that make no sense are left out of what {@linkcode parse} returns.
 */

import { dotted } from "./dt_pci.ts";
import { WireError } from "./mod.ts";
import { bin, num, Schema, sub } from "./proto.ts";

/** Longest hash, bytes (SHA3-512). */
const HASH_BYTES_MAX = 64;
/** Longest value that a prototype may hold; ours are 8 bytes. */
const VALUE_BYTES_MAX = 2048;
/** Bytes of an address as a value. */
export const VALUE_BYTES = 8;

/** Codes of the messages. */
export const DhtCode = {
  store: 0,
  findNodeReq: 1,
  findNodeRsp: 2,
  findValueReq: 3,
  findValueRsp: 4,
} as const;

/** A node as messages name it. */
export interface DhtContact {
  readonly id: Uint8Array;
  /** 1 … 2^32-1. */
  readonly addr: number;
}

/** Any message. A cookie is 64 bits. */
export type DhtMsg =
  | {
    readonly kind: "store";
    readonly src: DhtContact;
    readonly key: Uint8Array;
    readonly value: number;
    /** When the value expires, s since 1970. */
    readonly expires: number;
  }
  | {
    readonly kind: "find_node_req" | "find_value_req";
    readonly src: DhtContact;
    readonly cookie: bigint;
    readonly key: Uint8Array;
  }
  | {
    readonly kind: "find_node_rsp";
    readonly src: DhtContact;
    readonly cookie: bigint;
    readonly key: Uint8Array;
    readonly contacts: readonly DhtContact[];
  }
  | {
    readonly kind: "find_value_rsp";
    readonly src: DhtContact;
    readonly cookie: bigint;
    readonly key: Uint8Array;
    readonly contacts: readonly DhtContact[];
    readonly values: readonly number[];
  };

interface RawContact {
  id: Uint8Array;
  addr: bigint;
}
interface RawFind {
  cookie: bigint;
  key: Uint8Array;
}
interface RawNode extends RawFind {
  contacts?: RawContact[];
}
/** A message as it is on the wire, unchecked; for tests and tracing. */
export interface RawDhtMsg {
  code: number;
  src: RawContact;
  store?: { key: Uint8Array; val: Uint8Array; exp: number };
  find?: RawFind;
  node?: RawNode;
  val?: { values?: Uint8Array[] };
}

const contact = new Schema<RawContact>("dht_contact_msg", [
  bin(1, "id", VALUE_BYTES_MAX),
  num(2, "addr", "uint64"),
]);
const store = new Schema<NonNullable<RawDhtMsg["store"]>>("dht_store_msg", [
  bin(1, "key", VALUE_BYTES_MAX),
  bin(2, "val", VALUE_BYTES_MAX),
  num(3, "exp", "uint32"),
]);
const find = new Schema<RawFind>("dht_find_req_msg", [
  num(1, "cookie", "uint64"),
  bin(2, "key", VALUE_BYTES_MAX),
]);
const node = new Schema<RawNode>("dht_find_node_rsp_msg", [
  num(1, "cookie", "uint64"),
  bin(2, "key", VALUE_BYTES_MAX),
  sub(3, "contacts", contact, "repeated"),
]);
const val = new Schema<NonNullable<RawDhtMsg["val"]>>("dht_find_value_rsp_msg", [
  bin(1, "values", VALUE_BYTES_MAX, "repeated"),
]);
const schema = new Schema<RawDhtMsg>("dht_msg", [
  num(1, "code", "uint32"),
  sub(2, "src", contact),
  sub(3, "store", store, "optional"),
  sub(4, "find", find, "optional"),
  sub(5, "node", node, "optional"),
  sub(6, "val", val, "optional"),
]);

/** The fields of a message, whatever they say. */
export function parseRaw(b: Uint8Array): RawDhtMsg | WireError {
  return schema.decode(b);
}

/** The bytes of a message as its fields say. */
export function encodeRaw(m: RawDhtMsg): Uint8Array {
  return schema.encode(m);
}

function isAddress(addr: bigint): boolean {
  return addr > 0n && addr <= 0xffffffffn;
}

/** An address as a value of the directory. */
export function valueOf(addr: number): Uint8Array {
  const b = new Uint8Array(VALUE_BYTES);
  new DataView(b.buffer).setUint32(4, addr);
  return b;
}

/** The address in a value, or 0 if it holds none. */
export function addressIn(value: Uint8Array): number {
  if (value.length !== VALUE_BYTES) return 0;
  const v = new DataView(value.buffer, value.byteOffset, VALUE_BYTES);
  return v.getUint32(0) === 0 ? v.getUint32(4) : 0;
}

/** The message in `b`, or why it is none; `hashBytes` is the length of the layer's hashes. */
export function parse(b: Uint8Array, hashBytes: number): DhtMsg | WireError {
  const m = schema.decode(b);
  if (m instanceof WireError) return m;
  if (m.code > DhtCode.findValueRsp) return new WireError("code", `unknown: ${m.code}`);
  const whole = (x: Uint8Array) => x.length === hashBytes;
  if (!whole(m.src.id)) return new WireError("src.id", `${m.src.id.length} of ${hashBytes} bytes`);
  if (!isAddress(m.src.addr)) return new WireError("src.addr", "not an address");
  const src = { id: m.src.id, addr: Number(m.src.addr) };
  if (m.code === DhtCode.store) {
    if (m.store === undefined) return new WireError("store", "missing");
    if (!whole(m.store.key)) return new WireError("store.key", `${m.store.key.length} bytes`);
    const value = addressIn(m.store.val);
    if (value === 0) return new WireError("store.val", "not an address");
    return { kind: "store", src, key: m.store.key, value, expires: m.store.exp };
  }
  if (m.code === DhtCode.findNodeReq || m.code === DhtCode.findValueReq) {
    if (m.find === undefined) return new WireError("find", "missing");
    if (!whole(m.find.key)) return new WireError("find.key", `${m.find.key.length} bytes`);
    const kind = m.code === DhtCode.findNodeReq ? "find_node_req" : "find_value_req";
    return { kind, src, cookie: m.find.cookie, key: m.find.key };
  }
  if (m.code === DhtCode.findValueRsp && m.val === undefined) {
    return new WireError("val", "missing");
  }
  if (m.node === undefined) return new WireError("node", "missing");
  if (!whole(m.node.key)) return new WireError("node.key", `${m.node.key.length} bytes`);
  const { cookie, key } = m.node;
  const contacts: DhtContact[] = [];
  for (const c of m.node.contacts ?? []) {
    if (whole(c.id) && isAddress(c.addr)) contacts.push({ id: c.id, addr: Number(c.addr) });
  }
  if (m.code === DhtCode.findNodeRsp) return { kind: "find_node_rsp", src, cookie, key, contacts };
  const values = (m.val?.values ?? []).map(addressIn).filter((a) => a !== 0);
  return { kind: "find_value_rsp", src, cookie, key, contacts, values };
}

/** The bytes of a message. */
export function encode(m: DhtMsg): Uint8Array {
  const raw = (c: DhtContact): RawContact => ({ id: c.id, addr: BigInt(c.addr) });
  const src = raw(m.src);
  switch (m.kind) {
    case "store": {
      const part = { key: m.key, val: valueOf(m.value), exp: m.expires };
      return schema.encode({ code: DhtCode.store, src, store: part });
    }
    case "find_node_req":
    case "find_value_req": {
      const code = m.kind === "find_node_req" ? DhtCode.findNodeReq : DhtCode.findValueReq;
      return schema.encode({ code, src, find: { cookie: m.cookie, key: m.key } });
    }
    case "find_node_rsp":
    case "find_value_rsp": {
      const part = { cookie: m.cookie, key: m.key, contacts: m.contacts.map(raw) };
      if (m.kind === "find_node_rsp") {
        return schema.encode({ code: DhtCode.findNodeRsp, src, node: part });
      }
      const values = m.values.map(valueOf);
      return schema.encode({ code: DhtCode.findValueRsp, src, node: part, val: { values } });
    }
  }
}

/** One line for people. */
export function describe(b: Uint8Array, hashBytes = 32): string {
  const m = parse(b, hashBytes);
  if (m instanceof WireError) return `dht: ${m}`;
  const key = m.key.subarray(0, 4).toHex();
  const from = `from ${dotted(m.src.addr)}, key ${key}`;
  switch (m.kind) {
    case "store":
      return `dht: store ${from}, value ${dotted(m.value)} until ${m.expires}`;
    case "find_node_req":
    case "find_value_req":
      return `dht: ${m.kind} ${from}`;
    case "find_node_rsp":
      return `dht: ${m.kind} ${from}, ${m.contacts.length} contacts`;
    case "find_value_rsp":
      return `dht: ${m.kind} ${from}, ${m.contacts.length} contacts, ${m.values.length} values`;
  }
}

export { HASH_BYTES_MAX };
