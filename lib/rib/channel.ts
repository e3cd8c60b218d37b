/**
 * How the thread of the file system asks the thread that has the tree: one question at a time, the answer in shared
 * memory. Pure.
 *
 * The thread of the file system waits, the other never does; an answer that comes too late is thrown away. Who was late
 * once is waited for a moment only, until it has caught up: a daemon that is busy costs an `ls -R` one time-out, not one
 * for each file.
 */

import type { RibAnswer, RibView } from "./file_system.ts";
import type { RibTree } from "./tree.ts";

/** What is asked. */
export interface RibQuestion {
  readonly number: number;
  /** Number of the tree. */
  readonly tree: number;
  readonly what: "list" | "read";
  readonly component: string;
  readonly name: string;
}

const ASKED = 0;
const ANSWERED = 1;
const KIND = 2;
const LENGTH = 3;
const CHANGED = 4;
const HEAD_BYTES = 32;
/** Longest answer, bytes; what is longer is cut. */
const BYTES_MAX = 1 << 20;

const KINDS = ["none", "names", "text"] as const;

/** How long an answer may take, and how long while one is overdue, ms. */
const PATIENCE_MS = 1000;
const LATE_MS = 20;

/** Memory for the two ends. */
export function ribChannel(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEAD_BYTES + BYTES_MAX);
}

/** The end that asks. */
export class RibAsker {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array;
  readonly #post: (question: RibQuestion) => void;
  #number = 0;

  constructor(buffer: SharedArrayBuffer, post: (question: RibQuestion) => void) {
    this.#words = new Int32Array(buffer, 0, HEAD_BYTES / 4);
    this.#bytes = new Uint8Array(buffer, HEAD_BYTES);
    this.#post = post;
  }

  /** A tree as it can be asked. */
  view(tree: number): RibView {
    return {
      list: (component) => this.#ask(tree, "list", component, ""),
      read: (component, name) => this.#ask(tree, "read", component, name),
    };
  }

  #ask(tree: number, what: RibQuestion["what"], component: string, name: string): RibAnswer {
    const words = this.#words;
    const behind = Atomics.load(words, ANSWERED) !== this.#number;
    const number = this.#number = (this.#number + 1) | 0;
    Atomics.store(words, ASKED, number);
    this.#post({ number, tree, what, component, name });
    const patience = behind ? LATE_MS : PATIENCE_MS;
    for (;;) {
      const answered = Atomics.load(words, ANSWERED);
      if (answered === number) break;
      if (Atomics.wait(words, ANSWERED, answered, patience) === "timed-out") {
        return { kind: "late" };
      }
    }
    const kind = KINDS[words[KIND]!];
    const bytes = this.#bytes.slice(0, words[LENGTH]);
    if (kind === "text") return { kind, bytes, changedSec: words[CHANGED]! >>> 0 };
    if (kind !== "names") return { kind: "none" };
    const text = new TextDecoder().decode(bytes);
    return { kind, names: text === "" ? [] : text.split("\0") };
  }
}

/** The end that answers. */
export class RibAnswerer {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array;
  readonly #treeOf: (tree: number) => RibTree | undefined;

  /** @param treeOf the tree of a number, while there is one */
  constructor(buffer: SharedArrayBuffer, treeOf: (tree: number) => RibTree | undefined) {
    this.#words = new Int32Array(buffer, 0, HEAD_BYTES / 4);
    this.#bytes = new Uint8Array(buffer, HEAD_BYTES);
    this.#treeOf = treeOf;
  }

  /** Answers, if it is still asked. */
  answer({ number, tree, what, component, name }: RibQuestion, nowSec: number): void {
    const words = this.#words;
    if (Atomics.load(words, ASKED) !== number) return;
    const rib = this.#treeOf(tree);
    if (what === "list") {
      const names = rib?.list(component);
      this.#put(names === undefined ? "none" : "names", names?.join("\0") ?? "");
    } else {
      const object = rib?.read(component, name);
      words[CHANGED] = object?.changedSec ?? nowSec;
      this.#put(object === undefined ? "none" : "text", object?.text ?? "");
    }
    Atomics.store(words, ANSWERED, number);
    Atomics.notify(words, ANSWERED);
  }

  #put(kind: typeof KINDS[number], text: string): void {
    const bytes = new TextEncoder().encode(text).subarray(0, BYTES_MAX);
    this.#bytes.set(bytes);
    this.#words[KIND] = KINDS.indexOf(kind);
    this.#words[LENGTH] = bytes.length;
  }
}
