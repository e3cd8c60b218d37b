/**
 * What was asked of an IPCP, so that it can be made again after a crash, and when that is tried.
 *
 * Pure.
 */

import type { IpcpConfig, PolicyRef } from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";

/** How an IPCP got into its layer. */
export type PlannedJoin =
  | { readonly kind: "none" }
  | { readonly kind: "bootstrap"; readonly conf: IpcpConfig }
  | {
    readonly kind: "enroll";
    readonly dst: string;
    /** Policies of the layer as files. */
    readonly policies: readonly PolicyRef[];
  };

/** A connection that was asked for. */
export interface PlannedConnection {
  readonly dst: string;
  readonly comp: string;
  readonly qos: QosSpec;
}

/** See the file's comment. */
export class IpcpPlan {
  join: PlannedJoin = { kind: "none" };
  /** In the order in which they were made. */
  connections: PlannedConnection[] = [];
  /** Names registered with it, also those for when it is in a layer. */
  readonly registered = new Set<string>();
  /** Names to bind its process to: those it had when it ended, or that it is to have. */
  bound: readonly string[] = [];
  /** Whether its process is bound to the name of its layer, too. */
  autobind = false;
  /** Of the IPCPs of the node, which one it was to get into a layer; 0: it was not told to. */
  order = 0;
  /** Of the connections, those to make again. */
  missing: PlannedConnection[] = [];
  /** How often it was started again. */
  restarts = 0;
  /** What is wrong with it now, for the list; "" when nothing is. */
  note = "";
  /** Files in the place of shipped policies, as it says itself; "" for none. */
  policies = "";
  /** What users should know of it at the moment, as it says itself; "" for nothing. */
  standing = "";
  /** Until it is destroyed; then no step of it is tried again, not even one that was at work. */
  wanted = true;

  constructor(
    /** One of `IpcpType`. */
    readonly type: number,
    readonly name: string,
  ) {}

  /** Remembers a connection, once. */
  connected(c: PlannedConnection): void {
    this.disconnected(c.dst, c.comp);
    this.connections.push(c);
  }

  /** Forgets one; whether it was asked for. */
  disconnected(dst: string, comp: string): boolean {
    const other = (c: PlannedConnection) => c.dst !== dst || c.comp !== comp;
    const before = this.connections.length;
    this.connections = this.connections.filter(other);
    this.missing = this.missing.filter(other);
    return this.connections.length < before;
  }
}

/** Pause before the first try, ms; it doubles with each. */
export const RESTART_FIRST_MS = 250;
/** The longest pause, ms. */
export const RESTART_MOST_MS = 60_000;
/** The longest pause where the IPCP is there and waits for others, ms. */
export const WAIT_MOST_MS = 10_000;
/** An IPCP that ran this long starts with the first pause again, ms. */
export const RESTART_CALM_MS = 60_000;

interface Pending {
  tries: number;
  /** When it is tried; Infinity while it is at work or runs. */
  dueMs: number;
  startedMs: number;
}

/** When what has crashed is made again. */
export class Restarts {
  readonly #pending = new Map<IpcpPlan, Pending>();

  /** The IPCP crashed, or a step of making it again failed. Gives the pause, ms. */
  failed(plan: IpcpPlan, nowMs: number, mostMs: number = RESTART_MOST_MS): number {
    const before = this.#pending.get(plan);
    const calm = before === undefined || nowMs - before.startedMs >= RESTART_CALM_MS;
    const tries = calm ? 0 : before.tries + 1;
    const pauseMs = Math.min(mostMs, RESTART_FIRST_MS * 2 ** Math.min(tries, 20));
    this.#pending.set(plan, { tries, dueMs: nowMs + pauseMs, startedMs: nowMs + pauseMs });
    return pauseMs;
  }

  /** Plans whose time has come; they are at work from now on. */
  due(nowMs: number): IpcpPlan[] {
    const out: IpcpPlan[] = [];
    for (const [plan, p] of this.#pending) {
      if (p.dueMs > nowMs) continue;
      p.dueMs = Infinity;
      p.startedMs = nowMs;
      out.push(plan);
    }
    return out;
  }

  /** When to call {@linkcode due}, ms; Infinity for never. */
  deadlineMs(): number {
    let at = Infinity;
    for (const { dueMs } of this.#pending.values()) at = Math.min(at, dueMs);
    return at;
  }

  /** Whether the IPCP is to be made again. */
  has(plan: IpcpPlan): boolean {
    return this.#pending.has(plan);
  }

  /** The plan of that name that waits or is at work. */
  named(name: string): IpcpPlan | undefined {
    for (const plan of this.#pending.keys()) if (plan.name === name) return plan;
    return undefined;
  }

  /** All that are to be made again. */
  plans(): IpcpPlan[] {
    return [...this.#pending.keys()];
  }

  /** It is not wanted any more. */
  forget(plan: IpcpPlan): void {
    this.#pending.delete(plan);
  }
}
