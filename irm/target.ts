/** What `bind` and `unbind` share: which process or IPCP a word means. */

import { OuroError } from "../lib/errno.ts";
import type { IpcpListEntry } from "../lib/irm/messages.ts";
import { type Context, listOrError, printable, tell } from "./context.ts";

/** A process id in decimal, or undefined. */
export function pidOf(word: string): number | undefined {
  if (!/^[0-9]{1,10}$/.test(word)) return undefined;
  const pid = Number(word);
  return pid >= 1 && pid <= 0x7fffffff ? pid : undefined;
}

/** The first IPCP of exactly that name; undefined after saying on stderr why there is none. */
export async function firstNamed(
  ctx: Context,
  name: string,
  action: string,
): Promise<IpcpListEntry | undefined> {
  const listed = await listOrError(ctx.admin.listIpcps());
  if (listed instanceof OuroError) {
    tell(ctx, action, listed);
    return undefined;
  }
  const found = listed.find((ipcp) => ipcp.name === name);
  if (!found) {
    ctx.complain(`Failed to ${printable(action)}: there is no IPCP of that name (irm ipcp list)`);
  }
  return found;
}
