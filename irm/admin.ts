/**
 * What `irm` needs from the IRMd, as an interface, so that the commands run against the real daemon
 * (`AdminClient`) or a registry in memory (tests/unit/irm).
 *
 * Every function rejects with an `OuroError` that carries the daemon's negative number and, where
 * it sent them, stage, process and cause. -1002 means that the daemon could not be reached.
 */

import type { QosSpec } from "../lib/qos.ts";
import type {
  BoundFor,
  IpcpConfig,
  IpcpListEntry,
  PolicyRef,
  UserUse,
} from "../lib/irm/messages.ts";

/** An entry of LIST_NAMES. */
export interface NameEntry {
  readonly name: string;
  /** 0 round-robin, 1 spillover. */
  readonly polLb: number;
}

/** What CREATE_NAME carries; empty paths mean the daemon's defaults. */
export interface NewName {
  readonly name: string;
  readonly polLb: number;
  readonly skey: string;
  readonly scrt: string;
  readonly senc: string;
  readonly ckey: string;
  readonly ccrt: string;
  readonly cenc: string;
}

/** The administrative requests (spec 21 A6). */
export interface Admin {
  createIpcp(name: string, type: number): Promise<void>;
  destroyIpcp(pid: number, name?: string): Promise<void>;
  bootstrapIpcp(pid: number, conf: IpcpConfig): Promise<void>;
  enrollIpcp(pid: number, dst: string, policies?: readonly PolicyRef[]): Promise<void>;
  connectIpcp(pid: number, dst: string, component: string, qos: QosSpec): Promise<void>;
  disconnectIpcp(pid: number, dst: string, component: string): Promise<void>;
  listIpcps(): Promise<IpcpListEntry[]>;
  listNames(): Promise<NameEntry[]>;
  listUsers(): Promise<{ readonly users: readonly UserUse[]; readonly totals: UserUse }>;
  /** The state of the node as a configuration file, and what of it that does not hold. */
  saveConfig(): Promise<{ readonly config: string; readonly unsaved: readonly string[] }>;
  /** `exec` is the program and its arguments, without the closing empty word. */
  bindProgram(
    exec: readonly string[],
    name: string,
    auto: boolean,
    boundFor?: BoundFor,
  ): Promise<void>;
  /** Without a name: from all names. */
  unbindProgram(prog: string, name: string | undefined): Promise<void>;
  bindProcess(pid: number, name: string, boundFor?: BoundFor): Promise<void>;
  unbindProcess(pid: number, name: string, boundFor?: BoundFor): Promise<void>;
  createName(name: NewName): Promise<void>;
  destroyName(name: string): Promise<void>;
  regName(name: string, pid: number): Promise<void>;
  unregName(name: string, pid: number): Promise<void>;
  /** The layer in which a name is known now; a failure if it is in none. */
  queryName(name: string): Promise<string>;
  /** How many members of a layer can be reached, the one here included. */
  countMembers(layer: string): Promise<number>;
}
