/**
 * What each type of IPCP provides to the common part (`process.ts`), and what it gets from it.
 *
 * Operations are called only when {@linkcode admit} allows them. Results are 0 or negative errors of the
 * protocol (spec 50 §4.1); a refusal with a reason for a person carries it along.
 */

import type { Instance } from "../lib/instance.ts";
import type { FlowLosses, IpcpConfig, LayerInfo, PolicyRef } from "../lib/irm/messages.ts";
import type { Logger } from "../lib/log.ts";
import type { QosSpec } from "../lib/qos.ts";
import type { RibComponent } from "../lib/rib/tree.ts";
import type { FlowOrder, Verdict } from "./machine.ts";
import type { IrmCalls } from "./irm_calls.ts";
import type { Standing } from "./standing.ts";
import type { Lifecycle, TypeName } from "./state.ts";

/** A failed operation: negative number and one line that says what to do. */
export interface Failure {
  readonly code: number;
  readonly cause: string;
  /** The step that failed, when the command alone does not say. */
  readonly stage?: string | undefined;
}

/** What a type gets when it is made. */
export interface IpcpContext {
  readonly instance: Instance;
  readonly pid: number;
  readonly name: string;
  readonly log: Logger;
  readonly irm: IrmCalls;
  readonly life: Lifecycle;
  /** What users should know of it while it is in a layer. */
  readonly standing: Standing;
  /** Monotonic clock, µs. */
  nowUs(): number;
  /** A uniform random 32-bit number. */
  random(): number;
  /** The threads that work from now on give up what opening devices and sockets took. */
  confine(): void;
  /** The type is broken beyond repair (a data thread died): end the process. */
  fatal(why: string): void;
}

export interface IpcpType {
  readonly type: TypeName;
  bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure>;
  /** `policies`: files in the place of shipped policies, which the layer must have too. */
  enroll?(dst: string, policies: readonly PolicyRef[]): Promise<LayerInfo | Failure>;
  /** Files that took the place of shipped policies in the layer it is in. */
  policies?(): readonly PolicyRef[];
  register?(hash: Uint8Array): number;
  unregister?(hash: Uint8Array): number;
  query?(hash: Uint8Array): Promise<number | Failure>;
  flowAlloc?(
    flow: FlowOrder,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): Promise<number | Failure>;
  flowJoin?(flow: FlowOrder, hash: Uint8Array): Promise<number>;
  flowAllocResp?(flow: FlowOrder, verdict: Verdict): Promise<number | Failure>;
  /** Answered at once; the flow goes `lingerSec` seconds later. */
  flowDealloc(flowId: number, lingerSec: number): number;
  /** What was dropped of a flow that it has. */
  flowLosses(flowId: number): FlowLosses;
  connect?(dst: string, comp: string, qos: QosSpec): Promise<number | Failure>;
  /** How many members of the layer can be reached, this one included. */
  countMembers?(): number;
  disconnect?(dst: string, comp: string): Promise<number | Failure>;
  /** What it adds to the RIB of the process, as it is now. */
  rib?(): readonly RibComponent[];
  /** Stop threads, close devices, let go of all flows; each step bounded. */
  stop(): Promise<void>;
}

/** Whether a bootstrap failed. */
export function isFailure(x: LayerInfo | Failure): x is Failure {
  return "code" in x;
}
