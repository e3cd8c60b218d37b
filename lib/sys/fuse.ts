/**
 * Mounting of a file system that this process serves (`<sys/mount.h>`, `/dev/fuse`), checked with glibc 2.36 and Linux 6.
 *
 * Needs CAP_SYS_ADMIN. Whoever closes the descriptor ends the file system: what is still mounted answers ENOTCONN.
 *
 * Safety: the directory is opened without following a link and mounted on by its descriptor, so that nobody who may
 * write beside it can put another in its place meanwhile.
 */

import { type Fd, openFd } from "./fd.ts";
import { cstr, errno, lazyLibc, SysError } from "./ffi.ts";

const TABLE = {
  // int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
  mount: {
    parameters: [
      "buffer",
      /* source */ "buffer",
      /* target */ "buffer",
      /* type */ "u64",
      "buffer",
    ],
    result: "i32",
  },
} as const;

const sys = lazyLibc(TABLE);

// `<fcntl.h>`, `<sys/mount.h>` of Linux, x86_64.
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_DIRECTORY = 0o200000;
const O_NOFOLLOW = 0o400000;
const O_PATH = 0o10000000;
const MS_RDONLY = 1n;
const MS_NOSUID = 2n;
const MS_NODEV = 4n;

/** The kernel's device for file systems that processes serve. */
export const FUSE_DEVICE = "/dev/fuse";

/**
 * Mounts a file system that everybody may read on an existing directory (spec 80 §8.1). The descriptor gives the
 * kernel's requests, without waiting. Throws `SysError`.
 */
export function mountFuse(path: string): Fd {
  const device = openFd(FUSE_DEVICE, O_RDWR | O_NONBLOCK);
  try {
    using directory = openFd(path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    const data = `default_permissions,allow_other,fd=${device.raw},rootmode=40000,` +
      "user_id=0,group_id=0";
    const target = cstr(`/proc/self/fd/${directory.raw}`);
    const flags = MS_RDONLY | MS_NOSUID | MS_NODEV;
    if (sys().mount(cstr("rib"), target, cstr("fuse"), flags, cstr(data)) < 0) {
      throw new SysError(errno(), "mount", path);
    }
    return device;
  } catch (e) {
    device.close();
    throw e;
  }
}
