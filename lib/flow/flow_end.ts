/**
 * The end of a flow (spec 30 §5.4): waiting for acknowledgements and for the peer to read, telling IRMd and peer,
 * giving everything back.
 */

import { Errno } from "../errno.ts";
import type { FlowInfo } from "../irm/messages.ts";
import { Acl, FlowEvent } from "../shm/layout.ts";
import { monotonicNs, monotonicUs } from "../sys/clock.ts";
import { pidAlive } from "../sys/process.ts";
import { FlowAsync, ROOM_PAUSE_FIRST_MS, ROOM_PAUSE_MAX_MS } from "./flow_async.ts";
import type { FrctDriver } from "./frct_driver.ts";
import { giveBack, giveBackSync } from "./grant.ts";
import { deadlineNs } from "./wait.ts";

/** How a flow is closed. */
export interface DeallocOptions {
  /** Wait for acknowledgements of a reliable flow so many ms at most; absent: {@linkcode Flow.lingerMs}. */
  lingerMs?: number | undefined;
  /** Stops waiting, for acknowledgements and for the peer to read; the flow is closed all the same. */
  signal?: AbortSignal | undefined;
}

/** Longest wait for the peer to empty its ring when a flow closes, ns (spec 10 §11.13). */
const DRAIN_MAX_NS = 2e9;
/** How often an asynchronous end looks at its limits, ms. */
const CLOSING_LOOK_MS = 20;
/** How often that wait looks whether the peer still lives, ns. */
const DRAIN_SLICE_NS = 50e6;

/** Closing of a {@linkcode Flow}. Programs use `Flow`. */
export abstract class FlowEnd<F> extends FlowAsync<F> {
  /** As the IRMd described the flow: pids, MPL, QoS. */
  abstract readonly info: FlowInfo;
  /**
   * Longest wait for acknowledgements when a reliable flow closes, ms; undefined: 120 s, after which FRCT
   * gives up (spec 31 §9, §10.12). Only a peer that is lost without a word makes it wait: one that closes,
   * exits or is killed on this host, or a link that goes down, ends it at once. Also for `await using`.
   *
   * @example
   * ```ts
   * import { Flow, QOS } from "@ouro/ouro";
   * import { assert } from "@std/assert";
   *
   * {
   *   await using flow = await Flow.alloc("echo", { qos: QOS.data, lingerMs: 2000 });
   *   await flow.write(Uint8Array.of(1));
   * } // here: at most 2 s, whatever became of the peer
   * const other = await Flow.alloc("echo", { qos: QOS.data });
   * await other.dealloc({ lingerMs: 0 }); // or once only
   * assert(other.isClosed);
   * ```
   */
  lingerMs: number | undefined = undefined;

  /**
   * Closes the flow, blocking: waits for acknowledgements of a reliable flow, briefly for the peer to
   * take what is in its ring, and tells IRMd and peer. Returns the IRMd's result. Idempotent.
   */
  deallocSync(options: DeallocOptions = {}): number {
    if (this.over) return 0;
    const waitS = this.#lingerSync(options);
    const until = monotonicNs() + DRAIN_MAX_NS;
    while (this.#draining(until)) {
      this.rings.tx.waitEmpty(Math.min(until, monotonicNs() + DRAIN_SLICE_NS));
    }
    return this.#endSync(waitS);
  }

  #endSync(waitS: number): number {
    const result = giveBackSync(this.process, this.id, waitS);
    this.#close();
    return result;
  }

  /**
   * Closes the flow as {@linkcode deallocSync}, without blocking the thread. Called again while it closes, it waits
   * for the same end, with the shorter `lingerMs`.
   *
   * @example
   * ```ts
   * import { Flow } from "@ouro/ouro";
   * import { assert } from "@std/assert";
   *
   * const flow = await Flow.alloc("echo");
   * await flow.dealloc(); // `await using` does this at the end of its block
   * assert(flow.isClosed);
   * ```
   */
  override dealloc(options: DeallocOptions = {}): Promise<void> {
    if (this.over) return Promise.resolve();
    this.#lingerUntilNs = Math.min(
      this.#lingerUntilNs,
      deadlineNs(options.lingerMs ?? this.lingerMs),
    );
    const { signal } = options;
    const hurry = () => {
      this.#hurried = true;
    };
    if (signal?.aborted) hurry();
    signal?.addEventListener("abort", hurry);
    this.#ending ??= this.#end();
    return this.#ending.finally(() => signal?.removeEventListener("abort", hurry));
  }
  /** The end, once it was asked for; whoever asks again waits for the same. */
  #ending: Promise<void> | undefined;
  #lingerUntilNs = Infinity;
  #hurried = false;

  async #end(): Promise<void> {
    const frct = this.frct;
    let waitS = 0;
    if (frct !== null) {
      this.listenAsync();
      frct.pump(monotonicUs());
      frct.endpoint.close(monotonicUs());
      frct.flush(monotonicUs());
      while (!this.over && !this.#hurried && this.#lingering(frct, this.#lingerUntilNs)) {
        this.armFrct();
        await this.event(CLOSING_LOOK_MS, undefined);
        if (!this.over) frct.tick(monotonicUs());
      }
      if (this.over) return;
      waitS = Math.abs(frct.endpoint.deallocWaitS(monotonicUs()));
    }
    const until = monotonicNs() + DRAIN_MAX_NS;
    let pauseMs = ROOM_PAUSE_FIRST_MS;
    while (!this.over && !this.#hurried && this.#draining(until)) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      pauseMs = Math.min(pauseMs * 2, ROOM_PAUSE_MAX_MS);
    }
    if (this.over) return;
    try {
      await giveBack(this.process, this.id, waitS);
    } finally {
      this.#close();
    }
  }

  /** @internal */
  protected override async acknowledged(signal: AbortSignal | undefined): Promise<void> {
    const { frct } = this;
    if (frct === null) return;
    const untilNs = deadlineNs(this.lingerMs);
    this.listenAsync();
    while (!this.over && this.#lingering(frct, untilNs)) {
      signal?.throwIfAborted();
      this.armFrct();
      await this.event(CLOSING_LOOK_MS, signal);
      if (!this.over) frct.tick(monotonicUs());
    }
  }

  /**
   * Resolves when the flow is over: closed here or by the peer, or the peer is silent for too long. It keeps the
   * program alive until then, and says nothing about messages that can still be read.
   *
   * @example
   * ```ts
   * import { Flow } from "@ouro/ouro";
   *
   * const flow = await Flow.alloc("echo");
   * flow.closed.then(() => console.log("over"));
   * await flow.dealloc();
   * await flow.closed;
   * ```
   */
  get closed(): Promise<void> {
    return this.#closed ??= this.#untilOver();
  }
  #closed: Promise<void> | undefined;

  async #untilOver(): Promise<void> {
    if (!this.over && this.memberOf === null) this.listenAsync();
    while (!this.over && !this.hasEnded()) await this.event(Infinity, undefined);
  }

  /** Serves a closing FRCT flow until it may go. Returns the linger time for the layer below, s. */
  #lingerSync(options: DeallocOptions): number {
    const frct = this.frct;
    if (frct === null) return 0;
    const until = deadlineNs(options.lingerMs ?? this.lingerMs);
    frct.pump(monotonicUs());
    frct.endpoint.close(monotonicUs());
    frct.flush(monotonicUs());
    while (this.#lingering(frct, until)) {
      const off = this.rings.rx.readBlocking(monotonicNs() + 5e6);
      if (off > 0) frct.take(off, monotonicUs(), null);
      else if (off === -Errno.EFLOWDOWN) break;
      frct.tick(monotonicUs());
    }
    return Math.abs(frct.endpoint.deallocWaitS(monotonicUs()));
  }

  /** Whether closing should wait on for acknowledgements. */
  #lingering(frct: FrctDriver, untilNs: number): boolean {
    return frct.endpoint.lingering(monotonicUs()) && !this.hasEnded() && monotonicNs() < untilNs;
  }

  /** Whether the other side closed the flow or timed out, whatever can still be read. */
  hasEnded(): boolean {
    return this.over || (this.rings.rx.acl() & (Acl.FLOWDOWN | Acl.FLOWPEER)) !== 0;
  }

  /** @internal Which halves have ended. */
  get ends(): { readonly read: boolean; readonly write: boolean } {
    return { read: this.peerDone || this.hasEnded(), write: this.writesDone || this.over };
  }

  /** Whether closing should wait on: the peer has packets to take, lives, and time is left. */
  #draining(untilNs: number): boolean {
    return this.rings.tx.queued() > 0 && this.rings.tx.acl() === 0 && !this.hasEnded() &&
      monotonicNs() < untilNs && pidAlive(this.info.n1Pid);
  }

  /** Ends the flow at once, without lingering or waiting for the peer. */
  override abandon(): void {
    if (this.over) return;
    if (this.frct !== null) {
      this.frct.endpoint.close(monotonicUs());
      this.frct.flush(monotonicUs());
    }
    this.#endSync(0);
  }

  /** Steps 6 and 7 of spec 30 §5.4: both rings down, own ring emptied, peer told, memory unmapped. */
  #close(): void {
    if (this.over) return;
    const { rx, tx, peerSet } = this.rings;
    this.reader.flush();
    rx.setAcl(Acl.FLOWDOWN);
    tx.setAcl(Acl.FLOWDOWN);
    const pool = this.pool;
    rx.drain((off) => {
      if (pool.get(off) === 0) pool.remove(off);
    });
    peerSet.notify(this.id, FlowEvent.DEALLOC);
    this.forget();
  }

  /** @internal Ends the use of the flow in this thread. */
  protected forget(): void {
    this.place(-1);
    this.reader.flush();
    this.over = true;
    this.memberOf?.onFlowEvents(this.self, FlowEvent.DEALLOC);
    this.process.leave(this);
    this.frct?.endpoint.dispose();
    this.protection?.wipe();
    this.rings.close();
    this.wake();
  }

  /** Whether the flow was closed here. */
  get isClosed(): boolean {
    return this.over;
  }

  /** Closes the flow, blocking. */
  [Symbol.dispose](): void {
    this.deallocSync();
  }

  /** Closes the flow. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.dealloc();
  }
}
