/** Runs `irm` command lines in memory and keeps what they print. */

import { tools } from "../../../commands/table.ts";
import { run } from "../../../irm/commands.ts";
import type { Admin } from "../../../irm/admin.ts";
import type { System } from "../../../irm/context.ts";
import { splitFlags } from "../../../irm/flags.ts";
import { FakeAdmin } from "../../support/admin.ts";

/** What a command line did. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A system with a few files: what is in `files` exists, `true` means executable. */
export function fakeSystem(
  files: Readonly<Record<string, boolean | "directory">> = {},
  more: Partial<System> = {},
): System {
  return {
    path: "/usr/bin:/bin",
    binaryDir: undefined,
    ownTools: tools(),
    realPath: (path) =>
      path in files ? { path } : path === "/loop" ? { errno: "ELOOP" } : { errno: "ENOENT" },
    stat: (path) =>
      path in files
        ? { directory: files[path] === "directory", ownerMayExecute: files[path] !== false }
        : undefined,
    writeFile: (path) => path.startsWith("/full/") ? "No space left on device" : undefined,
    processExists: (pid) => pid === 1 || pid >= 4001 && pid < 5000,
    ...more,
  };
}

/** Runs a command line against an admin; flags such as `--json` count. */
export async function irm(
  args: readonly string[],
  admin: Admin = new FakeAdmin(),
  system: System = fakeSystem(),
): Promise<Outcome> {
  const words = splitFlags(args);
  let out = "";
  let err = "";
  const code = await run(
    {
      admin,
      system,
      json: words.json,
      print: (text) => out += text,
      complain: (line) => err += `${line}\n`,
    },
    words.args,
  );
  return { code, out, err };
}
