/**
 * Error numbers of the Ouroboros interfaces and what they mean to a person. Pure.
 *
 * Results on the IRMd socket, in the flow library and in OAP are negative values of these numbers:
 * Linux errno below 1000, the prototype's own from 1000 (spec 20 §4, spec 30 §2, spec 10 §12.5).
 * One table serves protocol results, log lines and the exceptions of the API.
 */

/**
 * Positive error numbers by name; protocol results are their negatives.
 *
 * @example
 * ```ts
 * import { Errno } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(-Errno.EFLOWDOWN, -1005); // results are negative
 * ```
 */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  ETXTBSY: 26,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EOVERFLOW: 75,
  EMSGSIZE: 90,
  EPROTONOSUPPORT: 93,
  ENOTSUP: 95,
  EAFNOSUPPORT: 97,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  ESTALE: 116,
  EDQUOT: 122,
  ECANCELED: 125,
  EOWNERDEAD: 130,
  ENOTRECOVERABLE: 131,
  ENOTALLOC: 1000,
  EIPCPTYPE: 1001,
  EIRMD: 1002,
  EIPCP: 1003,
  EIPCPSTATE: 1004,
  EFLOWDOWN: 1005,
  EFLOWPEER: 1006,
  ENAME: 1007,
  ECRYPT: 1008,
  EAUTH: 1009,
} as const;

/** A name in {@linkcode Errno}. */
export type ErrnoName = keyof typeof Errno;

const TEXT: Record<number, string> = {
  1: "operation not permitted",
  2: "no such file or directory",
  3: "no such process",
  4: "interrupted",
  5: "input/output error",
  6: "no such device or address",
  7: "command line too long",
  8: "not in an executable format",
  9: "bad descriptor",
  10: "no child process",
  11: "nothing available right now",
  12: "out of memory",
  13: "permission denied",
  14: "bad address",
  16: "busy",
  17: "already exists",
  18: "on another file system",
  19: "no such device",
  20: "not a directory",
  21: "is a directory",
  22: "invalid argument",
  23: "too many open files on this host",
  24: "too many open files",
  25: "not a terminal",
  26: "program is being written",
  27: "file too large",
  28: "no space left",
  29: "cannot seek",
  30: "read-only file system",
  31: "too many links",
  32: "peer hung up",
  34: "out of range",
  35: "deadlock",
  36: "name too long",
  38: "not in this kernel",
  39: "directory not empty",
  40: "too many symbolic links",
  61: "the other side sends no more",
  71: "protocol error",
  75: "value too large",
  90: "message too long",
  93: "protocol not supported",
  95: "operation not supported",
  97: "address family not supported",
  98: "address in use",
  99: "address not available",
  100: "network is down",
  101: "network is unreachable",
  104: "connection reset",
  105: "no buffer space",
  110: "timed out",
  111: "connection refused",
  113: "host is unreachable",
  116: "stale file",
  122: "quota exceeded",
  125: "cancelled",
  130: "owner of a lock died",
  131: "lock not recoverable",
  1000: "flow not allocated",
  1001: "unknown IPCP type",
  1002: "cannot talk to the IRMd",
  1003: "no usable IPCP",
  1004: "IPCP is in the wrong state",
  1005: "flow is down",
  1006: "peer of the flow timed out",
  1007: "unknown name",
  1008: "encryption failed",
  1009: "authentication failed",
};

const NAMES = new Map<number, string>(
  Object.entries(Errno).map(([name, number]) => [number, name]),
);

/**
 * The symbolic name of an error number of either sign (`-1007` and `1007` give `ENAME`).
 *
 * @example
 * ```ts
 * import { errnoName } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(errnoName(-1007), "ENAME");
 * ```
 */
export function errnoName(code: number): string {
  return NAMES.get(Math.abs(code)) ?? `E${Math.abs(code)}`;
}

/**
 * A short sentence without full stop for an error number of either sign.
 *
 * @example
 * ```ts
 * import { errnoText } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(errnoText(-1007), "unknown name");
 * ```
 */
export function errnoText(code: number): string {
  return TEXT[Math.abs(code)] ?? `error ${Math.abs(code)}`;
}

/** Where a failure happened: which stage of which process said so, and why. */
export interface ErrorDetail {
  /** The step that failed, e.g. `query`, `oap`, `accept`. */
  stage: string;
  /** The process that says so, e.g. `irmd`, `ipcpd-udp4 n1`. */
  process: string;
  /** One line for a person, with the remedy where there is one. */
  cause: string;
}

/**
 * The exception of the API: a failed operation with the prototype's number.
 *
 * @example
 * ```ts
 * import { Errno, Flow, OuroError } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * try {
 *   await using flow = await Flow.alloc("no.such.name", { timeoutMs: 1000 });
 *   await flow.write(Uint8Array.of(1));
 * } catch (e) {
 *   if (!(e instanceof OuroError)) throw e;
 *   assertEquals(e.code, -Errno.ENAME);
 * }
 * ```
 */
export class OuroError extends Error {
  /** `OuroError`. */
  override readonly name: string = "OuroError";
  /** Negative error number as the prototype's functions return it, e.g. `-1007`. */
  readonly code: number;
  /** Stage, process and cause where the other side sent them. */
  readonly detail: ErrorDetail | undefined;

  /**
   * A failed operation. Its `cause` is `{ code, stage?, process?, cause? }`, plain data.
   *
   * @param code number of either sign
   * @param action what was tried, as `Cannot …`
   * @param detail where and why, when the other side said
   */
  constructor(code: number, action: string, detail?: ErrorDetail) {
    const why = detail?.cause ?? errnoText(code);
    const negative = code < 0 ? code : -code;
    // `structuredClone` and `postMessage` keep of an error its message and its cause.
    super(`${action}: ${code}: ${why}`, { cause: { code: negative, ...detail } });
    this.code = negative;
    this.detail = detail;
  }

  /**
   * The error again, from what `structuredClone` or `postMessage` left of one; undefined when it is something else.
   *
   * @example
   * ```ts
   * import { Errno, OuroError } from "@ouro/ouro";
   * import { assertEquals } from "@std/assert";
   *
   * const copy = structuredClone(new OuroError(-Errno.ENAME, "Cannot reach it"));
   * assertEquals(OuroError.from(copy)?.code, -Errno.ENAME);
   * ```
   */
  static from(error: unknown): OuroError | undefined {
    if (error instanceof OuroError) return error;
    if (!(error instanceof Error)) return undefined;
    const { code, stage, process, cause } = (error.cause ?? {}) as Partial<ErrorDetail> & {
      code?: unknown;
    };
    if (typeof code !== "number" || !(code < 0)) return undefined;
    const known = stage !== undefined && process !== undefined && cause !== undefined;
    const again = new OuroError(code, "", known ? { stage, process, cause } : undefined);
    again.message = error.message;
    if (error.stack !== undefined) again.stack = error.stack;
    return again;
  }
}
