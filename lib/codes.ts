/**
 * Numbers carried in messages of the IRMd and the IPCPs (spec 20 §3): request codes, types, states,
 * policies. They are fixed by compatibility with the prototype. Pure.
 */

/** `irm_msg.code`. */
export const IrmCode = {
  IRM_CREATE_IPCP: 1,
  IPCP_CREATE_R: 2,
  IRM_DESTROY_IPCP: 3,
  IRM_LIST_IPCPS: 4,
  IRM_BOOTSTRAP_IPCP: 5,
  IRM_ENROLL_IPCP: 6,
  IRM_CONNECT_IPCP: 7,
  IRM_DISCONNECT_IPCP: 8,
  IRM_BIND_PROGRAM: 9,
  IRM_UNBIND_PROGRAM: 10,
  IRM_PROC_ANNOUNCE: 11,
  IRM_PROC_EXIT: 12,
  IRM_BIND_PROCESS: 13,
  IRM_UNBIND_PROCESS: 14,
  IRM_CREATE_NAME: 15,
  IRM_DESTROY_NAME: 16,
  IRM_LIST_NAMES: 17,
  IRM_REG_NAME: 18,
  IRM_UNREG_NAME: 19,
  IRM_FLOW_ALLOC: 20,
  IRM_FLOW_ACCEPT: 21,
  IRM_FLOW_JOIN: 22,
  IRM_FLOW_DEALLOC: 23,
  IPCP_FLOW_DEALLOC: 24,
  IPCP_FLOW_REQ_ARR: 25,
  IPCP_FLOW_ALLOC_REPLY: 26,
  IRM_REPLY: 27,
  /** Ours: which IPCP knows a name now. */
  IRM_QUERY_NAME: 100,
  /** Ours: how many members of a layer can be reached from here. */
  IRM_COUNT_MEMBERS: 101,
  /** Ours: an IPCP says why it reaches nothing at the moment (the cause of `error`), or without that, that it does. */
  IPCP_STATUS: 102,
  /** Ours: what each user holds of what users share. */
  IRM_LIST_USERS: 103,
  /** Ours: the state of the node as a configuration file. */
  IRM_SAVE: 104,
  /** Ours: a thread of a process; there is no answer, and the flows that name it end when the connection does. */
  IRM_THREAD: 105,
  /** Ours: how many packets of a flow the IPCP below it dropped. */
  IRM_FLOW_LOSSES: 106,
  /** Ours: a UDP IPCP is at another address now (the bytes in `hash`). */
  IPCP_MOVED: 107,
} as const;

/** `ipcp_msg.code`. IPCP_FLOW_DEALLOC is 9 here and 24 towards the IRMd. */
export const IpcpCode = {
  IPCP_BOOTSTRAP: 1,
  IPCP_ENROLL: 2,
  IPCP_REG: 3,
  IPCP_UNREG: 4,
  IPCP_QUERY: 5,
  IPCP_FLOW_ALLOC: 6,
  IPCP_FLOW_JOIN: 7,
  IPCP_FLOW_ALLOC_RESP: 8,
  IPCP_FLOW_DEALLOC: 9,
  IPCP_CONNECT: 10,
  IPCP_DISCONNECT: 11,
  IPCP_REPLY: 12,
  /** Ours: how many members of its layer the IPCP can reach, itself included; the count is the response. */
  IPCP_COUNT_MEMBERS: 100,
  /** Ours: how many packets of a flow it dropped. */
  IPCP_FLOW_LOSSES: 101,
} as const;

/** IPCP types; the order is the order in which the IRMd asks IPCPs for a destination. */
export const IpcpType = {
  LOCAL: 0,
  UNICAST: 1,
  BROADCAST: 2,
  ETH_LLC: 3,
  ETH_DIX: 4,
  UDP4: 5,
  UDP6: 6,
} as const;

/** Words of the IPCP types, by number. */
export const IPCP_TYPE_WORDS = [
  "local",
  "unicast",
  "broadcast",
  "eth-llc",
  "eth-dix",
  "udp4",
  "udp6",
] as const;

/** States of an IPCP. */
export const IpcpState = {
  NULL: 0,
  INIT: 1,
  BOOT: 2,
  BOOTSTRAPPED: 3,
  ENROLLED: 4,
  OPERATIONAL: 5,
  SHUTDOWN: 6,
} as const;

/** States of a flow record (spec 20 §8.1). */
export const FlowState = {
  INIT: 0,
  ALLOC_PENDING: 1,
  ACCEPT_PENDING: 2,
  ALLOCATED: 3,
  DEALLOC_PENDING: 4,
  DEALLOCATED: 5,
  DESTROY: 6,
  NULL: 7,
} as const;

/** Load balancing among the acceptors of a name. */
export const PolLb = { ROUND_ROBIN: 0, SPILLOVER: 1, INVALID: 2 } as const;

/** Name hash of a layer's directory. */
export const HashAlgo = {
  SHA3_224: 0,
  SHA3_256: 1,
  SHA3_384: 2,
  SHA3_512: 3,
  CRC32: 4,
  MD5: 5,
} as const;

/** Bytes of a hash by its algorithm's number. */
export const HASH_BYTES = [28, 32, 48, 64, 4, 16] as const;

/** Routing: link state, with three policies. */
export const RoutingPol = { LINK_STATE: 0 } as const;
/** Policies of link-state routing. */
export const LsPol = { SIMPLE: 0, LFA: 1, ECMP: 2 } as const;
/** Directory: DHT. */
export const DirPol = { DHT: 0 } as const;
/** Address authority: flat random addresses. */
export const AddrAuth = { FLAT_RANDOM: 0 } as const;
/** Congestion avoidance. */
export const CongAvoid = { NONE: 0, MB_ECN: 1 } as const;

/** Policies of a unicast layer whose place a file may take (our addition). */
export const PolicyKind = {
  ADDRESS: 0,
  ROUTING: 1,
  FORWARDING: 2,
  CONGESTION: 3,
  DIRECTORY: 4,
} as const;
/** Stage of a failure that files of policies are the cause of. */
export const POLICY_STAGE = "policy";
/** Their words in commands and configuration files, by number. */
export const POLICY_WORDS = [
  "addr_auth",
  "routing",
  "forwarding",
  "congestion",
  "directory",
] as const;

/** Bit 0 of `irm_msg.opts` in a bind: start the program on a request. */
export const BIND_AUTO = 1;

/** Bit 0 of `irm_msg.opts` in a list request: the client reads replies of any length (our addition). */
export const LIST_LONG = 1;

/** Bit 0 of `irm_msg.opts` in a request for a flow: the reply may hold the name and the layer (our addition). */
export const FLOW_ABOUT = 1;

/** Bit 0 of `irm_msg.opts` of a thread: it announced the process, which leaves when its last thread ends (our addition). */
export const THREAD_ANNOUNCED = 1;

/**
 * Bit 1 of `irm_msg.opts` of an accept, and of what the IRMd says before its reply: it tells of the request, and the client
 * answers on the same connection with `response` (0: take it) and the cause of `error` (our addition).
 */
export const FLOW_ASK = 2;

/**
 * Bit 2 of `irm_msg.opts` in a request for a flow or for the end of one: the client will ask again on the same connection. The
 * IRMd that leaves it open says so with the same bit in its reply (our addition).
 */
export const FLOW_KEEP = 4;

/** Layer name of an IPCP before bootstrap or enrollment. */
export const NOT_ENROLLED = "Not enrolled.";

/** Component names of connect and disconnect. */
export const COMP_MANAGEMENT = "Management";
/** Component that carries data. */
export const COMP_DATA_TRANSFER = "Data Transfer";

/** Symbolic name of an `irm_msg` code, or its number as text. */
export function irmCodeName(code: number): string {
  return IRM_NAMES.get(code) ?? String(code);
}

/** Symbolic name of an `ipcp_msg` code, or its number as text. */
export function ipcpCodeName(code: number): string {
  return IPCP_NAMES.get(code) ?? String(code);
}

const IRM_NAMES = new Map<number, string>(Object.entries(IrmCode).map(([n, c]) => [c, n]));
const IPCP_NAMES = new Map<number, string>(Object.entries(IpcpCode).map(([n, c]) => [c, n]));
