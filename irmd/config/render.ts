/**
 * A configuration as the text of its file: what `config.ts` reads, the other way round. What is read back from the
 * text is the configuration that was given.
 *
 * Pure.
 */

import { formatInet4, formatInet6 } from "../../lib/inet.ts";
import { defaultBootstrapOptions } from "../../lib/irm/bootstrap_options.ts";
import {
  type BoundFor,
  CongAvoid,
  HashAlgo,
  IPCP_TYPE_WORDS,
  type IpcpConfig,
  IpcpType,
  LsPol,
  POLICY_WORDS,
  type PolicyRef,
  PolLb,
} from "../../lib/irm/messages.ts";
import type { UnicastConfig } from "../../lib/wire/ipcp_config.ts";
import type {
  ConfigEntry,
  DaemonConfig,
  IpcpEntryConfig,
  NameConfig,
  ProgramConfig,
} from "./types.ts";

/** What a key can have as value; undefined: the key is left out. */
type Value = string | number | boolean | undefined | readonly Value[] | Table;
/** An inline table. */
interface Table {
  readonly [key: string]: Value;
}

/** The table `[irmd]`; "" when it says nothing. */
export function renderDaemon(daemon: DaemonConfig): string {
  const { direct, askLayers, retry, totals } = daemon;
  const { connections, processes, memory, exchanges } = totals;
  const lines = keys({
    direct,
    "ask-layers": askLayers,
    retry,
    connections,
    processes,
    "memory-mib": memory === undefined ? undefined : Math.round(memory / 2 ** 20),
    exchanges,
  });
  return lines === "" ? "" : `[irmd]\n${lines}`;
}

/** The table of a name or of an IPCP. */
export function renderEntry(entry: ConfigEntry): string {
  return entry.kind === "name" ? renderName(entry) : renderIpcp(entry);
}

function renderName(entry: NameConfig): string {
  const { senc, scrt, skey, cenc, ccrt, ckey } = entry.security;
  const path = (p: string) => p === "" ? undefined : p;
  const programs = entry.programs.map(program);
  return `[name.${key(entry.name)}]\n` + keys({
    lb: entry.polLb === PolLb.ROUND_ROBIN ? "round-robin" : "spill",
    by: entry.by,
    server_enc_file: path(senc),
    server_crt_file: path(scrt),
    server_key_file: path(skey),
    client_enc_file: path(cenc),
    client_crt_file: path(ccrt),
    client_key_file: path(ckey),
    prog: programs.length === 0 ? undefined : programs,
  });
}

function program({ path, args, boundFor, by }: ProgramConfig): Value {
  if (args === undefined && boundFor === undefined && by === undefined) return path;
  return { path, args, ...whom(boundFor), by };
}

function whom(boundFor: BoundFor | undefined): Table {
  const everybody = boundFor?.any ? true : undefined;
  return { user: boundFor?.user, group: boundFor?.group, any: everybody };
}

function renderIpcp(entry: IpcpEntryConfig): string {
  const { join, bind, reg, connect } = entry;
  const list = <V>(of: readonly V[]) => of.length === 0 ? undefined : of;
  return `[${IPCP_TYPE_WORDS[entry.type]}.${key(entry.name)}]\n` + keys({
    bootstrap: join.kind === "bootstrap" ? join.layer : undefined,
    ...(join.kind === "bootstrap" ? options(join.conf) : {}),
    enrol: join.kind === "enrol" ? join.dst : undefined,
    ...(join.kind === "enrol" ? policies(join.policies) : {}),
    conn: join.kind === "enrol" ? list(join.conn) : undefined,
    autobind: entry.autobind ? true : undefined,
    bind: list(bind),
    reg: list(reg),
    connect: list(connect.map(({ dst, component, qos }) => ({ dst, component, qos }))),
  });
}

function options(conf: IpcpConfig): Table {
  const hash = wordOf(HASHES, conf.layerInfo.dirHashAlgo);
  switch (conf.ipcpType) {
    case IpcpType.LOCAL:
      return { hash };
    case IpcpType.ETH_LLC:
      return { dev: conf.eth.dev, hash };
    case IpcpType.ETH_DIX:
      return { dev: conf.eth.dev, ethertype: conf.eth.ethertype, hash };
    case IpcpType.UDP4: {
      const { ipAddr, port, dnsAddr } = conf.udp4;
      return { ip: inet4(ipAddr), port, dns: dnsAddr === 0 ? undefined : inet4(dnsAddr) };
    }
    case IpcpType.UDP6: {
      const { ipAddr, port, dnsAddr } = conf.udp6;
      const none = dnsAddr.every((b) => b === 0);
      return { ip: formatInet6(ipAddr), port, dns: none ? undefined : formatInet6(dnsAddr) };
    }
    case IpcpType.UNICAST:
      return { hash, ...unicast(conf.unicast) };
    case IpcpType.BROADCAST:
      return {};
  }
}

/** Files in the place of shipped policies. */
function policies(refs: readonly PolicyRef[] = []): Table {
  return Object.fromEntries(refs.map(({ kind, file }) => [POLICY_WORDS[kind]!, file]));
}

function unicast({ dt, dir, congAvoid, policies: refs }: UnicastConfig): Table {
  const { ls } = dt.routing;
  const { dht } = dir;
  return {
    addr_size: dt.addrSize,
    eid_size: dt.eidSize,
    max_ttl: dt.maxTtl,
    routing: ls === undefined ? undefined : wordOf(ROUTING, ls.pol),
    ls_t_recalc: ls?.tRecalc,
    ls_t_update: ls?.tUpdate,
    ls_t_timeo: ls?.tTimeo,
    dht_alpha: dht?.alpha,
    dht_k: dht?.k,
    dht_t_expire: dht?.tExpire,
    dht_t_refresh: dht?.tRefresh,
    dht_t_replicate: dht?.tReplicate,
    congestion: congAvoid === CongAvoid.NONE ? "none" : "mb-ecn",
    ...policies(refs),
  };
}

const HASHES = {
  SHA3_224: HashAlgo.SHA3_224,
  SHA3_256: HashAlgo.SHA3_256,
  SHA3_384: HashAlgo.SHA3_384,
  SHA3_512: HashAlgo.SHA3_512,
} as const;

const ROUTING = { "link-state": LsPol.SIMPLE, lfa: LsPol.LFA, ecmp: LsPol.ECMP } as const;

function wordOf(words: Readonly<Record<string, number>>, value: number): string | undefined {
  return Object.keys(words).find((word) => words[word] === value);
}

/** An address that a message carries as the little-endian word of its bytes. */
function inet4(word: number): string {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, word, true);
  return formatInet4(bytes);
}

/** What a file can say of a configuration that came in a message: what has no meaning for the type is the default. */
export function savedForm(conf: IpcpConfig): IpcpConfig {
  const type = conf.ipcpType;
  const { hashAlgo, ethertype } = defaultBootstrapOptions();
  if (type === IpcpType.UNICAST) {
    const { dir } = conf.unicast;
    const dht = dir.dht === undefined ? undefined : { ...dir.dht, peer: 0n };
    return { ...conf, unicast: { ...conf.unicast, dir: { ...dir, dht } } };
  }
  if (type === IpcpType.LOCAL || type === IpcpType.ETH_DIX) return conf;
  if (type === IpcpType.ETH_LLC) return { ...conf, eth: { ...conf.eth, ethertype } };
  return { ...conf, layerInfo: { ...conf.layerInfo, dirHashAlgo: hashAlgo } };
}

function keys(table: Table): string {
  return Object.entries(table).filter(([, v]) => v !== undefined)
    .map(([k, v]) => `${k} = ${value(v)}\n`).join("");
}

function value(v: Value): string {
  if (typeof v === "string") return quoted(v);
  if (typeof v !== "object") return String(v);
  if (isList(v)) return `[${v.map(value).join(", ")}]`;
  const inside = Object.entries(v).filter(([, x]) => x !== undefined);
  return `{ ${inside.map(([k, x]) => `${k} = ${value(x)}`).join(", ")} }`;
}

function isList(v: readonly Value[] | Table): v is readonly Value[] {
  return Array.isArray(v);
}

/** A basic string. JSON's escapes are those of TOML; DEL must be escaped here only. */
function quoted(text: string): string {
  return JSON.stringify(text).replaceAll("\x7f", "\\u007f");
}

function key(name: string): string {
  return /^[A-Za-z0-9_-]+$/.test(name) ? name : quoted(name);
}
