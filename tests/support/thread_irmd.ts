/**
 * An IRMd in a thread of its own, for what waits for its answer in the test's: it answers everything with success, or as
 * the test says, and keeps what it was told.
 */

import { type Instance, instanceOf } from "../../lib/instance.ts";
import type { IrmMsg } from "../../lib/irm/messages.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { until } from "./deadline.ts";
import { removeShm } from "./shm.ts";

/** To the thread. */
export type ThreadOrder =
  | { readonly kind: "listen"; readonly prefix: string }
  | { readonly kind: "answer"; readonly code: number; readonly reply: Partial<IrmMsg> }
  | { readonly kind: "end" };

/** From the thread. */
export type ThreadReport =
  | { readonly kind: "ready" }
  | { readonly kind: "said"; readonly message: IrmMsg }
  | { readonly kind: "ended" };

/** See the head of this file. */
export class ThreadIrmd implements AsyncDisposable {
  readonly prefix = Deno.makeTempDirSync({ prefix: "ouro-thread-" });
  readonly instance: Instance = instanceOf(this.prefix);
  /** What it was told, in order. */
  readonly said: IrmMsg[] = [];
  readonly #pool = Pool.create(this.instance, 0);
  readonly #worker = new Worker(new URL("./irmd_thread.ts", import.meta.url), { type: "module" });
  #next = Promise.withResolvers<void>();

  private constructor() {
    this.#worker.onmessage = ({ data }: MessageEvent<ThreadReport>) => {
      if (data.kind === "said") this.said.push(data.message);
      else this.#next.resolve();
    };
  }

  static async start(): Promise<ThreadIrmd> {
    const irmd = new ThreadIrmd();
    await irmd.#order({ kind: "listen", prefix: irmd.prefix });
    return irmd;
  }

  async #order(order: ThreadOrder): Promise<void> {
    this.#next = Promise.withResolvers<void>();
    this.#worker.postMessage(order);
    await this.#next.promise;
  }

  /** How requests of a code are answered from now on. */
  answer(code: number, reply: Partial<IrmMsg>): Promise<void> {
    return this.#order({ kind: "answer", code, reply });
  }

  /** Waits until it was told something. */
  async heard(code: number): Promise<IrmMsg> {
    return await until(`request ${code}`, () => this.said.find((m) => m.code === code));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#order({ kind: "end" });
    this.#worker.terminate();
    this.#pool.close();
    removeShm(this.instance);
    await Deno.remove(this.prefix, { recursive: true });
  }
}
