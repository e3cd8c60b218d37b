/**
 * The connections that this side wants, and the enrollment that it makes: asked for, made again after a failure with
 * growing pauses, given up. Pure.
 *
 * What was up once is proven: it is tried again until nobody wants it any more. The first try is the command's alone,
 * which hears why it failed.
 */

import type { Failure } from "../../lib/failure.ts";
import type { QosSpec } from "../../lib/qos.ts";
import type { Component } from "./cep.ts";
import type { ConnectionEffect } from "./effects.ts";

/** How long the layer below has to give us a flow, ms. */
export const ALLOC_MS = 5_000;
/** Time between tries to make a broken connection again, µs: the first, and the most. */
export const RETRY_FIRST_US = 250e3;
export const RETRY_MAX_US = 15e6;

/** A connection that this side wants, or the enrollment it makes. */
export interface Wish {
  readonly dst: string;
  readonly component: Component;
  readonly qos: QosSpec;
  /** The command that waits for the outcome. */
  token: number | undefined;
  state: "asking" | "greeting" | "up" | "waiting";
  /** It was up once, so that it is made again. */
  proven: boolean;
  retryUs: number;
  atUs: number;
  /** The flow that it is made on; 0 for none. */
  flow: number;
  /** Members that answered to the name and were not the one it has to be. */
  strangers: number;
  cancelled: boolean;
}

export class Wishes {
  readonly #wishes = new Set<Wish>();
  readonly #asks = new Map<number, Wish>();
  readonly #random: () => number;
  readonly #out: ConnectionEffect[];
  #nextAsk = 1;

  /** `random`: uniform 32-bit numbers; effects are added to `out`. */
  constructor(random: () => number, out: ConnectionEffect[]) {
    this.#random = random;
    this.#out = out;
  }

  [Symbol.iterator](): IterableIterator<Wish> {
    return this.#wishes.values();
  }

  of(dst: string, component: Component): Wish | undefined {
    for (const wish of this.#wishes) {
      if (wish.dst === dst && wish.component === component) return wish;
    }
    return undefined;
  }

  /** Want a connection from now on; command `token` hears of it. */
  add(dst: string, component: Component, qos: QosSpec, token: number): void {
    const wish: Wish = {
      dst,
      component,
      qos,
      token,
      state: "asking",
      proven: false,
      retryUs: RETRY_FIRST_US,
      atUs: Infinity,
      flow: 0,
      strangers: 0,
      cancelled: false,
    };
    this.#wishes.add(wish);
    this.ask(wish);
  }

  /** Ask the layer below for a flow. */
  ask(wish: Wish): void {
    const ask = this.#nextAsk++;
    wish.state = "asking";
    wish.atUs = Infinity;
    this.#asks.set(ask, wish);
    const { dst, qos } = wish;
    this.#out.push({ kind: "alloc", ask, dst, qos, timeoutMs: ALLOC_MS });
  }

  /** Whose question was answered; it may be cancelled. */
  asked(ask: number): Wish | undefined {
    const wish = this.#asks.get(ask);
    this.#asks.delete(ask);
    return wish;
  }

  /** It is up. */
  fulfilled(wish: Wish): void {
    wish.state = "up";
    wish.proven = true;
    wish.retryUs = RETRY_FIRST_US;
    wish.strangers = 0;
    this.#answer(wish);
  }

  /** The wish came true or is given up; whoever waits hears of it. */
  settle(wish: Wish, failure?: Failure): void {
    wish.cancelled = true;
    this.#wishes.delete(wish);
    this.#answer(wish, failure);
  }

  /** A try failed: the command hears of it; what had been up before is tried again later. */
  failed(nowUs: number, wish: Wish, failure: Failure): void {
    if (!wish.proven) return this.settle(wish, failure);
    this.#answer(wish, failure);
    wish.state = "waiting";
    wish.flow = 0;
    // Spread, so that neighbours that lost each other do not meet in step.
    const spread = 0.75 + (this.#random() >>> 0) / 2 ** 33;
    wish.atUs = nowUs + wish.retryUs * spread;
    wish.retryUs = Math.min(wish.retryUs * 2, RETRY_MAX_US);
  }

  #answer(wish: Wish, failure?: Failure): void {
    const { token } = wish;
    wish.token = undefined;
    if (token === undefined) return;
    this.#out.push(
      failure === undefined ? { kind: "answer", token } : { kind: "answer", token, failure },
    );
  }

  /** Try again what is due. */
  onTimer(nowUs: number): void {
    for (const wish of this.#wishes) {
      if (wish.state === "waiting" && wish.atUs <= nowUs) this.ask(wish);
    }
  }

  deadlineUs(): number {
    let at = Infinity;
    for (const wish of this.#wishes) if (wish.state === "waiting") at = Math.min(at, wish.atUs);
    return at;
  }
}
