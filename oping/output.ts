/**
 * Text to a stream in whole lines. Lines are kept until `flush`, which the loops call before they
 * wait, so that a reader sees a line as soon as nothing more is to be done at once.
 */

import { stderr } from "../lib/cli/outlet.ts";

/** Longest text kept before it is written anyway, characters. */
const KEPT_MAX = 16_384;

/** Where bytes go. */
export interface Sink {
  writeSync(bytes: Uint8Array): number;
}

export class Output {
  #kept = "";
  readonly #sink: Sink;
  readonly #encoder = new TextEncoder();

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Adds text that brings its own line ends. */
  text(text: string): void {
    this.#kept += text;
    if (this.#kept.length > KEPT_MAX) this.flush();
  }

  /** Adds one line. */
  line(text: string): void {
    this.text(text + "\n");
  }

  /** Writes what is kept. Throws `Deno.errors.BrokenPipe` when nobody reads any more. */
  flush(): void {
    if (this.#kept === "") return;
    const bytes = this.#encoder.encode(this.#kept);
    this.#kept = "";
    for (let at = 0; at < bytes.length;) at += this.#sink.writeSync(bytes.subarray(at));
  }
}

/** Writes a line to stderr; a closed one is nobody's trouble. */
export function complain(line: string): void {
  stderr.offer(new TextEncoder().encode(`${line}\n`));
}
