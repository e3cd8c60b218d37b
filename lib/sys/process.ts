/**
 * Processes: start, signal, watch and reap (`<spawn.h>`, `<sys/wait.h>`, `<signal.h>`, pidfd_open(2)).
 * Checked with glibc 2.36 on Linux 5.3 and later.
 *
 * Deno's own child processes cannot set the signal mask that C IPCPs need and send signals from a place
 * those do not recognise (spec 20 §10), so children of the IRMd are started here with posix_spawn and
 * signalled with kill(2).
 *
 * Safety: argument and environment strings are kept in local buffers until the spawn call has returned,
 * which is when the child has its own copy.
 */

import { Errno } from "../errno.ts";
import { EventSource, type Watch } from "./epoll.ts";
import { Fd } from "./fd.ts";
import { cstr, errno, lazyLibc, SysError } from "./ffi.ts";
import { sigset, SIGSET_BYTES } from "./signals.ts";

const TABLE = {
  // int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *fa,
  //                 const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
  posix_spawn: {
    parameters: [
      "buffer", /* pid */
      "buffer", /* path */
      "buffer", /* fa */
      "buffer", /* attr */
      "buffer", /* argv */
      "buffer", /* envp */
    ],
    result: "i32",
  },
  // int posix_spawnattr_init(posix_spawnattr_t *attr);
  posix_spawnattr_init: { parameters: ["buffer" /* attr */], result: "i32" },
  // int posix_spawnattr_destroy(posix_spawnattr_t *attr);
  posix_spawnattr_destroy: { parameters: ["buffer" /* attr */], result: "i32" },
  // int posix_spawnattr_setflags(posix_spawnattr_t *attr, short flags);
  posix_spawnattr_setflags: { parameters: ["buffer", /* attr */ "i16" /* flags */], result: "i32" },
  // int posix_spawnattr_setsigmask(posix_spawnattr_t *attr, const sigset_t *set);
  posix_spawnattr_setsigmask: {
    parameters: ["buffer", /* attr */ "buffer" /* set */],
    result: "i32",
  },
  // int posix_spawnattr_setsigdefault(posix_spawnattr_t *attr, const sigset_t *set);
  posix_spawnattr_setsigdefault: {
    parameters: ["buffer", /* attr */ "buffer" /* set */],
    result: "i32",
  },
  // int posix_spawn_file_actions_init(posix_spawn_file_actions_t *fa);
  posix_spawn_file_actions_init: { parameters: ["buffer" /* fa */], result: "i32" },
  // int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *fa);
  posix_spawn_file_actions_destroy: { parameters: ["buffer" /* fa */], result: "i32" },
  // int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *fa, int fd, int to);
  posix_spawn_file_actions_adddup2: {
    parameters: ["buffer", /* fa */ "i32", /* fd */ "i32" /* to */],
    result: "i32",
  },
  // int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *fa, int fd, const char *path,
  //                                      int oflag, mode_t mode);
  posix_spawn_file_actions_addopen: {
    parameters: ["buffer", /* fa */ "i32", /* fd */ "buffer", /* path */ "i32", "u32"],
    result: "i32",
  },
  // int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *fa, const char *path);
  posix_spawn_file_actions_addchdir_np: {
    parameters: ["buffer", /* fa */ "buffer" /* path */],
    result: "i32",
  },
  // int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *fa, int from);
  posix_spawn_file_actions_addclosefrom_np: {
    parameters: ["buffer", /* fa */ "i32" /* from */],
    result: "i32",
  },
  // int kill(pid_t pid, int sig);
  kill: { parameters: ["i32", /* pid */ "i32" /* sig */], result: "i32" },
  // int poll(struct pollfd *fds, nfds_t n, int timeout_ms);
  poll: { parameters: ["buffer", /* fds */ "u64", /* n */ "i32" /* timeout */], result: "i32" },
  // pid_t waitpid(pid_t pid, int *status, int options);
  waitpid: {
    parameters: ["i32", /* pid */ "buffer", /* status */ "i32" /* opts */],
    result: "i32",
  },
  // int waitid(idtype_t type, id_t id, siginfo_t *info, int options);
  waitid: {
    parameters: ["i32", /* type */ "u32", /* id */ "buffer", /* info */ "i32" /* opts */],
    result: "i32",
  },
  // int getrlimit(int resource, struct rlimit *limit);
  getrlimit: { parameters: ["i32", /* resource */ "buffer" /* limit */], result: "i32" },
  // int setrlimit(int resource, const struct rlimit *limit);
  setrlimit: { parameters: ["i32", /* resource */ "buffer" /* limit */], result: "i32" },
  // int prlimit(pid_t pid, int resource, const struct rlimit *new, struct rlimit *old);
  prlimit: {
    parameters: ["i32", /* pid */ "i32", /* resource */ "buffer", /* new */ "pointer" /* old */],
    result: "i32",
  },
  // pid_t getpid(void);
  getpid: { parameters: [], result: "i32" },
  // pid_t gettid(void);
  gettid: { parameters: [], result: "i32" },
  // long syscall(long number, ...);  here: pidfd_open(pid_t pid, unsigned int flags)
  syscall: {
    parameters: ["i64", /* number */ "i64", /* pid */ "i64" /* flags */],
    result: "i64",
  },
} as const;

const sys = lazyLibc(TABLE);

// `<spawn.h>`, `<sys/wait.h>`, `<asm-generic/unistd.h>`; pidfd_open has the same number everywhere.
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const POSIX_SPAWN_SETSID = 0x80;
const SPAWNATTR_BYTES = 336;
const FILE_ACTIONS_BYTES = 80;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x0100_0000;
const P_ALL = 0;
/** siginfo_t of x86_64: si_pid i32 @16. */
const SIGINFO_BYTES = 128;
const SIGINFO_PID = 16;
const POLLIN = 1;
const SYS_PIDFD_OPEN = 434n;

/** What a child gets. */
export interface SpawnOptions {
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Working directory; absent: this process's. */
  readonly cwd?: string;
  /** Whether the child leads a session of its own, away from our terminal. */
  readonly session?: boolean;
  /** Signals blocked in the child; every disposition is the default. */
  readonly blockSignals: readonly number[] | "none";
  /**
   * What descriptors 0, 1 and 2 become: a number of ours, a path (opened for reading as 0, for
   * appending as 1 and 2), or absent: 0 is /dev/null, 1 and 2 are inherited. All others are closed.
   */
  readonly fds?: readonly [
    (number | string | undefined)?,
    (number | string | undefined)?,
    (number | string | undefined)?,
  ];
}

/** A child and a descriptor that becomes readable when it ends. */
export interface Child {
  readonly pid: number;
  readonly pidfd: Fd;
}

/** An array of C strings; `hold` keeps them alive. */
function vector(words: readonly string[], hold: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new BigUint64Array(words.length + 1);
  words.forEach((w, i) => {
    const s = cstr(w);
    hold.push(s);
    out[i] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(s));
  });
  return new Uint8Array(out.buffer);
}

/** Starts the program `argv[0]` (a path). Throws `SysError`, e.g. ENOENT. */
export function spawn(argv: readonly string[], opts: SpawnOptions): Child {
  const path = argv[0];
  if (path === undefined) throw new SysError(Errno.EINVAL, "posix_spawn", "");
  const s = sys();
  const hold: Uint8Array[] = [];
  const args = vector(argv, hold);
  const env = vector(Object.entries(opts.env).map(([k, v]) => `${k}=${v}`), hold);
  const attr = new Uint8Array(SPAWNATTR_BYTES);
  const actions = new Uint8Array(FILE_ACTIONS_BYTES);
  const pid = new Int32Array(1);
  const check = (r: number, call: string) => {
    if (r !== 0) throw new SysError(r, call, path);
  };
  check(s.posix_spawnattr_init(attr), "posix_spawnattr_init");
  check(s.posix_spawn_file_actions_init(actions), "posix_spawn_file_actions_init");
  try {
    const session = opts.session ? POSIX_SPAWN_SETSID : 0;
    s.posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | session);
    const blocked = opts.blockSignals === "none" ? [] : opts.blockSignals;
    s.posix_spawnattr_setsigmask(attr, sigset(blocked));
    s.posix_spawnattr_setsigdefault(attr, new Uint8Array(SIGSET_BYTES).fill(0xff, 0, 8));
    if (opts.cwd !== undefined) {
      const dir = cstr(opts.cwd);
      hold.push(dir);
      check(s.posix_spawn_file_actions_addchdir_np(actions, dir), "addchdir");
    }
    for (let fd = 0; fd <= 2; fd++) {
      const want = opts.fds?.[fd] ?? (fd === 0 ? "/dev/null" : fd);
      if (typeof want === "number") {
        check(s.posix_spawn_file_actions_adddup2(actions, want, fd), "adddup2");
      } else {
        const file = cstr(want);
        hold.push(file);
        // O_RDONLY, or O_WRONLY|O_CREAT|O_APPEND.
        const flags = fd === 0 ? 0 : 0o2101;
        check(s.posix_spawn_file_actions_addopen(actions, fd, file, flags, 0o644), "addopen");
      }
    }
    check(s.posix_spawn_file_actions_addclosefrom_np(actions, 3), "addclosefrom");
    check(
      s.posix_spawn(
        new Uint8Array(pid.buffer),
        cstr(path),
        actions,
        attr,
        args,
        env,
      ),
      "posix_spawn",
    );
  } finally {
    s.posix_spawn_file_actions_destroy(actions);
    s.posix_spawnattr_destroy(attr);
    hold.length = 0;
  }
  return { pid: pid[0]!, pidfd: openPidfd(pid[0]!) };
}

/** A descriptor that becomes readable when the process ends. Throws `SysError` (ESRCH …). */
export function openPidfd(pid: number): Fd {
  const raw = Number(sys().syscall(SYS_PIDFD_OPEN, BigInt(pid), 0n));
  if (raw < 0) throw new SysError(errno(), "pidfd_open", String(pid));
  // pidfd_open sets close-on-exec by itself.
  return new Fd(raw, `pidfd ${pid}`);
}

/** kill(2); pids below 1 are refused. Returns 0 or a negative errno. */
export function kill(pid: number, signal: number): number {
  if (!Number.isInteger(pid) || pid < 1) return -Errno.EINVAL;
  return sys().kill(pid, signal) === 0 ? 0 : -errno();
}

/** As {@linkcode kill}, for all processes of the group that `pid` leads. */
export function killGroup(pid: number, signal: number): number {
  if (!Number.isInteger(pid) || pid < 2) return -Errno.EINVAL;
  return sys().kill(-pid, signal) === 0 ? 0 : -errno();
}

/** `<sys/resource.h>` of Linux. */
const RLIMIT_CORE = 4;
const RLIMIT_NOFILE = 7;
/** Descriptors that a program may have unless it asks for more (up to the hard limit). */
const PROGRAM_FILES = 1024n;

/** Gives a program that was just started the ordinary limits instead of this daemon's: descriptors, no core dumps. */
export function limitProgram(pid: number): void {
  const limit = new BigUint64Array(2);
  if (sys().getrlimit(RLIMIT_NOFILE, new Uint8Array(limit.buffer)) !== 0) return;
  if (limit[0]! > PROGRAM_FILES) limit[0] = PROGRAM_FILES;
  sys().prlimit(pid, RLIMIT_NOFILE, new Uint8Array(limit.buffer), null);
  sys().prlimit(pid, RLIMIT_CORE, new Uint8Array(new BigUint64Array([0n, 0n]).buffer), null);
}

/** Raises the number of descriptors this process may have to what it is allowed to; gives the number. */
export function raiseDescriptorLimit(): number {
  // struct rlimit {u64 cur; u64 max}
  const limit = new BigUint64Array(2);
  const bytes = new Uint8Array(limit.buffer);
  if (sys().getrlimit(RLIMIT_NOFILE, bytes) !== 0) return 0;
  const before = Number(limit[0]);
  limit[0] = limit[1]!;
  return sys().setrlimit(RLIMIT_NOFILE, bytes) === 0 ? Number(limit[1]) : before;
}

/** Pid of this process. */
export function getpid(): number {
  return sys().getpid();
}

/** Id of the calling thread. */
export function gettid(): number {
  return sys().gettid();
}

/** State letter and start time of a process (`/proc/<pid>/stat`), or undefined when it is gone. */
export function procStat(pid: number): { state: string; startTicks: number } | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch {
    return undefined;
  }
  // The program name stands in parentheses and may contain anything.
  const rest = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: rest[0] ?? "?", startTicks: Number(rest[19]) };
}

/** Whether a process runs; a zombie counts as dead (spec 20 §19.11). */
export function pidAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid < 1) return false;
  const stat = procStat(pid);
  return stat !== undefined && stat.state !== "Z" && stat.state !== "X";
}

/** The program a process runs, with links resolved, or undefined when not known. */
export function procExe(pid: number): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}

/** The argument vector of a process, or undefined when not known. */
export function procArgv(pid: number): string[] | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0").slice(0, -1);
  } catch {
    return undefined;
  }
}

/** A variable of the environment a process was started with, or undefined when not set or not known. */
export function procVariable(pid: number, name: string): string | undefined {
  try {
    const all = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
    return all.find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
  } catch {
    return undefined;
  }
}

/**
 * Reaps a child of ours without waiting.
 * @returns its exit code (128 + signal when killed), `undefined` while it runs, -1 for no such child
 */
export function reap(pid: number): number | undefined {
  const status = new Int32Array(1);
  const r = sys().waitpid(pid, new Uint8Array(status.buffer), WNOHANG);
  if (r === 0) return undefined;
  if (r < 0) return -1;
  const s = status[0]!;
  return (s & 0x7f) === 0 ? (s >> 8) & 0xff : 128 + (s & 0x7f);
}

/** Pid of a child that has ended and was not reaped, 0 when there is none; it stays as it is. */
export function endedChild(): number {
  const info = new DataView(new ArrayBuffer(SIGINFO_BYTES));
  const options = WEXITED | WNOHANG | WNOWAIT;
  if (sys().waitid(P_ALL, 0, new Uint8Array(info.buffer), options) !== 0) return 0;
  return info.getInt32(SIGINFO_PID, true);
}

/**
 * Calls back once when a process ends, with its exit code if it was our child (which is reaped), else
 * with -1. Closing the watch gives up waiting. A process that is gone already calls back soon.
 */
export function watchExit(pid: number, call: (code: number) => void, pidfd?: Fd): Disposable {
  let fd: Fd;
  try {
    fd = pidfd ?? openPidfd(pid);
  } catch {
    let live = true;
    queueMicrotask(() => live && call(reap(pid) ?? -1));
    return {
      [Symbol.dispose]() {
        live = false;
      },
    };
  }
  const watch: Watch = EventSource.get().watch(fd.raw, { read: true }, () => {
    watch.close();
    fd.close();
    call(reap(pid) ?? -1);
  });
  return {
    [Symbol.dispose]() {
      watch.close();
      fd.close();
    },
  };
}

/** Whether the process of a pidfd has ended. */
export function pidfdEnded(pidfd: Fd): boolean {
  const poll = new DataView(new ArrayBuffer(8));
  poll.setInt32(0, pidfd.raw, true);
  poll.setInt16(4, POLLIN, true);
  sys().poll(poll.buffer, 1n, 0);
  return poll.getInt16(6, true) !== 0;
}

/** The pids of a process, from our PID namespace to its own; empty when not known. */
export function nsPids(pid: number): number[] {
  try {
    const line = /^NSpid:(.*)$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`));
    return line?.[1]?.trim().split(/\s+/).map(Number) ?? [];
  } catch {
    return [];
  }
}

/** Resolves when a process has ended, as {@linkcode watchExit}. */
export function onExit(pid: number, pidfd?: Fd): Promise<number> {
  return new Promise((resolve) => watchExit(pid, resolve, pidfd));
}
