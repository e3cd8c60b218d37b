/**
 * Whether something has a name in the file system (`faccessat` of <unistd.h>), checked with glibc 2.36. The runtime's
 * own calls say so with an exception, which costs some tens of µs.
 */

import { Errno } from "../errno.ts";
import { cstr, errno, lazyLibc } from "./ffi.ts";

const TABLE = {
  // int faccessat(int dirfd, const char *path, int mode, int flags);
  faccessat: {
    parameters: ["i32", /* dirfd */ "buffer", /* path */ "i32", /* mode */ "i32" /* flags */],
    result: "i32",
  },
} as const;

const sys = lazyLibc(TABLE);

// `<fcntl.h>`, `<unistd.h>` of Linux.
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const F_OK = 0;

/** Whether there is surely nothing of that name, not even a link. Throws `SysError(EINVAL)` for a path with a NUL. */
export function isAbsent(path: string): boolean {
  return sys().faccessat(AT_FDCWD, cstr(path), F_OK, AT_SYMLINK_NOFOLLOW) !== 0 &&
    errno() === Errno.ENOENT;
}
