/**
 * Flow requests of processes (spec 20 §7): alloc, accept, join, dealloc. Requests of IPCPs are in
 * `ipcp_flows.ts`, the search for an acceptor in `acceptors.ts`.
 *
 * Every wait ends at its deadline or when the client hangs up, and every way out leaves a record that is
 * either held by its two ends or gone.
 */

import { Errno, errnoText } from "../lib/errno.ts";
import { nameHash } from "../lib/hash.ts";
import { FlowState, IpcpCode, type IrmMsg, timeoMs } from "../lib/irm/messages.ts";
import { isOapFailure, type NameSecurity } from "../security/oap/mod.ts";
import { findAcceptor } from "./acceptors.ts";
import { type Answer, failed, invalid, ok, type Outcome } from "./answer.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import { causeOf, IpcpClient, processOf, REPLY_MS, resultOf } from "./ipcp_client.ts";
import type { FlowRecord, IpcpRecord, NameRecord, ProcRecord } from "./registry/mod.ts";
import { settled } from "./waits.ts";

/** Time for an allocation that names none, ms (spec 20 §1). */
const ALLOC_MS = 20_000;
/** Linger a client may ask an IPCP for, s; the library's own values are below a minute. */
const LINGER_S_MAX = 3600;
/** User data of an allocation or accept, bytes: it travels in the OAP header. */
const DATA_BYTES_MAX = 4096;

const NONE = new Uint8Array(0);

/** Serves the flow requests of processes. */
export class Flows {
  readonly ipcps: IpcpClient;

  constructor(readonly d: Daemon) {
    this.ipcps = new IpcpClient(d.instance, d.ipcpLog);
  }

  // IRM_FLOW_ACCEPT

  async accept(client: Client, msg: IrmMsg): Promise<Outcome> {
    const { d } = this;
    const stage = "flow accept";
    const info = msg.flowInfo;
    if (info === undefined) return invalid(stage, "no flow_info");
    const data = msg.pk ?? NONE;
    if (data.length > DATA_BYTES_MAX) return invalid(stage, "too much data");
    const leftMs = msg.timeo === undefined ? Infinity : timeoMs(msg.timeo);
    const r = d.registry.accept(info.nPid, info.qos);
    d.settle();
    if (typeof r === "number") return failed(r, stage, this.#acceptCause(r, info.nPid));
    const { flow } = r;
    const outcome = await settled(
      r.waiter,
      client,
      leftMs,
      (by) => d.registry.acceptEnd(flow, by === "deadline" ? -Errno.ETIMEDOUT : -Errno.EPIPE),
    );
    d.settle();
    if (outcome.kind === "failed") {
      return outcome.code === -Errno.EPIPE ? undefined : failed(outcome.code, stage);
    }
    const { name, request, direct } = outcome;
    const record = d.registry.names.get(name);
    if (record === undefined) {
      await this.#refuse(flow, direct, -Errno.ENAME);
      return failed(-Errno.ENAME, stage, `the name "${name}" was destroyed meanwhile`);
    }
    const oap = await d.oap.serve(securityOf(d, record), name, request, data);
    if (isOapFailure(oap)) {
      await this.#refuse(flow, direct, oap.code);
      return failed(oap.code, "oap", oap.reason);
    }
    if (!d.registry.flows.holds(flow)) {
      oap.key?.fill(0);
      return failed(-Errno.EIPCP, stage, "the requester has gone meanwhile");
    }
    if (direct) {
      d.registry.directRespond(flow, oap.response);
      d.log.info(`Flow ${flow.id} accepted (direct) by ${flow.nPid} for ${name}.`);
    } else {
      const sent = await this.#allocResp(flow, 0, oap.response);
      if (sent < 0) {
        oap.key?.fill(0);
        this.giveUp(flow, flow.nPid);
        return failed(-Errno.EIPCP, "alloc response", `IPCP ${flow.n1Pid} did not take the answer`);
      }
      d.log.info(`Flow ${flow.id} accepted by ${flow.nPid} for ${name} (uid ${flow.uid}).`);
    }
    return this.#granted(flow, flow.nPid, oap);
  }

  #acceptCause(code: number, pid: number): string {
    if (code === -Errno.EBADF) return "no flow id is free";
    return this.d.registry.procs.has(pid)
      ? "no name of the process has a known load-balancing policy"
      : `process ${pid} is not announced`;
  }

  /** The server half failed: the far side gets the code, the flow goes. */
  async #refuse(flow: FlowRecord, direct: boolean, code: number): Promise<void> {
    const { d } = this;
    if (!direct && d.registry.flows.holds(flow)) await this.#allocResp(flow, code, undefined);
    // A client of this host is told -ECRYPT whatever the reason (spec 40 §11).
    d.registry.drop(flow, direct ? -Errno.ECRYPT : code);
    d.settle();
  }

  async #allocResp(
    flow: FlowRecord,
    response: number,
    pk: Uint8Array | undefined,
  ): Promise<number> {
    const reply = await this.ipcps.call(flow.n1Pid, "alloc_resp", {
      code: IpcpCode.IPCP_FLOW_ALLOC_RESP,
      flowId: flow.id,
      pid: flow.nPid,
      uid: flow.uid,
      response,
      ...(pk === undefined ? {} : { pk }),
    });
    return resultOf(reply);
  }

  /** The successful end of accept and alloc. */
  #granted(
    flow: FlowRecord,
    pid: number,
    oap: { cipherNid: number; key: Uint8Array | null; data: Uint8Array },
  ): Answer {
    return ok(
      {
        flowInfo: { ...flow.info(pid), state: FlowState.ALLOCATED },
        ...(oap.data.length > 0 ? { pk: oap.data } : {}),
        ...(oap.key === null ? {} : { symKey: oap.key }),
        cipherNid: oap.cipherNid,
      },
      () => this.giveUp(flow, pid),
    );
  }

  /** An end will not use the flow. */
  giveUp(flow: FlowRecord, pid: number): void {
    this.d.registry.giveUp(flow, pid, this.d.nowMs());
    this.d.settle();
  }

  // IRM_FLOW_ALLOC

  async alloc(client: Client, msg: IrmMsg): Promise<Outcome> {
    const { d } = this;
    const stage = "flow alloc";
    const { dst, flowInfo: info } = msg;
    if (info === undefined || dst === undefined) return invalid(stage, "no flow_info or no dst");
    const data = msg.pk ?? NONE;
    if (data.length > DATA_BYTES_MAX) return invalid(stage, "too much data");
    const endMs = d.nowMs() + (msg.timeo === undefined ? ALLOC_MS : timeoMs(msg.timeo));
    const proc = d.registry.procs.get(info.nPid);
    if (proc === undefined) return invalid(stage, `process ${info.nPid} is not announced`);
    const record = d.registry.names.get(dst);
    if (record === undefined) {
      return failed(
        -Errno.ENAME,
        stage,
        `name "${dst}" is not known here (irm name create ${dst})`,
      );
    }
    d.log.info(`Allocating flow for ${proc.pid} to ${dst} (uid ${proc.flowUid}).`);
    const request: AllocRequest = { client, msg, dst, data, proc, record, endMs };
    if (d.options.direct) {
      const direct = await this.#allocDirect(request);
      if (direct !== "elsewhere") return direct;
    }
    return await this.#allocOver(request);
  }

  /** Tries processes of this host; `elsewhere` when none will do (spec 20 §7.2). */
  async #allocDirect(q: AllocRequest): Promise<Outcome | "elsewhere"> {
    const { d } = this;
    const { proc, dst } = q;
    for (;;) {
      const found = await findAcceptor(d, dst, q.client, q.endMs, {
        pid: proc.pid,
        uid: proc.flowUid,
      });
      if (found.kind === "hang-up") return undefined;
      if (found.kind === "failed" && found.code === -Errno.ENAME) return unknownName(dst);
      if (found.kind !== "reserved") return "elsewhere";
      const { reservation } = found;
      const { flow } = reservation;
      const oap = await d.oap.prepare(securityOf(d, q.record), dst, q.data);
      if (isOapFailure(oap)) {
        d.registry.release(reservation);
        d.settle();
        return failed(oap.code, "oap", oap.reason);
      }
      if (!d.registry.stillReserved(reservation)) continue;
      const rings = d.objects.createRings(flow.id, flow.nPid, proc.pid, proc.flowUid);
      if (rings < 0) {
        d.registry.release(reservation);
        d.settle();
        return noRings(rings);
      }
      const waiter = d.registry.direct(reservation, {
        clientPid: proc.pid,
        qos: q.msg.flowInfo!.qos,
        request: oap.request,
      });
      if (typeof waiter === "number") {
        d.objects.removeRings(flow.id, [flow.nPid, proc.pid]);
        continue;
      }
      let late = false;
      const outcome = await settled(waiter, q.client, q.endMs - d.nowMs(), (by) => {
        late = by === "deadline";
        this.giveUp(flow, proc.pid);
      });
      d.settle();
      if (outcome.kind === "failed") {
        if (late) return timedOut(dst);
        if (q.client.gone) return undefined;
        if (outcome.code === -Errno.EPIPE) continue; // The acceptor died; there may be others.
        return failed(outcome.code, "oap", "the server refused or could not be authenticated");
      }
      const done = await oap.complete(outcome.response);
      if (isOapFailure(done)) {
        this.giveUp(flow, proc.pid);
        d.log.error(`OAP completion failed for ${dst}.`);
        return failed(-Errno.ECRYPT, "oap", done.reason);
      }
      d.log.info(`Flow ${flow.id} allocated (direct) for ${proc.pid} to ${dst}.`);
      return this.#granted(flow, proc.pid, done);
    }
  }

  /** Goes over a layer (spec 20 §8.4). */
  async #allocOver(q: AllocRequest): Promise<Outcome> {
    const { d } = this;
    const { proc, dst } = q;
    const flow = d.registry.alloc(proc.pid, q.msg.flowInfo!.qos);
    if (typeof flow === "number") return failed(flow, "flow alloc", "no flow id is free");
    const abandon = (answer: Outcome): Outcome => {
      d.registry.drop(flow, -Errno.EPIPE);
      d.settle();
      return answer;
    };
    const ipcp = await this.#query(dst, q.endMs);
    if (q.client.gone) return abandon(undefined);
    if (ipcp === undefined) {
      return abandon(failed(-Errno.EIPCP, "query", this.#unreachable(q)));
    }
    const oap = await d.oap.prepare(securityOf(d, q.record), dst, q.data);
    if (isOapFailure(oap)) return abandon(failed(oap.code, "oap", oap.reason));
    const hash = nameHash(ipcp.hashAlgo, dst);
    if (typeof hash === "number") return abandon(failed(-Errno.EIPCP, "query", "unknown hash"));
    if (!d.registry.flows.holds(flow)) return undefined;
    const rings = d.objects.createRings(flow.id, proc.pid, ipcp.pid, proc.flowUid);
    if (rings < 0) return abandon(noRings(rings));
    const waiter = d.registry.allocOver(flow, ipcp.pid);
    if (typeof waiter === "number") {
      d.objects.removeRings(flow.id, [proc.pid, ipcp.pid]);
      return abandon(failed(waiter, "flow alloc", "the IPCP or the process has gone"));
    }
    let by: string | undefined;
    const outcome = settled(waiter, q.client, q.endMs - d.nowMs(), (why) => {
      by = why;
      this.giveUp(flow, proc.pid);
    });
    const asked = await Promise.race([
      outcome,
      this.ipcps.call(ipcp.pid, "alloc", {
        code: IpcpCode.IPCP_FLOW_ALLOC,
        flowId: flow.id,
        pid: proc.pid,
        uid: proc.flowUid,
        qos: q.msg.flowInfo!.qos,
        hash,
        pk: oap.request,
      }),
    ]);
    if (
      (asked.kind === "reply" && asked.result !== 0) || asked.kind === "silent" ||
      asked.kind === "unreachable"
    ) {
      d.registry.drop(flow, -Errno.EIPCP);
      d.settle();
      const who = `ipcpd ${ipcp.name}`;
      return failed(-Errno.EIPCP, "flow alloc", causeOf(asked), processOf(asked, who));
    }
    const end = await outcome;
    d.settle();
    if (end.kind === "failed") {
      if (by === "deadline") return timedOut(dst);
      if (by === "hang-up" || q.client.gone) return undefined;
      d.log.warn(`Allocation rejected: ${dst} (${end.code}).`);
      return end.code === -Errno.EPIPE
        ? failed(-Errno.EPERM, "flow alloc", "the flow was removed")
        : failed(end.code, "flow alloc", `the other side refused: ${errnoText(end.code)}`, dst);
    }
    const done = await oap.complete(end.response);
    if (isOapFailure(done)) {
      this.giveUp(flow, proc.pid);
      d.log.error(`OAP completion failed for ${dst}.`);
      return failed(-Errno.ECRYPT, "oap", done.reason);
    }
    return this.#granted(flow, proc.pid, done);
  }

  /** The first IPCP in order of preference that knows the name; all are asked at once (spec 20 §19.22). */
  async #query(dst: string, endMs: number): Promise<IpcpRecord | undefined> {
    const { d } = this;
    const asked = d.registry.candidates().map((ipcp) => {
      const hash = nameHash(ipcp.hashAlgo, dst);
      const reply = typeof hash === "number" ? Promise.resolve(undefined) : this.ipcps.call(
        ipcp.pid,
        "query",
        { code: IpcpCode.IPCP_QUERY, hash },
        Math.max(0, endMs - d.nowMs()),
      );
      return { ipcp, reply };
    });
    for (const { ipcp, reply } of asked) {
      const r = await reply;
      if (r !== undefined && resultOf(r) >= 0) return ipcp;
    }
    return undefined;
  }

  #unreachable(q: AllocRequest): string {
    const { dst } = q;
    if (this.d.registry.candidates().length > 0) {
      return `no IPCP of this node knows "${dst}" (irm name register ${dst} at its host)`;
    }
    if (!this.d.options.direct) return "direct flows are off and no IPCP is in a layer";
    return q.record.procs.size === 0 && q.record.autostart.length === 0
      ? `nothing is bound to "${dst}" here and no IPCP is in a layer`
      : `nothing that is bound to "${dst}" accepts flows here and no IPCP is in a layer`;
  }

  // IRM_FLOW_JOIN

  async join(client: Client, msg: IrmMsg): Promise<Outcome> {
    const { d } = this;
    const stage = "flow join";
    const { dst, flowInfo: info } = msg;
    if (info === undefined || dst === undefined) return invalid(stage, "no flow_info or no dst");
    const endMs = d.nowMs() + (msg.timeo === undefined ? ALLOC_MS : timeoMs(msg.timeo));
    const proc = d.registry.procs.get(info.nPid);
    if (proc === undefined) return invalid(stage, `process ${info.nPid} is not announced`);
    d.log.info(`Allocating flow for ${proc.pid} to ${dst} (uid ${proc.flowUid}).`);
    const ipcp = d.registry.ipcps.byLayer(dst);
    const hash = ipcp === undefined ? undefined : nameHash(ipcp.hashAlgo, dst);
    if (ipcp === undefined || hash === undefined || typeof hash === "number") {
      return failed(-Errno.EIPCP, stage, `no IPCP of this node is in layer "${dst}"`);
    }
    const flow = d.registry.alloc(proc.pid, info.qos);
    if (typeof flow === "number") return failed(flow, stage, "no flow id is free");
    const rings = d.objects.createRings(flow.id, proc.pid, ipcp.pid, proc.flowUid);
    const waiter = rings < 0 ? rings : d.registry.allocOver(flow, ipcp.pid);
    if (typeof waiter === "number") {
      d.registry.drop(flow, waiter);
      d.settle();
      return noRings(waiter);
    }
    let by: string | undefined;
    const outcome = settled(waiter, client, endMs - d.nowMs(), (why) => {
      by = why;
      this.giveUp(flow, proc.pid);
    });
    const reply = await this.ipcps.call(ipcp.pid, "join", {
      code: IpcpCode.IPCP_FLOW_JOIN,
      flowId: flow.id,
      pid: proc.pid,
      uid: proc.flowUid,
      hash,
    });
    if (resultOf(reply) !== 0 && !waiter.settled) {
      d.registry.drop(flow, -Errno.ENOTALLOC);
      d.settle();
      await outcome;
      return failed(
        -Errno.ENOTALLOC,
        stage,
        causeOf(reply),
        processOf(reply, `ipcpd ${ipcp.name}`),
      );
    }
    const end = await outcome;
    d.settle();
    if (end.kind === "failed") {
      if (by === "deadline") return timedOut(dst);
      if (by === "hang-up" || client.gone) return undefined;
      return failed(end.code, stage, undefined, `ipcpd ${ipcp.name}`);
    }
    return ok({ flowInfo: flow.info(proc.pid) }, () => this.giveUp(flow, proc.pid));
  }

  // IRM_FLOW_DEALLOC

  dealloc(msg: IrmMsg): Outcome | Promise<Outcome> {
    const { d } = this;
    const info = msg.flowInfo;
    if (info === undefined) return invalid("flow dealloc", "no flow_info");
    const sec = msg.timeo === undefined ? 0 : Math.min(LINGER_S_MAX, Number(msg.timeo.sec));
    const r = d.registry.dealloc(info.nPid, info.id, sec, d.nowMs());
    d.settle();
    if (r.code < 0) {
      return failed(r.code, "flow dealloc", `process ${info.nPid} has no flow ${info.id}`);
    }
    d.log.info(`Deallocating flow ${info.id} for process ${info.nPid} (timeout: ${sec} s).`);
    return r.ipcpPid === undefined ? ok() : this.#deallocAt(r.ipcpPid, info.id, sec);
  }

  async #deallocAt(ipcpPid: number, flowId: number, timeoSec: number): Promise<Outcome> {
    const reply = await this.ipcps.call(ipcpPid, "dealloc", {
      code: IpcpCode.IPCP_FLOW_DEALLOC,
      flowId,
      timeoSec,
    });
    // No answer in time is the ordinary case: the IPCP confirms later (spec 20 §7.5, §8.2).
    if (reply.kind !== "reply" || reply.result >= 0) return ok();
    return failed(-Errno.EIPCP, "flow dealloc", causeOf(reply), `ipcpd ${ipcpPid}`);
  }

  /** Tells an IPCP that nobody uses a flow any more; nobody waits for the answer. */
  tellDealloc(ipcpPid: number, flowId: number, timeoSec: number): void {
    void this.#deallocAt(ipcpPid, flowId, timeoSec);
  }
}

/** An allocation on its way. */
interface AllocRequest {
  readonly client: Client;
  readonly msg: IrmMsg;
  readonly dst: string;
  readonly data: Uint8Array;
  readonly proc: ProcRecord;
  readonly record: NameRecord;
  /** Deadline, ms. */
  readonly endMs: number;
}

function unknownName(dst: string): Answer {
  return failed(-Errno.ENAME, "flow alloc", `name "${dst}" is not known here (any more)`);
}

function timedOut(dst: string): Answer {
  return failed(-Errno.ETIMEDOUT, "flow alloc", `no answer from "${dst}" in time`);
}

function noRings(code: number): Answer {
  const full = code === -Errno.ENOMEM;
  return failed(
    -Errno.EBADF,
    "ring buffers",
    full ? "/dev/shm is full" : `cannot make the ring buffers: ${errnoText(code)}`,
  );
}

/** What OAP needs of a name: a path that is the default may be absent, another may not (spec 40 §13). */
export function securityOf(d: Daemon, record: NameRecord): NameSecurity {
  const { paths } = record;
  const defaults = d.registry.defaultPaths(record.name);
  const given = (key: keyof typeof paths) => paths[key] === defaults[key] ? "" : paths[key];
  return {
    server: { enc: given("senc"), crt: given("scrt"), key: given("skey") },
    client: { enc: given("cenc"), crt: given("ccrt"), key: given("ckey") },
    serverDir: "",
    clientDir: "",
  };
}

/** Re-exported for the time limits in tests. */
export { REPLY_MS };
