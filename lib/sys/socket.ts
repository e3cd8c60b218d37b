/**
 * UNIX sockets of type SOCK_SEQPACKET (`<sys/socket.h>`, `<sys/un.h>`), which Deno's own sockets do not
 * offer: packet boundaries kept, peer credentials from the kernel (spec 20 §2). Checked with glibc 2.36.
 *
 * The descriptors stay in blocking mode and every transfer asks with MSG_DONTWAIT; the synchronous
 * calls wait in poll(2), the asynchronous ones in the thread's {@linkcode EventSource}.
 */

import { Errno } from "../errno.ts";
import { MESSAGE_BYTES_MAX } from "../limits.ts";
import { EventSource, type Interest, Ready, type Watch } from "./epoll.ts";
import { Fd } from "./fd.ts";
import { errno, lazyLibc, SysError } from "./ffi.ts";

const TABLE = {
  // int socket(int domain, int type, int protocol);
  socket: { parameters: ["i32", /* domain */ "i32", /* type */ "i32" /* proto */], result: "i32" },
  // int bind(int fd, const struct sockaddr *addr, socklen_t len);
  bind: { parameters: ["i32", /* fd */ "buffer", /* addr */ "u32" /* len */], result: "i32" },
  // int listen(int fd, int backlog);
  listen: { parameters: ["i32", /* fd */ "i32" /* backlog */], result: "i32" },
  // int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
  accept4: {
    parameters: ["i32", /* fd */ "pointer", /* addr */ "pointer", /* len */ "i32" /* flags */],
    result: "i32",
  },
  // int connect(int fd, const struct sockaddr *addr, socklen_t len);
  connect: { parameters: ["i32", /* fd */ "buffer", /* addr */ "u32" /* len */], result: "i32" },
  // ssize_t send(int fd, const void *buf, size_t n, int flags);
  send: {
    parameters: ["i32", /* fd */ "buffer", /* buf */ "usize", /* n */ "i32" /* flags */],
    result: "i64",
  },
  // ssize_t recv(int fd, void *buf, size_t n, int flags);
  recv: {
    parameters: ["i32", /* fd */ "buffer", /* buf */ "usize", /* n */ "i32" /* flags */],
    result: "i64",
  },
  // int getsockopt(int fd, int level, int name, void *value, socklen_t *len);
  getsockopt: {
    parameters: [
      "i32", /* fd */
      "i32", /* level */
      "i32", /* name */
      "buffer", /* value */
      "buffer", /* len */
    ],
    result: "i32",
  },
  // int setsockopt(int fd, int level, int name, const void *value, socklen_t len);
  setsockopt: {
    parameters: [
      "i32", /* fd */
      "i32", /* level */
      "i32", /* name */
      "buffer", /* value */
      "u32", /* len */
    ],
    result: "i32",
  },
  // int poll(struct pollfd *fds, nfds_t n, int timeout_ms);
  poll: { parameters: ["buffer", /* fds */ "u64", /* n */ "i32" /* timeout */], result: "i32" },
  // int shutdown(int fd, int how);
  shutdown: { parameters: ["i32", /* fd */ "i32" /* how */], result: "i32" },
} as const;

const sys = lazyLibc(TABLE);

// `<bits/socket.h>` of x86_64 Linux.
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** asm-generic/socket.h, since Linux 6.5. */
const SO_PEERPIDFD = 77;
/** asm-generic/socket.h, since Linux 4.13. */
const SO_PEERGROUPS = 59;
/** NGROUPS_MAX of Linux. */
const GROUPS_MAX = 65536;
const SO_SNDBUF = 7;
const SO_SNDTIMEO = 21;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const MSG_NOSIGNAL = 0x4000;
/** Both directions. */
const SHUT_RDWR = 2;
const POLLIN = 1;
const POLLOUT = 4;
const ENAMETOOLONG = 36;
const EINTR = Errno.EINTR;

/** Bytes of `sun_path`, with the terminator. */
const SUN_PATH_BYTES = 108;

const encoder = new TextEncoder();

function address(path: string): Uint8Array<ArrayBuffer> {
  const name = encoder.encode(path);
  if (name.length >= SUN_PATH_BYTES) throw new SysError(ENAMETOOLONG, "bind", path);
  if (name.includes(0)) throw new SysError(Errno.EINVAL, "bind", path);
  const addr = new Uint8Array(2 + name.length + 1);
  addr[0] = AF_UNIX;
  addr.set(name, 2);
  return addr;
}

function open(path: string, flags: number): Fd {
  const raw = sys().socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
  if (raw < 0) throw new SysError(errno(), "socket", path);
  return new Fd(raw, path);
}

/** Who is at the other end, as the kernel noted it at connect time. */
export interface PeerCred {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Whether somebody listens on a socket. */
function answers(path: string): boolean {
  try {
    SeqSocket.tryConnect(path)?.close();
    return true;
  } catch (e) {
    if (!(e instanceof SysError)) throw e;
    return false;
  }
}

/** A listening socket. */
export class SeqListener implements Disposable {
  private constructor(readonly fd: Fd, readonly path: string) {}

  /**
   * Binds `path`, whatever lies there first removed (spec 20 §2.1), sets its mode and listens.
   * Throws `SysError`.
   */
  static listen(path: string, mode: number, backlog: number): SeqListener {
    const addr = address(path);
    // One that answers is somebody's, whoever that is.
    if (answers(path)) throw new SysError(Errno.EADDRINUSE, "bind", path);
    try {
      Deno.removeSync(path);
    } catch (e) {
      if (!(e instanceof Deno.errors.NotFound)) throw e;
    }
    const fd = open(path, SOCK_NONBLOCK);
    const fail = (call: string): never => {
      const code = errno();
      fd.close();
      throw new SysError(code, call, path);
    };
    if (sys().bind(fd.raw, addr, addr.length) < 0) fail("bind");
    try {
      Deno.chmodSync(path, mode);
    } catch (e) {
      fd.close();
      throw e;
    }
    if (sys().listen(fd.raw, backlog) < 0) fail("listen");
    return new SeqListener(fd, path);
  }

  /** The next connection, or null when there is none right now. Throws `SysError` (EMFILE …). */
  accept(): SeqSocket | null {
    for (;;) {
      const raw = sys().accept4(this.fd.raw, null, null, SOCK_CLOEXEC);
      if (raw >= 0) return new SeqSocket(new Fd(raw, this.path), this.path);
      const code = errno();
      if (code === Errno.EAGAIN) return null;
      // ECONNABORTED: that client has gone already.
      if (code === EINTR || code === 103) continue;
      throw new SysError(code, "accept4", this.path);
    }
  }

  /** Calls back for every new connection, at most `turnMax` a turn. Throws like `accept` in no case. */
  onConnection(
    call: (s: SeqSocket) => void,
    onError: (e: unknown) => void,
    turnMax = 64,
  ): Watch {
    return EventSource.get().watch(this.fd.raw, { read: true }, () => {
      try {
        for (let i = 0; i < turnMax; i++) {
          const s = this.accept();
          if (s === null) return;
          call(s);
        }
      } catch (e) {
        onError(e);
      }
    });
  }

  /** Closes the socket; the path stays, its maker removes it. Idempotent. */
  close(): void {
    this.fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Requests and replies take turns, so one is seldom alone. */
const BRISK = { read: true, brisk: true } as const;
const BRISK_ONCE = { ...BRISK, once: true } as const;
const HANGUP_ONCE = { brisk: true, once: true } as const;
/** Bytes of the shared receive buffer: longer packets are refused whatever the caller allows. */
const SCRATCH_BYTES = 1 << 20;
let scratch: Uint8Array<ArrayBuffer> | undefined;
const pollfd = new DataView(new ArrayBuffer(8));

/** How long to wait and when to give up. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; absent: for ever. */
  readonly timeoutMs?: number | undefined;
}

/** As {@linkcode WaitOptions}, and the longest packet to take, bytes; absent: one message of 10240. */
export interface RecvOptions extends WaitOptions {
  readonly maxBytes?: number | undefined;
}

/** A connected socket. */
export class SeqSocket implements Disposable {
  #watch: Watch | undefined;
  #call: (() => void) | undefined;

  /** Takes over a connected descriptor. */
  constructor(readonly fd: Fd, readonly path: string) {}

  /** Connects; blocks while the listener's queue is full, at most `timeoutMs`. Throws `SysError`. */
  static connect(path: string, timeoutMs?: number): SeqSocket {
    const addr = address(path);
    const fd = open(path, 0);
    try {
      if (timeoutMs !== undefined) {
        const ms = Math.max(1, Math.ceil(timeoutMs));
        const tv = new BigInt64Array([
          BigInt(Math.floor(ms / 1000)),
          BigInt((ms % 1000) * 1000),
        ]);
        sys().setsockopt(fd.raw, SOL_SOCKET, SO_SNDTIMEO, new Uint8Array(tv.buffer), 16);
      }
      for (;;) {
        if (sys().connect(fd.raw, addr, addr.length) === 0) break;
        const code = errno();
        if (code !== EINTR) {
          throw new SysError(code === Errno.EAGAIN ? Errno.ETIMEDOUT : code, "connect", path);
        }
      }
    } catch (e) {
      fd.close();
      throw e;
    }
    return new SeqSocket(fd, path);
  }

  /** Connects without ever blocking; null when the listener's queue is full. Throws `SysError`. */
  static tryConnect(path: string): SeqSocket | null {
    const addr = address(path);
    const fd = open(path, SOCK_NONBLOCK);
    if (sys().connect(fd.raw, addr, addr.length) === 0) return new SeqSocket(fd, path);
    const code = errno();
    fd.close();
    if (code === Errno.EAGAIN || code === EINTR) return null;
    throw new SysError(code, "connect", path);
  }

  /** Connects, trying again while the listener's queue is full. Throws `SysError`, ETIMEDOUT too. */
  static async connectAsync(path: string, opts: WaitOptions = {}): Promise<SeqSocket> {
    const endMs = opts.timeoutMs === undefined ? Infinity : performance.now() + opts.timeoutMs;
    for (let pauseMs = 1;; pauseMs = Math.min(pauseMs * 2, 20)) {
      opts.signal?.throwIfAborted();
      const s = SeqSocket.tryConnect(path);
      if (s !== null) return s;
      if (performance.now() >= endMs) throw new SysError(Errno.ETIMEDOUT, "connect", path);
      await new Promise((done) => setTimeout(done, pauseMs));
    }
  }

  /** Pid, uid and gid of the peer (SO_PEERCRED). Throws `SysError`. */
  peerCred(): PeerCred {
    const out = new DataView(new ArrayBuffer(12));
    const len = new Uint8Array(new Uint32Array([12]).buffer);
    if (
      sys().getsockopt(this.fd.raw, SOL_SOCKET, SO_PEERCRED, new Uint8Array(out.buffer), len) < 0
    ) throw new SysError(errno(), "getsockopt", this.path);
    return {
      pid: out.getInt32(0, true),
      uid: out.getUint32(4, true),
      gid: out.getUint32(8, true),
    };
  }

  /**
   * A descriptor of the very process that connected, which no other with its pid can stand in for (SO_PEERPIDFD); a
   * negative errno: ESRCH or EINVAL when it has gone, ENOPROTOOPT where the kernel has none.
   */
  peerPidfd(): Fd | number {
    const out = new Int32Array(1);
    const len = new Uint8Array(new Uint32Array([4]).buffer);
    const bytes = new Uint8Array(out.buffer);
    if (sys().getsockopt(this.fd.raw, SOL_SOCKET, SO_PEERPIDFD, bytes, len) < 0) return -errno();
    return new Fd(out[0]!, "peer pidfd");
  }

  /** Supplementary groups of the peer when it connected (SO_PEERGROUPS); none where the kernel does not tell. */
  peerGroups(): number[] {
    for (let room = 64; room <= GROUPS_MAX; room = room * 32) {
      const gids = new Uint32Array(room);
      const len = new Uint32Array([gids.byteLength]);
      const bytes = new Uint8Array(gids.buffer);
      const lenBytes = new Uint8Array(len.buffer);
      if (sys().getsockopt(this.fd.raw, SOL_SOCKET, SO_PEERGROUPS, bytes, lenBytes) >= 0) {
        return [...gids.subarray(0, len[0]! / 4)];
      }
      if (errno() !== Errno.ERANGE) return [];
    }
    return [];
  }

  /** Makes room for long packets in the send buffer, bytes. */
  setSendBuffer(bytes: number): void {
    const v = new Uint8Array(new Uint32Array([bytes]).buffer);
    sys().setsockopt(this.fd.raw, SOL_SOCKET, SO_SNDBUF, v, 4);
  }

  /** Sends one packet without waiting. Returns 0 or a negative errno (EAGAIN: the peer is not reading). */
  trySend(b: Uint8Array): number {
    const n = sys().send(
      this.fd.raw,
      b as Uint8Array<ArrayBuffer>,
      BigInt(b.length),
      MSG_DONTWAIT | MSG_NOSIGNAL,
    );
    return Number(n) < 0 ? -errno() : 0;
  }

  /** Sends one packet, waiting for room. Throws `SysError` (EPIPE, ETIMEDOUT …). */
  sendSync(b: Uint8Array, timeoutMs?: number): void {
    for (;;) {
      const r = this.trySend(b);
      if (r === 0) return;
      if (r === -EINTR) continue;
      if (r !== -Errno.EAGAIN) throw new SysError(-r, "send", this.path);
      if (!this.#poll(POLLOUT, timeoutMs)) throw new SysError(Errno.ETIMEDOUT, "send", this.path);
    }
  }

  /**
   * Takes one packet without waiting: the packet, null at the end (or for an empty packet), or a
   * negative errno: EAGAIN when there is none, EMSGSIZE when it was longer than `maxBytes`.
   */
  tryRecv(maxBytes: number): Uint8Array<ArrayBuffer> | null | number {
    scratch ??= new Uint8Array(SCRATCH_BYTES);
    const room = Math.min(maxBytes, SCRATCH_BYTES);
    const n = Number(
      sys().recv(this.fd.raw, scratch, BigInt(room), MSG_DONTWAIT | MSG_TRUNC),
    );
    if (n < 0) {
      const code = errno();
      return code === EINTR ? -Errno.EAGAIN : -code;
    }
    if (n === 0) return null;
    if (n > room) return -Errno.EMSGSIZE;
    return scratch.slice(0, n);
  }

  /**
   * Ends the connection in both directions, then takes a packet as {@linkcode tryRecv}: one that came before. The
   * sender of a later one gets EPIPE, so that both sides agree on what was delivered.
   */
  lastRecv(maxBytes: number): Uint8Array<ArrayBuffer> | null | number {
    sys().shutdown(this.fd.raw, SHUT_RDWR);
    return this.tryRecv(maxBytes);
  }

  /** Waits for one packet; null at the end. Throws `SysError` (ETIMEDOUT, ECONNRESET, EMSGSIZE …). */
  recvSync(maxBytes: number, timeoutMs?: number): Uint8Array<ArrayBuffer> | null {
    for (;;) {
      const r = this.tryRecv(maxBytes);
      if (typeof r !== "number") return r;
      if (r !== -Errno.EAGAIN) throw new SysError(-r, "recv", this.path);
      if (!this.#poll(POLLIN, timeoutMs)) throw new SysError(Errno.ETIMEDOUT, "recv", this.path);
    }
  }

  /**
   * Waits for one packet without blocking the thread; null at the end. Rejects with `SysError`
   * (ETIMEDOUT, ECONNRESET, EMSGSIZE …) or with the reason of the signal.
   */
  recv(opts: RecvOptions = {}): Promise<Uint8Array<ArrayBuffer> | null> {
    const maxBytes = opts.maxBytes ?? MESSAGE_BYTES_MAX;
    const first = this.tryRecv(maxBytes);
    if (typeof first !== "number") return Promise.resolve(first);
    if (first !== -Errno.EAGAIN) return Promise.reject(new SysError(-first, "recv", this.path));
    const { signal, timeoutMs } = opts;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      let callOff: (() => void) | undefined;
      const onAbort = () => end(() => reject(signal!.reason));
      const end = (settle: () => void) => {
        watch.close();
        callOff?.();
        signal?.removeEventListener("abort", onAbort);
        settle();
      };
      const watch = EventSource.get().watch(this.fd.raw, BRISK, () => {
        const r = this.tryRecv(maxBytes);
        if (typeof r !== "number") return end(() => resolve(r));
        if (r === -Errno.EAGAIN) return;
        end(() => reject(new SysError(-r, "recv", this.path)));
      });
      if (timeoutMs !== undefined) {
        callOff = EventSource.get().after(
          timeoutMs,
          () => end(() => reject(new SysError(Errno.ETIMEDOUT, "recv", this.path))),
        );
      }
      signal?.addEventListener("abort", onAbort);
    });
  }

  /** Calls back once when a packet or the end is there to be received; in place of what was waited for before. */
  onReadable(call: () => void): void {
    this.#once(BRISK_ONCE, call);
  }

  /** Calls back once when the peer hangs up; in place of what was waited for before. */
  onHangup(call: () => void): void {
    this.#once(HANGUP_ONCE, call);
  }

  /** Whose connection is kept waits time after time: its watch stays, and the event source with it, until it is closed. */
  #once(ev: Interest, call: () => void): void {
    this.#call = call;
    if (this.#watch !== undefined) return this.#watch.modify(ev);
    this.#watch = EventSource.get().watch(this.fd.raw, ev, () => {
      const told = this.#call;
      this.#call = undefined;
      told?.();
    });
  }

  /** Whether the peer has hung up, as far as the kernel knows now. */
  get hungUp(): boolean {
    pollfd.setInt32(0, this.fd.raw, true);
    pollfd.setInt16(4, 0, true);
    pollfd.setInt16(6, 0, true);
    sys().poll(pollfd.buffer, 1n, 0);
    return (pollfd.getInt16(6, true) & (Ready.hup | Ready.err)) !== 0;
  }

  /** Waits in poll(2); false when the time is over. */
  #poll(events: number, timeoutMs: number | undefined): boolean {
    pollfd.setInt32(0, this.fd.raw, true);
    pollfd.setInt16(4, events, true);
    pollfd.setInt16(6, 0, true);
    const n = sys().poll(
      pollfd.buffer,
      1n,
      timeoutMs === undefined ? -1 : Math.max(0, Math.ceil(timeoutMs)),
    );
    if (n < 0) {
      const code = errno();
      if (code !== EINTR) throw new SysError(code, "poll", this.path);
      return true; // Interrupted: the caller looks again.
    }
    return n > 0;
  }

  /** Ends watches and closes the descriptor. Idempotent. */
  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
