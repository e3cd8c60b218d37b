/**
 * A directory policy of one's own: each node tells all others which names it has, again and again, and questions are
 * answered from what was heard. Good for small layers. In the simulator:
 * `deno task sim --seeds 20 --directory examples/policies/told_to_all.ts`; live: `irm ipcp bootstrap … directory FILE`
 * (`docs/policies.md`).
 *
 * A message is the sender's address, 4 bytes, and the hashes of its names, each after one byte for its length.
 */

import type { Directory, DirectoryEffect } from "../../ipcp/unicast/directory.ts";

/** How often all is told again, since messages may be lost, and how long a question waits for that, µs. */
const AGAIN_US = 500_000;
const PATIENCE_US = 2 * AGAIN_US;
/** Names that a node tells of: a message is at most 2048 bytes. */
const NAMES_MAX = 30;

interface Question {
  readonly hash: string;
  readonly token: number;
  readonly untilUs: number;
}

class ToldToAll implements Directory {
  readonly #out: DirectoryEffect[] = [];
  readonly #own = new Map<string, Uint8Array>();
  /** What each member said last. */
  #heard = new Map<number, Set<string>>();
  #members: readonly number[] = [];
  #questions: Question[] = [];
  #tellAtUs: number;

  constructor(readonly self: number, nowUs: number) {
    this.#tellAtUs = nowUs + AGAIN_US;
  }

  poll = () => this.#out.shift();
  deadlineUs = () => Math.min(this.#tellAtUs, ...this.#questions.map((q) => q.untilUs));

  onTimer(nowUs: number): void {
    if (nowUs >= this.#tellAtUs) this.#tell(nowUs);
    this.#answer(nowUs);
  }

  register(nowUs: number, hash: Uint8Array): void {
    this.#own.set(hash.toHex(), hash);
    this.#tell(nowUs);
  }
  unregister(nowUs: number, hash: Uint8Array): boolean {
    const had = this.#own.delete(hash.toHex());
    this.#tell(nowUs);
    return had;
  }
  query(nowUs: number, hash: Uint8Array, token: number): void {
    this.#questions.push({ hash: hash.toHex(), token, untilUs: nowUs + PATIENCE_US });
    this.#answer(nowUs);
  }

  onMessage(nowUs: number, bytes: Uint8Array): void {
    if (bytes.length < 4) return;
    const names = new Set<string>();
    for (let at = 4; at < bytes.length; at += 1 + bytes[at]!) {
      names.add(bytes.subarray(at + 1, at + 1 + bytes[at]!).toHex());
    }
    this.#heard.set(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0), names);
    this.#answer(nowUs);
  }
  onMembers(nowUs: number, addrs: readonly number[]): void {
    this.#members = addrs;
    this.#heard = new Map([...this.#heard].filter(([addr]) => addrs.includes(addr)));
    this.#tell(nowUs);
  }
  onUnanswered(_nowUs: number, hash: Uint8Array, addr: number): void {
    this.#heard.get(addr)?.delete(hash.toHex());
  }
  onDenied(nowUs: number, hash: Uint8Array, addr: number): void {
    this.onUnanswered(nowUs, hash, addr);
  }

  #answer(nowUs: number): void {
    this.#questions = this.#questions.filter(({ hash, token, untilUs }) => {
      const addrs = [...this.#heard].filter(([, names]) => names.has(hash)).map(([addr]) => addr);
      if (addrs.length === 0 && nowUs < untilUs) return true;
      this.#out.push({ kind: "found", token, addrs });
      return false;
    });
  }

  #tell(nowUs: number): void {
    this.#tellAtUs = nowUs + AGAIN_US;
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, this.self);
    const told = [...this.#own.values()].slice(0, NAMES_MAX);
    const bytes = Uint8Array.of(...head, ...told.flatMap((hash) => [hash.length, ...hash]));
    for (const dst of this.#members) this.#out.push({ kind: "send", dst, bytes });
  }
}

/** The policy of a node. */
export const directory = (self: number, _settings: unknown, nowUs: number): Directory =>
  new ToldToAll(self, nowUs);
