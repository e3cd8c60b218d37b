/**
 * Writes `lib/flow/waiter_source.ts`: the waiter thread with all it imports as one text, so that it travels in bundles and
 * compiled programs of applications, and needs no permission to read a file.
 *
 *     deno run -A scripts/waiter_source.ts
 */

import { fromFileUrl } from "@std/path";

/** The file that is made. */
export const TARGET = fromFileUrl(new URL("../lib/flow/waiter_source.ts", import.meta.url));
const ENTRY = fromFileUrl(new URL("../lib/flow/waiter_worker.ts", import.meta.url));

/** What the file must hold for the sources as they are now. */
export async function waiterSource(): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "deno", "--minify", ENTRY],
    env: { NO_COLOR: "1" },
  }).output();
  if (code !== 0) throw new Error(`deno bundle failed:\n${new TextDecoder().decode(stderr)}`);
  const text = new TextDecoder().decode(stdout).trim();
  return [
    "/** The waiter thread as one text. Made by `scripts/waiter_source.ts` from `waiter_worker.ts`; do not edit. */",
    "// deno-fmt-ignore",
    `export const WAITER_SOURCE: string = ${JSON.stringify(text)};`,
    "",
  ].join("\n");
}

if (import.meta.main) await Deno.writeTextFile(TARGET, await waiterSource());
