/**
 * What the registry holds: its tables, and what is still to be done outside as a consequence of the last call.
 *
 * Pure.
 */

import { FlowTable } from "./flow.ts";
import { NameTable } from "./name.ts";
import {
  IpcpTable,
  PoolTable,
  type ProcRecord,
  type ProgRecord,
  type SpawnedRecord,
} from "./tables.ts";

/** What the shell must do after a call. */
export type Effect =
  /** Unlink ring buffers (pid, id) of both pids. */
  | { kind: "rings-destroy"; flowId: number; pids: [number, number] }
  /** The other end is gone for good: mark the rings of the flow as down and wake `pid`. */
  | { kind: "flow-down"; flowId: number; pid: number; otherPid: number }
  /** Send IPCP_FLOW_DEALLOC for a flow nobody uses any more. */
  | { kind: "ipcp-dealloc"; flowId: number; ipcpPid: number; timeoSec: number }
  /** Unlink the flow set of a process that left. */
  | { kind: "flow-set-destroy"; pid: number; flowUid: number }
  /** Unlink the pool of a user without processes. */
  | { kind: "pool-destroy"; uid: number };

/** See the file's comment. Shared by the parts of the registry, which alone change it. */
export class Records {
  readonly names = new NameTable();
  readonly progs = new Map<string, ProgRecord>();
  readonly procs = new Map<number, ProcRecord>();
  readonly ipcps = new IpcpTable();
  readonly flows = new FlowTable();
  readonly pools = new PoolTable();
  readonly spawned = new Map<number, SpawnedRecord>();
  /** In the order in which they are to be done. */
  effects: Effect[] = [];
}
