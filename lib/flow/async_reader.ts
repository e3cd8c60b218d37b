/**
 * Reading from a flow with `await`, over `reader.ts`. Calls reject with `OuroError` carrying the numbers of the blocking
 * calls.
 */

import { Errno, OuroError } from "../errno.ts";
import { CallOrder } from "./call_order.ts";
import type { FlowCore } from "./core.ts";
import type { FlowEvents } from "./events.ts";
import { type AsyncCallOptions, NO_WAIT } from "./options.ts";
import type { Reader } from "./reader.ts";
import { Slab } from "./slab.ts";
import { AT_ONCE_MASK, eventLoopTurn, leftMs, untilNs } from "./turns.ts";

type Message = Uint8Array<ArrayBuffer>;
/** A message, or a number as of a blocking read. */
type Got = Message | number;

/** Longest piece of a byte stream, bytes: as those of files and connections of the runtime. */
const CHUNK_BYTES = 65536;
/** Calls that such a piece counts as. */
const CHUNK_CALLS = 7;

/** For the batches of all flows of this thread. */
const slab = new Slab();

const NOT_BYTES = {
  stage: "read",
  process: "flow library",
  cause: "a message is read into a Uint8Array of some bytes",
};

/** See the head of this file. */
export class AsyncReader {
  /** Calls that had nothing to wait for, since the event loop had its turn. */
  #atOnce = 0;
  /** Reads that wait. */
  readonly #order = new CallOrder();

  constructor(
    private readonly core: FlowCore,
    private readonly events: FlowEvents,
    private readonly reader: Reader,
  ) {}

  /**
   * The next message if it is there and the event loop has had its turn; the caller goes on with {@linkcode read}
   * otherwise.
   */
  takeNow(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#order.isBusy || this.#atOnce >= AT_ONCE_MASK) return undefined;
    const message = this.reader.takeMessage();
    if (typeof message === "number") return undefined;
    this.#atOnce += 1;
    return message;
  }

  /** `first` and what has come behind it, as one piece of a byte stream; `first` itself when that is nothing. */
  withMore(first: Message): Message {
    if (this.#order.isBusy || !this.reader.canJoin || first.length > CHUNK_BYTES) return first;
    const chunk = new Uint8Array(CHUNK_BYTES);
    chunk.set(first);
    const end = this.reader.join(chunk, first.length);
    this.#atOnce += CHUNK_CALLS;
    if (end === first.length) return first;
    return end > CHUNK_BYTES / 4 ? chunk.subarray(0, end) : chunk.slice(0, end);
  }

  /** The next message, or as much of it as `into` takes: then its bytes. */
  async read(into: Uint8Array<ArrayBuffer> | undefined, options: AsyncCallOptions): Promise<Got> {
    const { core, events } = this;
    const { signal } = options;
    if (!this.#order.isBusy && signal?.aborted !== true) {
      const got = this.#try(into);
      if (typeof got !== "number" || got >= 0) {
        if (++this.#atOnce > AT_ONCE_MASK) await this.#turn();
        return got;
      }
    }
    signal?.throwIfAborted();
    const until = untilNs(options, core.rcvTimeoutMs);
    const attempt = (first: boolean) => {
      if (!core.over) events.listen();
      const got = first ? this.#try(into) : -Errno.EAGAIN;
      if (typeof got !== "number" || got >= 0) return got;
      if (got !== -Errno.EAGAIN) throw cannotRead(got);
      if (leftMs(until) > 0) return undefined;
      throw cannotRead(-Errno.ETIMEDOUT);
    };
    return await this.#order.run(() => leftMs(until), signal, attempt, (left) => {
      return events.wait(left, signal);
    });
  }

  #turn(): Promise<void> {
    this.#atOnce = 0;
    return eventLoopTurn();
  }

  #try(into: Uint8Array<ArrayBuffer> | undefined): Got {
    return into === undefined ? this.reader.takeMessage() : this.reader.read(into, NO_WAIT);
  }

  /** Up to `most` messages that are there, at least one. */
  async readBatch(most: number, options: AsyncCallOptions): Promise<Uint8Array<ArrayBuffer>[]> {
    if (this.#atOnce < AT_ONCE_MASK && options.signal?.aborted !== true) {
      const messages = this.#takeSome([], most);
      if (messages.length > 0) return messages;
    }
    return this.#takeSome([await this.read(undefined, options) as Message], most);
  }

  /** Adds to `messages` what is there, until they are `most`. */
  #takeSome(messages: Message[], most: number): Message[] {
    while (messages.length < most && !this.#order.isBusy) {
      const next = this.reader.takeMessage(slab);
      if (typeof next === "number") break;
      messages.push(next);
    }
    if (messages.length > 0) this.#atOnce += 1;
    return messages;
  }
}

function cannotRead(code: number): OuroError {
  return new OuroError(code, "Cannot read", code === -Errno.EINVAL ? NOT_BYTES : undefined);
}
