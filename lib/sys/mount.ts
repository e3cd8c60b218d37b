/** Unmounting of file systems whose server has died (`<sys/mount.h>`). Checked with glibc 2.36. */

import { cstr, errno, lazyLibc } from "./ffi.ts";

const TABLE = {
  // int umount2(const char *target, int flags);
  umount2: { parameters: ["buffer", /* target */ "i32" /* flags */], result: "i32" },
} as const;

/** Detach now, even if in use; do not follow links. */
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;

const sys = lazyLibc(TABLE);

/** Detaches what is mounted at a path. Returns 0 or a negative errno (EINVAL: nothing is mounted there). */
export function unmountDead(path: string): number {
  return sys().umount2(cstr(path), MNT_DETACH | UMOUNT_NOFOLLOW) === 0 ? 0 : -errno();
}
