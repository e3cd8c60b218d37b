/**
 * Flows as Web Streams. Streams carry bytes, flows carry messages: the readable side gives each message
 * as a chunk, the writable side cuts chunks that are larger than one message. Back-pressure is real:
 * nothing is read from the ring until somebody pulls, and a write resolves when the flow took it.
 *
 * The writable side ends the flow, or its own half of a reliable one: `close()` waits for what was written, `abort()` for
 * nothing. When both halves have ended the flow is closed. The readable side leaves the flow open when it is cancelled.
 */

import { Errno, OuroError } from "../errno.ts";

/** What the streams need of a flow. */
export interface MessageFlow {
  read(options?: { signal?: AbortSignal | undefined }): Promise<Uint8Array<ArrayBuffer>>;
  write(bytes: Uint8Array, options?: { signal?: AbortSignal | undefined }): Promise<number>;
  closeWrite(): Promise<void>;
  dealloc(options?: { signal?: AbortSignal | undefined }): Promise<void>;
  /** Whether the flow has halves that end one after the other. */
  readonly isReliable: boolean;
  /** Whether the peer sends no more, and whether we don't. */
  readonly ends: { readonly read: boolean; readonly write: boolean };
  /** Size that chunks are cut to, bytes. */
  readonly streamBytes: number;
}

/** Codes that end a stream as it should end. */
const ENDS: ReadonlySet<number> = new Set([-Errno.EFLOWDOWN, -Errno.ENOTALLOC, -Errno.ENODATA]);

/** Messages of a flow; ends when the flow goes down or the peer sends no more, errors when the peer timed out. */
export function flowReadable(
  flow: MessageFlow,
  cancelled: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const abort = new AbortController();
  return new ReadableStream({
    type: "bytes",
    async pull(controller: ReadableByteStreamController) {
      try {
        let message = await flow.read({ signal: abort.signal });
        // A byte stream has no empty chunks.
        while (message.length === 0) message = await flow.read({ signal: abort.signal });
        controller.enqueue(message);
      } catch (e) {
        if (abort.signal.aborted) return;
        if (!(e instanceof OuroError) || !ENDS.has(e.code)) return controller.error(e);
        controller.close();
        controller.byobRequest?.respond(0);
        if (flow.ends.write) await flow.dealloc();
      }
    },
    cancel() {
      abort.abort();
      cancelled();
    },
  }, { highWaterMark: 0 });
}

/** Writes to a flow; closing the stream ends that half, aborting it closes the flow. */
export function flowWritable(flow: MessageFlow): WritableStream<Uint8Array> {
  return new WritableStream({
    async write(chunk, { signal }) {
      const most = flow.streamBytes;
      if (chunk.length <= most) {
        if (chunk.length > 0) await flow.write(chunk, { signal });
        return;
      }
      for (let at = 0; at < chunk.length; at += most) {
        // Aborting must not wait for a peer that does not read.
        await flow.write(chunk.subarray(at, at + most), { signal });
      }
    },
    async close() {
      if (!flow.isReliable) return await flow.dealloc();
      await flow.closeWrite();
      if (flow.ends.read) await flow.dealloc();
    },
    async abort() {
      await flow.dealloc({ signal: AbortSignal.abort() });
    },
  }, { highWaterMark: 1 });
}
