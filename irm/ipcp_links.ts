/** `irm ipcp enroll | connect | disconnect` (spec 21 A2.4-A2.6). */

import { OuroError } from "../lib/errno.ts";
import {
  COMP_DATA_TRANSFER,
  COMP_MANAGEMENT,
  type IpcpListEntry,
  IpcpType,
} from "../lib/irm/messages.ts";
import { QOS, type QosSpec } from "../lib/qos.ts";
import { attempt, type Context, listOrError, printable, tell, usage } from "./context.ts";
import { lastValue, parsePairs, whatIsMissing, wildcardMatch } from "./grammar.ts";
import { nameTooLong } from "./ipcp.ts";
import { bindBoth } from "./ipcp_bootstrap.ts";

/** `enroll name NAME [layer LAYER] [dst DST] [type TYPE] [autobind]`. */
export async function enroll(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, {
    keys: ["name", "type", "layer", "dst", "autobind"],
    flags: ["autobind"],
  });
  if (parsed.kind === "unknown") {
    ctx.print(`"${parsed.word}" is unknown, try "irm enroll_ipcp".\n`);
    return 1;
  }
  const name = lastValue(parsed.pairs, "name");
  const layer = lastValue(parsed.pairs, "layer");
  const dst = lastValue(parsed.pairs, "dst") ?? layer;
  if (parsed.kind === "missing" || name === undefined || dst === undefined) {
    const why = parsed.kind !== "missing" && name !== undefined
      ? "no destination given (dst DST or layer LAYER)"
      : whatIsMissing(parsed, [["name", "NAME"]]);
    return usage(ctx, "ipcp enroll", why);
  }
  const word = lastValue(parsed.pairs, "type") ?? "unicast";
  const autobind = lastValue(parsed.pairs, "autobind") !== undefined;
  const action = `enroll IPCP "${name}"`;
  if (word !== "unicast" && word !== "broadcast") {
    ctx.complain(
      `Failed to ${printable(`${action}: -1001: an IPCP of type "${word}"`)} cannot be enrolled`,
    );
    return 1;
  }
  const type = word === "unicast" ? IpcpType.UNICAST : IpcpType.BROADCAST;
  const targets = await findOrMake(ctx, name, type, action);
  if (targets === undefined) return 1;
  for (const target of targets) {
    if (!await enrollOne(ctx, target, dst, layer, autobind)) return 1;
  }
  return 0;
}

/** The IPCPs that match, or the one made in their place; undefined after a complaint. */
async function findOrMake(
  ctx: Context,
  name: string,
  type: number,
  action: string,
): Promise<IpcpListEntry[] | undefined> {
  for (let made = false;; made = true) {
    const listed = await listOrError(ctx.admin.listIpcps());
    if (listed instanceof OuroError) {
      tell(ctx, action, listed);
      return undefined;
    }
    const found = listed.filter((ipcp) => ipcp.type === type && wildcardMatch(name, ipcp.name));
    if (found.length > 0) return found;
    if (made) {
      ctx.complain(`Failed to ${printable(action)}: -1003: it is gone already`);
      return undefined;
    }
    if (nameTooLong(ctx, name)) return undefined;
    if (await attempt(ctx, `create IPCP "${name}"`, ctx.admin.createIpcp(name, type))) {
      return undefined;
    }
  }
}

async function enrollOne(
  ctx: Context,
  target: IpcpListEntry,
  dst: string,
  layer: string | undefined,
  autobind: boolean,
): Promise<boolean> {
  const action = `enroll IPCP "${target.name}" with "${dst}"`;
  const request = ctx.admin.enrollIpcp(target.pid, dst);
  if (await attempt(ctx, action, request, () => "Failed to enroll IPCP.\n")) return false;
  const listed = await listOrError(ctx.admin.listIpcps());
  const joined = listed instanceof OuroError
    ? undefined
    : listed.find((ipcp) => ipcp.pid === target.pid);
  if (!joined) {
    ctx.print("Could not get layer name.\n");
    if (listed instanceof OuroError) tell(ctx, action, listed);
    return false;
  }
  if (layer !== undefined && joined.layer !== layer) {
    ctx.print("Enrollment destination does not match requested layer.\n");
    ctx.complain(printable(
      `IPCP "${target.name}" is enrolled in layer "${joined.layer}", not in "${layer}"`,
    ));
    return false;
  }
  return !autobind || await bindBoth(ctx, target, [target.name, joined.layer], []);
}

/** The components that a pattern can name, in the order of connecting. */
const COMPONENTS = [
  { word: "mgmt", component: COMP_MANAGEMENT },
  { word: "dt", component: COMP_DATA_TRANSFER },
] as const;

/** `connect name NAME dst DST [component PATTERN] [qos QOS]`. */
export async function connect(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["name", "dst", "component", "qos"] });
  if (parsed.kind === "unknown") {
    ctx.print(`"${parsed.word}" is unknown, try "irm ipcp connect".\n`);
    return 1;
  }
  const name = lastValue(parsed.pairs, "name");
  const dst = lastValue(parsed.pairs, "dst");
  if (parsed.kind === "missing" || name === undefined || dst === undefined) {
    const why = whatIsMissing(parsed, [["name", "NAME"], ["dst", "DST"]]);
    return usage(ctx, "ipcp connect", why);
  }
  const qos = qosOf(ctx, lastValue(parsed.pairs, "qos") ?? "raw");
  const pattern = lastValue(parsed.pairs, "component") ?? "*";
  const action = `connect IPCP "${name}" to "${dst}"`;
  const ipcp = await lastNamed(ctx, name, action);
  if (!ipcp) return 1;
  let matched = false;
  for (const { word, component } of COMPONENTS) {
    if (!wildcardMatch(pattern, word)) continue;
    matched = true;
    const spec = word === "dt" ? qos : QOS.raw;
    const request = ctx.admin.connectIpcp(ipcp.pid, dst, component, spec);
    if (await attempt(ctx, `${action} (${component})`, request)) return 1;
  }
  if (!matched) noComponent(ctx, action, pattern);
  return 0;
}

/** `disconnect name NAME dst DST [component PATTERN]`: data transfer goes first. */
export async function disconnect(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["name", "dst", "component"] });
  if (parsed.kind === "unknown") {
    // The prototype names the other command here; its words are kept.
    ctx.print(`"${parsed.word}" is unknown, try "irm ipcp connect".\n`);
    return 1;
  }
  const name = lastValue(parsed.pairs, "name");
  const dst = lastValue(parsed.pairs, "dst");
  if (parsed.kind === "missing" || name === undefined || dst === undefined) {
    const why = whatIsMissing(parsed, [["name", "NAME"], ["dst", "DST"]]);
    return usage(ctx, "ipcp disconnect", why);
  }
  const pattern = lastValue(parsed.pairs, "component") ?? "*";
  const action = `disconnect IPCP "${name}" from "${dst}"`;
  const ipcp = await lastNamed(ctx, name, action);
  if (!ipcp) return 1;
  let matched = false;
  for (const { word, component } of COMPONENTS.toReversed()) {
    if (!wildcardMatch(pattern, word)) continue;
    matched = true;
    const request = ctx.admin.disconnectIpcp(ipcp.pid, dst, component);
    if (await attempt(ctx, `${action} (${component})`, request)) return 1;
  }
  if (!matched) noComponent(ctx, action, pattern);
  return 0;
}

/** The last listed IPCP of exactly that name, or undefined after a complaint. */
async function lastNamed(
  ctx: Context,
  name: string,
  action: string,
): Promise<IpcpListEntry | undefined> {
  const listed = await listOrError(ctx.admin.listIpcps());
  if (listed instanceof OuroError) {
    tell(ctx, action, listed);
    return undefined;
  }
  const found = listed.findLast((ipcp) => ipcp.name === name);
  if (!found) {
    ctx.complain(`Failed to ${printable(action)}: there is no IPCP of that name (irm ipcp list)`);
  }
  return found;
}

function qosOf(ctx: Context, word: string): QosSpec {
  switch (word) {
    case "raw":
    case "best":
    case "video":
    case "voice":
    case "data":
      return QOS[word];
    default:
      ctx.print("Unknown QoS cube, defaulting to raw.\n");
      return QOS.raw;
  }
}

function noComponent(ctx: Context, action: string, pattern: string): void {
  ctx.complain(
    `Failed to ${printable(action)}: "${printable(pattern)}" is neither dt nor mgmt`,
  );
}
