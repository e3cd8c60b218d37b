/**
 * A flow as the data worker of an IPCP uses it: whole blocks of the pool in and out, without copies (spec 30 §14).
 */

import type { SharedFlow } from "./options.ts";
import { FlowParts } from "./parts.ts";
import type { ProcessParts } from "./process_parts.ts";

/** See the head of this file. */
export class BlockFlow {
  private constructor(private readonly parts: FlowParts) {}

  /** Takes over a flow that the main thread of the process handed over. Throws `OuroError`. */
  static attach(process: ProcessParts, shared: SharedFlow): BlockFlow {
    return new BlockFlow(FlowParts.attach(process, shared));
  }

  get id(): number {
    return this.parts.core.id;
  }

  /** Longest message, bytes. */
  get messageBytesMax(): number {
    return this.parts.core.messageBytesMax;
  }

  /** Packets waiting in the receive ring. */
  get rxQueued(): number {
    return this.parts.core.rxQueued;
  }

  /** Packets that the peer has not taken. */
  get txQueued(): number {
    return this.parts.core.txQueued;
  }

  /** Moves the flow to a queue of the process's flow set. */
  place(queue: number): void {
    this.parts.events.place(queue);
  }

  hasEnded(): boolean {
    return this.parts.core.hasEnded();
  }

  /** The next message as a block, see {@linkcode InPlace.takeBlock}. */
  takeBlock(): number {
    return this.parts.inPlace.takeBlock();
  }

  /** Sends a block, see {@linkcode InPlace.giveBlock}. */
  giveBlock(off: number): number {
    return this.parts.inPlace.giveBlock(off);
  }

  /** Ends the use of the flow in this thread; the flow lives on. */
  detach(): void {
    this.parts.ending.forget();
  }
}
