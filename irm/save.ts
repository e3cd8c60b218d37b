/** `irm save [FILE]`: the state of the node as a configuration file (our addition). */

import { attemptList, type Context, printable, unreachable, usage } from "./context.ts";

/** To stdout without a file. What is not saved is told on stderr, and in comments of the file. */
export async function save(ctx: Context, args: readonly string[]): Promise<number> {
  const [file, ...more] = args;
  if (more.length > 0) return usage(ctx, "save", `"${more[0]}" is one word too many`);
  const got = await attemptList(
    ctx,
    "save the configuration",
    ctx.admin.saveConfig().then((saved) => [saved]),
    ctx.json ? undefined : unreachable,
  );
  if (got === undefined) return 1;
  const { config, unsaved } = got[0]!;
  for (const what of unsaved) ctx.complain(`Not saved: ${printable(what)}.`);
  if (file !== undefined && file !== "-") {
    const cause = ctx.system.writeFile(file, config);
    if (cause === undefined) return 0;
    ctx.complain(`Failed to write ${printable(file)}: ${printable(cause)}.`);
    return 1;
  }
  ctx.print(ctx.json ? JSON.stringify({ config, unsaved }, null, 2) + "\n" : config);
  return 0;
}
