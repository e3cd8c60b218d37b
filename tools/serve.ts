/**
 * The server loop of the tools: accepts flows, feeds each one's packets to its own state machine, and
 * closes it when the machine says so or the peer is gone. One slow or silent peer never holds up the
 * others: reads do not block, and each turn takes a bounded number of packets of a flow.
 */

import { stdout } from "../lib/cli/outlet.ts";
import { Errno } from "../lib/errno.ts";
import type { Flow } from "../lib/flow/flow.ts";
import { FlowSet } from "../lib/flow/flow_set.ts";
import type { OuroProcess } from "../lib/flow/process.ts";
import { monotonicUs } from "../lib/sys/clock.ts";
import { acceptFlows } from "./accept.ts";
import { complain } from "./console.ts";
import { leave, pause, type Stop } from "./session.ts";

/** What comes after a packet: the next one, the end, or a wait because an answer does not fit yet. */
export type Next = "go on" | "done" | "hold";

/** One flow being served. Every method may answer "done", which closes the flow. */
export interface Conversation {
  /** A packet came; the bytes are valid during the call only. */
  onPacket(packet: Uint8Array<ArrayBuffer>, nowUs: number): Next;
  /** After "hold", before anything else is read: try again. */
  onRetry?(nowUs: number): Next;
  /** Some time has passed. */
  onTick(nowUs: number): "go on" | "done";
  /** The peer closed the flow, or is lost. */
  onDown(nowUs: number): void;
}

/** How a server serves. */
export interface ServeOptions {
  readonly process: OuroProcess;
  readonly stop: Stop;
  /** Largest packet taken, bytes; longer ones are dropped. */
  readonly packetBytesMax: number;
  /** How often `onTick` is called, ms. */
  readonly tickMs: number;
  /** Flows served at once; more are closed at once. */
  readonly maxFlows?: number | undefined;
  /** Serve one flow, then end. */
  readonly once?: boolean | undefined;
  /** Begins to serve a flow. */
  begin(flow: Flow, nowUs: number): Conversation;
}

/** Packets of one flow taken before the next flow has its turn. */
const PACKETS_A_TURN = 64;
/** Pause when nothing but flows on hold can be read, ms. */
const HOLD_PAUSE_MS = 1;

/** Serves until it is stopped; returns the exit code. */
export async function serve(options: ServeOptions): Promise<number> {
  const server = new Server(options);
  return await server.run();
}

class Server {
  readonly #options: ServeOptions;
  readonly #set: FlowSet;
  readonly #talks = new Map<Flow, Conversation>();
  /** Flows whose last answer did not fit; their packets wait in the ring. */
  readonly #held = new Set<Flow>();
  /** Flows that are being closed. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #buffer: Uint8Array<ArrayBuffer>;
  #accepted = 0;
  #exitCode = 0;

  constructor(options: ServeOptions) {
    this.#options = options;
    this.#set = new FlowSet(options.process);
    this.#buffer = new Uint8Array(options.packetBytesMax + 1);
  }

  async run(): Promise<number> {
    const accepting = this.#accept();
    await this.#serve();
    await accepting;
    for (const flow of this.#talks.keys()) this.#leave(flow);
    await Promise.all(this.#leaving);
    this.#set.close();
    return this.#exitCode;
  }

  async #accept(): Promise<void> {
    const { process, stop, once } = this.#options;
    this.#exitCode = await acceptFlows({ process }, stop, (flow) => {
      this.#begin(flow);
      return once && this.#accepted > 0 ? "enough" : "go on";
    });
  }

  #begin(flow: Flow): void {
    const { maxFlows } = this.#options;
    if (maxFlows !== undefined && this.#talks.size >= maxFlows) {
      complain(`Refused flow ${flow.fd}: ${maxFlows} flows are served already`);
      this.#leave(flow);
      return;
    }
    this.#accepted++;
    this.#talks.set(flow, this.#options.begin(flow, monotonicUs()));
    this.#set.add(flow);
  }

  async #serve(): Promise<void> {
    const { stop, tickMs, once } = this.#options;
    let tickAtUs = monotonicUs() + tickMs * 1000;
    while (!stop.requested) {
      await stdout.room();
      const leftMs = Math.max(0, (tickAtUs - monotonicUs()) / 1000);
      let ready: Flow[] = [];
      try {
        const events = await this.#set.next({ signal: stop.signal, timeoutMs: leftMs });
        ready = events.map(({ flow }) => flow);
      } catch (error) {
        if (!stop.requested) throw error;
      }
      for (const flow of ready) this.#take(flow);
      if (this.#held.size > 0 && ready.every((flow) => this.#held.has(flow))) {
        await pause(HOLD_PAUSE_MS, stop.signal);
      }
      const nowUs = monotonicUs();
      if (nowUs >= tickAtUs) {
        tickAtUs = nowUs + tickMs * 1000;
        for (const [flow, talk] of this.#talks) {
          this.#take(flow);
          if (this.#talks.has(flow) && talk.onTick(nowUs) === "done") this.#end(flow);
        }
      }
      if (once && this.#accepted > 0 && this.#talks.size === 0) return;
    }
  }

  /** Takes what waits on a flow, up to a turn's worth. */
  #take(flow: Flow): void {
    const talk = this.#talks.get(flow);
    if (!talk) return;
    if (this.#held.has(flow)) {
      const next = talk.onRetry?.(monotonicUs()) ?? "go on";
      if (next === "hold") return;
      this.#held.delete(flow);
      if (next === "done") return this.#end(flow);
    }
    for (let i = 0; i < PACKETS_A_TURN; i++) {
      const n = flow.readSync(this.#buffer, { nonblock: true });
      if (n === -Errno.EAGAIN) return;
      if (n < 0 && n !== -Errno.EMSGSIZE) {
        talk.onDown(monotonicUs());
        return this.#end(flow);
      }
      if (n <= 0 || n > this.#options.packetBytesMax) continue;
      const next = talk.onPacket(this.#buffer.subarray(0, n), monotonicUs());
      if (next === "done") return this.#end(flow);
      if (next === "hold") {
        this.#held.add(flow);
        return;
      }
    }
  }

  #end(flow: Flow): void {
    this.#talks.delete(flow);
    this.#held.delete(flow);
    this.#set.del(flow);
    this.#leave(flow);
  }

  /** Closes a flow while the others are served: a peer that is lost keeps nobody else waiting. */
  #leave(flow: Flow): void {
    const closing = leave(flow, this.#options.stop).finally(() => this.#leaving.delete(closing));
    this.#leaving.add(closing);
  }
}
