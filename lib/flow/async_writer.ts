/**
 * Writing to a flow with `await`, over `writer.ts`, in the order of the calls. Calls reject with `OuroError` carrying the
 * numbers of the blocking calls.
 */

import { Errno, OuroError } from "../errno.ts";
import type { FlowCore } from "./core.ts";
import type { FlowEvents } from "./events.ts";
import { CallOrder } from "./call_order.ts";
import { tooLongText } from "./message_limit.ts";
import { type AsyncCallOptions, NO_WAIT } from "./options.ts";
import {
  AT_ONCE_MASK,
  eventLoopTurn,
  leftMs,
  ROOM_PAUSE_FIRST_MS,
  ROOM_PAUSE_MAX_MS,
  untilNs,
} from "./turns.ts";
import type { Writer } from "./writer.ts";

const NO_BYTES = new Uint8Array(0);
const NOT_BYTES = "a message is a Uint8Array; make one of other views and buffers first";
const EMPTY_ON_RAW = "a raw flow carries no message of 0 bytes; one with another QoS does";
const CARRIES_LESS = "the layer carries less than when the flow began";

/** See the head of this file. */
export class AsyncWriter {
  /** Calls that had nothing to wait for. */
  #atOnce = 0;
  /** Writes that wait, in the order they were asked for: none overtakes another. */
  readonly #order = new CallOrder();

  constructor(
    private readonly core: FlowCore,
    private readonly events: FlowEvents,
    private readonly writer: Writer,
  ) {}

  /** Sends one message; see `Flow.write`. */
  write(bytes: Uint8Array, options: AsyncCallOptions): Promise<number> {
    if (this.#order.isBusy || options.signal?.aborted === true) {
      return this.#writeInTurn(bytes, options);
    }
    const n = this.#now(bytes);
    if (n === -Errno.EAGAIN) return this.#writeInTurn(bytes, options);
    if (n < 0) return Promise.reject(this.#error(n, bytes));
    if ((++this.#atOnce & AT_ONCE_MASK) !== 0) return Promise.resolve(n);
    return eventLoopTurn().then(() => n);
  }

  async #writeInTurn(bytes: Uint8Array, options: AsyncCallOptions): Promise<number> {
    const { signal } = options;
    signal?.throwIfAborted();
    const until = untilNs(options, this.core.sndTimeoutMs);
    let pauseMs = ROOM_PAUSE_FIRST_MS;
    const attempt = (first: boolean) => {
      const n = first ? this.#now(bytes) : -Errno.EAGAIN;
      if (n >= 0) return n;
      if (n !== -Errno.EAGAIN) throw this.#error(n, bytes);
      if (leftMs(until) > 0) return undefined;
      throw new OuroError(-Errno.ETIMEDOUT, "Cannot write");
    };
    return await this.#order.run(() => leftMs(until), signal, attempt, async (left) => {
      // A peer that takes packets out of a full ring tells nobody: look again soon.
      await this.#pause(Math.min(left, pauseMs), signal);
      pauseMs = Math.min(pauseMs * 2, ROOM_PAUSE_MAX_MS);
    });
  }

  #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    this.events.listen();
    return this.events.wait(ms, signal);
  }

  /** Sends messages one after the other; see `Flow.writeBatch`. */
  async writeBatch(messages: Iterable<Uint8Array>, options: AsyncCallOptions): Promise<number> {
    let n = 0;
    for (const bytes of messages) {
      const sent = !this.#order.isBusy ? this.#now(bytes) : -Errno.EAGAIN;
      if (sent < 0) await this.write(bytes, options);
      n += 1;
    }
    return n;
  }

  /** Sends bytes in messages as long as the flow's pieces; see `Flow.writable`. */
  async writePieces(bytes: Uint8Array, options: AsyncCallOptions): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      // The layer may carry less meanwhile.
      const piece = bytes.subarray(at, at + this.core.limits.streamBytes);
      at += piece.length;
      const now = !this.#order.isBusy && options.signal?.aborted !== true;
      // Only a write that has to wait costs a promise.
      if (!now || this.writer.write(piece, NO_WAIT) < 0) await this.write(piece, options);
      else if ((++this.#atOnce & AT_ONCE_MASK) === 0) await eventLoopTurn();
    }
  }

  /** Says on a reliable flow that no more comes. Resolves when that is on its way, or the flow is over. */
  async sayEnd(signal: AbortSignal | undefined): Promise<void> {
    const { core } = this;
    if (!core.isReliable) {
      throw new OuroError(-Errno.ENOTSUP, "Cannot close one side of a flow without retransmission");
    }
    signal?.throwIfAborted();
    let pauseMs = ROOM_PAUSE_FIRST_MS;
    const attempt = (first: boolean) => {
      if (core.over || core.writesDone) return 0;
      const n = first ? this.writer.writeFrct(NO_BYTES, NO_WAIT, true) : -Errno.EAGAIN;
      if (n === -Errno.EAGAIN) return undefined;
      if (n < 0) throw new OuroError(n, "Cannot close the writing side");
      core.writesDone = true;
      return 0;
    };
    await this.#order.run(() => Infinity, signal, attempt, async () => {
      await this.#pause(pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, ROOM_PAUSE_MAX_MS);
    });
  }

  /** Writes without waiting. Refuses what would be lost in silence: on a raw flow no bytes are a sign of life. */
  #now(bytes: Uint8Array): number {
    const { frct, over } = this.core;
    if (frct === null && !over && bytes?.length === 0) return -Errno.EINVAL;
    return this.writer.write(bytes, NO_WAIT);
  }

  #error(code: number, bytes: Uint8Array): OuroError {
    if (code === -Errno.EMSGSIZE) {
      const { messageBytesMax, fell } = this.core.limits;
      const action = `Cannot write ${tooLongText(bytes.length, messageBytesMax)}`;
      return new OuroError(code, action, fell ? because(CARRIES_LESS) : undefined);
    }
    if (code !== -Errno.EINVAL) return new OuroError(code, "Cannot write");
    // A buffer that was moved away leaves an array without bytes, too.
    const empty = this.core.frct === null && bytes instanceof Uint8Array;
    return new OuroError(code, "Cannot write", because(empty ? EMPTY_ON_RAW : NOT_BYTES));
  }
}

function because(cause: string) {
  return { stage: "write", process: "flow library", cause };
}
