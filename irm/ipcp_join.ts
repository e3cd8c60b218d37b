/**
 * `irm ipcp enroll … connect`: the whole way into a layer in one command, which the prototype leaves to the user and to
 * `sleep`: names, enrollment once a member answers, bindings, registration below, and the connections. Ours.
 *
 * Each step says what it did. Steps that depend on others are tried again until the time is over; then the command says
 * which step it was, and why.
 */

import {
  COMP_DATA_TRANSFER,
  COMP_MANAGEMENT,
  type IpcpListEntry,
  IpcpType,
  NOT_ENROLLED,
  type PolicyRef,
} from "../lib/irm/messages.ts";
import { QOS } from "../lib/qos.ts";
import { attempt, attemptList, type Context, printable } from "./context.ts";
import { bindBoth } from "./ipcp_bootstrap.ts";
import { waitUntil } from "./wait.ts";

/** What is asked for. */
export interface Join {
  readonly dst: string;
  /** The layer that it must be, if one is named. */
  readonly layer: string | undefined;
  readonly timeoutS: number;
  /** Policies of the layer as files. */
  readonly policies: readonly PolicyRef[];
}

/** Takes an IPCP the whole way; whether it got there. */
export async function joinLayer(ctx: Context, ipcp: IpcpListEntry, join: Join): Promise<boolean> {
  const endMs = performance.now() + join.timeoutS * 1000;
  const leftS = () => Math.max(0, Math.round((endMs - performance.now()) / 100) / 10);
  const { dst } = join;
  const say = (text: string) => ctx.print(`${printable(text)}\n`);
  if (!await haveNames(ctx, [dst, ipcp.name, ...(join.layer === undefined ? [] : [join.layer])])) {
    return false;
  }
  let below = "";
  const found = await waitUntil(ctx, `find member "${dst}" in a layer below`, leftS(), async () => {
    below = await ctx.admin.queryName(dst);
    return undefined;
  });
  if (found !== 0) return false;
  say(`Found ${dst} in layer ${below}.`);

  let joined = ipcp;
  const enrolled = await waitUntil(
    ctx,
    `enroll IPCP "${ipcp.name}" with "${dst}"`,
    leftS(),
    async () => {
      const now = (await ctx.admin.listIpcps()).find((i) => i.pid === ipcp.pid);
      if (now === undefined) return "it has ended (see its log)";
      if (now.layer === NOT_ENROLLED) {
        await ctx.admin.enrollIpcp(ipcp.pid, dst, join.policies);
      }
      joined = (await ctx.admin.listIpcps()).find((i) => i.pid === ipcp.pid) ?? now;
      return joined.layer === NOT_ENROLLED ? "it is in no layer" : undefined;
    },
  );
  if (enrolled !== 0) return false;
  if (join.layer !== undefined && joined.layer !== join.layer) {
    ctx.print("Enrollment destination does not match requested layer.\n");
    ctx.complain(
      printable(`IPCP "${ipcp.name}" is in layer "${joined.layer}", not in "${join.layer}"`),
    );
    return false;
  }
  say(`Enrolled ${ipcp.name} in layer ${joined.layer} with ${dst}.`);

  const own = [ipcp.name, joined.layer];
  if (!await haveNames(ctx, own) || !await bindBoth(ctx, ipcp, own, [])) return false;
  const lower = await attemptList(ctx, "list IPCPs", ctx.admin.listIpcps());
  if (lower === undefined) return false;
  for (const { pid, name } of lower.filter((i) => i.layer === below)) {
    for (const what of own) {
      const action = `register "${what}" with IPCP "${name}"`;
      if (await attempt(ctx, action, ctx.admin.regName(what, pid))) return false;
      say(`Registered ${what} with ${name} in layer ${below}.`);
    }
  }

  const components = ipcp.type === IpcpType.BROADCAST
    ? [COMP_DATA_TRANSFER]
    : [COMP_MANAGEMENT, COMP_DATA_TRANSFER];
  for (const component of components) {
    const action = `connect IPCP "${ipcp.name}" to "${dst}" (${component})`;
    const made = await waitUntil(ctx, action, leftS(), async () => {
      await ctx.admin.connectIpcp(ipcp.pid, dst, component, QOS.raw);
      return undefined;
    });
    if (made !== 0) return false;
    say(`Connected ${component} of ${ipcp.name} to ${dst}.`);
  }
  if (ipcp.type === IpcpType.BROADCAST) return true;
  const reached = await waitUntil(ctx, `reach a member of "${joined.layer}"`, leftS(), async () => {
    const n = await ctx.admin.countMembers(joined.layer);
    return n >= 2 ? undefined : "routing knows no way yet";
  });
  if (reached === 0) say(`Layer ${joined.layer} can be reached.`);
  return reached === 0;
}

/** Makes those names that are not there; whether all are. */
async function haveNames(ctx: Context, wanted: readonly string[]): Promise<boolean> {
  const there = await attemptList(ctx, "list names", ctx.admin.listNames());
  if (there === undefined) return false;
  for (const name of new Set(wanted)) {
    if (there.some((n) => n.name === name)) continue;
    const files = { skey: "", scrt: "", senc: "", ckey: "", ccrt: "", cenc: "" };
    const made = ctx.admin.createName({ name, polLb: 0, ...files });
    if (await attempt(ctx, `create name "${name}"`, made)) return false;
    ctx.print(`${printable(`Created name ${name}.`)}\n`);
  }
  return true;
}
