/**
 * The part of the registry that moves flows through their states (spec 20 §7, §8); the table is in `flow.ts`.
 *
 * Pure.
 */

import { Errno } from "../../lib/errno.ts";
import { MESSAGE_BYTES_MAX } from "../../lib/limits.ts";
import { type FlowInfo, FlowState, type SduLimits, sduLimitsOf } from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import type { Bindings } from "./bindings.ts";
import {
  type AcceptOutcome,
  type AllocOutcome,
  type FlowBelow,
  type FlowRecord,
  NOTHING_AWAITED,
  type Reservation,
} from "./flow.ts";
import type { AcceptorOutcome } from "./name.ts";
import type { Records } from "./records.ts";
import { Waiter } from "./waiter.ts";

/** MPL of a direct flow, ms (spec 20 §1). */
export const DIRECT_MPL_MS = 1;
/** A flow that was let go is given up when the IPCP has not confirmed this long after its time-out, ms. */
export const LINGER_MS = 30_000;

/** See the file's comment. */
export class Flows {
  readonly #s: Records;
  readonly #bindings: Bindings;

  constructor(records: Records, bindings: Bindings) {
    this.#s = records;
    this.#bindings = bindings;
  }

  /** The flows of a process or IPCP that is gone end, at its side. */
  endOf(pid: number, nowMs: number): void {
    for (const flow of this.#s.flows.of(pid)) {
      if (flow.isUser(pid)) {
        const { below } = flow;
        const server = pid === flow.nPid;
        if (below.kind === "direct" && (server ? below.upperGone : below.lowerGone)) {
          // It may have died between its dealloc and telling the other end.
          this.#down(flow, server ? flow.n1Pid : flow.nPid, pid);
        } else if (flow.lingers) this.#endLinger(flow, nowMs);
        else this.giveUp(flow, pid, nowMs);
      }
      if (flow.below.kind === "ipcp" && flow.n1Pid === pid) this.#lowerGone(flow);
    }
  }

  /**
   * A flow that lingers ends with its process: what that wrote is sent, and nobody is left to read. The prototype's IPCPs
   * cannot be told a second time.
   */
  #endLinger(flow: FlowRecord, nowMs: number): void {
    const ipcp = this.#s.ipcps.get(flow.n1Pid);
    if (ipcp === undefined || ipcp.messageBytesMax <= MESSAGE_BYTES_MAX) return;
    flow.lingers = false;
    flow.expiresMs = nowMs + LINGER_MS;
    this.#s.effects.push({
      kind: "ipcp-dealloc",
      flowId: flow.id,
      ipcpPid: flow.n1Pid,
      timeoSec: 0,
    });
  }

  // Flows: acceptors.

  /**
   * A process accepts. The waiter is settled with the request, or with a failure. -EINVAL: not announced, or
   * all its names have an unknown policy; -EBADF: no flow id. End with {@linkcode acceptEnd}.
   */
  accept(
    pid: number,
    qos: QosSpec,
  ): { flow: FlowRecord; waiter: Waiter<AcceptOutcome> } | number {
    const proc = this.#s.procs.get(pid);
    if (proc === undefined) return -Errno.EINVAL;
    const names = [...proc.names].map((n) => this.#s.names.get(n)!);
    if (names.length > 0 && !names.some((n) => n.usable)) return -Errno.EINVAL;
    const flow = this.#s.flows.create(pid, proc.flowUid, qos);
    if (typeof flow === "number") return flow;
    const waiter = new Waiter<AcceptOutcome>();
    flow.state = FlowState.ACCEPT_PENDING;
    flow.wait = { kind: "accept", waiter, reserved: false };
    proc.accepts.push(flow.id);
    for (const n of names) {
      n.acceptedBy(pid);
      if (n.usable) n.active.add(pid);
    }
    for (const n of names) this.#bindings.serve(n);
    return { flow, waiter };
  }

  /** Ends a pending accept with a failure (deadline, hang-up) and removes it; false when it is over already. */
  acceptEnd(flow: FlowRecord, code: number): boolean {
    if (!this.#s.flows.holds(flow) || flow.wait.kind !== "accept") return false;
    this.drop(flow, code);
    return true;
  }

  /**
   * Waits for an acceptor of a name, first come first served. With `direct`, the acceptor must be another process
   * of that uid, else `foreign`. End with {@linkcode endAcceptorWait}.
   */
  awaitAcceptor(
    name: string,
    direct?: { readonly pid: number; readonly uid: number },
  ): Waiter<AcceptorOutcome> {
    const waiter = new Waiter<AcceptorOutcome>();
    const record = this.#s.names.get(name);
    if (record === undefined) waiter.settle({ kind: "failed", code: -Errno.ENAME });
    else {
      record.waits.push({ waiter, direct });
      this.#bindings.serve(record);
    }
    return waiter;
  }

  /** Ends a wait for an acceptor: -ETIMEDOUT at a deadline. */
  endAcceptorWait(
    name: string,
    waiter: Waiter<AcceptorOutcome>,
    code: number = -Errno.ETIMEDOUT,
  ): void {
    const waits = this.#s.names.get(name)?.waits;
    const at = waits?.findIndex((w) => w.waiter === waiter) ?? -1;
    if (at >= 0) waits!.splice(at, 1);
    waiter.settle({ kind: "failed", code });
  }

  /** Whether the reserved accept still waits; it may have ended by deadline, hang-up or death. */
  stillReserved(r: Reservation): boolean {
    return this.#s.flows.holds(r.flow) && r.flow.wait.kind === "accept" && r.flow.wait.reserved;
  }

  /** Gives a reserved accept back; it is the next to be chosen. */
  release(r: Reservation): void {
    const { flow } = r;
    if (!this.stillReserved(r) || flow.wait.kind !== "accept") return;
    flow.wait.reserved = false;
    const proc = this.#s.procs.get(flow.nPid)!;
    proc.accepts.push(flow.id);
    const names = [...proc.names].map((n) => this.#s.names.get(n)!).filter((n) => n.usable);
    for (const n of names) n.active.add(proc.pid, true);
    for (const n of names) this.#bindings.serve(n);
  }

  /**
   * A request that arrived at an IPCP goes to the reserved acceptor. The flow as the IPCP is told it,
   * or -EIPCP: unknown IPCP, or the acceptor is gone. Rings (n_pid, id) and (IPCP, id) exist.
   */
  arrive(
    r: Reservation,
    q: { ipcpPid: number; mpl: number; qos: QosSpec; request: Uint8Array; sdu?: SduLimits },
  ): FlowInfo | number {
    if (!this.stillReserved(r) || !this.#s.ipcps.has(q.ipcpPid)) return -Errno.EIPCP;
    if (q.sdu !== undefined) r.flow.sdu = sduLimitsOf(q.sdu);
    this.#take(r, "ipcp", q.ipcpPid, q.mpl, q.qos, q.request);
    return r.flow.info(r.flow.nPid);
  }

  /**
   * A process of this host gets the reserved acceptor directly. The waiter is settled with the OAP response;
   * end with {@linkcode giveUp}. -EBADF: the acceptor is gone; -EPERM: not its user, or itself. Rings exist.
   */
  direct(
    r: Reservation,
    q: { clientPid: number; qos: QosSpec; request: Uint8Array },
  ): Waiter<AllocOutcome> | number {
    const client = this.#s.procs.get(q.clientPid);
    if (client === undefined || !this.stillReserved(r)) return -Errno.EBADF;
    if (client.flowUid !== r.flow.uid || client.pid === r.flow.nPid) return -Errno.EPERM;
    const waiter = new Waiter<AllocOutcome>();
    this.#take(r, "direct", q.clientPid, DIRECT_MPL_MS, q.qos, q.request, waiter);
    return waiter;
  }

  /** The server's OAP response of a direct flow. 0, or -EBADF: the client does not wait any more. */
  directRespond(flow: FlowRecord, response: Uint8Array): number {
    if (!this.#s.flows.holds(flow) || flow.below.kind !== "direct") return -Errno.EBADF;
    if (flow.wait.kind !== "response") return -Errno.EBADF;
    const { waiter } = flow.wait;
    flow.wait = NOTHING_AWAITED;
    waiter.settle({ kind: "response", response });
    return 0;
  }

  // Flows: requesters.

  /** A new flow in INIT for an allocation or join. -EINVAL: not announced; -EBADF: no flow id. */
  alloc(pid: number, qos: QosSpec): FlowRecord | number {
    const proc = this.#s.procs.get(pid);
    if (proc === undefined) return -Errno.EINVAL;
    return this.#s.flows.create(pid, proc.flowUid, qos);
  }

  /**
   * The flow goes over an IPCP; to be called before IPCP_FLOW_ALLOC or IPCP_FLOW_JOIN is sent. The waiter is settled by
   * {@linkcode allocReply}; end with {@linkcode giveUp}, or {@linkcode drop} when the IPCP refused.
   * -EIPCP: no such IPCP; -EBADF: the flow is gone (its process left). Rings (n_pid, id), (IPCP, id) exist.
   */
  allocOver(flow: FlowRecord, ipcpPid: number): Waiter<AllocOutcome> | number {
    if (!this.#s.flows.holds(flow) || flow.state !== FlowState.INIT) return -Errno.EBADF;
    if (!this.#s.ipcps.has(ipcpPid)) return -Errno.EIPCP;
    const waiter = new Waiter<AllocOutcome>();
    this.#s.flows.attach(flow, ipcpPid);
    flow.below = { kind: "ipcp", upperGone: false, lowerGone: false };
    this.#ringsMade(flow);
    flow.state = FlowState.ALLOC_PENDING;
    flow.wait = { kind: "response", waiter };
    return waiter;
  }

  /** IPCP_FLOW_ALLOC_REPLY. 0, or -EBADF: no allocation of that id waits at that IPCP. */
  allocReply(
    ipcpPid: number,
    id: number,
    q: {
      response: number;
      mpl: number;
      data: Uint8Array;
      cause?: string | undefined;
      sdu?: SduLimits;
    },
  ): number {
    const flow = this.#s.flows.get(id);
    if (flow === undefined || flow.below.kind !== "ipcp" || flow.n1Pid !== ipcpPid) {
      return -Errno.EBADF;
    }
    if (flow.wait.kind !== "response") {
      // Given up meanwhile; a refusal also says that the IPCP holds nothing any more.
      if (q.response !== 0 && flow.state === FlowState.DEALLOC_PENDING && flow.below.upperGone) {
        this.#remove(flow);
      }
      return -Errno.EBADF;
    }
    if (q.response !== 0) {
      this.drop(flow, q.response < 0 ? q.response : -Errno.ECRYPT, q.cause);
      return 0;
    }
    const { waiter } = flow.wait;
    flow.state = FlowState.ALLOCATED;
    flow.mpl = q.mpl;
    if (q.sdu !== undefined) flow.sdu = sduLimitsOf(q.sdu);
    flow.wait = NOTHING_AWAITED;
    waiter.settle({ kind: "response", response: q.data });
    return 0;
  }

  // Flows: ends.

  /** Removes a flow at once; its waiter fails with `code` and the reason. Nothing happens when it is gone already. */
  drop(flow: FlowRecord, code: number, why?: string): void {
    if (!this.#s.flows.holds(flow)) return;
    const { wait } = flow;
    this.#remove(flow);
    if (wait.kind === "nothing") return;
    wait.waiter.settle(
      why === undefined ? { kind: "failed", code } : { kind: "failed", code, why },
    );
  }

  /**
   * The process `pid` at an end of the flow will not use it (any more): dead, hung up, too late, or OAP failed.
   * The other end is told: an IPCP by dealloc, a process by its flow going down.
   */
  giveUp(flow: FlowRecord, pid: number, nowMs: number): void {
    if (!this.#s.flows.holds(flow) || !flow.isUser(pid)) return;
    const { below, wait } = flow;
    if (below.kind === "nothing") return this.drop(flow, -Errno.EPIPE);
    const server = pid === flow.nPid;
    const gone = server ? below.upperGone : below.lowerGone;
    if (gone) return;
    if (below.kind === "direct" && wait.kind === "response" && server) {
      return this.drop(flow, -Errno.EPIPE); // The client never got it, so nothing is left.
    }
    flow.wait = NOTHING_AWAITED;
    if (server) below.upperGone = true;
    else below.lowerGone = true;
    flow.name = "";
    if (below.upperGone && below.lowerGone) this.#remove(flow);
    else {
      flow.state = FlowState.DEALLOC_PENDING;
      if (below.kind === "ipcp") {
        flow.expiresMs = nowMs + LINGER_MS;
        this.#s.effects.push({
          kind: "ipcp-dealloc",
          flowId: flow.id,
          ipcpPid: flow.n1Pid,
          timeoSec: 0,
        });
      } else this.#down(flow, server ? flow.n1Pid : flow.nPid, pid);
    }
    if (wait.kind !== "nothing") wait.waiter.settle({ kind: "failed", code: -Errno.EPIPE });
  }

  /**
   * IRM_FLOW_DEALLOC. `code` is 0; -ENOTALLOC for a flow that is unknown or not allocated yet, -EPERM for another's.
   * `ipcpPid` is the IPCP to send IPCP_FLOW_DEALLOC to, if any.
   */
  dealloc(
    pid: number,
    id: number,
    timeoSec: number,
    nowMs: number,
  ): { code: number; ipcpPid: number | undefined } {
    const flow = this.#s.flows.get(id);
    const none = { code: 0, ipcpPid: undefined };
    if (flow === undefined) return { ...none, code: -Errno.ENOTALLOC };
    if (!flow.isUser(pid)) return { ...none, code: -Errno.EPERM };
    const { below } = flow;
    const held = flow.state === FlowState.ALLOCATED || flow.state === FlowState.DEALLOC_PENDING;
    if (!held || below.kind === "nothing") return { ...none, code: -Errno.ENOTALLOC };
    if (pid === flow.nPid) below.upperGone = true;
    else below.lowerGone = true;
    if (below.upperGone && below.lowerGone) {
      this.#remove(flow);
      return none;
    }
    flow.state = FlowState.DEALLOC_PENDING;
    flow.name = "";
    if (below.kind === "direct") return none;
    flow.expiresMs = nowMs + timeoSec * 1000 + LINGER_MS;
    flow.lingers = timeoSec > 0;
    return { code: 0, ipcpPid: flow.n1Pid };
  }

  /** IPCP_FLOW_DEALLOC: the IPCP has torn the flow down. 0, or -EBADF: it carries no flow of that id. */
  ipcpDealloc(ipcpPid: number, id: number): number {
    const flow = this.#s.flows.get(id);
    if (flow === undefined || flow.below.kind !== "ipcp" || flow.n1Pid !== ipcpPid) {
      return -Errno.EBADF;
    }
    this.#lowerGone(flow);
    return 0;
  }

  /** Removes flows whose IPCP should have confirmed long ago. Returns how many. */
  expire(nowMs: number): number {
    let n = 0;
    for (const flow of [...this.#s.flows.all()]) {
      if (flow.expiresMs > nowMs) continue;
      this.#remove(flow);
      n++;
    }
    return n;
  }

  // Steps of the methods above.

  #take(
    r: Reservation,
    kind: "direct" | "ipcp",
    n1Pid: number,
    mpl: number,
    qos: QosSpec,
    request: Uint8Array,
    waiter?: Waiter<AllocOutcome>,
  ): void {
    const { flow } = r;
    const { wait } = flow;
    this.#s.flows.attach(flow, n1Pid);
    const below: FlowBelow = { kind, upperGone: false, lowerGone: false };
    flow.below = below;
    this.#ringsMade(flow);
    flow.mpl = mpl;
    flow.qos = qos;
    flow.state = FlowState.ALLOCATED;
    flow.wait = waiter === undefined ? NOTHING_AWAITED : { kind: "response", waiter };
    if (wait.kind === "accept") {
      wait.waiter.settle({ kind: "request", request, name: r.name, direct: kind === "direct" });
    }
  }

  #ringsMade(flow: FlowRecord): void {
    flow.rings = true;
    for (const pid of [flow.nPid, flow.n1Pid]) {
      const proc = this.#s.procs.get(pid);
      if (proc !== undefined) proc.hadFlow = true;
    }
  }

  /** The IPCP below has left the flow. */
  #lowerGone(flow: FlowRecord): void {
    const { below, wait } = flow;
    if (below.kind !== "ipcp" || below.lowerGone) return;
    below.lowerGone = true;
    flow.lingers = false;
    if (below.upperGone || wait.kind === "response") {
      this.drop(flow, -Errno.EIPCP);
      return;
    }
    flow.state = FlowState.DEALLOC_PENDING;
    flow.expiresMs = Infinity;
    this.#down(flow, flow.nPid, flow.n1Pid);
  }

  #down(flow: FlowRecord, pid: number, otherPid: number): void {
    this.#s.effects.push({ kind: "flow-down", flowId: flow.id, pid, otherPid });
  }

  /** Takes a record out of everything; its state is DEALLOCATED then. */
  #remove(flow: FlowRecord): void {
    const proc = this.#s.procs.get(flow.nPid);
    if (proc !== undefined) this.#bindings.deactivate(proc, flow);
    this.#s.flows.delete(flow);
    if (flow.rings) {
      flow.rings = false;
      this.#s.effects.push({
        kind: "rings-destroy",
        flowId: flow.id,
        pids: [flow.nPid, flow.n1Pid],
      });
    }
    flow.state = FlowState.DEALLOCATED;
    flow.wait = NOTHING_AWAITED;
    flow.expiresMs = Infinity;
  }
}
