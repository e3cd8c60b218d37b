/** Programs of other users: runtime and script in one directory that every user may read. */

import { fromFileUrl } from "@std/path";

/**
 * The command line of a script with all that it imports. The source, the runtime and its cache may lie
 * where root alone gets, so both are put into `dir`. The user's own cache belongs into `env.DENO_DIR`.
 */
export async function userProgram(dir: string, script: URL): Promise<string[]> {
  const path = fromFileUrl(script);
  const [runtime, bundle] = [`${dir}/deno`, `${dir}/${path.split("/").at(-1)}.js`];
  await Deno.copyFile(Deno.execPath(), runtime);
  await Deno.chmod(runtime, 0o755);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "deno", "-o", bundle, path],
    cwd: fromFileUrl(new URL("../..", import.meta.url)),
    stdout: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  await Deno.chmod(bundle, 0o644);
  return [runtime, "run", "-A", "--no-prompt", "--quiet", "--no-config", "--no-lock", bundle];
}
