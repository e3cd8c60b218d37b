/**
 * Whether a caller may point a name at key files: it must be able to read them itself (spec 40
 * §18.21). The IRMd reads as root whatever path it is told, so it asks here first.
 */

/** Who asks, as the kernel says. */
export interface Caller {
  readonly uid: number;
  /** Primary and supplementary groups. */
  readonly gids: readonly number[];
}

/**
 * Checks that `uid` (with `gids`) can read each file: search permission on every directory of the
 * real path, read permission on the file. Empty paths are skipped. Access control lists are not
 * looked at, so they can only make this stricter than the kernel, or looser where they deny.
 * @returns the first reason against it, `undefined` when there is none
 */
export function checkPathsReadableBy(
  paths: readonly string[],
  uid: number,
  gids: readonly number[],
): string | undefined {
  const who: Caller = { uid, gids };
  for (const path of paths) {
    if (path === "" || uid === 0) continue;
    const reason = check(path, who);
    if (reason) return reason;
  }
  return undefined;
}

function check(path: string, who: Caller): string | undefined {
  if (!path.startsWith("/")) return `"${path}" is not an absolute path`;
  let real: string;
  try {
    real = Deno.realPathSync(path);
  } catch {
    // The same words whether it is absent or hidden: callers must not probe root's directories.
    return `"${path}" cannot be read by uid ${who.uid}`;
  }
  for (const each of [path, real]) {
    if (!allowed(each, who)) return `"${path}" cannot be read by uid ${who.uid}`;
  }
  return undefined;
}

function allowed(path: string, who: Caller): boolean {
  try {
    const parts = path.split("/").filter((p) => p !== "");
    let at = "";
    for (const part of parts.slice(0, -1)) {
      at += `/${part}`;
      if (!permitted(Deno.statSync(at), who, 1)) return false;
    }
    const file = Deno.statSync(path);
    return file.isFile && permitted(file, who, 4);
  } catch {
    return false;
  }
}

/** Whether mode bits allow (4 read, 1 search): the first class that matches counts. */
export function permitted(s: Deno.FileInfo, who: Caller, bit: 1 | 4): boolean {
  const mode = s.mode ?? 0;
  if (s.uid === who.uid) return (mode & (bit << 6)) !== 0;
  if (s.gid !== null && who.gids.includes(s.gid)) return (mode & (bit << 3)) !== 0;
  return (mode & bit) !== 0;
}
