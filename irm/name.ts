/** `irm name create | destroy | register | unregister | list` (spec 21 A3). */

import { didYouMean } from "../lib/cli/nearest.ts";
import { NAME_BYTES_MAX, SECURITY_PATH_BYTES_MAX } from "../lib/limits.ts";
import type { IpcpListEntry } from "../lib/irm/messages.ts";
import { shellWord } from "../lib/cli/shell_word.ts";
import {
  attempt,
  attemptList,
  type Context,
  listOrError,
  printable,
  unknownWord,
  unreachable,
  usage,
} from "./context.ts";
import {
  byteLength,
  lastValue,
  matchWord,
  type Pair,
  parsePairs,
  whatIsMissing,
  wildcardMatch,
} from "./grammar.ts";
import { table } from "./table.ts";
import { LB_POLICIES } from "./types.ts";

/** Number of `layer` and of `ipcp` words that one command takes. */
export const TARGETS_MAX = 128;

const CREATE_KEYS = [
  "lb",
  "sencpath",
  "scrtpath",
  "skeypath",
  "cencpath",
  "ccrtpath",
  "ckeypath",
] as const;

/** `create NAME [lb POLICY] [PATHS]`. */
export async function create(ctx: Context, args: readonly string[]): Promise<number> {
  const name = args[0];
  if (name === undefined) return usage(ctx, "name create", "no name given");
  const parsed = parsePairs(args.slice(1), { keys: CREATE_KEYS });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "name create", parsed.known);
  if (parsed.kind === "missing") return usage(ctx, "name create", whatIsMissing(parsed, []));
  const lb = lastValue(parsed.pairs, "lb") ?? "round-robin";
  const policy = (LB_POLICIES as readonly string[]).indexOf(lb);
  if (policy < 0) {
    const meant = didYouMean(lb, LB_POLICIES);
    const why = `"${lb}" is no load-balancing policy (${LB_POLICIES.join(" or ")})${meant}`;
    return usage(ctx, "name create", why);
  }
  const paths = {
    sencpath: "",
    scrtpath: "",
    skeypath: "",
    cencpath: "",
    ccrtpath: "",
    ckeypath: "",
  };
  for (const { key, value } of parsed.pairs) {
    if (key === "lb") continue;
    const path = checkedPath(ctx, value);
    if (path === undefined) return usage(ctx, "name create");
    paths[key] = path;
  }
  if (byteLength(name) > NAME_BYTES_MAX) {
    ctx.print("Name too long.\n");
    return usage(ctx, "name create");
  }
  const action = `create name "${name}"`;
  // The IRMd leaves a name that is there as it is.
  if (parsed.pairs.length > 0) {
    const known = await listOrError(ctx.admin.listNames());
    const there = Array.isArray(known) ? known.find((n) => n.name === name) : undefined;
    if (
      there !== undefined && (there.polLb !== policy || parsed.pairs.some((p) => p.key !== "lb"))
    ) {
      const again = `irm name destroy ${shellWord(name)}`;
      ctx.complain(printable(`Failed to ${action}: -17: it exists and stays as it is (${again})`));
      return 1;
    }
  }
  const request = ctx.admin.createName({
    name,
    polLb: policy,
    senc: paths.sencpath,
    scrt: paths.scrtpath,
    skey: paths.skeypath,
    cenc: paths.cencpath,
    ccrt: paths.ccrtpath,
    ckey: paths.ckeypath,
  });
  return await attempt(ctx, action, request, unreachable) ? 1 : 0;
}

/** Error sentences of the C library for what can go wrong with a path. */
const PATH_ERRORS: Record<string, string> = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  ENOTDIR: "Not a directory",
  ELOOP: "Too many levels of symbolic links",
  ENAMETOOLONG: "File name too long",
};

/** The resolved path of a security file, or undefined after a complaint on stdout. */
function checkedPath(ctx: Context, path: string): string | undefined {
  const real = ctx.system.realPath(path);
  if ("errno" in real) {
    ctx.print(`Failed to check path ${path}: ${PATH_ERRORS[real.errno] ?? real.errno}\n.`);
    return undefined;
  }
  if (byteLength(real.path) > SECURITY_PATH_BYTES_MAX) {
    ctx.print(`File path too long: ${path}.\n`);
    return undefined;
  }
  return real.path;
}

/** `destroy NAME`. */
export async function destroy(ctx: Context, args: readonly string[]): Promise<number> {
  const [name, extra] = args;
  if (name === undefined) return usage(ctx, "name destroy", "no name given");
  if (extra !== undefined) return unknownWord(ctx, extra, "name destroy");
  const request = ctx.admin.destroyName(name);
  return await attempt(ctx, `destroy name "${name}"`, request, unreachable) ? 1 : 0;
}

/** What `register` and `unregister` were told. */
interface Targets {
  readonly name: string;
  readonly layers: readonly string[];
  readonly ipcps: readonly string[];
}

/** The common arguments of both; a number is the exit code of a bad command line. */
function parseTargets(
  ctx: Context,
  args: readonly string[],
  of: "name register" | "name unregister",
  unknownHint: string,
): Targets | 1 {
  const name = args[0];
  if (name === undefined) return usage(ctx, of, "no name given");
  const parsed = parsePairs(args.slice(1), { keys: ["layer", "ipcp"] });
  if (parsed.kind === "unknown") {
    return unknownWord(ctx, parsed.word, unknownHint, parsed.known);
  }
  if (parsed.kind === "missing") return usage(ctx, of, whatIsMissing(parsed, []));
  const valuesOf = (key: "layer" | "ipcp"): string[] =>
    parsed.pairs.filter((pair: Pair<"layer" | "ipcp">) => pair.key === key)
      .map(({ value }) => value);
  const layers = valuesOf("layer");
  const ipcps = valuesOf("ipcp");
  if (layers.length > TARGETS_MAX) {
    ctx.print("Too many layers specified.\n");
    return 1;
  }
  if (ipcps.length > TARGETS_MAX) {
    ctx.print("Too many IPCPs specified.\n");
    return 1;
  }
  if (layers.length + ipcps.length === 0) {
    return usage(ctx, of, "no layer and no IPCP given (layer LAYER, ipcp IPCP)");
  }
  if (byteLength(name) > NAME_BYTES_MAX) {
    ctx.print("Name too long.\n");
    return usage(ctx, of);
  }
  return { name, layers, ipcps };
}

/** The IPCPs that one of the patterns names, each once, with the word that a message shows. */
function matching(ipcps: readonly IpcpListEntry[], targets: Targets): [IpcpListEntry, string][] {
  const found: [IpcpListEntry, string][] = [];
  for (const ipcp of ipcps) {
    if (targets.layers.some((pattern) => wildcardMatch(pattern, ipcp.layer))) {
      found.push([ipcp, ipcp.layer]);
    } else if (targets.ipcps.some((pattern) => wildcardMatch(pattern, ipcp.name))) {
      found.push([ipcp, ipcp.name]);
    }
  }
  return found;
}

/** `register NAME {ipcp PATTERN | layer PATTERN}…`. */
export async function register(ctx: Context, args: readonly string[]): Promise<number> {
  const targets = parseTargets(ctx, args, "name register", "name register");
  if (targets === 1) return 1;
  const { name } = targets;
  const action = `register "${name}"`;
  const ipcpsText = () => "Failed to list IPCPs.\n";
  const ipcps = await attemptList(ctx, action, ctx.admin.listIpcps(), ipcpsText);
  if (ipcps === undefined) return 1;
  if (ipcps.length === 0) {
    ctx.print(ipcpsText());
    ctx.complain(
      `Failed to ${
        printable(action)
      }: there is no IPCP (irm ipcp bootstrap name IPCP layer LAYER type TYPE)`,
    );
    return 1;
  }
  const namesText = () => "Failed to list names.\n";
  const names = await attemptList(ctx, action, ctx.admin.listNames(), namesText);
  if (names === undefined) return 1;
  if (!names.some((known) => known.name === name)) {
    const request = ctx.admin.createName({
      name,
      polLb: LB_POLICIES.indexOf("spillover"),
      senc: "",
      scrt: "",
      skey: "",
      cenc: "",
      ccrt: "",
      ckey: "",
    });
    if (await attempt(ctx, `create name "${name}"`, request)) {
      ctx.print("Error creating name.");
      return 1;
    }
  }
  const found = matching(ipcps, targets);
  if (found.length === 0) return nothingMatches(ctx, action);
  for (const [ipcp, shown] of found) {
    const request = ctx.admin.regName(name, ipcp.pid);
    if (await attempt(ctx, `${action} with IPCP "${ipcp.name}"`, request)) {
      ctx.print(`Failed to register with ${shown}`);
      return 1;
    }
  }
  return 0;
}

/**
 * `irm reg name NAME {ipcp PATTERN | layer PATTERN}…`, the words of the prototype's tutorial: registers a name
 * and creates it where it does not exist.
 */
export async function registerAsEver(ctx: Context, args: readonly string[]): Promise<number> {
  const [word, name, ...targets] = args;
  if (word !== "name" || name === undefined) {
    return usage(ctx, "name register", "no name given");
  }
  const created = await create(ctx, [name]);
  return created === 0 ? await register(ctx, [name, ...targets]) : created;
}

/** `unregister NAME {ipcp PATTERN | layer PATTERN}…`. */
export async function unregister(ctx: Context, args: readonly string[]): Promise<number> {
  const targets = parseTargets(ctx, args, "name unregister", "unregister");
  if (targets === 1) return 1;
  const action = `unregister "${targets.name}"`;
  const ipcps = await attemptList(ctx, action, ctx.admin.listIpcps());
  if (ipcps === undefined) return 1;
  const found = matching(ipcps, targets);
  if (found.length === 0) return nothingMatches(ctx, action);
  for (const [ipcp] of found) {
    const request = ctx.admin.unregName(targets.name, ipcp.pid);
    if (await attempt(ctx, `${action} from IPCP "${ipcp.name}"`, request)) return 1;
  }
  return 0;
}

/** Nothing was done, which is a failure; the prototype succeeds in silence. */
function nothingMatches(ctx: Context, action: string): 1 {
  ctx.complain(`Failed to ${printable(action)}: no IPCP matches (irm ipcp list)`);
  return 1;
}

/**
 * `list [list FILTER]`. The prototype shows the names that FILTER begins with; we add those that
 * begin with FILTER, which is what its author meant.
 */
export async function list(ctx: Context, args: readonly string[]): Promise<number> {
  let filter: string | undefined;
  for (let i = 0; i < args.length; i += 2) {
    if (matchWord(args[i]!, ["list"]) === undefined) {
      return unknownWord(ctx, args[i]!, "name list", ["list"]);
    }
    filter = args[i + 1];
  }
  const text = ctx.json ? undefined : unreachable;
  const names = await attemptList(ctx, "list names", ctx.admin.listNames(), text);
  if (names === undefined) return 1;
  const shown = names.filter(({ name }) =>
    filter === undefined || name.startsWith(filter) || name !== "" && filter.startsWith(name)
  );
  let code = 0;
  if (filter !== undefined && shown.length === 0) {
    ctx.complain(`Failed to list names: no name begins with "${printable(filter)}"`);
    code = 1;
  }
  const policy = (polLb: number): string => LB_POLICIES[polLb] ?? "UNKNOWN";
  if (ctx.json) {
    const document = shown.map(({ name, polLb }) => ({ name, lb: policy(polLb) }));
    ctx.print(JSON.stringify(document, null, 2) + "\n");
    return code;
  }
  if (names.length === 0) {
    ctx.print("No names in system.\n\n");
    return code;
  }
  ctx.print(table(
    [{ head: "name", width: 50 }, { head: "load-balance policy", width: 20 }],
    shown.map(({ name, polLb }) => [name, policy(polLb)]),
  ));
  return code;
}
