/**
 * Whether others can change what sets security: files and directories count only when nobody but root, the user who runs
 * the daemon, or who was allowed to name the file, may write them (spec 40 §18.21). Access control lists are not looked
 * at.
 */

import { dirname } from "@std/path";
import { isAbsent } from "../lib/sys/access.ts";
import { effectiveGid, effectiveUid } from "../lib/sys/users.ts";

/** What a file says of itself that matters here. */
type Facts = Pick<Deno.FileInfo, "uid" | "gid" | "mode">;

/** Bits of `mode`: others write, the group writes, only owners remove (a shared directory as /tmp is). */
const OTHERS_WRITE = 0o002;
const GROUP_WRITES = 0o020;
const STICKY = 0o1000;

/** Who may change a file or directory besides those who should, and the remedy; undefined: nobody. `owner` may too. */
export function othersMayWrite(path: string, s: Facts, owner?: number): string | undefined {
  const mode = s.mode ?? 0;
  if (s.uid !== 0 && s.uid !== effectiveUid() && s.uid !== owner) {
    return `${path} belongs to uid ${s.uid}, who can change it (chown root ${path})`;
  }
  const group = (mode & GROUP_WRITES) !== 0 && s.gid !== 0 && s.gid !== effectiveGid();
  if ((mode & OTHERS_WRITE) === 0 && !group) return undefined;
  const octal = (mode & 0o7777).toString(8).padStart(4, "0");
  return `${path} can be changed by others (mode ${octal}: chmod go-w ${path})`;
}

/**
 * The same for a directory and those above it up to `top`, which is the last; those that are not there are skipped. In
 * a shared directory whose entries only their owners remove (as /tmp) what is there is safe.
 */
export function othersMayWriteDirs(dir: string, top: string, owner?: number): string | undefined {
  return lookAtDirs(dir, top, owner).open;
}

/** What {@linkcode othersMayWriteDirs} says, and whether the directory is surely not there. */
export function lookAtDirs(
  dir: string,
  top: string,
  owner?: number,
): { readonly open?: string | undefined; readonly absent: boolean } {
  const dirs = [dir];
  for (let at = dir; at !== top && at.startsWith(top) && at !== "/";) dirs.push(at = dirname(at));
  // From above: most names have no directory of their own, and below what is not there is nothing.
  for (const at of dirs.reverse()) {
    if (isAbsent(at)) return { absent: true };
    const s = statOf(at);
    const isShared = s !== undefined && ((s.mode ?? 0) & STICKY) !== 0 && s.uid === 0;
    const open = s === undefined || isShared ? undefined : othersMayWrite(at, s, owner);
    if (open !== undefined) return { open, absent: false };
  }
  return { absent: false };
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
