/**
 * The server (spec 80 §2.6): accepts flows as they come and answers what they send. While packets
 * come it waits for them blocking, in slices short enough that new flows are accepted meanwhile;
 * when nothing comes it rests in the event loop.
 *
 * Beyond the prototype (spec 80 §13.1): no limit of 192 flows; a peer that doesn't read stops nobody
 * else; a flow that goes down is dropped at once; without an IRMd it ends instead of spinning.
 */

import { reasonOf } from "../lib/cli/reason.ts";
import { Errno, OuroError } from "../lib/errno.ts";
import { FlowFlag } from "../lib/flow/flags.ts";
import { Flow } from "../lib/flow/flow.ts";
import { FlowSet } from "../lib/flow/flow_set.ts";
import type { OuroProcess } from "../lib/flow/process.ts";
import { FlowEvent } from "../lib/shm/layout.ts";
import { monotonicNs } from "../lib/sys/clock.ts";
import { makeReply, TYPE_REQUEST, typeOf } from "../lib/wire/oping_msg.ts";
import { aboutText } from "./about.ts";
import type { ServerOptions } from "./options.ts";
import { complain, type Output } from "./output.ts";

/** After a packet we wait blocking for the next this long, ns. */
const ACTIVE_NS = 10e6;
/** One blocking wait then, ms, and the longest time between turns of the event loop, ns. */
const SLICE_MS = 1;
const TURN_NS = 2e6;
/** How often idle flows are looked for, ms. */
const IDLE_CHECK_MS = 1000;
/** Pause after a failed accept, ms, and how long we try without an IRMd, ns. */
const RETRY_MS = 1000;
const IRMD_GONE_NS = 10e9;
/** Failures in a row that are told and slow us down. */
const FAILURES_TOLD = 5;
/** Largest packet that is answered, bytes. */
const PACKET_MAX = 1500;
/**
 * Replies that a client may leave unread; what is more is dropped. The pool of the host has 1024
 * blocks of this size for everybody (spec 10 §4.1).
 */
const UNREAD_MAX = 256;
/** Packets of one flow in a row before the next flow is looked at. */
const BURST = 16;
/** Looks between two looks at the clock in a busy wait. */
const BUSY_LOOKS = 1024;

/** Longest wait for the last acknowledgements at the end of the busy mode, ms: a lost peer does not hold us. */
const LEAVE_MS = 1000;

const NONBLOCK = { nonblock: true } as const;
const GONE = FlowEvent.DOWN | FlowEvent.DEALLOC | FlowEvent.PEER;

/** One turn of the event loop. */
export type Turn = () => Promise<void>;

export class Server {
  readonly #options: ServerOptions;
  readonly #process: OuroProcess;
  readonly #out: Output;
  readonly #turn: Turn;
  readonly #set: FlowSet;
  /** When each flow had its last good request, ns. */
  readonly #heardNs = new Map<Flow, number>();
  readonly #packet = new Uint8Array(PACKET_MAX);
  /** Replies that a reliable flow did not take yet; until then no more requests are read from it. */
  readonly #owed = new Map<Flow, Uint8Array>();
  readonly #stop: AbortController;
  #activeNs = 0;
  #exitCode = 0;

  /** The server ends soon when `stop` aborts; it aborts it itself when it ends for another reason. */
  constructor(
    options: ServerOptions,
    process: OuroProcess,
    out: Output,
    turn: Turn,
    stop: AbortController,
  ) {
    this.#options = options;
    this.#process = process;
    this.#out = out;
    this.#turn = turn;
    this.#stop = stop;
    this.#set = new FlowSet(process);
  }

  get #stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Serves until it is stopped; returns the exit code. */
  async serve(): Promise<number> {
    if (this.#options.mode === "busy") return await this.#serveBusy();
    this.#out.line("Ouroboros ping server started.");
    this.#out.flush();
    const accepting = this.#accept();
    const idle = setInterval(() => this.#dropIdle(), IDLE_CHECK_MS);
    try {
      while (!this.#stopped) await this.#step();
    } finally {
      clearInterval(idle);
      this.#stop.abort();
      await accepting;
      this.#set.close();
    }
    return this.#exitCode;
  }

  /** Waits for packets once, in the way that fits what goes on, and answers them. */
  async #step(): Promise<void> {
    const poll = this.#options.mode === "poll" && this.#heardNs.size > 0;
    const idle = this.#owed.size === 0 && monotonicNs() - this.#activeNs > ACTIVE_NS;
    if (!poll && idle) {
      this.#out.flush();
      try {
        this.#serveEvents(await this.#set.next({ signal: this.#stop.signal }));
      } catch (error) {
        if (!this.#stopped) throw error;
      }
      return;
    }
    const turnAtNs = monotonicNs() + TURN_NS;
    do {
      this.#serveEvents(this.#set.wait(poll ? 0 : SLICE_MS));
      for (const flow of this.#owed.keys()) this.#answer(flow);
    } while (monotonicNs() < turnAtNs);
    this.#out.flush();
    await this.#turn();
  }

  #serveEvents(events: readonly { flow: Flow; events: number }[]): void {
    for (const { flow, events: bits } of events) {
      if ((bits & FlowEvent.PKT) !== 0) this.#answer(flow);
      if ((bits & GONE) !== 0) this.#drop(flow);
    }
    if (events.length > 0) this.#activeNs = monotonicNs();
  }

  /** Answers what a flow sent, up to a burst. */
  #answer(flow: Flow): void {
    const packet = this.#packet;
    if (!this.#payOwed(flow)) return;
    for (let k = 0; k < BURST; k++) {
      const n = flow.readSync(packet, NONBLOCK);
      if (n === -Errno.EFLOWDOWN || n === -Errno.EFLOWPEER) this.#drop(flow);
      if (n === -Errno.EMSGSIZE) continue;
      if (n < 0) return;
      if (!this.#options.quiet) this.#out.line(`Received ${n} bytes on fd ${flow.fd}.`);
      if (typeOf(packet, 0, n) !== TYPE_REQUEST) {
        this.#out.line(`Invalid message on fd ${flow.fd}.`);
        continue;
      }
      this.#heardNs.set(flow, monotonicNs());
      // A client that does not read loses replies; the others go on.
      if (!flow.isReliable && flow.txQueued >= UNREAD_MAX) continue;
      makeReply(packet, 0);
      const reply = packet.subarray(0, n);
      const written = flow.writeSync(reply, NONBLOCK);
      if (written === -Errno.EAGAIN && flow.isReliable) {
        // Its window is closed: what a reliable flow has taken is answered, so its client waits as well.
        this.#owed.set(flow, reply.slice());
        return;
      }
      this.#check(flow, written);
    }
  }

  /** Sends the reply that waits for a flow, if any; whether none waits any more. */
  #payOwed(flow: Flow): boolean {
    const reply = this.#owed.get(flow);
    if (reply === undefined) return true;
    const written = flow.writeSync(reply, NONBLOCK);
    if (written === -Errno.EAGAIN) return false;
    this.#owed.delete(flow);
    this.#check(flow, written);
    return true;
  }

  #check(flow: Flow, written: number): void {
    if (written < 0 && written !== -Errno.EAGAIN) {
      this.#out.line(`Error writing to flow (fd ${flow.fd}).`);
    }
  }

  #drop(flow: Flow): void {
    if (!this.#heardNs.delete(flow)) return;
    this.#owed.delete(flow);
    this.#set.del(flow);
    flow.dealloc().catch(() => {});
    if (this.#options.once) this.#stop.abort();
  }

  #dropIdle(): void {
    const limitNs = monotonicNs() - this.#options.idleMs * 1e6;
    for (const [flow, heardNs] of this.#heardNs) {
      if (heardNs >= limitNs) continue;
      // What came while this process did not run counts.
      this.#answer(flow);
      if ((this.#heardNs.get(flow) ?? Infinity) >= limitNs) continue;
      this.#out.line(`Flow ${flow.fd} timed out.`);
      this.#drop(flow);
    }
    this.#out.flush();
  }

  async #accept(): Promise<void> {
    for (;;) {
      const flow = await this.#acceptOne();
      if (flow === undefined) return;
      if (this.#heardNs.size >= this.#options.flowsMax) {
        flow.dealloc().catch(() => {});
        continue;
      }
      flow.flags |= FlowFlag.RNoPart;
      this.#out.line(`New flow ${flow.fd}.`);
      this.#out.flush();
      this.#tellAbout(flow);
      this.#heardNs.set(flow, monotonicNs());
      this.#set.add(flow);
      this.#activeNs = monotonicNs();
      if (this.#options.once) return;
    }
  }

  /** What is known of a flow, on stderr: scripts read the prototype's lines. */
  #tellAbout(flow: Flow): void {
    const text = this.#options.quiet ? "" : aboutText(flow);
    if (text !== "") complain(`Flow ${flow.fd}: ${text}.`);
  }

  /**
   * The next flow; undefined when the server ends. A flow that was gone before we had it is nobody's
   * trouble; without an IRMd, or with one that has started after us and does not know us, we try for a while
   * and say so once.
   */
  async #acceptOne(): Promise<Flow | undefined> {
    let firstNs: number | undefined;
    let told = 0;
    for (let failures = 1; !this.#stopped; failures++) {
      try {
        return await Flow.accept(this.#process, { signal: this.#stop.signal });
      } catch (error) {
        if (this.#stopped) return undefined;
        if (!(error instanceof OuroError)) throw error;
        const { code } = error;
        const irmdGone = code === -Errno.EIRMD || code === -1 || code === -Errno.EINVAL;
        if (irmdGone ? code !== told : failures === FAILURES_TOLD) {
          told = code;
          this.#out.line(`Failed to accept flow: ${code} `);
          this.#out.flush();
          complain(`Failed to accept flow: ${reasonOf(error)}`);
        }
        firstNs ??= monotonicNs();
        if (irmdGone && monotonicNs() - firstNs > IRMD_GONE_NS) {
          this.#exitCode = 1;
          this.#stop.abort();
          return undefined;
        }
        if (irmdGone || failures >= FAILURES_TOLD) await this.#pause(RETRY_MS);
      }
    }
    return undefined;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const signal = this.#stop.signal;
      const timer = setTimeout(done, ms);
      function done() {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      }
      signal.addEventListener("abort", done);
    });
  }

  /** `--busy`: one flow, a busy wait, no line a packet; ends with the flow. */
  async #serveBusy(): Promise<number> {
    const flow = await this.#acceptOne();
    if (flow === undefined) return this.#exitCode;
    flow.flags |= FlowFlag.RNoPart;
    this.#out.line(`New flow ${flow.fd} (busy-poll).`);
    this.#out.flush();
    this.#tellAbout(flow);
    const packet = this.#packet;
    let turnAtNs = monotonicNs();
    while (!this.#stopped) {
      for (let look = 0; look < BUSY_LOOKS; look++) {
        const n = flow.readSync(packet, NONBLOCK);
        if (n === -Errno.EAGAIN) continue;
        if (n < 0) {
          await flow.dealloc({ lingerMs: LEAVE_MS }).catch(() => {});
          return 0;
        }
        if (typeOf(packet, 0, n) !== TYPE_REQUEST) continue;
        makeReply(packet, 0);
        flow.writeSync(n === PACKET_MAX ? packet : packet.subarray(0, n), NONBLOCK);
      }
      const nowNs = monotonicNs();
      if (nowNs < turnAtNs) continue;
      await this.#turn();
      turnAtNs = monotonicNs() + 10 * TURN_NS;
    }
    await flow.dealloc({ lingerMs: LEAVE_MS }).catch(() => {});
    return 0;
  }
}
