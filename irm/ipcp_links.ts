/** `irm ipcp enroll | connect | disconnect` (spec 21 A2.4-A2.6). */

import { resolve } from "@std/path";
import { withPolicy } from "../lib/irm/bootstrap_options.ts";
import { ipcpNamed } from "./target.ts";
import { Errno, OuroError } from "../lib/errno.ts";
import {
  COMP_DATA_TRANSFER,
  COMP_MANAGEMENT,
  type IpcpListEntry,
  IpcpType,
  POLICY_WORDS,
  type PolicyRef,
} from "../lib/irm/messages.ts";
import { didYouMean } from "../lib/cli/nearest.ts";
import { qosRefusal } from "../lib/cli/words.ts";
import { isQosWord, QOS, type QosSpec } from "../lib/qos.ts";
import {
  attempt,
  attemptList,
  type Context,
  listOrError,
  printable,
  tell,
  unknownWord,
  usage,
} from "./context.ts";
import { lastValue, parsePairs, whatIsMissing, wildcardMatch } from "./grammar.ts";
import { nameTooLong } from "./ipcp.ts";
import { bindBoth, takeAway } from "./ipcp_bootstrap.ts";
import { joinLayer } from "./ipcp_join.ts";
import { secondsOf, wrongSeconds } from "./wait.ts";

/** `enroll name NAME [layer LAYER] [dst DST] [type TYPE] [autobind]`; ours: `[connect] [wait SECONDS] [POLICY FILE]`. */
export async function enroll(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, {
    keys: ["name", "type", "layer", "dst", "autobind", "connect", "wait", ...POLICY_WORDS],
    flags: ["autobind", "connect"],
  });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "enroll_ipcp", parsed.known);
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
  const wait = lastValue(parsed.pairs, "wait");
  const timeoutS = secondsOf(wait);
  if (timeoutS === undefined) return usage(ctx, "ipcp enroll", wrongSeconds("wait", wait));
  let policies: readonly PolicyRef[] = [];
  for (const [kind, word] of POLICY_WORDS.entries()) {
    const file = lastValue(parsed.pairs, word);
    if (file !== undefined) policies = withPolicy(policies, kind, resolve(file));
  }
  const whole = lastValue(parsed.pairs, "connect") !== undefined;
  const action = `enroll IPCP "${name}"`;
  if (word !== "unicast" && word !== "broadcast") {
    ctx.complain(
      `Failed to ${printable(`${action}: -1001: an IPCP of type "${word}"`)} cannot be enrolled` +
        didYouMean(word, ["unicast", "broadcast"]),
    );
    return 1;
  }
  const type = word === "unicast" ? IpcpType.UNICAST : IpcpType.BROADCAST;
  const targets = await findOrMake(ctx, name, type, action);
  if (targets === undefined) return 1;
  for (const target of targets.ipcps) {
    const joined = whole
      ? await joinLayer(ctx, target, { dst, layer, timeoutS, policies })
      : await enrollOne(ctx, target, { dst, layer, autobind, policies });
    if (joined) continue;
    if (targets.made) await takeAway(ctx, target);
    return 1;
  }
  return 0;
}

/** The IPCPs that match, or the one that is made in their place; undefined after a complaint. */
async function findOrMake(
  ctx: Context,
  name: string,
  type: number,
  action: string,
): Promise<{ readonly ipcps: readonly IpcpListEntry[]; readonly made: boolean } | undefined> {
  for (let made = false;; made = true) {
    const listed = await attemptList(ctx, action, ctx.admin.listIpcps());
    if (listed === undefined) return undefined;
    const found = listed.filter((ipcp) => ipcp.type === type && wildcardMatch(name, ipcp.name));
    if (found.length > 0) return { ipcps: found, made };
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
  { dst, layer, autobind, policies }: {
    readonly dst: string;
    readonly layer: string | undefined;
    readonly autobind: boolean;
    readonly policies: readonly PolicyRef[];
  },
): Promise<boolean> {
  const action = `enroll IPCP "${target.name}" with "${dst}"`;
  const request = ctx.admin.enrollIpcp(target.pid, dst, policies);
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
type Component = typeof COMPONENTS[number];

/** `connect name NAME dst DST [component PATTERN] [qos QOS]`. */
export async function connect(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["name", "dst", "component", "qos"] });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "ipcp connect", parsed.known);
  const name = lastValue(parsed.pairs, "name");
  const dst = lastValue(parsed.pairs, "dst");
  if (parsed.kind === "missing" || name === undefined || dst === undefined) {
    const why = whatIsMissing(parsed, [["name", "NAME"], ["dst", "DST"]]);
    return usage(ctx, "ipcp connect", why);
  }
  const qos = qosOf(ctx, lastValue(parsed.pairs, "qos") ?? "raw");
  const pattern = lastValue(parsed.pairs, "component") ?? "*";
  const action = `connect IPCP "${name}" to "${dst}"`;
  return await ofComponents(ctx, name, action, COMPONENTS, pattern, (pid, { word, component }) => {
    return ctx.admin.connectIpcp(pid, dst, component, word === "dt" ? qos : QOS.raw);
  });
}

/** `disconnect name NAME dst DST [component PATTERN]`: data transfer goes first. */
export async function disconnect(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["name", "dst", "component"] });
  if (parsed.kind === "unknown") {
    // The prototype names the other command here; its words are kept.
    return unknownWord(ctx, parsed.word, "ipcp connect", parsed.known);
  }
  const name = lastValue(parsed.pairs, "name");
  const dst = lastValue(parsed.pairs, "dst");
  if (parsed.kind === "missing" || name === undefined || dst === undefined) {
    const why = whatIsMissing(parsed, [["name", "NAME"], ["dst", "DST"]]);
    return usage(ctx, "ipcp disconnect", why);
  }
  const pattern = lastValue(parsed.pairs, "component") ?? "*";
  const action = `disconnect IPCP "${name}" from "${dst}"`;
  const components = COMPONENTS.toReversed();
  let ended = false;
  let none: OuroError | undefined;
  const code = await ofComponents(ctx, name, action, components, pattern, async (pid, of) => {
    try {
      await ctx.admin.disconnectIpcp(pid, dst, of.component);
      ended = true;
    } catch (error) {
      // Of two components one may have been connected.
      if (!(error instanceof OuroError) || error.code !== -Errno.ENOENT) throw error;
      none = error;
    }
  });
  if (code !== 0 || ended || none === undefined) return code;
  tell(ctx, action, none);
  return 1;
}

/** Requests about the components that a pattern names, one after the other, of the last IPCP of that name. */
async function ofComponents(
  ctx: Context,
  name: string,
  action: string,
  components: readonly Component[],
  pattern: string,
  request: (pid: number, of: Component) => Promise<void>,
): Promise<number> {
  const ipcp = await ipcpNamed(ctx, name, action, "last");
  if (!ipcp) return 1;
  const wanted = components.filter(({ word }) => wildcardMatch(pattern, word));
  for (const of of wanted) {
    if (await attempt(ctx, `${action} (${of.component})`, request(ipcp.pid, of))) return 1;
  }
  if (wanted.length === 0) {
    ctx.complain(
      `Failed to ${printable(action)}: "${printable(pattern)}" is neither dt nor mgmt`,
    );
    return 1;
  }
  return 0;
}

function qosOf(ctx: Context, word: string): QosSpec {
  if (isQosWord(word)) return QOS[word];
  ctx.print("Unknown QoS cube, defaulting to raw.\n");
  ctx.complain(printable(qosRefusal(word)));
  return QOS.raw;
}
