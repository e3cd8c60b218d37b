/**
 * The options of bootstrapping an IPCP as people give them, on the command line or in `irmd.conf`
 * (spec 21 A2.3, B4), with their defaults and ranges, and the message made from them. Pure.
 */

import { AddrAuth, CongAvoid, DirPol, HashAlgo, IpcpType, LsPol, RoutingPol } from "../codes.ts";
import { POLICY_WORDS } from "../codes.ts";
import type { IpcpConfig, PolicyRef } from "../wire/ipcp_config.ts";

/** Everything that can be said; each type reads its own part. Addresses are in network order. */
export interface BootstrapOptions {
  /** One of `HashAlgo`; UDP layers always use MD5. */
  hashAlgo: number;
  /** Own address of a UDP IPCP; undefined is the any-address. */
  ip: Uint8Array | undefined;
  /** Address of the DNS server of a UDP layer, if there is one. */
  dns: Uint8Array | undefined;
  /** UDP port. */
  port: number;
  /** Network interface of an Ethernet IPCP. */
  device: string;
  /** Ethertype of an Ethernet layer, 0x600 and more. */
  ethertype: number;
  /** Bytes. */
  addrSize: number;
  /** Bytes. */
  eidSize: number;
  /** Hops. */
  maxTtl: number;
  /** One of `LsPol`. */
  lsPol: number;
  /** Seconds. */
  lsTRecalc: number;
  /** Seconds. */
  lsTUpdate: number;
  /** Seconds. */
  lsTTimeo: number;
  /** Lookups under way at once. */
  dhtAlpha: number;
  /** Entries of a bucket of the directory. */
  dhtK: number;
  /** Seconds. */
  dhtTExpire: number;
  /** Seconds. */
  dhtTRefresh: number;
  /** Seconds. */
  dhtTReplicate: number;
  /** One of `CongAvoid`. */
  congAvoid: number;
  /** Files in the place of policies of a unicast layer, with full paths. */
  policies: PolicyRef[];
}

/** The defaults of spec 21. */
export function defaultBootstrapOptions(): BootstrapOptions {
  return {
    hashAlgo: HashAlgo.SHA3_256,
    ip: undefined,
    dns: undefined,
    port: 3435,
    device: "",
    ethertype: 0xa000,
    addrSize: 4,
    eidSize: 8,
    maxTtl: 60,
    lsPol: LsPol.SIMPLE,
    lsTRecalc: 4,
    lsTUpdate: 15,
    lsTTimeo: 60,
    dhtAlpha: 3,
    dhtK: 8,
    dhtTExpire: 86400,
    dhtTRefresh: 900,
    dhtTReplicate: 900,
    congAvoid: CongAvoid.MB_ECN,
    policies: [],
  };
}

/** Options that are numbers. */
export type NumericOption =
  | "port"
  | "addrSize"
  | "eidSize"
  | "maxTtl"
  | "lsTRecalc"
  | "lsTUpdate"
  | "lsTTimeo"
  | "dhtAlpha"
  | "dhtK"
  | "dhtTExpire"
  | "dhtTRefresh"
  | "dhtTReplicate";

/** Smallest and largest value of each number (spec 21 B4; sizes travel in 8 bits). */
export const BOOTSTRAP_RANGES: Readonly<Record<NumericOption, readonly [number, number]>> = {
  port: [1, 65535],
  addrSize: [1, 255],
  eidSize: [1, 255],
  maxTtl: [1, 255],
  lsTRecalc: [1, 0xffffffff],
  lsTUpdate: [1, 0xffffffff],
  lsTTimeo: [1, 0xffffffff],
  dhtAlpha: [1, 10],
  dhtK: [1, 20],
  dhtTExpire: [10, 86400],
  dhtTRefresh: [3, 3600],
  dhtTReplicate: [3, 3600],
};

/** Whether a word names a file rather than a shipped policy: `./x.ts`, `/etc/ouroboros/x.js`, `x.ts`. */
export function namesPolicyFile(word: string): boolean {
  return word.includes("/") || /\.[jt]s$/.test(word);
}

/** The number of a policy by its word, where a file may take its place. */
export function policyKindOf(word: string): number | undefined {
  const kind = (POLICY_WORDS as readonly string[]).indexOf(word);
  return kind < 0 ? undefined : kind;
}

/** `refs` with a file for a policy, in the place of one that was named before. */
export function withPolicy(refs: readonly PolicyRef[], kind: number, file: string): PolicyRef[] {
  return [...refs.filter((r) => r.kind !== kind), { kind, file }].sort((a, b) => a.kind - b.kind);
}

/** Longest time of link state that an IPCP of ours takes, s; what travels to others has 32 bits. */
export const LINK_SECONDS_MAX = 86_400;

/** What {@linkcode ethertypeValid} takes, for people. */
export const ETHERTYPE_RANGE = "0x0600 to 0xFFFE";

/** Whether an Ethertype can carry a layer: above the lengths of LLC, and not reserved. */
export function ethertypeValid(ethertype: number): boolean {
  return ethertype >= 0x0600 && ethertype < 0xffff;
}

/** The configuration message for a type and a layer. */
export function bootstrapConfig(
  type: number,
  layer: string,
  o: BootstrapOptions,
): IpcpConfig | undefined {
  const layerInfo = { name: layer, dirHashAlgo: o.hashAlgo };
  switch (type) {
    case IpcpType.LOCAL:
    case IpcpType.BROADCAST:
      return { layerInfo, ipcpType: type };
    case IpcpType.ETH_LLC:
    case IpcpType.ETH_DIX:
      return { layerInfo, ipcpType: type, eth: { dev: o.device, ethertype: o.ethertype } };
    case IpcpType.UDP4:
      return {
        layerInfo,
        ipcpType: type,
        udp4: { ipAddr: wordOf(o.ip), port: o.port, dnsAddr: wordOf(o.dns) },
      };
    case IpcpType.UDP6:
      return {
        layerInfo,
        ipcpType: type,
        udp6: {
          ipAddr: o.ip ?? new Uint8Array(16),
          port: o.port,
          dnsAddr: o.dns ?? new Uint8Array(16),
        },
      };
    case IpcpType.UNICAST:
      return { layerInfo, ipcpType: type, unicast: unicastConfig(o) };
    default:
      return undefined;
  }
}

/** A configuration with another own address; undefined where there is none, or none of that length. */
export function withAddress(conf: IpcpConfig, ip: Uint8Array): IpcpConfig | undefined {
  if (conf.ipcpType === IpcpType.UDP4 && ip.length === 4) {
    return { ...conf, udp4: { ...conf.udp4, ipAddr: wordOf(ip) } };
  }
  if (conf.ipcpType === IpcpType.UDP6 && ip.length === 16) {
    return { ...conf, udp6: { ...conf.udp6, ipAddr: ip } };
  }
  return undefined;
}

function unicastConfig(o: BootstrapOptions) {
  return {
    dt: {
      addrSize: o.addrSize,
      eidSize: o.eidSize,
      maxTtl: o.maxTtl,
      routing: {
        pol: RoutingPol.LINK_STATE,
        ls: { pol: o.lsPol, tRecalc: o.lsTRecalc, tUpdate: o.lsTUpdate, tTimeo: o.lsTTimeo },
      },
    },
    dir: {
      pol: DirPol.DHT,
      dht: {
        alpha: o.dhtAlpha,
        k: o.dhtK,
        tExpire: o.dhtTExpire,
        tRefresh: o.dhtTRefresh,
        tReplicate: o.dhtTReplicate,
        peer: 0n,
      },
    },
    addrAuthType: AddrAuth.FLAT_RANDOM,
    congAvoid: o.congAvoid,
    ...(o.policies.length === 0 ? {} : { policies: o.policies }),
  };
}

/** Four network-order bytes as the little-endian word that the message carries; 0 for none. */
function wordOf(address: Uint8Array | undefined): number {
  if (!address || address.length < 4) return 0;
  return new DataView(address.buffer, address.byteOffset, 4).getUint32(0, true);
}
