/**
 * Flows as Web Streams. Streams carry bytes, flows carry messages: the readable side gives each message
 * as a chunk, the writable side cuts chunks that are larger than one message. Back-pressure is real:
 * nothing is read from the ring until somebody pulls, and a write resolves when the flow took it.
 *
 * The writable side ends the flow: `close()` waits for what was written, `abort()` for nothing. The
 * readable side leaves the flow open when it is cancelled.
 */

import { Errno, OuroError } from "../errno.ts";

/** What the streams need of a flow. */
export interface MessageFlow {
  read(options?: { signal?: AbortSignal | undefined }): Promise<Uint8Array<ArrayBuffer>>;
  write(bytes: Uint8Array, options?: { signal?: AbortSignal | undefined }): Promise<number>;
  dealloc(options?: { signal?: AbortSignal | undefined }): Promise<void>;
  /** Size that chunks are cut to, bytes. */
  readonly streamBytes: number;
}

/** Messages of a flow; ends when the flow goes down, errors when the peer timed out. */
export function flowReadable(flow: MessageFlow): ReadableStream<Uint8Array<ArrayBuffer>> {
  const abort = new AbortController();
  return new ReadableStream({
    async pull(controller) {
      try {
        const message = await flow.read({ signal: abort.signal });
        controller.enqueue(message);
      } catch (e) {
        if (abort.signal.aborted) return;
        if (
          e instanceof OuroError && (e.code === -Errno.EFLOWDOWN || e.code === -Errno.ENOTALLOC)
        ) {
          controller.close();
        } else {
          controller.error(e);
        }
      }
    },
    cancel() {
      abort.abort();
    },
  }, { highWaterMark: 0 });
}

/** Writes to a flow; closing or aborting the stream closes the flow. */
export function flowWritable(flow: MessageFlow): WritableStream<Uint8Array> {
  return new WritableStream({
    async write(chunk, { signal }) {
      const most = flow.streamBytes;
      for (let at = 0; at < chunk.length; at += most) {
        // Aborting must not wait for a peer that does not read.
        await flow.write(chunk.subarray(at, at + most), { signal });
      }
    },
    async close() {
      await flow.dealloc();
    },
    async abort() {
      await flow.dealloc({ signal: AbortSignal.abort() });
    },
  }, { highWaterMark: 1 });
}
