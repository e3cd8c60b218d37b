/**
 * An owned file descriptor, and the few calls that work on any descriptor (`<unistd.h>`, `<fcntl.h>`,
 * `<sys/eventfd.h>`), checked with glibc 2.36.
 *
 * Safety: a raw number taken from {@linkcode Fd.raw} must not outlive its owner; the kernel reuses
 * numbers at once. Reading `raw` after `close()` throws instead of handing out a stranger's number.
 */

import { Errno } from "../errno.ts";
import { cstr, errno, lazyLibc, SysError } from "./ffi.ts";

const TABLE = {
  // int open(const char *path, int flags);
  open: { parameters: ["buffer", /* path */ "i32" /* flags */], result: "i32" },
  // int close(int fd);
  close: { parameters: ["i32" /* fd */], result: "i32" },
  // int fcntl(int fd, int cmd, int arg);
  fcntl: { parameters: ["i32", /* fd */ "i32", /* cmd */ "i32" /* arg */], result: "i32" },
  // ssize_t read(int fd, void *buf, size_t n);  n < 2^31, so 32-bit registers hold it and the result
  read: { parameters: ["i32", /* fd */ "buffer", /* buf */ "u32" /* n */], result: "i32" },
  // ssize_t write(int fd, const void *buf, size_t n);  n < 2^31
  write: { parameters: ["i32", /* fd */ "buffer", /* buf */ "u32" /* n */], result: "i32" },
  // int eventfd(unsigned int initval, int flags);
  eventfd: { parameters: ["u32", /* initval */ "i32" /* flags */], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t n, int timeout_ms);
  poll: { parameters: ["buffer", /* fds */ "u64", /* n */ "i32" /* timeout */], result: "i32" },
} as const;

const sys = lazyLibc(TABLE);

// `<fcntl.h>` and `<sys/eventfd.h>` of Linux.
const O_CLOEXEC = 0o2000000;
const F_GETFD = 1;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
// `<poll.h>`.
const POLLOUT = 4;

/** A descriptor that closes itself when disposed. */
export class Fd implements Disposable {
  /** Descriptors of this class that are open in this thread; tests end with what they began with. */
  static live = 0;
  #raw: number;

  /** Takes over a descriptor that some call has just made; `what` names it in errors. */
  constructor(raw: number, readonly what: string) {
    this.#raw = raw;
    Fd.live += 1;
  }

  /** The number. Throws `SysError(EBADF)` when closed. */
  get raw(): number {
    if (this.#raw < 0) throw new SysError(Errno.EBADF, "Fd", this.what);
    return this.#raw;
  }

  get closed(): boolean {
    return this.#raw < 0;
  }

  /** Closes the descriptor. Idempotent. */
  close(): void {
    if (this.#raw < 0) return;
    sys().close(this.#raw);
    this.#raw = -1;
    Fd.live -= 1;
  }

  /** Sets whether the descriptor survives exec. Throws `SysError`. */
  setCloseOnExec(on: boolean): void {
    const flags = sys().fcntl(this.raw, F_GETFD, 0);
    if (flags < 0) throw new SysError(errno(), "fcntl", this.what);
    const next = on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC;
    if (sys().fcntl(this.raw, F_SETFD, next) < 0) throw new SysError(errno(), "fcntl", this.what);
  }

  /** read(2) into the whole of `into`. Returns the bytes read (0 at the end) or a negative errno. */
  read(into: Uint8Array<ArrayBuffer>): number {
    const n = sys().read(this.raw, into, into.length);
    return n < 0 ? -errno() : n;
  }

  /** write(2) of the whole of `from`. Returns the bytes written or a negative errno. */
  write(from: Uint8Array<ArrayBuffer>): number {
    const n = sys().write(this.raw, from, from.length);
    return n < 0 ? -errno() : n;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** open(2) with `O_CLOEXEC`. Throws `SysError`. */
export function openFd(path: string, flags: number): Fd {
  const raw = sys().open(cstr(path), flags | O_CLOEXEC);
  if (raw < 0) throw new SysError(errno(), "open", path);
  return new Fd(raw, path);
}

/** struct pollfd: fd i32 @0, events i16 @4, revents i16 @6. */
const polled = new DataView(new ArrayBuffer(8));

/** Whether a write to a descriptor does something at once: takes bytes, or fails. */
export function hasRoom(fd: number): boolean {
  polled.setInt32(0, fd, true);
  polled.setInt16(4, POLLOUT, true);
  // What cannot be asked is written to as it is.
  return sys().poll(polled.buffer, 1n, 0) !== 0;
}

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/** A nonblocking eventfd: a counter that {@linkcode bump} makes readable and {@linkcode clear} empties. */
export class EventFd extends Fd {
  readonly #in = new Uint8Array(8);

  static open(): EventFd {
    const raw = sys().eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (raw < 0) throw new SysError(errno(), "eventfd", "");
    return new EventFd(raw, "eventfd");
  }

  /** Makes it readable. */
  bump(): void {
    this.write(ONE);
  }

  /** Makes it unreadable. */
  clear(): void {
    this.read(this.#in);
  }
}
