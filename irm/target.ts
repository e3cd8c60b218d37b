/** Which process or IPCP a word means, and what `bind ipcp` and `unbind ipcp` share. */

import { lastValue, parsePairs, whatIsMissing } from "./grammar.ts";
import type { IpcpListEntry } from "../lib/irm/messages.ts";
import { attempt, attemptList, type Context, printable, unknownWord, usage } from "./context.ts";

/** A process id in decimal, or undefined. */
export function pidOf(word: string): number | undefined {
  if (!/^[0-9]{1,10}$/.test(word)) return undefined;
  const pid = Number(word);
  return pid >= 1 && pid <= 0x7fffffff ? pid : undefined;
}

/** The first or last listed IPCP of exactly that name; undefined after saying on stderr why there is none. */
export async function ipcpNamed(
  ctx: Context,
  name: string,
  action: string,
  which: "first" | "last",
): Promise<IpcpListEntry | undefined> {
  const listed = await attemptList(ctx, action, ctx.admin.listIpcps());
  if (listed === undefined) return undefined;
  const isIt = (ipcp: IpcpListEntry) => ipcp.name === name;
  const found = which === "first" ? listed.find(isIt) : listed.findLast(isIt);
  if (!found) {
    ctx.complain(`Failed to ${printable(action)}: there is no IPCP of that name (irm ipcp list)`);
  }
  return found;
}

/** `bind` or `unbind` of `ipcp IPCP name NAME`: `request` does it for the process of the IPCP. */
export async function ofIpcp(
  ctx: Context,
  args: readonly string[],
  of: "bind ipcp" | "unbind ipcp",
  request: (pid: number, name: string) => Promise<void>,
): Promise<number> {
  const parsed = parsePairs(args, { keys: ["name", "ipcp"] });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, of, parsed.known);
  const word = lastValue(parsed.pairs, "ipcp");
  const name = lastValue(parsed.pairs, "name");
  if (parsed.kind === "missing" || word === undefined || name === undefined) {
    return usage(ctx, of, whatIsMissing(parsed, [["ipcp", "IPCP"], ["name", "NAME"]]));
  }
  const action = of === "bind ipcp"
    ? `bind IPCP "${word}" to "${name}"`
    : `unbind IPCP "${word}" from "${name}"`;
  const target = await ipcpNamed(ctx, word, action, "first");
  if (!target) return 1;
  return await attempt(ctx, action, request(target.pid, name)) ? 1 : 0;
}
