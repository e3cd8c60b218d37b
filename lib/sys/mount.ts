/** Taking away what is mounted, or just is, where we must have the name (`<sys/mount.h>`). Checked with glibc 2.36. */

import { cstr, errno, lazyLibc } from "./ffi.ts";

const TABLE = {
  // int umount2(const char *target, int flags);
  umount2: { parameters: ["buffer", /* target */ "i32" /* flags */], result: "i32" },
} as const;

/** Detach now, even if in use; do not follow links. */
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

/** File systems that are taken off a name, one upon the other; fusermount allows a user 1000. */
const MOUNTS_MAX = 1024;

const sys = lazyLibc(TABLE);

/** Detaches what is mounted at a path. Returns 0 or a negative errno (EINVAL: nothing is mounted there). */
export function unmountDead(path: string): number {
  return sys().umount2(cstr(path), MNT_DETACH | UMOUNT_NOFOLLOW) === 0 ? 0 : -errno();
}

/**
 * Moves what another user has put at a path out of the way (as root). What is mounted there is taken off first: every
 * user may mount a file system (FUSE) on what is theirs, and then it could not be moved. A directory that is not empty
 * stays beside, as its owner's: it may be so deep that whoever climbs down dies of it. Whether the path is free.
 */
export function moveAway(path: string): boolean {
  const aside = `${path.slice(0, path.lastIndexOf("/"))}/.${crypto.randomUUID()}`;
  let mounts = 0;
  while (mounts < MOUNTS_MAX && unmountDead(path) === 0) mounts += 1;
  try {
    Deno.renameSync(path, aside);
  } catch {
    return false;
  }
  try {
    Deno.removeSync(aside);
  } catch {
    // It is not empty.
  }
  return true;
}
