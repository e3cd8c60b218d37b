/**
 * The registry of the IRMd (spec 20 §5 – §8): names, programs, processes, IPCPs, flows, pools, children.
 *
 * Pure. No socket, process, shared memory, clock or timer. Requests come in as method calls with the time in
 * milliseconds where it matters; results are values (0 or a negative error number, a record, a waiter); what
 * must be done outside as a consequence are {@linkcode Effect}s, handed to the shell before the call returns.
 *
 * A wait (for a request, an answer, an acceptor, a boot) is a {@linkcode Waiter}. The shell adds the deadline and watches
 * the client, and ends the wait with the method named beside it, never by settling it itself.
 *
 * How the shell serves the flow requests:
 *
 *     accept     r = accept(pid, qos); r.waiter → request: run OAP, then directRespond / send ALLOC_RESP;
 *                deadline or hang-up: acceptEnd(flow, code); OAP failed: drop(flow, code)
 *     alloc      acceptor = awaitAcceptor(dst, {pid, uid}); reserved: make the OAP request and the rings, then
 *                direct(reservation, …) → waiter → OAP completion; foreign or none: alloc(pid, qos) → ask IPCPs
 *                → rings → allocOver(flow, ipcp) → IPCP_FLOW_ALLOC → waiter → OAP completion;
 *                refused by the IPCP: drop(flow, code); deadline, hang-up, OAP failed: giveUp(flow, pid, now)
 *     req arr    awaitAcceptor(name) → rings → arrive(reservation, …) → reply; ALLOC_RESP follows from accept
 *     dealloc    dealloc(pid, id, …) → IPCP_FLOW_DEALLOC when it names an IPCP
 *
 * Rings are made by the shell before the call that needs them (it can fail) and destroyed on `rings-destroy`.
 */

import { Errno } from "../../lib/errno.ts";
import { Bindings, type RegistryOptions } from "./bindings.ts";
import { Flows } from "./flows.ts";
import { type Effect, Records } from "./records.ts";
import type { IpcpRecord, ProcRecord, SpawnedRecord } from "./tables.ts";

/** What left with a pid. */
export interface Gone {
  proc: ProcRecord | undefined;
  ipcp: IpcpRecord | undefined;
  spawned: SpawnedRecord | undefined;
}

/** See the file's comment. What each method does stands at the part that does it. */
export class Registry {
  readonly #records = new Records();
  readonly #bindings: Bindings;
  readonly #flows: Flows;
  readonly #onEffects: ((effects: readonly Effect[]) => void) | undefined;
  #settling = false;

  /** @param onEffects does what a call leaves to do, before it returns; without it they wait for `takeEffects` */
  constructor(options: RegistryOptions, onEffects?: (effects: readonly Effect[]) => void) {
    this.#bindings = new Bindings(this.#records, options);
    this.#flows = new Flows(this.#records, this.#bindings);
    this.#onEffects = onEffects;
  }

  get names(): Records["names"] {
    return this.#records.names;
  }
  get progs(): Records["progs"] {
    return this.#records.progs;
  }
  get procs(): Records["procs"] {
    return this.#records.procs;
  }
  get ipcps(): Records["ipcps"] {
    return this.#records.ipcps;
  }
  get flows(): Records["flows"] {
    return this.#records.flows;
  }
  get pools(): Records["pools"] {
    return this.#records.pools;
  }
  get spawned(): Records["spawned"] {
    return this.#records.spawned;
  }

  /** What there is to do, in order; the queue is empty afterwards. */
  takeEffects(): Effect[] {
    const { effects } = this.#records;
    if (effects.length > 0) this.#records.effects = [];
    return effects;
  }

  /** The one place where what a call has left to do is done. A call from there leaves its own to the loop. */
  #settle<T>(result: T): T {
    if (this.#onEffects === undefined || this.#settling) return result;
    this.#settling = true;
    try {
      for (let e = this.takeEffects(); e.length > 0; e = this.takeEffects()) this.#onEffects(e);
    } finally {
      this.#settling = false;
    }
    return result;
  }

  /**
   * A process, IPCP or child is gone (it said so, or it died): its bindings, waits and flows end, IPCPs that
   * carry its flows are told, other ends see their flows go down. Undefined when nothing was known of it.
   */
  processGone(pid: number, nowMs: number): Gone | undefined {
    const { procs, names, ipcps, spawned: children, pools, effects } = this.#records;
    const proc = procs.get(pid);
    const ipcp = ipcps.get(pid);
    const spawned = children.get(pid);
    this.#flows.endOf(pid, nowMs);
    if (proc !== undefined) {
      for (const n of proc.names) this.#bindings.unbind(proc, names.get(n));
      procs.delete(pid);
      effects.push({ kind: "flow-set-destroy", pid, flowUid: proc.flowUid });
      if (pools.unref(proc.flowUid) === 0) {
        effects.push({ kind: "pool-destroy", uid: proc.flowUid });
      }
    }
    if (ipcp !== undefined) {
      ipcps.delete(pid);
      this.#bindings.endBoot(pid, -Errno.EIPCP);
    }
    children.delete(pid);
    this.#settle(undefined);
    if (proc === undefined && ipcp === undefined && spawned === undefined) return undefined;
    return { proc, ipcp, spawned };
  }

  // Processes, names, programs, IPCPs: `bindings.ts`.

  /** {@linkcode Bindings.announce} */
  announce(...a: Parameters<Bindings["announce"]>): ReturnType<Bindings["announce"]> {
    return this.#settle(this.#bindings.announce(...a));
  }
  /** {@linkcode Bindings.awaitProcess} */
  awaitProcess(...a: Parameters<Bindings["awaitProcess"]>): ReturnType<Bindings["awaitProcess"]> {
    return this.#settle(this.#bindings.awaitProcess(...a));
  }
  /** {@linkcode Bindings.endProcessWait} */
  endProcessWait(
    ...a: Parameters<Bindings["endProcessWait"]>
  ): ReturnType<Bindings["endProcessWait"]> {
    return this.#settle(this.#bindings.endProcessWait(...a));
  }
  /** {@linkcode Bindings.defaultPaths} */
  defaultPaths(...a: Parameters<Bindings["defaultPaths"]>): ReturnType<Bindings["defaultPaths"]> {
    return this.#settle(this.#bindings.defaultPaths(...a));
  }
  /** {@linkcode Bindings.createName} */
  createName(...a: Parameters<Bindings["createName"]>): ReturnType<Bindings["createName"]> {
    return this.#settle(this.#bindings.createName(...a));
  }
  /** {@linkcode Bindings.destroyName} */
  destroyName(...a: Parameters<Bindings["destroyName"]>): ReturnType<Bindings["destroyName"]> {
    return this.#settle(this.#bindings.destroyName(...a));
  }
  /** {@linkcode Bindings.bindProgram} */
  bindProgram(...a: Parameters<Bindings["bindProgram"]>): ReturnType<Bindings["bindProgram"]> {
    return this.#settle(this.#bindings.bindProgram(...a));
  }
  /** {@linkcode Bindings.unbindProgram} */
  unbindProgram(
    ...a: Parameters<Bindings["unbindProgram"]>
  ): ReturnType<Bindings["unbindProgram"]> {
    return this.#settle(this.#bindings.unbindProgram(...a));
  }
  /** {@linkcode Bindings.bindProcess} */
  bindProcess(...a: Parameters<Bindings["bindProcess"]>): ReturnType<Bindings["bindProcess"]> {
    return this.#settle(this.#bindings.bindProcess(...a));
  }
  /** {@linkcode Bindings.unbindProcess} */
  unbindProcess(
    ...a: Parameters<Bindings["unbindProcess"]>
  ): ReturnType<Bindings["unbindProcess"]> {
    return this.#settle(this.#bindings.unbindProcess(...a));
  }
  /** {@linkcode Bindings.mayUseKeys} */
  mayUseKeys(...a: Parameters<Bindings["mayUseKeys"]>): ReturnType<Bindings["mayUseKeys"]> {
    return this.#bindings.mayUseKeys(...a);
  }
  /** {@linkcode Bindings.createIpcp} */
  createIpcp(...a: Parameters<Bindings["createIpcp"]>): ReturnType<Bindings["createIpcp"]> {
    return this.#settle(this.#bindings.createIpcp(...a));
  }
  /** {@linkcode Bindings.awaitBoot} */
  awaitBoot(...a: Parameters<Bindings["awaitBoot"]>): ReturnType<Bindings["awaitBoot"]> {
    return this.#settle(this.#bindings.awaitBoot(...a));
  }
  /** {@linkcode Bindings.endBoot} */
  endBoot(...a: Parameters<Bindings["endBoot"]>): ReturnType<Bindings["endBoot"]> {
    return this.#settle(this.#bindings.endBoot(...a));
  }
  /** {@linkcode Bindings.ipcpReady} */
  ipcpReady(...a: Parameters<Bindings["ipcpReady"]>): ReturnType<Bindings["ipcpReady"]> {
    return this.#settle(this.#bindings.ipcpReady(...a));
  }
  /** {@linkcode Bindings.setLayer} */
  setLayer(...a: Parameters<Bindings["setLayer"]>): ReturnType<Bindings["setLayer"]> {
    return this.#settle(this.#bindings.setLayer(...a));
  }
  /** {@linkcode Bindings.candidates} */
  candidates(...a: Parameters<Bindings["candidates"]>): ReturnType<Bindings["candidates"]> {
    return this.#settle(this.#bindings.candidates(...a));
  }

  // Flows: `flows.ts`.

  /** {@linkcode Flows.accept} */
  accept(...a: Parameters<Flows["accept"]>): ReturnType<Flows["accept"]> {
    return this.#settle(this.#flows.accept(...a));
  }
  /** {@linkcode Flows.acceptEnd} */
  acceptEnd(...a: Parameters<Flows["acceptEnd"]>): ReturnType<Flows["acceptEnd"]> {
    return this.#settle(this.#flows.acceptEnd(...a));
  }
  /** {@linkcode Flows.awaitAcceptor} */
  awaitAcceptor(...a: Parameters<Flows["awaitAcceptor"]>): ReturnType<Flows["awaitAcceptor"]> {
    return this.#settle(this.#flows.awaitAcceptor(...a));
  }
  /** {@linkcode Flows.endAcceptorWait} */
  endAcceptorWait(
    ...a: Parameters<Flows["endAcceptorWait"]>
  ): ReturnType<Flows["endAcceptorWait"]> {
    return this.#settle(this.#flows.endAcceptorWait(...a));
  }
  /** {@linkcode Flows.stillReserved} */
  stillReserved(...a: Parameters<Flows["stillReserved"]>): ReturnType<Flows["stillReserved"]> {
    return this.#settle(this.#flows.stillReserved(...a));
  }
  /** {@linkcode Flows.release} */
  release(...a: Parameters<Flows["release"]>): ReturnType<Flows["release"]> {
    return this.#settle(this.#flows.release(...a));
  }
  /** {@linkcode Flows.arrive} */
  arrive(...a: Parameters<Flows["arrive"]>): ReturnType<Flows["arrive"]> {
    return this.#settle(this.#flows.arrive(...a));
  }
  /** {@linkcode Flows.direct} */
  direct(...a: Parameters<Flows["direct"]>): ReturnType<Flows["direct"]> {
    return this.#settle(this.#flows.direct(...a));
  }
  /** {@linkcode Flows.directRespond} */
  directRespond(...a: Parameters<Flows["directRespond"]>): ReturnType<Flows["directRespond"]> {
    return this.#settle(this.#flows.directRespond(...a));
  }
  /** {@linkcode Flows.alloc} */
  alloc(...a: Parameters<Flows["alloc"]>): ReturnType<Flows["alloc"]> {
    return this.#settle(this.#flows.alloc(...a));
  }
  /** {@linkcode Flows.allocOver} */
  allocOver(...a: Parameters<Flows["allocOver"]>): ReturnType<Flows["allocOver"]> {
    return this.#settle(this.#flows.allocOver(...a));
  }
  /** {@linkcode Flows.allocReply} */
  allocReply(...a: Parameters<Flows["allocReply"]>): ReturnType<Flows["allocReply"]> {
    return this.#settle(this.#flows.allocReply(...a));
  }
  /** {@linkcode Flows.drop} */
  drop(...a: Parameters<Flows["drop"]>): ReturnType<Flows["drop"]> {
    return this.#settle(this.#flows.drop(...a));
  }
  /** {@linkcode Flows.giveUp} */
  giveUp(...a: Parameters<Flows["giveUp"]>): ReturnType<Flows["giveUp"]> {
    return this.#settle(this.#flows.giveUp(...a));
  }
  /** {@linkcode Flows.dealloc} */
  dealloc(...a: Parameters<Flows["dealloc"]>): ReturnType<Flows["dealloc"]> {
    return this.#settle(this.#flows.dealloc(...a));
  }
  /** {@linkcode Flows.ipcpDealloc} */
  ipcpDealloc(...a: Parameters<Flows["ipcpDealloc"]>): ReturnType<Flows["ipcpDealloc"]> {
    return this.#settle(this.#flows.ipcpDealloc(...a));
  }
  /** {@linkcode Flows.expire} */
  expire(...a: Parameters<Flows["expire"]>): ReturnType<Flows["expire"]> {
    return this.#settle(this.#flows.expire(...a));
  }
}
