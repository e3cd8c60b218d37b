/**
 * The event source of a thread: one epoll that watches every descriptor the thread cares about
 * (`<sys/epoll.h>`, checked with glibc 2.36).
 *
 * While something is watched, one nonblocking FFI call waits in `epoll_wait` on Deno's thread pool and
 * its promise brings the events back. Such a round trip costs 35–100 µs, so after each batch the
 * source first looks with a plain zero-timeout call, a few times, before it waits again; and while requests and
 * replies come within a millisecond, it waits for the next so long in place, where the kernel wakes nobody but us. With nothing
 * watched there is no call under way, so the source never keeps a process alive.
 *
 * Safety: the event buffer belongs to the waiting call while that is under way; it is read only after
 * its promise has settled.
 */

import { Errno } from "../errno.ts";
import { EventFd, Fd } from "./fd.ts";
import { errno, lazyLibc, libc, SysError } from "./ffi.ts";

const TABLE = {
  // int epoll_create1(int flags);
  epoll_create1: { parameters: ["i32" /* flags */], result: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: {
    parameters: ["i32", /* epfd */ "i32", /* op */ "i32", /* fd */ "buffer" /* event */],
    result: "i32",
  },
  // int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout_ms);
  epoll_wait: {
    parameters: ["i32", /* epfd */ "buffer", /* events */ "i32", /* max */ "i32" /* timeout */],
    result: "i32",
  },
} as const;

const WAIT_TABLE = {
  // The same function, on a thread of the pool.
  epoll_wait: {
    parameters: ["i32", "buffer", "i32", "i32"],
    result: "i32",
    nonblocking: true,
  },
} as const;

const sys = lazyLibc(TABLE);
let waitTable: Deno.DynamicLibrary<typeof WAIT_TABLE>["symbols"] | undefined;

// `<sys/epoll.h>`.
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLONESHOT = 1 << 30;

/** Bits of the `ready` argument of a callback. `hup` and `err` are reported unasked. */
export const Ready = { read: 0x1, write: 0x4, err: 0x8, hup: 0x10 } as const;

/** struct epoll_event is packed on x86-64 only. */
const EVENT_BYTES = Deno.build.arch === "x86_64" ? 12 : 16;
const DATA_AT = Deno.build.arch === "x86_64" ? 4 : 8;

/** Events taken in one turn; the rest stays in the kernel until the next one. */
const EVENTS_A_TURN_MAX = 64;
/** Turns fed by plain calls before the source gives way to timers and other work. */
const QUICK_TURNS_MAX = 8;

/** Longest wait in place, which is how long the event loop may be kept from other work, ms. */
const IN_PLACE_MS = 1;

/** Longest wait of one call, ms: what an int holds. */
const WAIT_MS_MAX = 0x7fffffff;

/** A call at a time. */
interface Alarm {
  readonly atMs: number;
  readonly call: () => void;
}

/** What to be told about. Hang-up and errors are always told. */
export interface Interest {
  readonly read?: boolean;
  readonly write?: boolean;
  /** One event is often followed by the next within a millisecond, of this descriptor or another of this kind. */
  readonly brisk?: boolean;
  /** Nothing is told after the first event, until {@linkcode Watch.modify}. */
  readonly once?: boolean;
}

function bits(ev: Interest): number {
  return (ev.read ? Ready.read : 0) | (ev.write ? Ready.write : 0) | (ev.once ? EPOLLONESHOT : 0);
}

/** One watched descriptor. Close it before the descriptor. */
export class Watch implements Disposable {
  /** @internal made by {@linkcode EventSource.watch} only */
  constructor(
    readonly source: EventSource,
    /** @internal */
    readonly id: number,
    readonly fd: number,
    /** @internal */
    readonly call: (ready: number) => void,
    /** @internal */
    readonly brisk: boolean,
  ) {}

  /** Changes what to be told about. */
  modify(ev: Interest): void {
    this.source.modify(this, ev);
  }

  /** Ends the watch; its callback is not called any more. Idempotent. */
  close(): void {
    this.source.forget(this);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Watches descriptors and calls back when they are ready (level-triggered). */
export class EventSource {
  static #ofThread: EventSource | undefined;
  /** What becomes of an exception in a callback: an uncaught error, unless a daemon decides otherwise. */
  static onError: (e: unknown) => void = (e) => reportError(e);

  /** The source of the calling thread, made on first use. */
  static get(): EventSource {
    return EventSource.#ofThread ??= new EventSource();
  }

  readonly #epoll: Fd;
  readonly #wake: EventFd;
  readonly #watches = new Map<number, Watch>();
  /** Few: each wait looks at all. */
  readonly #alarms = new Set<Alarm>();
  /** When the wait under way ends by itself, ms. */
  #waitEndMs = Infinity;
  readonly #ctl = new DataView(new ArrayBuffer(EVENT_BYTES));
  readonly #events = new DataView(new ArrayBuffer(EVENT_BYTES * EVENTS_A_TURN_MAX));
  readonly #eventBytes = new Uint8Array(this.#events.buffer);
  #nextId = 1;
  #running: Promise<void> | undefined;
  #waiting = false;
  #firstTurn = false;
  /** The last brisk event was not long in coming: the next may come as soon. */
  #busy = false;

  private constructor() {
    const raw = sys().epoll_create1(EPOLL_CLOEXEC);
    if (raw < 0) throw new SysError(errno(), "epoll_create1", "");
    this.#epoll = new Fd(raw, "epoll");
    this.#wake = EventFd.open();
    this.#control(EPOLL_CTL_ADD, this.#wake.raw, Ready.read, 0);
    // They live as long as the thread and are nobody's leak.
    Fd.live -= 2;
    waitTable ??= libc(WAIT_TABLE);
  }

  /** Descriptors watched at the moment. */
  get size(): number {
    return this.#watches.size;
  }

  /** Starts a watch. Throws `SysError`, e.g. EEXIST when the descriptor is watched already. */
  watch(fd: number, ev: Interest, call: (ready: number) => void): Watch {
    const id = this.#nextId;
    this.#nextId = this.#nextId >= 0xfffffffe ? 1 : this.#nextId + 1;
    const watch = new Watch(this, id, fd, call, ev.brisk === true);
    this.#control(EPOLL_CTL_ADD, fd, bits(ev), id);
    this.#watches.set(id, watch);
    if (this.#running === undefined) {
      this.#firstTurn = true;
      this.#running = this.#run();
    }
    return watch;
  }

  /**
   * Calls back in `ms`, while something is watched; the function that it gives calls that off. The runtime's own timers cost a
   * process a fifth of its start when it uses the first of them.
   */
  after(ms: number, call: () => void): () => void {
    const alarm = { atMs: performance.now() + ms, call };
    this.#alarms.add(alarm);
    if (this.#waiting && alarm.atMs < this.#waitEndMs) this.#wake.bump();
    return () => this.#alarms.delete(alarm);
  }

  /** How long to wait, ms; -1 without end. */
  #waitMs(): number {
    let endMs = Infinity;
    for (const { atMs } of this.#alarms) endMs = Math.min(endMs, atMs);
    this.#waitEndMs = endMs;
    if (endMs === Infinity) return -1;
    return Math.max(0, Math.min(Math.ceil(endMs - performance.now()), WAIT_MS_MAX));
  }

  #ring(): void {
    if (this.#alarms.size === 0) return;
    const nowMs = performance.now();
    const due = [...this.#alarms].filter(({ atMs }) => atMs <= nowMs);
    for (const alarm of due.sort((a, b) => a.atMs - b.atMs)) {
      // One may have called off another.
      if (this.#alarms.delete(alarm)) this.#safely(alarm.call, 0);
    }
  }

  /** @internal */
  modify(w: Watch, ev: Interest): void {
    if (this.#watches.get(w.id) !== w) return;
    this.#control(EPOLL_CTL_MOD, w.fd, bits(ev), w.id);
  }

  /** @internal */
  forget(w: Watch): void {
    if (this.#watches.get(w.id) !== w) return;
    this.#watches.delete(w.id);
    // The descriptor may be closed already, then the kernel has forgotten it by itself.
    sys().epoll_ctl(this.#epoll.raw, EPOLL_CTL_DEL, w.fd, this.#ctl.buffer);
    if (this.#watches.size === 0 && this.#waiting) this.#wake.bump();
  }

  /** Resolves when no wait is under way, which needs all watches closed. For tests. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  #control(op: number, fd: number, events: number, id: number): void {
    this.#ctl.setUint32(0, events, true);
    this.#ctl.setUint32(DATA_AT, id, true);
    this.#ctl.setUint32(DATA_AT + 4, 0, true);
    if (sys().epoll_ctl(this.#epoll.raw, op, fd, this.#ctl.buffer) < 0) {
      throw new SysError(errno(), "epoll_ctl", `descriptor ${fd}`);
    }
  }

  async #run(): Promise<void> {
    const epoll = this.#epoll.raw;
    let quick = 0;
    while (this.#watches.size > 0) {
      let n = 0;
      if (this.#firstTurn) {
        // Never call back before `watch()` has returned.
        this.#firstTurn = false;
        await undefined;
        // Closed again meanwhile.
        if (this.#watches.size === 0) continue;
      } else if (quick < QUICK_TURNS_MAX) {
        n = sys().epoll_wait(epoll, this.#eventBytes, EVENTS_A_TURN_MAX, 0);
        if (n > 0) quick += 1;
      }
      if (n <= 0) {
        quick = 0;
        const sinceMs = performance.now();
        if (this.#busy) {
          // First runs all that is ready, and what the callbacks have started.
          await new Promise<void>((resolve) => setImmediate(resolve));
          const waitMs = this.#waitMs();
          const inPlaceMs = waitMs < 0 ? IN_PLACE_MS : Math.min(waitMs, IN_PLACE_MS);
          n = sys().epoll_wait(epoll, this.#eventBytes, EVENTS_A_TURN_MAX, inPlaceMs);
        }
        if (n <= 0) n = await this.#waitAside(epoll);
        this.#busy = performance.now() - sinceMs < IN_PLACE_MS && this.#areBrisk(n);
        // errno belongs to a thread of the pool; EINTR is the only failure a valid epoll has.
        if (n < 0) continue;
      }
      this.#dispatch(n);
      this.#ring();
      // Lets what the callbacks started run before the next look.
      await undefined;
    }
    this.#running = undefined;
  }

  /** Waits on the thread pool, so that the event loop runs. */
  async #waitAside(epoll: number): Promise<number> {
    if (this.#watches.size === 0) return 0;
    this.#waiting = true;
    const waitMs = this.#waitMs();
    const n = await waitTable!.epoll_wait(epoll, this.#eventBytes, EVENTS_A_TURN_MAX, waitMs);
    this.#waiting = false;
    return n;
  }

  #areBrisk(n: number): boolean {
    for (let i = 0; i < n; i++) {
      const id = this.#events.getUint32(i * EVENT_BYTES + DATA_AT, true);
      if (this.#watches.get(id)?.brisk === true) return true;
    }
    return false;
  }

  #dispatch(n: number): void {
    for (let i = 0; i < n; i++) {
      const ready = this.#events.getUint32(i * EVENT_BYTES, true);
      const id = this.#events.getUint32(i * EVENT_BYTES + DATA_AT, true);
      if (id === 0) {
        this.#wake.clear();
        continue;
      }
      const watch = this.#watches.get(id);
      if (watch === undefined) continue;
      this.#safely(watch.call, ready);
    }
  }

  /** A failing callback must not stop the others. */
  #safely(call: (ready: number) => void, ready: number): void {
    try {
      call(ready);
    } catch (e) {
      EventSource.onError(e);
    }
  }
}

/** Whether an error is the kernel's way of saying "not now". */
export function isAgain(code: number): boolean {
  return code === Errno.EAGAIN || code === -Errno.EAGAIN;
}
