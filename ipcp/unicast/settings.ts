/**
 * What a unicast layer is configured with, checked (spec 60 §2, spec 70 §4). Pure.
 *
 * A configuration comes from the command line, from a file, or from a stranger at enrollment: every value is looked at
 * here and nowhere else, since a time-out of 0 or a bucket of 0 makes a prototype spin (spec 60 §19 W5).
 */

import { AddrAuth, CongAvoid, DirPol, HASH_BYTES, LsPol, RoutingPol } from "../../lib/codes.ts";
import { LINK_SECONDS_MAX } from "../../lib/irm/bootstrap_options.ts";
import type { IpcpConfig, UnicastConfig } from "../../lib/wire/ipcp_config.ts";
import { IpcpType } from "../../lib/codes.ts";

/** Which next hops routing gives to a destination. */
export type RoutingPolicy = "simple" | "lfa" | "ecmp";
/** How flows are kept from congesting the layer. */
export type CongestionPolicy = "none" | "mb-ecn";

/** The checked configuration of a layer. Times in µs unless the name says otherwise. */
export interface Settings {
  readonly layer: string;
  readonly hashAlgo: number;
  readonly hashBytes: number;
  readonly addrBytes: number;
  readonly eidBytes: number;
  readonly ttlMax: number;
  readonly routing: RoutingPolicy;
  readonly recalcUs: number;
  readonly updateUs: number;
  readonly timeoutUs: number;
  readonly congestion: CongestionPolicy;
  readonly dht: DhtSettings;
}

/** Parameters of the directory; times in s as they travel. */
export interface DhtSettings {
  /** Requests of one lookup under way at once. */
  readonly alpha: number;
  /** Contacts a bucket holds, and nodes that hold a value. */
  readonly k: number;
  readonly expireSec: number;
  readonly refreshSec: number;
  readonly replicateSec: number;
  /** A node of the layer to begin with, 0 none. */
  readonly peer: number;
}

/** A value that cannot be: one line that names it and its range. */
export interface BadSetting {
  readonly bad: string;
}

const ROUTING: readonly RoutingPolicy[] = ["simple", "lfa", "ecmp"];
const CONGESTION: readonly CongestionPolicy[] = ["none", "mb-ecn"];

/** Whether reading a configuration failed. */
export function isBadSetting(x: Settings | BadSetting): x is BadSetting {
  return "bad" in x;
}

function range(name: string, value: number, min: number, max: number): string | undefined {
  return value >= min && value <= max ? undefined : `${name} is ${value}, not ${min} to ${max}`;
}

function firstBad(c: UnicastConfig): string | undefined {
  const { dt, dir } = c;
  const ls = dt.routing.ls;
  const dht = dir.dht;
  // An eid_size other than 8 is overridden, as the prototype does (spec 60 §2).
  const found = range("addr_size", dt.addrSize, 4, 4) ??
    range("max_ttl", dt.maxTtl, 1, 255) ??
    range("routing", dt.routing.pol, RoutingPol.LINK_STATE, RoutingPol.LINK_STATE) ??
    range("addr_auth", c.addrAuthType, AddrAuth.FLAT_RANDOM, AddrAuth.FLAT_RANDOM) ??
    range("congestion", c.congAvoid, CongAvoid.NONE, CongAvoid.MB_ECN) ??
    range("directory", dir.pol, DirPol.DHT, DirPol.DHT);
  if (found !== undefined) return found;
  if (ls === undefined) return "the link-state parameters are missing";
  if (dht === undefined) return "the DHT parameters are missing";
  if (dht.peer > 0xffffffffn) return `peer is ${dht.peer}, not an address of 4 bytes`;
  return range("link-state policy", ls.pol, LsPol.SIMPLE, LsPol.ECMP) ??
    range("t_recalc", ls.tRecalc, 1, LINK_SECONDS_MAX) ??
    range("t_update", ls.tUpdate, 1, LINK_SECONDS_MAX) ??
    range("t_timeo", ls.tTimeo, 1, LINK_SECONDS_MAX) ??
    (ls.tTimeo <= ls.tUpdate
      ? `t_timeo is ${ls.tTimeo}, not above t_update (${ls.tUpdate}): links would time out between updates`
      : undefined) ??
    range("dht_alpha", dht.alpha, 1, 10) ??
    range("dht_k", dht.k, 1, 20) ??
    range("dht_t_expire", dht.tExpire, 10, 86_400) ??
    range("dht_t_refresh", dht.tRefresh, 3, 3600) ??
    range("dht_t_replicate", dht.tReplicate, 3, 3600);
}

/** The settings of a layer, or what is wrong with them. */
export function readSettings(conf: IpcpConfig): Settings | BadSetting {
  if (conf.ipcpType !== IpcpType.UNICAST) return { bad: "the configuration is not for unicast" };
  const { layerInfo, unicast } = conf;
  const hashBytes = HASH_BYTES[layerInfo.dirHashAlgo];
  if (hashBytes === undefined || layerInfo.dirHashAlgo > 3) {
    return { bad: `the directory hash is number ${layerInfo.dirHashAlgo}, not 0 to 3` };
  }
  if (layerInfo.name === "") return { bad: "the layer has no name" };
  const bad = firstBad(unicast);
  if (bad !== undefined) return { bad };
  const ls = unicast.dt.routing.ls!;
  const dht = unicast.dir.dht!;
  return {
    layer: layerInfo.name,
    hashAlgo: layerInfo.dirHashAlgo,
    hashBytes,
    addrBytes: unicast.dt.addrSize,
    eidBytes: 8,
    ttlMax: unicast.dt.maxTtl,
    routing: ROUTING[ls.pol]!,
    recalcUs: ls.tRecalc * 1e6,
    updateUs: ls.tUpdate * 1e6,
    timeoutUs: ls.tTimeo * 1e6,
    congestion: CONGESTION[unicast.congAvoid]!,
    dht: {
      alpha: dht.alpha,
      k: dht.k,
      expireSec: dht.tExpire,
      refreshSec: dht.tRefresh,
      replicateSec: dht.tReplicate,
      peer: Number(dht.peer),
    },
  };
}
