/**
 * The shape of a control machine: a class without I/O, clock or randomness of its own, driven by a shell
 * (`machine_shell.ts`), a test with a clock of its own, or the simulator. Pure.
 *
 *     inputs (nowUs, …) ──▶ machine ──▶ poll(): what to do next
 *     onTimer(nowUs)    ──▶         ──▶ deadlineUs(): when to be called again
 *
 * Inputs are methods of each machine: commands of the IRMd, messages of the network, answers to effects. An input never
 * waits: what is decided later is an effect later, and a command is answered by an `answer` with its token.
 */

import type { QosSpec } from "../lib/qos.ts";
import type { AskIrmd } from "./arrivals.ts";

/** Every machine; `E` is what it asks for. Times are µs of one monotonic clock. */
export interface Machine<E> {
  /** The next thing to do, oldest first. */
  poll(): E | undefined;
  /** Do what is due. */
  onTimer(nowUs: number): void;
  /** When {@linkcode onTimer} has something to do next, or Infinity. */
  deadlineUs(): number;
}

/** The answer to a command: 0 or a negative errno, and why where a person should know. */
export interface Answer {
  readonly kind: "answer";
  readonly token: number;
  readonly result: number;
  readonly cause?: string | undefined;
}

/** A flow as the IRMd describes it in FLOW_ALLOC, FLOW_JOIN and FLOW_ALLOC_RESP. */
export interface FlowOrder {
  readonly flowId: number;
  /** The process above. */
  readonly pid: number;
  /** Its flow uid: 0 is the global pool. */
  readonly uid: number;
}

/** What the acceptor of a flow says: it takes it, or refuses. */
export interface Verdict {
  /** 0, or a negative number that goes to who asked. */
  readonly response: number;
  /** OAP response, opaque; of no meaning when it refuses. */
  readonly data: Uint8Array;
  /** Why it refuses, as it says, for who asked. */
  readonly cause?: string | undefined;
}

/** The flow is a process's of this flow uid: use its pool. Answered with {@linkcode FlowMachine.owned}. */
export interface OwnPool {
  readonly kind: "own";
  readonly flowId: number;
  readonly uid: number;
}

/** What every machine of flows asks for; `P` is how its type describes a far end. */
export type FlowEffect<P> =
  | Answer
  /** FLOW_REQ_ARR, answered with {@linkcode FlowMachine.asked}. */
  | AskIrmd<P>
  /** FLOW_ALLOC_REPLY; its result comes back with {@linkcode FlowMachine.replied}. */
  | (Verdict & {
    readonly kind: "alloc_reply";
    readonly flowId: number;
    /** The far end, if it took the flow. */
    readonly peer: P | undefined;
  })
  | OwnPool
  /** Let what the process wrote leave, then close the flow. Answered with {@linkcode FlowMachine.dropped}. */
  | { readonly kind: "drop"; readonly flowId: number }
  /** The flow came to nothing: let go of what is held for it. */
  | { readonly kind: "release"; readonly flowId: number }
  /** Tell the IRMd that the id of a flow is free. */
  | { readonly kind: "freed"; readonly flowId: number; readonly pid: number }
  /** The flow cannot be used for now, or can again. */
  | { readonly kind: "usable"; readonly flowId: number; readonly usable: boolean }
  /** The other end has closed the flow; what came before can still be read. */
  | { readonly kind: "ended"; readonly flowId: number };

/** The answer of the IRMd to FLOW_REQ_ARR. */
export interface Asked {
  /** 0, or why nobody takes the flow: of the IRMd, or because its memory cannot be used. */
  readonly result: number;
  readonly cause?: string | undefined;
  readonly flowId: number;
  /** The accepting process. */
  readonly pid: number;
}

/** What the IRMd and a shell say to every machine of flows. */
export interface FlowMachine<P, E = never> extends Machine<FlowEffect<P> | E> {
  /** QUERY: `token` is answered with 0 if the name can be reached. */
  query(nowUs: number, hash: Uint8Array, token: number): void;
  /** FLOW_ALLOC of a flow whose memory is held: `token` is answered with 0 when the request is on its way. */
  alloc(
    nowUs: number,
    flow: FlowOrder,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
    token: number,
  ): void;
  /** FLOW_ALLOC_RESP: `token` is answered now, or when the flow is known. */
  allocResp(nowUs: number, flow: FlowOrder, verdict: Verdict, token: number): void;
  /** FLOW_DEALLOC: 0, or -1 for a flow that is not here. The IRMd gets the id back later. */
  dealloc(nowUs: number, flowId: number, lingerSec: number): number;
  asked(nowUs: number, ask: number, asked: Asked): void;
  /** The pool is used from now on (0), or why it cannot be. */
  owned(nowUs: number, flowId: number, result: number): void;
  /** What the IRMd said to FLOW_ALLOC_REPLY. */
  replied(nowUs: number, flowId: number, result: number): void;
  /** Nothing of the flow is left in the data path. */
  dropped(nowUs: number, flowId: number): void;
  /** Shutdown: every waiting command is answered, every flow forgotten. */
  close(nowUs: number): void;
}
