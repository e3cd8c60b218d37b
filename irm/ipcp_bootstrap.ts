// deno-lint-ignore-file camelcase -- users write these words
/**
 * `irm ipcp bootstrap name NAME layer LAYER [type TYPE] [options]` (spec 21 A2.3).
 *
 * The order of the checks is the prototype's, because scripts see which text comes first. Ours
 * differs where it harms nobody: numbers are checked, `ip` counts without `type` too, and of several
 * IPCPs that match only the first is bootstrapped.
 */

import { resolve } from "@std/path";
import { didYouMean } from "../lib/cli/nearest.ts";
import { OuroError } from "../lib/errno.ts";
import { isAnyAddress, parseInet4, parseInet6 } from "../lib/inet.ts";
import {
  BOOTSTRAP_RANGES,
  bootstrapConfig,
  type BootstrapOptions,
  defaultBootstrapOptions,
  ETHERTYPE_RANGE,
  ethertypeValid,
  namesPolicyFile,
  type NumericOption,
  policyKindOf,
  withPolicy,
} from "../lib/irm/bootstrap_options.ts";
import {
  CongAvoid,
  type IpcpListEntry,
  IpcpType,
  LsPol,
  NOT_ENROLLED,
} from "../lib/irm/messages.ts";
import { NAME_BYTES_MAX } from "../lib/limits.ts";
import {
  attempt,
  attemptList,
  type Context,
  listOrError,
  printable,
  suggest,
  tell,
  usage,
} from "./context.ts";
import {
  byteLength,
  matchWord,
  type Pair,
  parsePairs,
  whatIsMissing,
  wildcardMatch,
} from "./grammar.ts";
import { nameTooLong } from "./ipcp.ts";
import { BOOTSTRAP_TYPES, HASH_ALGOS, ipcpTypeNumber, ipcpTypeWord } from "./types.ts";

/** Keys in match order. */
export const BOOTSTRAP_KEYS = [
  "type",
  "layer",
  "name",
  "hash",
  "ip",
  "dns",
  "device",
  "ethertype",
  "addr",
  "eid",
  "ttl",
  "port",
  "autobind",
  "addr_auth",
  "directory",
  "dht_alpha",
  "dht_k",
  "dht_t_expire",
  "dht_t_refresh",
  "dht_t_replicate",
  "routing",
  "ls_t_timeo",
  "ls_t_update",
  "ls_t_recalc",
  "congestion",
  "forwarding", // Ours: the others' word is the routing policy's.
] as const;

type Key = typeof BOOTSTRAP_KEYS[number];

/** Which option a numeric key sets. */
const NUMBERS: Partial<Record<Key, NumericOption>> = {
  addr: "addrSize",
  eid: "eidSize",
  ttl: "maxTtl",
  port: "port",
  dht_alpha: "dhtAlpha",
  dht_k: "dhtK",
  dht_t_expire: "dhtTExpire",
  dht_t_refresh: "dhtTRefresh",
  dht_t_replicate: "dhtTReplicate",
  ls_t_timeo: "lsTTimeo",
  ls_t_update: "lsTUpdate",
  ls_t_recalc: "lsTRecalc",
};

/** Words of the keys that choose among a few, and their numbers. */
const CHOICES: Partial<Record<Key, Readonly<Record<string, number>>>> = {
  hash: Object.fromEntries(HASH_ALGOS.map((word, number) => [word, number])),
  addr_auth: { flat: 0 },
  directory: { DHT: 0 },
  routing: { link_state: LsPol.SIMPLE, lfa: LsPol.LFA, ecmp: LsPol.ECMP },
  congestion: { none: CongAvoid.NONE, "mb-ecn": CongAvoid.MB_ECN },
  forwarding: {},
};

/** The command line after its words have been understood. */
interface Request {
  name: string | undefined;
  layer: string | undefined;
  typeWord: string | undefined;
  ip: string | undefined;
  dns: string | undefined;
  autobind: boolean;
  readonly options: BootstrapOptions;
}

/** Runs the command; returns its exit code. */
export async function bootstrap(ctx: Context, args: readonly string[]): Promise<number> {
  const request = parse(ctx, args);
  if (typeof request === "number") return request;
  const { name, layer } = request;
  if (name === undefined || layer === undefined) {
    const lacking = name === undefined
      ? "no name given (name NAME)"
      : "no layer given (layer LAYER)";
    return usage(ctx, "ipcp bootstrap", lacking);
  }

  const listed = await listOrError(ctx.admin.listIpcps());
  const ipcps = listed instanceof OuroError ? [] : listed;
  let target = ipcps.find((ipcp) => wildcardMatch(name, ipcp.name));
  const type = typeOf(request);
  if (type === "unknown") {
    const meant = didYouMean(request.typeWord ?? "", BOOTSTRAP_TYPES);
    return usage(ctx, "ipcp bootstrap", `IPCP type "${request.typeWord}" is unknown${meant}`);
  }
  if (!addressesGood(ctx, request, type ?? target?.type, type !== undefined)) {
    return usage(ctx, "ipcp bootstrap");
  }
  // Before an IPCP is made that would be left behind.
  if (byteLength(layer) > NAME_BYTES_MAX) {
    ctx.print("Layer name too long.\n\n");
    return usage(ctx, "ipcp bootstrap");
  }
  if (!target) {
    if (layer === "" && type !== undefined) {
      ctx.complain("Failed to bootstrap IPCP: -22: the layer name is empty");
      return 1;
    }
    const made = await makeCandidate(ctx, name, type, listed);
    if (typeof made === "number") return made;
    target = made;
  }
  const made = !ipcps.includes(target);
  if (type !== undefined && target.type !== type) {
    ctx.print("Types do not match.\n\n");
    const there = `there is an IPCP "${target.name}" of type ${ipcpTypeWord(target.type)}`;
    ctx.complain(printable(`Failed to bootstrap IPCP "${name}": -22: ${there} (irm ipcp list)`));
    return 1;
  }
  let autobind = request.autobind;
  if (autobind && target.type !== IpcpType.UNICAST && target.type !== IpcpType.BROADCAST) {
    ctx.print("Can not bind this IPCP type,autobind disabled.\n\n");
    autobind = false;
  }
  // What was made stays, as the prototype's.
  if (!deviceGood(ctx, target.type, request.options.device)) return usage(ctx, "ipcp bootstrap");
  const conf = bootstrapConfig(target.type, layer, request.options);
  if (!conf) {
    ctx.complain(`Failed to bootstrap IPCP "${target.name}": -1001: unknown IPCP type`);
    return 1;
  }
  const bound: string[] = [];
  if (autobind && !await bindBoth(ctx, target, [target.name, layer], bound)) {
    if (made) await takeAway(ctx, target);
    return 1;
  }
  const result = await attempt(
    ctx,
    `bootstrap IPCP "${target.name}"`,
    ctx.admin.bootstrapIpcp(target.pid, conf),
  );
  if (result === 0) return 0;
  if (made) {
    await takeAway(ctx, target);
    return 1;
  }
  for (const undo of bound) {
    await attempt(
      ctx,
      `unbind ${target.pid} from "${undo}"`,
      ctx.admin.unbindProcess(target.pid, undo),
    );
  }
  return 1;
}

/** Reads the words; a number is the exit code of a bad command line. */
function parse(ctx: Context, args: readonly string[]): Request | 1 {
  // The prototype's tutorial still says `if lo`, its oldest word for the device.
  const parsed = parsePairs<Key | "if">(args, {
    keys: [...BOOTSTRAP_KEYS, "if"],
    exact: ["if"],
    flags: ["autobind"],
  });
  const request: Request = {
    name: undefined,
    layer: undefined,
    typeWord: undefined,
    ip: undefined,
    dns: undefined,
    autobind: false,
    options: defaultBootstrapOptions(),
  };
  for (const pair of parsed.pairs) {
    const key = pair.key === "if" ? "device" : pair.key;
    if (!take(ctx, request, { ...pair, key })) return 1;
  }
  if (parsed.kind === "unknown") {
    ctx.print(`Unknown option: "${parsed.word}".\n`);
    suggest(ctx, parsed.word, parsed.known);
    return 1;
  }
  return parsed.kind === "missing"
    ? usage(ctx, "ipcp bootstrap", whatIsMissing(parsed, []))
    : request;
}

/** Takes one option; false after a complaint. */
function take(ctx: Context, request: Request, pair: Pair<Key>): boolean {
  const { key, typed, value } = pair;
  const choices = CHOICES[key];
  const policy = policyKindOf(key);
  const { options } = request;
  if (policy !== undefined && namesPolicyFile(value)) {
    options.policies = withPolicy(options.policies, policy, resolve(value));
    // The last one counts.
    const { lsPol, congAvoid } = defaultBootstrapOptions();
    if (key === "routing") options.lsPol = lsPol;
    if (key === "congestion") options.congAvoid = congAvoid;
    return true;
  }
  options.policies = options.policies.filter(({ kind }) => kind !== policy);
  if (choices) {
    const chosen = Object.hasOwn(choices, value) ? choices[value] : undefined;
    if (chosen === undefined) {
      ctx.print(`Unknown parameter for ${typed}: "${value}".\n`);
      suggest(ctx, value, Object.keys(choices));
      return false;
    }
    if (key === "hash") request.options.hashAlgo = chosen;
    if (key === "routing") request.options.lsPol = chosen;
    if (key === "congestion") request.options.congAvoid = chosen;
    return true;
  }
  const option = NUMBERS[key];
  if (option) {
    const [least, most] = BOOTSTRAP_RANGES[option];
    const number = /^[0-9]{1,10}$/.test(value) ? Number(value) : NaN;
    if (!(number >= least && number <= most)) {
      ctx.print(`Invalid value for ${typed}: "${value}".\n`);
      ctx.complain(`Failed to bootstrap IPCP: -22: ${key} is a number from ${least} to ${most}`);
      return false;
    }
    request.options[option] = number;
    return true;
  }
  switch (key) {
    case "name":
      request.name = value;
      break;
    case "layer":
      request.layer = value;
      break;
    case "type":
      request.typeWord = value;
      break;
    case "ip":
      request.ip = value;
      break;
    case "dns":
      request.dns = value;
      break;
    case "autobind":
      request.autobind = true;
      break;
    case "device":
      request.options.device = value;
      break;
    case "ethertype":
      return takeEthertype(ctx, request, value);
  }
  return true;
}

function takeEthertype(ctx: Context, request: Request, value: string): boolean {
  const number = /^(0[xX])?[0-9a-fA-F]{1,8}$/.test(value)
    ? parseInt(value.replace(/^0[xX]/, ""), 16)
    : NaN;
  if (!ethertypeValid(number)) {
    ctx.print(`Invalid Ethertype: "${value}".\nRecommended range: 0xA000-0xEFFF.\n`);
    ctx.complain(
      `Failed to bootstrap IPCP: -22: ethertype is a hexadecimal number from ${ETHERTYPE_RANGE}`,
    );
    return false;
  }
  request.options.ethertype = number;
  return true;
}

/** The number of the type word if one was given; it may be abbreviated. */
function typeOf(request: Request): number | "unknown" | undefined {
  if (request.typeWord === undefined) return undefined;
  const word = matchWord(request.typeWord, BOOTSTRAP_TYPES);
  return word === undefined ? "unknown" : ipcpTypeNumber(word)!;
}

/** Reads `ip` and `dns` for a UDP type. Without `type` an absent `ip` is the any-address. */
function addressesGood(
  ctx: Context,
  request: Request,
  type: number | undefined,
  typed: boolean,
): boolean {
  if (type !== IpcpType.UDP4 && type !== IpcpType.UDP6) return true;
  const family = type === IpcpType.UDP4 ? "IPv4" : "IPv6";
  const read = type === IpcpType.UDP4 ? parseInet4 : parseInet6;
  if (request.ip === undefined) {
    if (!typed) return true;
    ctx.complain("Failed to bootstrap IPCP: -22: no IP address given (ip ADDRESS)");
    return false;
  }
  const ip = read(request.ip);
  if (!ip) {
    ctx.print(`Invalid ${family} address: "${request.ip}".\n`);
    return false;
  }
  if (isAnyAddress(ip)) {
    ctx.print(`Cannot use ${family} address: "${request.ip}".\n`);
    return false;
  }
  request.options.ip = ip;
  if (request.dns === undefined) return true;
  const dns = read(request.dns);
  if (!dns) {
    ctx.print(`Invalid DNS ${family} address: "${request.dns}".\n`);
    return false;
  }
  request.options.dns = dns;
  return true;
}

/** Creates the IPCP that is not there yet; a number is the exit code of a failure. */
async function makeCandidate(
  ctx: Context,
  name: string,
  type: number | undefined,
  listed: IpcpListEntry[] | OuroError,
): Promise<IpcpListEntry | 1> {
  if (type === undefined) {
    ctx.print(`No IPCPs matching ${name} found.\n\n`);
    if (listed instanceof OuroError) tell(ctx, "bootstrap IPCP", listed);
    return 1;
  }
  if (listed instanceof OuroError) {
    tell(ctx, `create IPCP "${name}"`, listed);
    return 1;
  }
  if (nameTooLong(ctx, name)) return 1;
  if (await attempt(ctx, `create IPCP "${name}"`, ctx.admin.createIpcp(name, type))) return 1;
  const again = await attemptList(ctx, `bootstrap IPCP "${name}"`, ctx.admin.listIpcps());
  if (again === undefined) return 1;
  const made = again.find((ipcp) => ipcp.name === name);
  if (!made) {
    ctx.complain(`Failed to bootstrap IPCP "${printable(name)}": -1003: it is gone already`);
    return 1;
  }
  return made;
}

/** Takes away what a command that failed has made: an IPCP that is in no layer. */
export async function takeAway(ctx: Context, { pid, name }: IpcpListEntry): Promise<void> {
  const listed = await listOrError(ctx.admin.listIpcps());
  if (!(listed instanceof OuroError)) {
    const now = listed.find((ipcp) => ipcp.pid === pid);
    if (now?.layer !== NOT_ENROLLED) return;
  }
  // The reason of the failure is the one line that is printed.
  await attempt(ctx, `destroy IPCP "${name}"`, ctx.admin.destroyIpcp(pid, name));
}

function deviceGood(ctx: Context, type: number, device: string): boolean {
  if (type !== IpcpType.ETH_LLC && type !== IpcpType.ETH_DIX) return true;
  if (device === "") {
    ctx.complain("Failed to bootstrap IPCP: -22: no network interface given (dev INTERFACE)");
    return false;
  }
  if (byteLength(device) > NAME_BYTES_MAX) {
    ctx.print("Device name too long.\n\n");
    return false;
  }
  return true;
}

/** Binds an IPCP's process to its own name and its layer; `bound` collects what was done. */
export async function bindBoth(
  ctx: Context,
  ipcp: { readonly pid: number },
  names: readonly string[],
  bound: string[],
): Promise<boolean> {
  for (const name of names) {
    const request = ctx.admin.bindProcess(ipcp.pid, name);
    const text = () => `Failed to bind ${ipcp.pid} to ${name}.\n`;
    if (await attempt(ctx, `bind process ${ipcp.pid} to "${name}"`, request, text)) {
      for (const undo of bound) {
        await attempt(
          ctx,
          `unbind ${ipcp.pid} from "${undo}"`,
          ctx.admin.unbindProcess(ipcp.pid, undo),
        );
      }
      return false;
    }
    bound.push(name);
  }
  return true;
}
