/** What the machine of connections asks of its shell, and what a connection is. Pure. */

import type { Failure } from "../../lib/failure.ts";
import type { QosSpec } from "../../lib/qos.ts";
import type { Component } from "./cep.ts";
import type { Joining } from "./enrollment.ts";

/** A connection that is agreed on. */
export interface Connection {
  /** Flow id in the layer below. */
  readonly flow: number;
  readonly component: Component;
  /** Address of the neighbour; 0 for components without addresses. */
  readonly address: number;
  /** The name it was made to; empty if the other side made it. */
  readonly dst: string;
}

/** Everything that the machine can ask for. */
export type ConnectionEffect =
  /** Ask the layer below for a flow, and say `allocated` to the machine. */
  | {
    readonly kind: "alloc";
    readonly ask: number;
    readonly dst: string;
    readonly qos: QosSpec;
    readonly timeoutMs: number;
  }
  /** Send a message on a flow of ours; one that cannot be sent is lost. */
  | { readonly kind: "write"; readonly flow: number; readonly bytes: Uint8Array }
  /** Let the flow go. */
  | { readonly kind: "close"; readonly flow: number }
  /** A command is answered; without `failure` it succeeded. */
  | { readonly kind: "answer"; readonly token: number; readonly failure?: Failure }
  /** Enrollment: start with this configuration, then say `started`. */
  | {
    readonly kind: "joined";
    readonly dst: string;
    readonly joining: Joining;
  }
  /** The connection is the component's from now on. */
  | { readonly kind: "up"; readonly connection: Connection }
  /** It cannot be used just now (its interface is down), or can be again. */
  | { readonly kind: "usable"; readonly connection: Connection; readonly usable: boolean }
  /** It is gone; the flow is closed by a `close` of its own. */
  | { readonly kind: "gone"; readonly connection: Connection; readonly cause: string }
  /** A message of an open connection for its component. */
  | { readonly kind: "message"; readonly connection: Connection; readonly bytes: Uint8Array }
  | { readonly kind: "log"; readonly level: "info" | "warn" | "error"; readonly line: string };
