/**
 * Signal masks and the delivery of signals (`<signal.h>`, `<sys/signalfd.h>`), checked with glibc 2.36.
 *
 * An IRMd in C starts its children with HUP, INT, QUIT, PIPE and TERM blocked (spec 20 §10), and every
 * thread of the child inherits that. Our programs then either read the signals from a descriptor, which
 * also says who sent them, or unblock them and listen in the usual way.
 */

import { EventSource } from "./epoll.ts";
import { Fd } from "./fd.ts";
import { errno, lazyLibc, SysError } from "./ffi.ts";

const TABLE = {
  // int pthread_sigmask(int how, const sigset_t *set, sigset_t *old);  returns the error number
  pthread_sigmask: {
    parameters: ["i32", /* how */ "buffer", /* set */ "buffer" /* old */],
    result: "i32",
  },
  // int signalfd(int fd, const sigset_t *mask, int flags);
  signalfd: { parameters: ["i32", /* fd */ "buffer", /* mask */ "i32" /* flags */], result: "i32" },
} as const;

const sys = lazyLibc(TABLE);

/** Numbers on Linux (x86-64, aarch64). */
export const Signal = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  KILL: 9,
  USR1: 10,
  PIPE: 13,
  TERM: 15,
  CHLD: 17,
  CONT: 18,
} as const;

/** What a C IPCP expects to be blocked when it starts: mask 0x5007 (spec 20 §10). */
export const IPCP_BLOCKED_SIGNALS: readonly number[] = [
  Signal.HUP,
  Signal.INT,
  Signal.QUIT,
  Signal.PIPE,
  Signal.TERM,
];

const NAMES: Record<number, Deno.Signal> = {
  [Signal.HUP]: "SIGHUP",
  [Signal.INT]: "SIGINT",
  [Signal.QUIT]: "SIGQUIT",
  [Signal.USR1]: "SIGUSR1",
  [Signal.PIPE]: "SIGPIPE",
  [Signal.TERM]: "SIGTERM",
};

const SIG_BLOCK = 0;
const SIG_UNBLOCK = 1;
/** sigset_t of glibc. */
export const SIGSET_BYTES = 128;
const SFD_CLOEXEC = 0o2000000;
const SFD_NONBLOCK = 0o4000;
/** struct signalfd_siginfo: signo u32 @0, pid u32 @12, uid u32 @16. */
const SIGINFO_BYTES = 128;

/** A sigset_t with these signals. */
export function sigset(signals: readonly number[]): Uint8Array<ArrayBuffer> {
  const set = new Uint8Array(SIGSET_BYTES);
  for (const s of signals) set[(s - 1) >> 3]! |= 1 << ((s - 1) & 7);
  return set;
}

function mask(how: number, signals: readonly number[]): Uint8Array<ArrayBuffer> {
  const old = new Uint8Array(SIGSET_BYTES);
  const r = sys().pthread_sigmask(how, sigset(signals), old);
  if (r !== 0) throw new SysError(r, "pthread_sigmask", signals.join(","));
  return old;
}

/** Whether the calling thread blocks a signal. */
export function isBlocked(signal: number): boolean {
  const old = mask(SIG_BLOCK, []);
  return (old[(signal - 1) >> 3]! & (1 << ((signal - 1) & 7))) !== 0;
}

/** Blocks signals in the calling thread. */
export function blockSignals(signals: readonly number[]): void {
  mask(SIG_BLOCK, signals);
}

/** Unblocks signals in the calling thread: one thread that takes them is enough for the process. */
export function unblockSignals(signals: readonly number[] = IPCP_BLOCKED_SIGNALS): void {
  mask(SIG_UNBLOCK, signals);
}

/** One signal that arrived; `pid` is the sender, 0 when not known. */
export interface SignalInfo {
  readonly signal: number;
  readonly pid: number;
}

/**
 * Calls back for each of `signals`. When all of them are blocked (a child of an IRMd) they are read
 * from a signalfd and the sender is known; otherwise they are unblocked and taken by the runtime.
 */
export function onSignals(
  signals: readonly number[],
  call: (info: SignalInfo) => void,
): Disposable {
  if (signals.every(isBlocked)) return viaDescriptor(signals, call);
  unblockSignals(signals);
  const listeners = signals.map((signal) => {
    const name = NAMES[signal]!;
    const listener = () => call({ signal, pid: 0 });
    Deno.addSignalListener(name, listener);
    return () => Deno.removeSignalListener(name, listener);
  });
  return {
    [Symbol.dispose]() {
      for (const stop of listeners.splice(0)) stop();
    },
  };
}

function viaDescriptor(
  signals: readonly number[],
  call: (info: SignalInfo) => void,
): Disposable {
  const raw = sys().signalfd(-1, sigset(signals), SFD_CLOEXEC | SFD_NONBLOCK);
  if (raw < 0) throw new SysError(errno(), "signalfd", signals.join(","));
  const fd = new Fd(raw, "signalfd");
  const info = new DataView(new ArrayBuffer(SIGINFO_BYTES));
  const bytes = new Uint8Array(info.buffer);
  const watch = EventSource.get().watch(fd.raw, { read: true }, () => {
    while (!fd.closed && fd.read(bytes) === SIGINFO_BYTES) {
      call({ signal: info.getUint32(0, true), pid: info.getUint32(12, true) });
    }
  });
  return {
    [Symbol.dispose]() {
      watch.close();
      fd.close();
    },
  };
}
