/**
 * Configuration of an IPCP as it travels in messages (`ipcp_config_msg`, spec 20 §3), used by bootstrap
 * requests and by enrollment. Pure.
 *
 * `ipcpType` decides which sub-configuration is there; decoding refuses a message whose sub-configuration
 * is missing, so nobody has to look for it again.
 */

import { NAME_BYTES_MAX, SECURITY_PATH_BYTES_MAX } from "../limits.ts";
import { bin, num, Schema, str, sub } from "./proto.ts";
import type { IpcpType } from "../codes.ts";

/** `layer_info_msg`. */
export interface LayerInfo {
  /** Name of the layer. */
  name: string;
  /** One of `HashAlgo`. */
  dirHashAlgo: number;
}

/** `ls_config_msg`: link-state routing; times in seconds. */
export interface LsConfig {
  /** One of `LsPol`. */
  pol: number;
  /** Time between two calculations of routes, s. */
  tRecalc: number;
  /** Time between two updates, s. */
  tUpdate: number;
  /** Age at which what a member said is forgotten, s. */
  tTimeo: number;
}

/** `routing_config_msg`. */
export interface RoutingConfig {
  /** One of `RoutingPol`. */
  pol: number;
  /** Link state; there when `pol` is 0. */
  ls?: LsConfig | undefined;
}

/** `dt_config_msg`: sizes in bytes, `maxTtl` in hops. */
export interface DtConfig {
  /** Bytes of an address. */
  addrSize: number;
  /** Bytes of an endpoint id. */
  eidSize: number;
  /** Hops after which a packet is dropped. */
  maxTtl: number;
  /** Routing. */
  routing: RoutingConfig;
}

/** `dir_dht_config_msg`; times in seconds. */
export interface DhtConfig {
  /** Lookups under way at once. */
  alpha: number;
  /** Entries of a bucket. */
  k: number;
  /** Age at which an entry is forgotten. */
  tExpire: number;
  /** Time between two refreshes of a bucket. */
  tRefresh: number;
  /** Time between two replications. */
  tReplicate: number;
  /** Address of a peer to bootstrap from, 0 = none. */
  peer: bigint;
}

/** `dir_config_msg`. */
export interface DirConfig {
  /** One of `DirPol`. */
  pol: number;
  /** There when `pol` is 0. */
  dht?: DhtConfig | undefined;
}

/**
 * A file that takes the place of a shipped policy (our addition; a prototype skips it). To an IPCP of this host it is a
 * path without a digest, between members a file name and the digest of what the file says.
 */
export interface PolicyRef {
  /** One of `PolicyKind`. */
  kind: number;
  /** Its path, or its name. */
  file: string;
  /** SHA-256 of the file, 32 bytes. */
  sha256?: Uint8Array | undefined;
}

/** `uni_config_msg`. */
export interface UnicastConfig {
  /** Data transfer. */
  dt: DtConfig;
  /** Directory. */
  dir: DirConfig;
  /** One of `AddrAuth`. */
  addrAuthType: number;
  /** One of `CongAvoid`. */
  congAvoid: number;
  /** Files in the place of shipped policies. */
  policies?: PolicyRef[] | undefined;
}

/** `udp4_config_msg`: addresses are the network-order bytes read as a little-endian word; DNS 0 = none. */
export interface Udp4Config {
  /** Own address; 0 is any. */
  ipAddr: number;
  /** UDP port. */
  port: number;
  /** Address of the DNS server. */
  dnsAddr: number;
}

/** `udp6_config_msg`: addresses are 16 bytes; DNS all zero = none. */
export interface Udp6Config {
  /** Own address; all zero is any. */
  ipAddr: Uint8Array;
  /** UDP port. */
  port: number;
  /** Address of the DNS server. */
  dnsAddr: Uint8Array;
}

/** `eth_config_msg`. */
export interface EthConfig {
  /** Network device. */
  dev: string;
  /** Ethertype, for eth-dix. */
  ethertype: number;
}

/** `ipcp_config_msg`, told apart by `ipcpType`. */
export type IpcpConfig =
  | { layerInfo: LayerInfo; ipcpType: typeof IpcpType.LOCAL | typeof IpcpType.BROADCAST }
  | { layerInfo: LayerInfo; ipcpType: typeof IpcpType.UNICAST; unicast: UnicastConfig }
  | { layerInfo: LayerInfo; ipcpType: typeof IpcpType.UDP4; udp4: Udp4Config }
  | { layerInfo: LayerInfo; ipcpType: typeof IpcpType.UDP6; udp6: Udp6Config }
  | {
    layerInfo: LayerInfo;
    ipcpType: typeof IpcpType.ETH_LLC | typeof IpcpType.ETH_DIX;
    eth: EthConfig;
  };

/** `layer_info_msg`. */
export const layerInfoSchema: Schema<LayerInfo> = new Schema<LayerInfo>("layer_info_msg", [
  str(1, "name", NAME_BYTES_MAX),
  num(2, "dir_hash_algo", "uint32"),
]);

const ls = new Schema<LsConfig>("ls_config_msg", [
  num(1, "pol", "uint32"),
  num(2, "t_recalc", "uint32"),
  num(3, "t_update", "uint32"),
  num(4, "t_timeo", "uint32"),
]);

const routing = new Schema<RoutingConfig>(
  "routing_config_msg",
  [num(1, "pol", "uint32"), sub(2, "ls", ls, "optional")],
  (r) => r.pol === 0 && r.ls === undefined ? "ls is missing" : undefined,
);

const dt = new Schema<DtConfig>("dt_config_msg", [
  num(1, "addr_size", "uint32"),
  num(2, "eid_size", "uint32"),
  num(3, "max_ttl", "uint32"),
  sub(4, "routing", routing),
]);

const dht = new Schema<DhtConfig>("dir_dht_config_msg", [
  num(1, "alpha", "uint32"),
  num(2, "k", "uint32"),
  num(3, "t_expire", "uint32"),
  num(4, "t_refresh", "uint32"),
  num(5, "t_replicate", "uint32"),
  num(6, "peer", "uint64"),
]);

const dir = new Schema<DirConfig>(
  "dir_config_msg",
  [num(1, "pol", "uint32"), sub(2, "dht", dht, "optional")],
  (d) => d.pol === 0 && d.dht === undefined ? "dht is missing" : undefined,
);

/** `policy_msg`, ours. */
export const policySchema: Schema<PolicyRef> = new Schema<PolicyRef>("policy_msg", [
  num(1, "kind", "uint32"),
  str(2, "file", SECURITY_PATH_BYTES_MAX),
  bin(3, "sha256", 32, "optional"),
]);

const unicast = new Schema<UnicastConfig>("uni_config_msg", [
  sub(1, "dt", dt),
  sub(2, "dir", dir),
  num(3, "addr_auth_type", "uint32"),
  num(4, "cong_avoid", "uint32"),
  sub(100, "policies", policySchema, "repeated"),
]);

const udp4 = new Schema<Udp4Config>("udp4_config_msg", [
  num(1, "ip_addr", "uint32"),
  num(2, "port", "uint32"),
  num(3, "dns_addr", "uint32"),
]);

const udp6 = new Schema<Udp6Config>(
  "udp6_config_msg",
  [bin(1, "ip_addr", 16), num(2, "port", "uint32"), bin(3, "dns_addr", 16)],
  (c) => c.ipAddr.length !== 16 || c.dnsAddr.length !== 16 ? "address is not 16 bytes" : undefined,
);

const eth = new Schema<EthConfig>("eth_config_msg", [
  str(1, "dev", NAME_BYTES_MAX),
  num(2, "ethertype", "uint32"),
]);

/** Which sub-configuration each type needs. */
const PART = [undefined, "unicast", undefined, "eth", "eth", "udp4", "udp6"] as const;

/** `ipcp_config_msg`. */
export const ipcpConfigSchema: Schema<IpcpConfig> = new Schema<IpcpConfig>(
  "ipcp_config_msg",
  [
    sub(1, "layer_info", layerInfoSchema),
    num(2, "ipcp_type", "uint32"),
    sub(3, "unicast", unicast, "optional"),
    sub(4, "udp4", udp4, "optional"),
    sub(5, "udp6", udp6, "optional"),
    sub(6, "eth", eth, "optional"),
  ],
  (c) => {
    if (c.ipcpType >= PART.length) return `unknown IPCP type: ${c.ipcpType}`;
    const part = PART[c.ipcpType];
    return part !== undefined && !(part in c) ? `${part} is missing` : undefined;
  },
);
