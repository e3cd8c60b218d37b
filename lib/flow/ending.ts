/**
 * The end of a flow (spec 30 §5.4): waiting for acknowledgements and for the peer to read, telling IRMd and peer,
 * giving everything back.
 */

import { Errno } from "../errno.ts";
import { Acl, FlowEvent } from "../shm/layout.ts";
import { monotonicNs, monotonicUs } from "../sys/clock.ts";
import { pidAlive } from "../sys/process.ts";
import type { FlowCore } from "./core.ts";
import type { FlowEvents } from "./events.ts";
import type { FrctDriver } from "./frct_driver.ts";
import { giveBack, giveBackSync } from "./grant.ts";
import type { DeallocOptions } from "./options.ts";
import { ROOM_PAUSE_FIRST_MS, ROOM_PAUSE_MAX_MS } from "./turns.ts";
import { deadlineNs } from "./wait.ts";

/** Longest wait for the peer to empty its ring when a flow closes, ns (spec 10 §11.13). */
const DRAIN_MAX_NS = 2e9;
/** How often an asynchronous end looks at its limits, ms. */
const CLOSING_LOOK_MS = 20;
/** How often a blocking one looks whether the peer still lives, ns. */
const DRAIN_SLICE_NS = 50e6;
/** Longest wait for the IRMd's answer of who is in a hurry, ms: a stopped one reads the request when it goes on. */
const HURRY_MS = 20;
/** Longest wait for one packet while a blocking end lingers, ns. */
const LINGER_SLICE_NS = 5e6;

/** See the head of this file. */
export class Ending {
  /** The end, once it was asked for; whoever asks again waits for the same. */
  #ending: Promise<void> | undefined;
  #lingerUntilNs = Infinity;
  #hurried = false;
  #onHurry: () => void = () => {};
  #closed: Promise<void> | undefined;

  constructor(private readonly core: FlowCore, private readonly events: FlowEvents) {}

  /** Which halves have ended. */
  get halves(): { readonly read: boolean; readonly write: boolean } {
    const { core } = this;
    return { read: core.peerDone || core.hasEnded(), write: core.writesDone || core.over };
  }

  /** Closes the flow, blocking; see `Flow.deallocSync`. */
  deallocSync(options: DeallocOptions): number {
    const { core } = this;
    if (core.over) return 0;
    const waitS = this.#lingerSync(options);
    const until = monotonicNs() + DRAIN_MAX_NS;
    while (this.#draining(until)) {
      core.rings.tx.waitEmpty(Math.min(until, monotonicNs() + DRAIN_SLICE_NS));
    }
    return this.#endSync(waitS);
  }

  #endSync(waitS: number, limitMs?: number): number {
    const result = giveBackSync(this.core.process, this.core.id, waitS, limitMs);
    this.#close();
    return result;
  }

  /** Closes the flow without blocking the thread; see `Flow.dealloc`. */
  dealloc(options: DeallocOptions): Promise<void> {
    if (this.core.over) return Promise.resolve();
    this.#lingerUntilNs = Math.min(
      this.#lingerUntilNs,
      deadlineNs(options.lingerMs ?? this.core.lingerMs),
    );
    const { signal } = options;
    const hurry = () => {
      this.#hurried = true;
      this.#onHurry();
    };
    if (signal?.aborted) hurry();
    signal?.addEventListener("abort", hurry);
    this.#ending ??= this.#end();
    return this.#ending.finally(() => signal?.removeEventListener("abort", hurry));
  }

  async #end(): Promise<void> {
    const { core } = this;
    const { frct } = core;
    let waitS = 0;
    if (frct !== null) {
      this.events.listen();
      frct.pump(monotonicUs());
      frct.endpoint.close(monotonicUs());
      frct.flush(monotonicUs());
      await this.#linger(frct, () => this.#lingerUntilNs, () => this.#hurried);
      if (core.over) return;
      waitS = Math.abs(frct.endpoint.deallocWaitS(monotonicUs()));
    }
    const until = monotonicNs() + DRAIN_MAX_NS;
    let pauseMs = ROOM_PAUSE_FIRST_MS;
    while (!core.over && !this.#hurried && this.#draining(until)) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      pauseMs = Math.min(pauseMs * 2, ROOM_PAUSE_MAX_MS);
    }
    if (core.over) return;
    const given = giveBack(core.process, core.id, waitS);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      this.#onHurry = () => {
        timer ??= setTimeout(resolve, core.process.hurried ? 0 : HURRY_MS);
      };
    });
    if (this.#hurried) this.#onHurry();
    try {
      await Promise.race([given, late]);
    } finally {
      this.#onHurry = () => {};
      clearTimeout(timer);
      this.#close();
    }
  }

  /** Waits until the peer has acknowledged everything, or the flow is over; `lingerMs` of the flow at most. */
  async acknowledged(signal: AbortSignal | undefined): Promise<void> {
    const { frct, lingerMs } = this.core;
    if (frct === null) return;
    const until = deadlineNs(lingerMs);
    this.events.listen();
    await this.#linger(frct, () => until, () => {
      signal?.throwIfAborted();
      return false;
    }, signal);
  }

  async #linger(
    frct: FrctDriver,
    untilNs: () => number,
    stop: () => boolean,
    signal?: AbortSignal,
  ): Promise<void> {
    const { core, events } = this;
    while (!core.over && this.#lingering(frct, untilNs()) && !stop()) {
      events.armFrct();
      await events.wait(CLOSING_LOOK_MS, signal);
      if (!core.over) frct.tick(monotonicUs());
    }
  }

  /** Resolves when the flow is over; see `Flow.closed`. */
  get closed(): Promise<void> {
    return this.#closed ??= this.#untilOver();
  }

  async #untilOver(): Promise<void> {
    const { core, events } = this;
    if (!core.over && events.listener === null) events.listen();
    while (!core.over && !core.hasEnded()) await events.wait(Infinity, undefined);
  }

  /** Serves a closing FRCT flow until it may go. Returns the linger time for the layer below, s. */
  #lingerSync(options: DeallocOptions): number {
    const { frct, lingerMs, rings } = this.core;
    if (frct === null) return 0;
    const until = deadlineNs(options.lingerMs ?? lingerMs);
    frct.pump(monotonicUs());
    frct.endpoint.close(monotonicUs());
    frct.flush(monotonicUs());
    while (this.#lingering(frct, until)) {
      const off = rings.rx.readBlocking(monotonicNs() + LINGER_SLICE_NS);
      if (off > 0) frct.take(off, monotonicUs(), null);
      else if (off === -Errno.EFLOWDOWN) break;
      frct.tick(monotonicUs());
    }
    return Math.abs(frct.endpoint.deallocWaitS(monotonicUs()));
  }

  /** Whether closing should wait on for acknowledgements. */
  #lingering(frct: FrctDriver, untilNs: number): boolean {
    return frct.endpoint.lingering(monotonicUs()) && !this.core.hasEnded() &&
      monotonicNs() < untilNs;
  }

  /** Whether closing should wait on: the peer has packets to take, lives, and time is left. */
  #draining(untilNs: number): boolean {
    const { info, rings } = this.core;
    return rings.tx.queued() > 0 && rings.tx.acl() === 0 && !this.core.hasEnded() &&
      monotonicNs() < untilNs && pidAlive(info.n1Pid);
  }

  /** Ends the flow at once, without lingering or waiting for the peer. */
  abandon(limitMs = this.core.process.farewellMs): void {
    const { frct, over } = this.core;
    if (over) return;
    if (frct !== null) {
      frct.endpoint.close(monotonicUs());
      frct.flush(monotonicUs());
    }
    this.#endSync(0, limitMs);
  }

  /** Steps 6 and 7 of spec 30 §5.4: both rings down, own ring emptied, peer told, memory unmapped. */
  #close(): void {
    const { core } = this;
    if (core.over) return;
    const { rx, tx, peerSet } = core.rings;
    core.reader.flush();
    rx.setAcl(Acl.FLOWDOWN);
    tx.setAcl(Acl.FLOWDOWN);
    const { pool } = core;
    rx.drain((off) => {
      if (pool.get(off) === 0) pool.remove(off);
    });
    peerSet.notify(core.id, FlowEvent.DEALLOC);
    this.forget();
  }

  /** Ends the use of the flow in this thread. */
  forget(): void {
    const { core, events } = this;
    if (core.over) return;
    events.place(-1);
    core.reader.flush();
    core.over = true;
    events.tell(FlowEvent.DEALLOC);
    core.process.table.leave(core);
    core.process.deadlines.leave(events);
    core.frct?.dispose();
    core.protection?.wipe();
    core.rings.close();
    events.wake();
  }
}
