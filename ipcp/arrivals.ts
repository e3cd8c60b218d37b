/**
 * The arrival of flow requests from a layer: the door that a flood has to pass, and the question to the IRMd; what
 * comes of it is in `acceptance.ts`. The same for every type of IPCP. Source: spec 50 §7.3, §18 S8, R3. Pure.
 *
 * A request holds an accept slot of the IRMd while it considers it, and sources can be forged. So not more than some
 * are under way, in all and from one source; others wait for their turn, since no requester sends again; a copy of a
 * recent one is dropped. Where an asker may be forged, half of the places are for those that have shown that they receive
 * at their address (`proven`): they go first, each address in its turn; of others the whole prefix of the address takes
 * turns, and only some may wait for one name. Who proves to be there while its request waits goes over to the others.
 * What is known of the requester is the type's own and opaque here (`P`).
 *
 *     enter → (waiting) → asked of the IRMd (poll) → answered: the flow, or why not
 */

import type { QosSpec } from "../lib/qos.ts";

/** Requests under way at the IRMd, in all and from one source. */
export const ASKING_MAX = 64;
export const ASKING_PER_SOURCE_MAX = 16;
/** Of those that may be forged: in all, and for one name. */
export const ASKING_UNPROVEN_MAX = 32;
export const ASKING_UNPROVEN_PER_NAME_MAX = 8;
/** Requests that wait for their turn, in all (proven or not, each) and from one source. */
export const WAITING_MAX = 4096;
export const WAITING_PER_SOURCE_MAX = 1024;
/** Who asked longer ago has given up, µs (the IRMd does after 20 s). */
export const WAITING_LIFE_US = 20e6;
/** Recent requests that are remembered to drop copies of them. */
export const RECENT_MAX = 2048;
export const RECENT_LIFE_US = 10e6;
/** How long an arrived flow may stay without verdict, µs: the IRMd waits for an acceptor, then OAP runs. */
export const ARRIVAL_LIFE_US = 22e6;

/** A request of the layer. */
export interface FlowRequest<P> {
  /** Who asked and how to answer. */
  readonly peer: P;
  readonly hash: Uint8Array;
  readonly qos: QosSpec;
  /** OAP request, opaque. */
  readonly data: Uint8Array;
}

/** FLOW_REQ_ARR, to be answered with {@linkcode Arrivals.answered} and the same number. */
export interface AskIrmd<P> extends FlowRequest<P> {
  readonly kind: "ask_irmd";
  readonly ask: number;
}

/** Where a request comes from. */
export interface Origin {
  /** Counts against its share; the same for the same address. */
  readonly source: string;
  /** What its network has in common, where addresses can be forged; shares are by that then. */
  readonly prefix?: string;
  /** Whether it has shown that it receives there, or nobody could forge it. */
  readonly proven: boolean;
}

interface Waiting<P> {
  readonly request: FlowRequest<P>;
  readonly untilUs: number;
}

interface Asking<P> {
  readonly line: Line<P>;
  /** Whose share it is. */
  readonly share: string;
  readonly name: string | undefined;
  readonly peer: P;
}

/** What is remembered of a request. */
interface Recent<P> {
  readonly sinceUs: number;
  /** While it waits unproven: where. */
  waits: { readonly share: string; readonly entry: Waiting<P> } | undefined;
}

/** Requests that wait, by share, oldest first; the shares take turns. */
class Line<P> {
  readonly perShare = new Map<string, number>();
  readonly waiting = new Map<string, Waiting<P>[]>();
  count = 0;
  asking = 0;

  constructor(readonly askingMax: number) {}

  isFull(share: string): boolean {
    const own = this.waiting.get(share)?.length ?? 0;
    return this.count >= WAITING_MAX || own >= WAITING_PER_SOURCE_MAX;
  }

  push(share: string, entry: Waiting<P>): void {
    const waiting = this.waiting.get(share) ?? [];
    waiting.push(entry);
    this.waiting.set(share, waiting);
    this.count += 1;
  }

  /** Whether it was there. */
  remove(share: string, entry: Waiting<P>): boolean {
    const waiting = this.waiting.get(share) ?? [];
    const at = waiting.indexOf(entry);
    if (at < 0) return false;
    waiting.splice(at, 1);
    if (waiting.length === 0) this.waiting.delete(share);
    this.count -= 1;
    return true;
  }

  first(waiting: Waiting<P>[]): Waiting<P> {
    this.count -= 1;
    return waiting.shift()!;
  }

  clear(): void {
    this.perShare.clear();
    this.waiting.clear();
    this.count = 0;
    this.asking = 0;
  }
}

export class Arrivals<P> {
  readonly #asking = new Map<number, Asking<P>>();
  readonly #proven = new Line<P>(ASKING_MAX);
  readonly #unproven = new Line<P>(ASKING_UNPROVEN_MAX);
  /** Unproven requests under way, by name. */
  readonly #perName = new Map<string, number>();
  /** Recent requests; oldest first (a Map keeps the order of insertion). */
  readonly #recent = new Map<string, Recent<P>>();
  readonly #out: AskIrmd<P>[] = [];
  #next = 1;

  /** The next question to the IRMd. */
  poll(): AskIrmd<P> | undefined {
    return this.#out.shift();
  }

  /** Requests under way. */
  get size(): number {
    return this.#asking.size;
  }

  /** Requests that wait for their turn. */
  get waitingCount(): number {
    return this.#proven.count + this.#unproven.count;
  }

  /**
   * A request; `copy` is the same for copies of it from one source. What it holds must be its own bytes. "asked" and
   * "waiting" are the good answers.
   */
  enter(
    nowUs: number,
    from: Origin,
    copy: string,
    request: FlowRequest<P>,
  ): "asked" | "waiting" | "flooded" | "replayed" {
    const { source, prefix = source, proven } = from;
    const line = proven ? this.#proven : this.#unproven;
    const share = proven ? source : prefix;
    const turn = !line.waiting.has(share) && this.#hasRoom(line, share, request);
    if (!turn && line.isFull(share)) return "flooded";
    const key = `${source} ${copy}`;
    this.#forgetOld(nowUs);
    const known = this.#recent.get(key);
    if (known !== undefined && !(proven && this.#stopsWaiting(known))) return "replayed";
    const recent: Recent<P> = { sinceUs: nowUs, waits: undefined };
    this.#recent.delete(key);
    this.#recent.set(key, recent);
    if (turn) {
      this.#ask(line, share, request);
      return "asked";
    }
    const entry = { request, untilUs: nowUs + WAITING_LIFE_US };
    line.push(share, entry);
    if (!proven) recent.waits = { share, entry };
    return "waiting";
  }

  #hasRoom(line: Line<P>, share: string, request: FlowRequest<P>): boolean {
    if (this.#asking.size >= ASKING_MAX || line.asking >= line.askingMax) return false;
    if ((line.perShare.get(share) ?? 0) >= ASKING_PER_SOURCE_MAX) return false;
    if (line === this.#proven) return true;
    return (this.#perName.get(request.hash.toHex()) ?? 0) < ASKING_UNPROVEN_PER_NAME_MAX;
  }

  #forgetOld(nowUs: number): void {
    for (const [old, { sinceUs }] of this.#recent) {
      if (nowUs - sinceUs < RECENT_LIFE_US && this.#recent.size < RECENT_MAX) return;
      this.#recent.delete(old);
    }
  }

  /** Whether a request waited unproven, and does so no more. */
  #stopsWaiting({ waits }: Recent<P>): boolean {
    return waits !== undefined && this.#unproven.remove(waits.share, waits.entry);
  }

  #ask(line: Line<P>, share: string, request: FlowRequest<P>): void {
    const ask = this.#next++;
    const name = line === this.#unproven ? request.hash.toHex() : undefined;
    line.asking += 1;
    count(line.perShare, share, 1);
    if (name !== undefined) count(this.#perName, name, 1);
    this.#asking.set(ask, { line, share, name, peer: request.peer });
    this.#out.push({ kind: "ask_irmd", ask, ...request });
  }

  /** The IRMd has answered: who asked, or undefined for a number that is not under way. The next ones are let in. */
  answered(nowUs: number, ask: number): P | undefined {
    const asking = this.#asking.get(ask);
    if (asking === undefined) return undefined;
    this.#asking.delete(ask);
    asking.line.asking -= 1;
    count(asking.line.perShare, asking.share, -1);
    if (asking.name !== undefined) count(this.#perName, asking.name, -1);
    this.#letIn(nowUs, this.#proven);
    this.#letIn(nowUs, this.#unproven);
    return asking.peer;
  }

  #letIn(nowUs: number, line: Line<P>): void {
    for (const [share, waiting] of [...line.waiting]) {
      if (this.#asking.size >= ASKING_MAX || line.asking >= line.askingMax) return;
      while (waiting.length > 0 && waiting[0]!.untilUs <= nowUs) line.first(waiting);
      const next = waiting[0]?.request;
      const enters = next !== undefined && this.#hasRoom(line, share, next);
      if (enters) line.first(waiting);
      // To the end of the line, or out of it.
      if (enters || waiting.length === 0) line.waiting.delete(share);
      if (waiting.length > 0 && enters) line.waiting.set(share, waiting);
      if (enters) this.#ask(line, share, next);
    }
  }

  /** Forget all. */
  clear(): void {
    this.#asking.clear();
    this.#perName.clear();
    this.#proven.clear();
    this.#unproven.clear();
    this.#out.length = 0;
  }
}

/** Adds to a count; a count of nothing is not kept. */
function count(counts: Map<string, number>, key: string, by: number): void {
  const n = (counts.get(key) ?? 0) + by;
  if (n > 0) counts.set(key, n);
  else counts.delete(key);
}
