/**
 * Options of the calls of a flow, and what describes one.
 */

import type { FlowInfo } from "../irm/messages.ts";
import type { QosSpec } from "../qos.ts";
import type { GrantOptions } from "./grant.ts";
import type { OuroProcess } from "./process.ts";

/** How a flow is made. */
export interface FlowOptions extends GrantOptions {
  /** Aborts the wait; the promise rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** The process that owns the flow; the thread's own when absent. */
  process?: OuroProcess | undefined;
  /** See {@linkcode Flow.lingerMs}; undefined: as long as FRCT would retransmit, 120 s. */
  lingerMs?: number | undefined;
}

/** Options of one blocking call. */
export interface CallOptions {
  /** How long to wait, ms; undefined: the flow's own time-out, Infinity: for ever. */
  timeoutMs?: number | undefined;
  /** Return -EAGAIN instead of waiting; undefined: as the flow's flags say. */
  nonblock?: boolean | undefined;
}

/** Options of an asynchronous read or write. */
export interface AsyncCallOptions {
  /** Reject with -ETIMEDOUT after so many ms; absent: the flow's own time-out. */
  timeoutMs?: number | undefined;
  /** The same by its short name, ms. */
  timeout?: number | undefined;
  /** Aborts the wait; the promise rejects with its reason. */
  signal?: AbortSignal | undefined;
}

/** How a flow is closed. */
export interface DeallocOptions {
  /** Wait for acknowledgements of a reliable flow so many ms at most; absent: {@linkcode Flow.lingerMs}. */
  lingerMs?: number | undefined;
  /** Stops waiting, for acknowledgements and for the peer to read; the flow is closed all the same. */
  signal?: AbortSignal | undefined;
}

/** Plain data with which another thread of the process takes part in a flow. */
export interface SharedFlow {
  /** As the IRMd described the flow. */
  readonly info: FlowInfo;
  /** What is known of its names and its peer. */
  readonly about?: FlowAbout | undefined;
  /** The flow is given away for good: its signs of life go with it. */
  readonly whole?: boolean | undefined;
  /**
   * The cipher of a flow that is given away, as `PacketCipher.takeState` gave it: secret. Attaching wipes it; move it
   * (`postMessage(shared, [shared.cipher.buffer])`) so that no copy stays behind.
   */
  readonly cipher?: Uint8Array<ArrayBuffer> | undefined;
}

/** Who is at the other end of a flow, as the key exchange authenticated it. */
export interface PeerInfo {
  /** Name in the peer's certificate; empty if it has none that counts. */
  readonly name: string;
  /** SHA-256 of the certificate (DER), 32 bytes. */
  readonly fingerprint: Uint8Array;
  /** How it proved that: the kind of its signature key, as `EC prime256v1`. */
  readonly how: string;
}

/** What a flow is for, as far as the IRMd said so; one of the prototype says nothing. */
export interface FlowAbout {
  /** The name that the flow was allocated to. */
  readonly name?: string | undefined;
  /** Whether that name is served here: the flow was accepted. */
  readonly accepted: boolean;
  /** The layer that carries it; undefined for a direct flow as well. */
  readonly layer?: string | undefined;
  /** The peer, when it was authenticated. */
  readonly peer?: PeerInfo | undefined;
  /** The cipher of its packets, as `aes-256-gcm`; absent: they are not encrypted. */
  readonly cipher?: string | undefined;
}

/** A flow as a log shows it. */
export interface FlowText {
  /** Flow id. */
  readonly id: number;
  /** Descriptor. */
  readonly fd: number;
  /** The name that it was allocated to, where that is known. */
  readonly name?: string | undefined;
  /** The layer that carries it, where that is known. */
  readonly layer?: string | undefined;
  /** The process that uses the flow. */
  readonly pid: number;
  /** The IPCP below, or the other process of a direct flow. */
  readonly peerPid: number;
  /** Maximum packet lifetime, ms. */
  readonly mpl: number;
  /** What was granted. */
  readonly qos: Readonly<Record<keyof QosSpec, number>>;
  /** Whether it was closed here. */
  readonly closed: boolean;
}

/** Do not wait. */
export const NO_WAIT: CallOptions = Object.freeze({ nonblock: true });
