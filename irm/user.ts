/** `irm user list`: what each user holds of what users share (our addition). */

import { OTHER_HOSTS, type UserUse } from "../lib/irm/messages.ts";
import { attemptList, type Context, unreachable, usage } from "./context.ts";
import { table } from "./table.ts";

const COLUMNS = [
  { head: "uid", width: 11 },
  { head: "connections", width: 12 },
  { head: "processes", width: 12 },
  { head: "flows", width: 12 },
  { head: "KiB in /dev/shm", width: 16 },
  { head: "exchanges", width: 12 },
] as const;

/** `list`. The last line is what there is in all. */
export async function list(ctx: Context, args: readonly string[]): Promise<number> {
  if (args.length > 0) return usage(ctx, "user", `"${args[0]}" is unknown`);
  const text = ctx.json ? undefined : unreachable;
  const got = await attemptList(
    ctx,
    "list users",
    ctx.admin.listUsers().then((all) => [all]),
    text,
  );
  if (got === undefined) return 1;
  const { users, totals } = got[0]!;
  if (ctx.json) {
    const json = (u: UserUse) => ({
      connections: u.connections,
      processes: u.processes,
      flows: u.flows,
      memory_kib: u.memoryKib,
      exchanges: u.exchanges ?? 0,
    });
    const document = {
      users: users.map((u) => ({ uid: u.uid === OTHER_HOSTS ? null : u.uid, ...json(u) })),
      totals: json(totals),
    };
    ctx.print(JSON.stringify(document, null, 2) + "\n");
    return 0;
  }
  const row = (head: string, u: UserUse) =>
    [head, u.connections, u.processes, u.flows, u.memoryKib, u.exchanges ?? 0].map(String);
  const rows = users.map((u) => row(u.uid === OTHER_HOSTS ? "other hosts" : String(u.uid), u));
  ctx.print(table(COLUMNS, [...rows, row("there are", totals)]));
  return 0;
}
