/**
 * POSIX shared-memory objects and their mappings (`<sys/mman.h>`, `<sys/stat.h>`, `<fcntl.h>`).
 *
 * Safety: the buffer of a {@linkcode Mapping} is memory that other processes write at any time; only
 * `lib/shm` interprets it. After `unmap()` no view made from the buffer may be touched: the owner
 * drops them first. Access to a mapping of a file that somebody truncated makes it whole again on x86_64, with zeros
 * ({@linkcode surviveTruncation}), and ends the process elsewhere, so payload of other users is copied
 * with {@linkcode ShmObject.pread} instead.
 */

import { Errno } from "../errno.ts";
import { cstr, errno, lazyLibc, type MemRef, SysError } from "./ffi.ts";
import { moveAway } from "./mount.ts";
import { guard, surviveTruncation, unguard } from "./sigbus.ts";

const TABLE = {
  // int shm_open(const char *name, int oflag, mode_t mode);
  shm_open: {
    parameters: ["buffer", /* name */ "i32", /* oflag */ "u32" /* mode */],
    result: "i32",
  },
  // int shm_unlink(const char *name);
  shm_unlink: { parameters: ["buffer" /* name */], result: "i32" },
  // int ftruncate(int fd, off_t length);
  ftruncate: { parameters: ["i32", /* fd */ "i64" /* length */], result: "i32" },
  // int posix_fallocate(int fd, off_t offset, off_t len);  returns the error number
  posix_fallocate: {
    parameters: ["i32", /* fd */ "i64", /* offset */ "i64" /* len */],
    result: "i32",
  },
  // int flock(int fd, int operation);
  flock: { parameters: ["i32", /* fd */ "i32" /* operation */], result: "i32" },
  // int fchown(int fd, uid_t owner, gid_t group);
  fchown: { parameters: ["i32", /* fd */ "u32", /* owner */ "u32" /* group */], result: "i32" },
  // int fchmod(int fd, mode_t mode);
  fchmod: { parameters: ["i32", /* fd */ "u32" /* mode */], result: "i32" },
  // int fstat(int fd, struct stat *st);
  fstat: { parameters: ["i32", /* fd */ "buffer" /* st */], result: "i32" },
  // void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off);
  mmap: {
    parameters: [
      "pointer", /* addr */
      "usize", /* len */
      "i32", /* prot */
      "i32", /* flags */
      "i32", /* fd */
      "i64", /* off */
    ],
    result: "pointer",
  },
  // int munmap(void *addr, size_t len);
  munmap: { parameters: ["pointer", /* addr */ "usize" /* len */], result: "i32" },
  // int mlock(const void *addr, size_t len);
  mlock: { parameters: ["pointer", /* addr */ "usize" /* len */], result: "i32" },
  // ssize_t pread(int fd, void *buf, size_t count, off_t offset);
  pread: {
    parameters: ["i32", /* fd */ "buffer", /* buf */ "usize", /* count */ "i64" /* offset */],
    result: "i64",
  },
  // ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset);
  pwrite: {
    parameters: ["i32", /* fd */ "buffer", /* buf */ "usize", /* count */ "i64" /* offset */],
    result: "i64",
  },
  // void *memcpy(void *dst, const void *src, size_t n);  n < 2^32, so a u32 register holds it
  memcpy: { parameters: ["buffer", /* dst */ "pointer", /* src */ "u32" /* n */], result: "void" },
  // int close(int fd);
  close: { parameters: ["i32" /* fd */], result: "i32" },
} as const;

const sys = lazyLibc(TABLE);

// `<fcntl.h>`, `<sys/mman.h>` of x86_64 Linux.
const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
// `<sys/file.h>`.
const LOCK_EX = 2;
const LOCK_NB = 4;
/** Where glibc keeps the objects. */
const SHM_DIR = "/dev/shm";
/** How often the way is cleared for an object before its name is given up. */
const TAKES_MAX = 16;

// struct stat, x86_64.
const STAT_BYTES = 144;
const STAT_INO = 8;
const STAT_MODE = 24;
const STAT_UID = 28;
const STAT_GID = 32;
const STAT_SIZE = 48;

/** What `fstat` says about an object: size in bytes, permission bits, owner. */
export interface ShmStat {
  readonly ino: number;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A whole shared object mapped read-write. */
export class Mapping implements Disposable {
  /** Mappings that exist in this thread; tests end with the number they began with. */
  static live = 0;
  #pointer: MemRef | null;

  readonly #guard: number;

  /** @param ino of the object with that name */
  constructor(
    pointer: MemRef,
    readonly bytes: number,
    readonly name: string,
    readonly ino: number,
  ) {
    this.#pointer = pointer;
    this.#guard = guard(pointer, bytes, SHM_DIR + name, ino);
    this.buffer = Deno.UnsafePointerView.getArrayBuffer(pointer, bytes);
    this.words = new Int32Array(this.buffer, 0, bytes >> 2);
    Mapping.live += 1;
  }

  /** The memory itself. Not to be touched after {@linkcode unmap}. */
  readonly buffer: ArrayBuffer;

  /** The same as words; one view for all who use a mapping, since there are many mappings. */
  readonly words: Int32Array<ArrayBuffer>;

  /** The address of a byte, for the typed handles of `lib/sys`. Throws when out of range or unmapped. */
  ref(offset: number, bytes = 1): MemRef {
    if (this.#pointer === null) throw new SysError(Errno.EBADF, "Mapping.ref", this.name);
    if (offset < 0 || offset + bytes > this.bytes) {
      throw new SysError(Errno.EINVAL, "Mapping.ref", this.name);
    }
    return Deno.UnsafePointer.offset(this.#pointer, offset)!;
  }

  /** Keeps the pages in memory. Returns 0 or a negative errno; failing is not fatal (spec 10 §2.1). */
  lock(): number {
    if (this.#pointer === null) return -Errno.EBADF;
    return sys().mlock(this.#pointer, BigInt(this.bytes)) === 0 ? 0 : -errno();
  }

  /** Ends the mapping. Idempotent. */
  unmap(): void {
    if (this.#pointer === null) return;
    unguard(this.#guard);
    sys().munmap(this.#pointer, BigInt(this.bytes));
    this.#pointer = null;
    Mapping.live -= 1;
  }

  [Symbol.dispose](): void {
    this.unmap();
  }
}

/** Copies `n` bytes from mapped memory into `to`; the caller has checked both ranges. */
export function copyFrom(from: MemRef, to: Uint8Array<ArrayBuffer>, n: number): void {
  sys().memcpy(to, from, n);
}

/** An open shared-memory object (a descriptor). Close it, or dispose it, when it is mapped. */
export class ShmObject implements Disposable {
  /** Descriptors of this class that are open in this thread. */
  static live = 0;
  #fd: number;
  /** What {@linkcode stat} said: an open object stays the same. */
  #ino: number | undefined;

  private constructor(fd: number, readonly name: string) {
    this.#fd = fd;
    ShmObject.live += 1;
  }

  /**
   * Creates an object that must not exist (`O_EXCL`), gives it size, memory, owner and mode.
   * Memory is reserved at once, so that a full file system fails here and not as SIGBUS later.
   * Throws `SysError`, and unlinks what it made, on any failure.
   */
  static create(
    name: string,
    bytes: number,
    mode: number,
    owner?: { uid: number; gid: number },
  ): ShmObject {
    const s = sys();
    // Mode 0600 first: nobody gets in before the final owner and mode are set.
    const fd = s.shm_open(cstr(name), O_RDWR | O_CREAT | O_EXCL, 0o600);
    if (fd < 0) throw new SysError(errno(), "shm_open", name);
    const object = new ShmObject(fd, name);
    try {
      const full = s.posix_fallocate(fd, 0n, BigInt(bytes));
      if (full !== 0) throw new SysError(full, "posix_fallocate", name);
      if (owner !== undefined && s.fchown(fd, owner.uid, owner.gid) !== 0) {
        throw new SysError(errno(), "fchown", name);
      }
      if (s.fchmod(fd, mode) !== 0) throw new SysError(errno(), "fchmod", name);
    } catch (e) {
      object.close();
      ShmObject.unlink(name);
      throw e;
    }
    return object;
  }

  /** Opens an existing object read-write. Throws `SysError`. */
  static open(name: string): ShmObject {
    const fd = sys().shm_open(cstr(name), O_RDWR, 0);
    if (fd < 0) throw new SysError(errno(), "shm_open", name);
    return new ShmObject(fd, name);
  }

  /** Removes the name. Returns 0 or a negative errno. */
  static unlink(name: string): number {
    return sys().shm_unlink(cstr(name)) === 0 ? 0 : -errno();
  }

  /**
   * Removes whatever has the name, as root a directory of another user as well ({@linkcode moveAway}). Returns 0, also when
   * nothing was there, or a negative errno.
   */
  static clear(name: string): number {
    const code = ShmObject.unlink(name);
    if (code === 0 || code === -Errno.ENOENT) return 0;
    return moveAway(SHM_DIR + name) ? 0 : code;
  }

  /**
   * Makes an object under a name that is ours whoever squats on it: `make` is called, and again after the way was cleared
   * when the name was taken. Throws what `make` throws.
   */
  static take<T>(name: string, make: () => T): T {
    for (let tries = 1;; tries++) {
      try {
        return make();
      } catch (e) {
        if (!(e instanceof SysError) || e.errno !== Errno.EEXIST || tries === TAKES_MAX) throw e;
        if (ShmObject.clear(name) < 0) throw e;
      }
    }
  }

  /** Locks the object for this descriptor until it is closed. Returns 0, or a negative errno: EAGAIN when it is held. */
  lock(): number {
    return sys().flock(this.#fd, LOCK_EX | LOCK_NB) === 0 ? 0 : -errno();
  }

  stat(): ShmStat {
    const st = new DataView(new ArrayBuffer(STAT_BYTES));
    if (sys().fstat(this.#fd, st.buffer) !== 0) throw new SysError(errno(), "fstat", this.name);
    return {
      ino: this.#ino = Number(st.getBigUint64(STAT_INO, true)),
      size: Number(st.getBigInt64(STAT_SIZE, true)),
      mode: st.getUint32(STAT_MODE, true) & 0o7777,
      uid: st.getUint32(STAT_UID, true),
      gid: st.getUint32(STAT_GID, true),
    };
  }

  /** Sets the length (tests of truncated objects). */
  truncate(bytes: number): void {
    if (sys().ftruncate(this.#fd, BigInt(bytes)) !== 0) {
      throw new SysError(errno(), "ftruncate", this.name);
    }
  }

  /** Gives the object memory for `bytes`, now and not at the first touch. Throws `SysError` (ENOSPC). */
  reserve(bytes: number): void {
    const full = sys().posix_fallocate(this.#fd, 0n, BigInt(bytes));
    if (full !== 0) throw new SysError(full, "posix_fallocate", this.name);
  }

  /** Makes an object that somebody has cut short as long as `bytes` again, with zeros. Throws `SysError` (ENOSPC). */
  lengthen(bytes: number): void {
    if (this.stat().size < bytes) this.reserve(bytes);
  }

  /** Maps `bytes` from the start, read-write and shared. Throws `SysError`. */
  map(bytes: number): Mapping {
    surviveTruncation();
    const at = sys().mmap(null, BigInt(bytes), PROT_READ_WRITE, MAP_SHARED, this.#fd, 0n);
    // MAP_FAILED is (void *) -1.
    if (at === null || Deno.UnsafePointer.value(at) === 0xffffffffffffffffn) {
      throw new SysError(errno(), "mmap", this.name);
    }
    return new Mapping(at, bytes, this.name, this.#ino ?? this.stat().ino);
  }

  /** Reads at most `n` bytes at `offset`. Returns the number read (short at the end) or a negative errno. */
  pread(into: Uint8Array<ArrayBuffer>, n: number, offset: number): number {
    if (n > into.length) return -Errno.EINVAL;
    const got = Number(sys().pread(this.#fd, into, BigInt(n), BigInt(offset)));
    return got < 0 ? -errno() : got;
  }

  /** Writes `n` bytes at `offset`. Returns the number written or a negative errno. */
  pwrite(from: Uint8Array<ArrayBuffer>, n: number, offset: number): number {
    if (n > from.length) return -Errno.EINVAL;
    const put = Number(sys().pwrite(this.#fd, from, BigInt(n), BigInt(offset)));
    return put < 0 ? -errno() : put;
  }

  /** Closes the descriptor. Idempotent; mappings stay. */
  close(): void {
    if (this.#fd < 0) return;
    sys().close(this.#fd);
    this.#fd = -1;
    ShmObject.live -= 1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
