/**
 * Flows as Web Streams. Streams carry bytes, flows carry messages: one readable side gives each message
 * as a chunk, the other joins those that are there, the writable side cuts chunks that are larger than one message.
 * Back-pressure is real: nothing is read from the ring until somebody pulls, and a write resolves when the flow took it.
 *
 * The writable side ends the flow, or its own half of a reliable one: `close()` waits for what was written, `abort()` for
 * nothing. When both halves have ended the flow is closed. The readable sides leave the flow open when they are cancelled.
 */

import { Errno, OuroError } from "../errno.ts";
import type { FlowParts } from "./parts.ts";

/** Codes that end a stream as it should end. */
const ENDS: ReadonlySet<number> = new Set([-Errno.EFLOWDOWN, -Errno.ENOTALLOC, -Errno.ENODATA]);

type Bytes = Uint8Array<ArrayBuffer>;

/** The streams of one flow, each made on first use. */
export class FlowStreams {
  #readable: ReadableStream<Bytes> | undefined;
  #readableBytes: ReadableStream<Bytes> | undefined;
  #writable: WritableStream<Uint8Array> | undefined;

  constructor(private readonly parts: FlowParts) {}

  /** The readable side, a message a chunk; another one after it was cancelled. */
  get readable(): ReadableStream<Bytes> {
    return this.#readable ??= flowReadable(this.parts, (message) => message, () => {
      this.#readable = undefined;
    });
  }

  /** The same with the messages that are there as one chunk. */
  get readableBytes(): ReadableStream<Bytes> {
    const { asyncReader } = this.parts;
    return this.#readableBytes ??= flowReadable(this.parts, (m) => asyncReader.withMore(m), () => {
      this.#readableBytes = undefined;
    });
  }

  get writable(): WritableStream<Uint8Array> {
    return this.#writable ??= flowWritable(this.parts);
  }
}

/**
 * Messages of a flow; ends when the flow goes down or the peer sends no more, errors when the peer timed out.
 *
 * @param chunk what is handed out for a message that has come
 */
function flowReadable(
  parts: FlowParts,
  chunk: (message: Bytes) => Bytes,
  cancelled: () => void,
): ReadableStream<Bytes> {
  const abort = new AbortController();
  return new ReadableStream({
    type: "bytes",
    pull(controller: ReadableByteStreamController) {
      const message = parts.asyncReader.takeNow();
      // A byte stream has no empty chunks.
      if (message === undefined || message.length === 0) return pullWaiting(controller);
      controller.enqueue(chunk(message));
    },
    cancel() {
      abort.abort();
      cancelled();
    },
  }, { highWaterMark: 0 });

  async function pullWaiting(controller: ReadableByteStreamController): Promise<void> {
    try {
      let message = await nextMessage(parts, abort.signal);
      while (message.length === 0) message = await nextMessage(parts, abort.signal);
      // Cancelled meanwhile: what else has come is for whoever reads next.
      if (abort.signal.aborted) return;
      controller.enqueue(chunk(message));
    } catch (e) {
      if (abort.signal.aborted) return;
      if (!(e instanceof OuroError) || !ENDS.has(e.code)) return controller.error(e);
      controller.close();
      controller.byobRequest?.respond(0);
      if (parts.ending.halves.write) await parts.ending.dealloc({});
    }
  }
}

function nextMessage(parts: FlowParts, signal: AbortSignal): Promise<Bytes> {
  return parts.asyncReader.read(undefined, { signal }) as Promise<Bytes>;
}

/** Writes to a flow; closing the stream ends that half, aborting it closes the flow. */
function flowWritable(parts: FlowParts): WritableStream<Uint8Array> {
  return new WritableStream({
    async write(chunk, { signal }) {
      const most = parts.core.limits.streamBytes;
      // Anything else is refused there.
      const isBytes = chunk instanceof Uint8Array;
      if (!isBytes || chunk.length <= most) {
        if (!isBytes || chunk.length > 0) await parts.asyncWriter.write(chunk, { signal });
        return;
      }
      // Aborting must not wait for a peer that does not read.
      await parts.asyncWriter.writePieces(chunk, { signal });
    },
    async close() {
      const { core, ending } = parts;
      if (!core.isReliable) return await ending.dealloc({});
      await parts.closeWrite(undefined);
      if (ending.halves.read) await ending.dealloc({});
    },
    async abort() {
      await parts.ending.dealloc({ signal: AbortSignal.abort() });
    },
  }, { highWaterMark: 1 });
}
