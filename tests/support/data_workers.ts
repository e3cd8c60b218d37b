/**
 * Data workers that do as the test says, in the place of the runtime's: an IPCP in the test's own thread starts them,
 * sees what they report, and what it tells them can be read here.
 */

import { mock } from "node:test";
import { setImmediate } from "node:timers";
import type { WorkerInit, WorkerReport, WorkerSpec } from "../../ipcp/data/plane.ts";
import { Order, OrderRing } from "../../ipcp/data/table.ts";

type WorkerFace = Pick<Worker, "onmessage" | "onerror" | "postMessage" | "terminate">;

/** One of them. */
export class PuppetWorker implements WorkerFace {
  onmessage: Worker["onmessage"] = null;
  onerror: Worker["onerror"] = null;
  /** What it was started with. */
  init: WorkerInit | undefined;
  /** How often it was ended. */
  terminated = 0;
  #orders: OrderRing | undefined;

  constructor(readonly url: string, private readonly crew: PuppetCrew) {}

  postMessage(init: WorkerInit): void {
    if (this.init !== undefined) throw new Error("a worker is started once");
    this.init = init;
    this.#orders = new OrderRing(init.orders);
    if (!this.crew.silent.has(this.crew.workers.indexOf(this))) {
      queueMicrotask(() => this.say({ say: "ready" }));
    }
  }

  terminate(): void {
    this.terminated += 1;
  }

  say(report: WorkerReport): void {
    const event = new MessageEvent("message", { data: report });
    this.onmessage?.call(this as unknown as Worker, event);
  }

  /** An exception that it did not catch; whether somebody took it. */
  die(message: string): boolean {
    const event = new ErrorEvent("error", { message, cancelable: true });
    this.onerror?.call(this as unknown as Worker, event);
    return event.defaultPrevented;
  }

  /** What it was ordered since it looked last. */
  orders(): { readonly order: number; readonly flowId: number }[] {
    const seen = [];
    for (let o = this.#orders?.take() ?? 0; o !== 0; o = this.#orders?.take() ?? 0) {
      seen.push({ order: o >> 16, flowId: o & 0xffff });
    }
    return seen;
  }

  /** Do what it was ordered to; how much that was. */
  obey(): number {
    const orders = this.orders();
    for (const { order, flowId } of orders) {
      this.say(order === Order.stop ? { say: "stopped" } : { say: "closed", flowId });
    }
    return orders.length;
  }
}

/** All workers that are started while it lives, `new Worker` included. */
export class PuppetCrew implements Disposable {
  readonly workers: PuppetWorker[] = [];
  /** Workers, by their turn, that do not say that they are ready. */
  readonly silent = new Set<number>();
  readonly #before = globalThis.Worker;

  constructor() {
    const make = (url: string | URL) => this.#make(String(url));
    globalThis.Worker = function (url: string | URL) {
      return make(url);
    } as unknown as typeof Worker;
  }

  #make(url: string): PuppetWorker {
    const worker = new PuppetWorker(url, this);
    this.workers.push(worker);
    return worker;
  }

  /** A worker of this crew, for a plane without a type. */
  spec(name: string): WorkerSpec {
    return { name, start: () => this.#make(name) as unknown as Worker };
  }

  /** Waits for something that the workers have to do their part for. */
  async doing<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    promise.finally(() => over = true).catch(() => {});
    while (!over) {
      for (const worker of this.workers) worker.obey();
      await aTurn();
    }
    return await promise;
  }

  /** Starts something while a worker, by its turn, says nothing: what came of it when the patience was over. */
  async starting<T>(silent: number, start: () => Promise<T>): Promise<T> {
    this.silent.add(silent);
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      let over = false;
      const started = start().finally(() => over = true);
      while (!over && this.workers[silent]?.init === undefined) await aTurn();
      mock.timers.tick(20_000);
      await aTurn();
      mock.timers.tick(1000);
      return await started;
    } finally {
      mock.timers.reset();
    }
  }

  [Symbol.dispose](): void {
    globalThis.Worker = this.#before;
  }
}

/** Lets everything that is due in this thread happen, mocked timers excepted. */
export function aTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(() => resolve()));
}
