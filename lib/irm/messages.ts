/**
 * Messages on the sockets of the IRMd and of the IPCPs (spec 20 §3): `irm_msg` and `ipcp_msg`.
 * Pure.
 *
 * Types here say what a message may hold; which fields a request needs is checked by whoever serves it.
 * Decoding never throws: a plain `WireError` means "not such a message" (close without reply), a
 * `WireValueError` means "well formed, but a value may not be used" (answer -22). Sub-messages and the
 * configuration of IPCPs are in `lib/wire/ipcp_config.ts`. Fields from 1000 and fields from 100 of a name, an IPCP and a
 * flow are additions that the prototype skips; messages without them are the prototype's byte for byte.
 */

import type { ErrorDetail } from "../errno.ts";
import {
  LONG_MESSAGE_BYTES_MAX,
  MESSAGE_BYTES_MAX,
  NAME_BYTES_MAX,
  SECURITY_PATH_BYTES_MAX,
} from "../limits.ts";
import { QOS_ZERO, type QosSpec } from "../qos.ts";
import type { WireError } from "../wire/mod.ts";
import { bin, num, Schema, str, sub, WireValueError } from "../wire/proto.ts";
import {
  type IpcpConfig,
  ipcpConfigSchema,
  type LayerInfo,
  layerInfoSchema,
  type PolicyRef,
  policySchema,
} from "../wire/ipcp_config.ts";

export * from "../codes.ts";
export * from "../wire/ipcp_config.ts";
export { WireValueError };

/** Relative time; seconds are a bigint when decoded. */
export interface TimeSpec {
  sec: bigint | number;
  /** 0 … 999999999; larger values are refused. */
  nsec: number;
}

/**
 * What the layer below a flow carries (our addition to `flow_info_msg`): told by the IPCP with the request or the
 * answer, passed on by the IRMd. Absent: nobody said so.
 */
export interface SduLimits {
  /** Longest packet that the layer carries, bytes with all that the flow adds to a message; not 0. */
  sduBytesMax?: number | undefined;
  /** Longest packet that travels in one piece further below, bytes; absent: the same. */
  sduBytesWhole?: number | undefined;
}

/** `flow_info_msg`. */
export interface FlowInfo extends SduLimits {
  /** Flow id, 0 = none. */
  id: number;
  /** The process that uses the flow. */
  nPid: number;
  /** The IPCP below, or the other process of a direct flow. */
  n1Pid: number;
  /** Maximum packet lifetime, ms. */
  mpl: number;
  /** One of `FlowState`. */
  state: number;
  /** What was granted. */
  qos: QosSpec;
  /** Whose pool holds the packets; 0 = GSPP. */
  uid: number;
}

/** `ipcp_info_msg`. */
export interface IpcpInfo {
  /** One of `IpcpType`. */
  type: number;
  name: string;
  pid: number;
  /** One of `IpcpState`. */
  state: number;
}

/** `ipcp_list_msg`, an entry of the reply to a list request. */
export interface IpcpListEntry {
  /** Process id of the IPCP. */
  pid: number;
  /** One of `IpcpType`. */
  type: number;
  /** Name of the IPCP. */
  name: string;
  /** `Not enrolled.` before bootstrap and enrollment. */
  layer: string;
  /** One of `HashAlgo`. */
  hashAlgo: number;
  /** One of `IpcpState` (our addition, like what follows). */
  state?: number | undefined;
  /** What is wrong with it, for a person. */
  note?: string | undefined;
  /** How often it was started again after a crash. */
  restarts?: number | undefined;
  /** Files in the place of shipped policies, for a person. */
  policies?: string | undefined;
}

/** `name_info_msg`; empty paths mean the defaults. */
export interface NameInfo {
  /** The name. */
  name: string;
  /** One of `PolLb`. */
  polLb: number;
  /** Server key and certificate. */
  skey: string;
  /** Certificate of the server. */
  scrt: string;
  /** Client key and certificate. */
  ckey: string;
  /** Certificate of the client. */
  ccrt: string;
  /** Server and client enc.conf (our addition; absent = default). */
  senc?: string | undefined;
  /** `enc.conf` of the client. */
  cenc?: string | undefined;
}

/** Other hosts as a user among users: the number that no user can have. */
export const OTHER_HOSTS = 0xffff_ffff;

/** What a user holds, or what there is, of what users share (our addition). */
export interface UserUse {
  /** The user, or {@linkcode OTHER_HOSTS}. */
  uid: number;
  /** Connections to the IRMd. */
  connections: number;
  /** Announced processes. */
  processes: number;
  /** Flows. */
  flows: number;
  /** KiB in /dev/shm. */
  memoryKib: number;
  /** Costly signatures and key exchanges that wait or are under way; absent: none. */
  exchanges?: number | undefined;
}

/** Whose processes a binding is for (our addition); one of them. Users and groups by name or number. */
export interface BoundFor {
  /** Name or number of a user. */
  user?: string | undefined;
  /** Name or number of a group. */
  group?: string | undefined;
  /** Not 0: everybody's. */
  any?: number | undefined;
}

/** Who is at the other end of a flow, as OAP authenticated it (our addition to the reply with a flow). */
export interface FlowPeer {
  /** Name in the peer's certificate; empty if it has none that counts. */
  name: string;
  /** SHA-256 of the certificate (DER), 32 bytes. */
  fingerprint: Uint8Array;
  /** How it proved that: the kind of its signature key, as `EC prime256v1`. */
  how: string;
}

/** Packets of a flow that the IPCP below it dropped (our addition). */
export interface FlowLosses {
  /** Of those that the process above wrote. */
  sent: number;
  /** Of those that were for it. */
  received: number;
}

/** `irm_msg`. */
export interface IrmMsg {
  /** One of `IrmCode`; unknown numbers are accepted. */
  code: number;
  prog?: string | undefined;
  pid?: number | undefined;
  name?: string | undefined;
  flowInfo?: FlowInfo | undefined;
  ipcpInfo?: IpcpInfo | undefined;
  nameInfo?: NameInfo | undefined;
  layer?: string | undefined;
  exec?: string[] | undefined;
  response?: number | undefined;
  dst?: string | undefined;
  hash?: Uint8Array | undefined;
  flowId?: number | undefined;
  qos?: QosSpec | undefined;
  conf?: IpcpConfig | undefined;
  /** Bit set, `BIND_AUTO`. */
  opts?: number | undefined;
  ipcps?: IpcpListEntry[] | undefined;
  names?: NameInfo[] | undefined;
  timeo?: TimeSpec | undefined;
  mpl?: number | undefined;
  comp?: string | undefined;
  pk?: Uint8Array | undefined;
  timeoSec?: number | undefined;
  timeoNsec?: number | undefined;
  result?: number | undefined;
  symKey?: Uint8Array | undefined;
  cipherNid?: number | undefined;
  /** Absent: the other end did not authenticate (our addition). */
  peer?: FlowPeer | undefined;
  /** Longest message that the sender reads from the other, in IPCP_CREATE_R; absent: 10240 (our addition). */
  messageBytesMax?: number | undefined;
  /** The thread that asks, by a random number: its flows end with it (our addition). */
  thread?: number | undefined;
  /** Where and why it failed (our addition). */
  error?: ErrorDetail | undefined;
  /** Whose processes a binding is for; absent: those of who makes it (our addition). */
  boundFor?: BoundFor | undefined;
  /** Reply to a list of users: one that holds something each (our addition, like the next). */
  users?: UserUse[] | undefined;
  /** What there is, in all. */
  totals?: UserUse | undefined;
  /** Reply to a save: the configuration file (our addition, like the next). */
  config?: string | undefined;
  /** What of the state is not in it, sentences without full stop. */
  unsaved?: string[] | undefined;
  /** What the IPCP below dropped of the flow; absent: it does not say (our addition). */
  losses?: FlowLosses | undefined;
  /** Enrollment: policies of the layer as files (our addition). */
  policies?: PolicyRef[] | undefined;
}

/** `ipcp_msg`. */
export interface IpcpMsg {
  /** One of `IpcpCode`; unknown numbers are accepted. */
  code: number;
  hash?: Uint8Array | undefined;
  flowId?: number | undefined;
  dst?: string | undefined;
  qos?: QosSpec | undefined;
  pk?: Uint8Array | undefined;
  conf?: IpcpConfig | undefined;
  pid?: number | undefined;
  layerInfo?: LayerInfo | undefined;
  response?: number | undefined;
  comp?: string | undefined;
  timeoSec?: number | undefined;
  mpl?: number | undefined;
  result?: number | undefined;
  uid?: number | undefined;
  /** Where and why it failed (our addition). */
  error?: ErrorDetail | undefined;
  /** Enrollment: policies of the layer as files; in the reply, those that it runs with (our addition). */
  policies?: PolicyRef[] | undefined;
  /** What was dropped of a flow (our addition). */
  losses?: FlowLosses | undefined;
}

/** Longest hash of a name, bytes (SHA3-512). */
const HASH_BYTES_MAX = 64;
/** SHA-256 of a certificate, bytes. */
const FINGERPRINT_BYTES = 32;
/** Longest configuration in a reply, bytes: what the longest reply holds beside its other fields. */
export const CONFIG_TEXT_BYTES_MAX = 900_000;
/** How the reason of who refused a flow goes to the IRMd and the IPCPs on its way to who asked. */
export function refusalDetail(cause: string): ErrorDetail {
  return { stage: "flow alloc", process: "the server", cause };
}

/** Bytes of each text in an error detail; longer ones are cut when encoded. */
const ERROR_TEXT_BYTES_MAX = 512;

const timeSpec = new Schema<TimeSpec>(
  "timespec_msg",
  [num(1, "tv_sec", "uint64", "required", "sec"), num(2, "tv_nsec", "uint32", "required", "nsec")],
  (t) => t.nsec > 999999999 ? `nanoseconds out of range: ${t.nsec}` : undefined,
);

/** `qosspec_msg`. */
export const qosSchema: Schema<QosSpec> = new Schema<QosSpec>("qosspec_msg", [
  num(1, "delay", "uint32"),
  num(2, "bandwidth", "uint64"),
  num(3, "availability", "uint32"),
  num(4, "loss", "uint32"),
  num(5, "ber", "uint32"),
  num(6, "in_order", "uint32"),
  num(7, "max_gap", "uint32"),
  num(8, "timeout", "uint32"),
]);

const flowInfo = new Schema<FlowInfo>("flow_info_msg", [
  num(1, "id", "uint32"),
  num(2, "n_pid", "uint32"),
  num(3, "n_1_pid", "uint32", "required", "n1Pid"),
  num(4, "mpl", "uint32"),
  num(5, "state", "uint32"),
  sub(6, "qos", qosSchema),
  num(7, "uid", "uint32"),
  num(100, "sdu_max", "uint32", "optional", "sduBytesMax"),
  num(101, "sdu_whole", "uint32", "optional", "sduBytesWhole"),
]);

const ipcpInfo = new Schema<IpcpInfo>("ipcp_info_msg", [
  num(1, "type", "uint32"),
  str(2, "name", NAME_BYTES_MAX),
  num(3, "pid", "uint32"),
  num(4, "state", "uint32"),
]);

const ipcpList = new Schema<IpcpListEntry>("ipcp_list_msg", [
  num(1, "pid", "uint32"),
  num(2, "type", "uint32"),
  str(3, "name", NAME_BYTES_MAX),
  str(4, "layer", NAME_BYTES_MAX),
  num(5, "hash_algo", "uint32"),
  num(100, "state", "uint32", "optional"),
  str(101, "note", ERROR_TEXT_BYTES_MAX, "optional"),
  num(102, "restarts", "uint32", "optional"),
  str(103, "policies", ERROR_TEXT_BYTES_MAX, "optional"),
]);

const nameInfo = new Schema<NameInfo>("name_info_msg", [
  str(1, "name", NAME_BYTES_MAX),
  num(2, "pol_lb", "uint32"),
  str(3, "skey", SECURITY_PATH_BYTES_MAX),
  str(4, "scrt", SECURITY_PATH_BYTES_MAX),
  str(5, "ckey", SECURITY_PATH_BYTES_MAX),
  str(6, "ccrt", SECURITY_PATH_BYTES_MAX),
  str(100, "senc", SECURITY_PATH_BYTES_MAX, "optional"),
  str(101, "cenc", SECURITY_PATH_BYTES_MAX, "optional"),
]);

const errorDetail = new Schema<ErrorDetail>("error_msg", [
  str(1, "stage", ERROR_TEXT_BYTES_MAX),
  str(2, "process", ERROR_TEXT_BYTES_MAX),
  str(3, "cause", ERROR_TEXT_BYTES_MAX),
]);

const boundFor = new Schema<BoundFor>("bound_for_msg", [
  str(1, "user", NAME_BYTES_MAX, "optional"),
  str(2, "group", NAME_BYTES_MAX, "optional"),
  num(3, "any", "uint32", "optional"),
]);

const flowPeer = new Schema<FlowPeer>("flow_peer_msg", [
  str(1, "name", NAME_BYTES_MAX),
  bin(2, "fingerprint", FINGERPRINT_BYTES),
  str(3, "how", NAME_BYTES_MAX),
]);

const flowLosses = new Schema<FlowLosses>("flow_losses_msg", [
  num(1, "sent", "uint32"),
  num(2, "received", "uint32"),
]);

const userUse = new Schema<UserUse>("user_use_msg", [
  num(1, "uid", "uint32"),
  num(2, "connections", "uint32"),
  num(3, "processes", "uint32"),
  num(4, "flows", "uint32"),
  num(5, "memory_kib", "uint32", "required", "memoryKib"),
  num(6, "exchanges", "uint32", "optional"),
]);

const irmMsg = new Schema<IrmMsg>("irm_msg", [
  num(1, "code", "enum"),
  str(2, "prog", NAME_BYTES_MAX, "optional"),
  num(3, "pid", "sint32", "optional"),
  str(4, "name", NAME_BYTES_MAX, "optional"),
  sub(5, "flow_info", flowInfo, "optional"),
  sub(6, "ipcp_info", ipcpInfo, "optional"),
  sub(7, "name_info", nameInfo, "optional"),
  str(8, "layer", NAME_BYTES_MAX, "optional"),
  str(9, "exec", MESSAGE_BYTES_MAX, "repeated"),
  num(10, "response", "sint32", "optional"),
  str(11, "dst", NAME_BYTES_MAX, "optional"),
  bin(12, "hash", HASH_BYTES_MAX, "optional"),
  num(13, "flow_id", "sint32", "optional"),
  sub(14, "qosspec", qosSchema, "optional", "qos"),
  sub(15, "conf", ipcpConfigSchema, "optional"),
  num(16, "opts", "uint32", "optional"),
  sub(17, "ipcps", ipcpList, "repeated"),
  sub(18, "names", nameInfo, "repeated"),
  sub(19, "timeo", timeSpec, "optional"),
  num(20, "mpl", "sint32", "optional"),
  str(21, "comp", NAME_BYTES_MAX, "optional"),
  bin(22, "pk", LONG_MESSAGE_BYTES_MAX, "optional"),
  num(23, "timeo_sec", "uint32", "optional"),
  num(24, "timeo_nsec", "uint32", "optional"),
  num(25, "result", "sint32", "optional"),
  bin(26, "sym_key", MESSAGE_BYTES_MAX, "optional"),
  num(27, "cipher_nid", "sint32", "optional"),
  sub(1000, "error", errorDetail, "optional"),
  sub(1001, "bound_for", boundFor, "optional", "boundFor"),
  sub(1002, "peer", flowPeer, "optional"),
  num(1003, "message_max", "uint32", "optional", "messageBytesMax"),
  num(1004, "thread", "uint32", "optional"),
  sub(1010, "users", userUse, "repeated"),
  sub(1011, "totals", userUse, "optional"),
  str(1012, "config", CONFIG_TEXT_BYTES_MAX, "optional"),
  str(1013, "unsaved", MESSAGE_BYTES_MAX, "repeated"),
  sub(1020, "policies", policySchema, "repeated"),
  sub(1030, "losses", flowLosses, "optional"),
]);

const ipcpMsg = new Schema<IpcpMsg>("ipcp_msg", [
  num(1, "code", "enum"),
  bin(2, "hash", HASH_BYTES_MAX, "optional"),
  num(3, "flow_id", "int32", "optional"),
  str(4, "dst", NAME_BYTES_MAX, "optional"),
  sub(5, "qosspec", qosSchema, "optional", "qos"),
  bin(6, "pk", LONG_MESSAGE_BYTES_MAX, "optional"),
  sub(7, "conf", ipcpConfigSchema, "optional"),
  num(8, "pid", "int32", "optional"),
  sub(9, "layer_info", layerInfoSchema, "optional"),
  num(10, "response", "int32", "optional"),
  str(11, "comp", NAME_BYTES_MAX, "optional"),
  num(12, "timeo_sec", "uint32", "optional"),
  num(13, "mpl", "sint32", "optional"),
  num(14, "result", "int32", "optional"),
  num(15, "uid", "uint32", "optional"),
  sub(1000, "error", errorDetail, "optional"),
  sub(1020, "policies", policySchema, "repeated"),
  sub(1030, "losses", flowLosses, "optional"),
]);

/** The bytes of an `irm_msg`, as the prototype's encoder writes them. */
export function encodeIrmMsg(m: IrmMsg): Uint8Array {
  return irmMsg.encode(m.error === undefined ? m : { ...m, error: cutDetail(m.error) });
}

/** An `irm_msg`, or why it is none. Never throws. */
export function decodeIrmMsg(b: Uint8Array): IrmMsg | WireError {
  return irmMsg.decode(b);
}

/** The bytes of an `ipcp_msg`, as the prototype's encoder writes them. */
export function encodeIpcpMsg(m: IpcpMsg): Uint8Array {
  return ipcpMsg.encode(m.error === undefined ? m : { ...m, error: cutDetail(m.error) });
}

/** An `ipcp_msg`, or why it is none. Never throws. */
export function decodeIpcpMsg(b: Uint8Array): IpcpMsg | WireError {
  return ipcpMsg.decode(b);
}

/** A relative time in milliseconds, rounded up; Infinity above 2^53 ms. */
export function timeoMs(t: TimeSpec): number {
  const sec = Number(t.sec);
  const ms = sec * 1000 + Math.ceil(t.nsec / 1e6);
  return ms > Number.MAX_SAFE_INTEGER ? Infinity : ms;
}

/** Milliseconds as a relative time; negative values count as 0. */
export function timeoOfMs(ms: number): TimeSpec {
  const whole = Math.max(0, ms);
  const sec = Math.floor(whole / 1000);
  return { sec: BigInt(sec), nsec: Math.min(999999999, Math.round((whole - sec * 1000) * 1e6)) };
}

/** A flow_info with everything zero but what is given. */
export function flowInfoOf(part: Partial<FlowInfo>): FlowInfo {
  return { id: 0, nPid: 0, n1Pid: 0, mpl: 0, state: 0, qos: QOS_ZERO, uid: 0, ...part };
}

/** What a flow_info says of the layer's limits; 0 says nothing, and a second limit counts only below the first. */
export function sduLimitsOf(info: SduLimits): SduLimits {
  const { sduBytesMax: most, sduBytesWhole: whole } = info;
  if (most === undefined || most === 0) return NO_SDU_LIMITS;
  if (whole === undefined || whole === 0 || whole >= most) return { sduBytesMax: most };
  return { sduBytesMax: most, sduBytesWhole: whole };
}

/** Nothing is known of the layer below. */
export const NO_SDU_LIMITS: SduLimits = Object.freeze({});

function cutDetail(e: ErrorDetail): ErrorDetail {
  return { stage: cut(e.stage), process: cut(e.process), cause: cut(e.cause) };
}

/** One line without NUL, at most {@linkcode ERROR_TEXT_BYTES_MAX} bytes of UTF-8. */
function cut(s: string): string {
  const line = s.replace(/[\0\r\n]+/g, " ");
  if (line.length * 3 <= ERROR_TEXT_BYTES_MAX) return line;
  const room = new Uint8Array(ERROR_TEXT_BYTES_MAX);
  const { read } = new TextEncoder().encodeInto(line, room);
  return line.slice(0, read);
}
