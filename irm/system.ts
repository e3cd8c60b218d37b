/** The real system around `irm`: files, processes and where our own binary lies. */

import { dirname } from "@std/path";
import { selfFile } from "../lib/self.ts";
import type { System } from "./context.ts";

/** Looks at the running system each time it is asked. */
export const realSystem: System = {
  get path() {
    return Deno.env.get("PATH");
  },
  get binaryDir() {
    return binaryDir();
  },
  realPath(path) {
    try {
      return { path: Deno.realPathSync(path) };
    } catch (error) {
      return { errno: errnoOf(error) };
    }
  },
  stat(path) {
    try {
      const info = Deno.statSync(path);
      return { directory: info.isDirectory, ownerMayExecute: ((info.mode ?? 0) & 0o100) !== 0 };
    } catch {
      return undefined;
    }
  },
  processExists(pid) {
    try {
      Deno.statSync(`/proc/${pid}`);
      return true;
    } catch {
      return false;
    }
  },
};

/** The errno name of a failed file operation. */
function errnoOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "EIO";
}

/** The directory of the binary and of the links to it; undefined when run from source. */
function binaryDir(): string | undefined {
  const file = selfFile();
  if (file === undefined) return undefined;
  try {
    return dirname(Deno.realPathSync(file));
  } catch {
    return undefined;
  }
}
