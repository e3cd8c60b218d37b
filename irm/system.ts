/** The real system around `irm`: files, processes and where our own binary lies. */

import { dirname } from "@std/path";
import { fileCause } from "../lib/cli/reason.ts";
import { selfFile } from "../lib/self.ts";
import type { System } from "./context.ts";

/** Looks at the running system each time it is asked; the tools of the binary are for its caller to name. */
export const realSystem: Omit<System, "ownTools"> = {
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
  writeFile(path, text) {
    return replaceFile(path, text);
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

/** Only its owner may write it, whatever the umask: an IRMd takes no other configuration. */
const FILE_MODE = 0o644;

/** Puts a new file in the place of one; what is no regular file (a pipe, a device) is written to. */
function replaceFile(path: string, text: string): string | undefined {
  const bytes = new TextEncoder().encode(text);
  let made: string | undefined;
  try {
    const real = existing(path);
    if (real !== undefined && !Deno.statSync(real).isFile) {
      Deno.writeFileSync(real, bytes);
      return undefined;
    }
    const place = real ?? path;
    made = Deno.makeTempFileSync({ dir: dirname(place), prefix: ".irm-save-" });
    {
      using file = Deno.openSync(made, { write: true });
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      file.syncSync();
    }
    Deno.chmodSync(made, FILE_MODE);
    Deno.renameSync(made, place);
    made = undefined;
    return undefined;
  } catch (error) {
    return fileCause(error);
  } finally {
    if (made !== undefined) Deno.removeSync(made);
  }
}

function existing(path: string): string | undefined {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

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
