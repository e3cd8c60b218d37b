/**
 * How a shim finds the addresses of names: it asks everybody on the wire, or lets the resolver of its shell ask; what
 * was found stays for a while (`name_cache.ts`), and nothing is found while nothing can be reached. Pure.
 */

import { Errno } from "../../lib/errno.ts";
import type { ShimConfig, ShimEffect } from "./effects.ts";
import {
  type Addr,
  NameCache,
  Queries,
  QUERY_LIFE_US,
  QUERY_REPEATS_US,
  type QueryRules,
  RESOLVE_ANSWER_US,
} from "./name_cache.ts";

const RULES: Record<ShimConfig["names"], QueryRules> = {
  ask: { repeatsUs: QUERY_REPEATS_US, patienceUs: QUERY_LIFE_US, late: -Errno.ETIMEDOUT },
  resolve: {
    repeatsUs: [],
    patienceUs: RESOLVE_ANSWER_US,
    late: -Errno.EPERM,
    why: "its resolver has not answered yet",
  },
};

/** See the file's comment. */
export class Finder {
  readonly cache = new NameCache();
  /** Why nothing can be reached at the moment. */
  cutOff: string | undefined;
  readonly #config: Pick<ShimConfig, "hashBytes" | "names">;
  readonly #rules: QueryRules;
  readonly #queries: Queries;
  readonly #want: (effect: ShimEffect) => void;
  readonly #askAll: (hash: Uint8Array) => void;

  /** @param askAll sends a question to every station */
  constructor(
    config: Pick<ShimConfig, "hashBytes" | "names">,
    want: (effect: ShimEffect) => void,
    askAll: (hash: Uint8Array) => void,
  ) {
    this.#config = config;
    this.#want = want;
    this.#askAll = askAll;
    this.#rules = RULES[config.names];
    this.#queries = new Queries(this.#rules);
  }

  /** QUERY: `token` is answered with 0 when the name is found. */
  query(nowUs: number, hash: Uint8Array, token: number): void {
    if (hash.length !== this.#config.hashBytes) return this.#answer(token, -Errno.EINVAL);
    if (this.cutOff !== undefined) return this.#answer(token, -Errno.EPERM, this.cutOff);
    if (this.cache.get(nowUs, hash) !== undefined) return this.#answer(token, 0);
    switch (this.#queries.ask(nowUs, hash, token)) {
      case "full":
        return this.#answer(token, -Errno.EBUSY);
      case "new":
        if (this.#config.names === "resolve") this.#want({ kind: "resolve", hash });
        else this.#askAll(hash);
    }
  }

  /** It is there, or in words where it was looked for in vain. Whether anybody had asked. */
  found(nowUs: number, hash: Uint8Array, found: Addr | string): boolean {
    const waiters = this.#queries.answer(hash);
    if (waiters === undefined) return false;
    if (typeof found !== "string") this.cache.set(nowUs, hash, found);
    for (const token of waiters) {
      if (typeof found === "string") this.#answer(token, -Errno.EPERM, found);
      else this.#answer(token, 0);
    }
    return true;
  }

  #answer(token: number, result: number, cause?: string): void {
    this.#want({ kind: "answer", token, result, ...(cause === undefined ? {} : { cause }) });
  }

  /** Ask again, or no longer. */
  onTimer(nowUs: number): void {
    const { repeat, expired } = this.#queries.due(nowUs);
    for (const hash of repeat) this.#askAll(hash);
    for (const token of expired) this.#answer(token, this.#rules.late, this.#rules.why);
  }

  /** When {@linkcode onTimer} has something next, µs, or Infinity. */
  deadlineUs(): number {
    return this.#queries.deadlineUs();
  }

  /** Whoever waits is answered. */
  close(): void {
    for (const token of this.#queries.clear()) this.#answer(token, -Errno.EIPCPSTATE);
  }
}
