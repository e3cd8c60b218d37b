/**
 * What every IPCP that is a member of a layer does alike: it becomes a member, makes and loses connections, gives Data
 * Transfer flows to its data worker, lets flows above go. The shell around {@linkcode Connections}, {@linkcode LowerFlows}
 * and the data plane; what goes over the connections is the type's ({@linkcode MemberType}).
 *
 * A lower flow's id is its descriptor everywhere. The components exist from bootstrap or enrollment on.
 */

import { Errno } from "../../lib/errno.ts";
import type { Failure } from "../../lib/failure.ts";
import type { IpcpConfig } from "../../lib/wire/ipcp_config.ts";
import { encodeIrmMsg, IrmCode, type LayerInfo, type SduLimits } from "../../lib/irm/messages.ts";
import type { QosSpec } from "../../lib/qos.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { describe } from "../data/long_packets.ts";
import { Mail, Mailbox } from "../data/mailbox.ts";
import type { MemberStart } from "../data/member_worker.ts";
import { DataPlane, type WorkerSpec } from "../data/plane.ts";
import { Counter } from "../data/table.ts";
import { Lingering } from "../lingering.ts";
import type { Verdict } from "../machine.ts";
import { MachineShell } from "../machine_shell.ts";
import type { IpcpContext } from "../type.ts";
import type { Component } from "./cep.ts";
import { Connections } from "./connections.ts";
import type { Connection, ConnectionEffect } from "./effects.ts";
import { HeldFlows } from "./held_flows.ts";
import { leastOf, lessHead } from "./limits.ts";
import { LowerFlows, MESSAGE_BYTES_MAX } from "./lower_flows.ts";

/** Maximum packet lifetime in a layer, ms (spec 60 §2, spec 50 §16). */
export const MPL_MS = 100;
const EMPTY = new Uint8Array(0);

/** What a type of member is, and does with its connections. */
export interface MemberType {
  /** Its number, which an enrollment must name. */
  readonly ipcpType: number;
  /** Components other than Enrollment. */
  readonly components: readonly Component[];
  /** Longest message on a flow that the main thread reads, bytes; {@linkcode MESSAGE_BYTES_MAX} when absent. */
  readonly messageBytesMax?: number;
  /**
   * Be a member of the layer of a configuration, which another member gave if `enrolled`: calls {@linkcode
   * MemberShell.openPlane} and {@linkcode MemberShell.setLayer}. What the layer is, or why that cannot be.
   */
  start(conf: IpcpConfig, enrolled: boolean): Promise<LayerInfo | Failure>;
  up(connection: Connection): void;
  /** It cannot be used just now, or can be again. */
  usable?(connection: Connection, usable: boolean): void;
  gone(connection: Connection): void;
  /** A message of a connection that the main thread has. */
  message(connection: Connection, bytes: Uint8Array): void;
  /** A message of the data worker. */
  fromWorker(from: Uint8Array, bytes: Uint8Array): void;
  /** Events of a lower flow that the worker has; true if they are none of the library's. */
  events?(flow: number, events: number): boolean;
  /** The data worker left a policy from a file. */
  policyLeft?(line: string): void;
  /** The process above let a flow go, and what it wrote last has left. */
  closed?(flowId: number): void;
  /** The IPCP stops; connections are still there. */
  leave?(nowUs: number): void;
  /** It has stopped, or did not become a member: there is no layer any more. */
  left?(): void;
  /** The control machine of the type: does one thing that it wants to do, or false. */
  pump?(): boolean;
  onTimer?(nowUs: number): void;
  deadlineUs?(): number;
}

/** What exists while the IPCP is in a layer. */
export interface MemberLayer {
  readonly plane: DataPlane;
  readonly held: HeldFlows;
  readonly mailbox: Mailbox;
}

/** A Data Transfer flow: what the layer below carries on it, now and when it began, and how much of that is ours. */
interface Below {
  readonly limits: SduLimits;
  readonly first: SduLimits;
  readonly headBytes: number;
}

export class MemberShell {
  readonly #context: IpcpContext;
  readonly #type: MemberType;
  /** Made anew for each try to become a member. */
  #connections: Connections;
  /** Flows above that their processes have closed. */
  #lingering = new Lingering();
  /** Drives the machines of one try to become a member. */
  #machines: MachineShell<Failure>;
  #lower: LowerFlows | undefined;
  #layer: MemberLayer | undefined;
  /** The layer that an enrollment brought. */
  #enrolled: LayerInfo | undefined;
  /** Data Transfer flows by descriptor. */
  readonly #below = new Map<number, Below>();
  /** What the processes above were told that the layer carries, bytes. */
  #carries: number | undefined;
  #mailed = false;

  constructor(context: IpcpContext, type: MemberType) {
    this.#context = context;
    this.#type = type;
    this.#connections = this.#noConnections();
    this.#machines = this.#driven();
  }

  #driven(): MachineShell<Failure> {
    const type = this.#type;
    const machines = new MachineShell<Failure>(this.#context.nowUs, () => {
      if (this.#mailed) this.#layer?.plane.poke();
      this.#mailed = false;
    });
    machines.drive(this.#connections, (effect) => this.#do(effect));
    machines.drive(this.#lingering, (flowId) => void this.dealloc(flowId));
    machines.drive(
      {
        poll: () => this.#layer !== undefined && type.pump?.() === true ? true : undefined,
        onTimer: (nowUs) => type.onTimer?.(nowUs),
        deadlineUs: () => type.deadlineUs?.() ?? Infinity,
      },
      () => {}, // It has done it itself.
    );
    return machines;
  }

  #noConnections(): Connections {
    return new Connections({
      ipcpType: this.#type.ipcpType,
      components: this.#type.components,
      randomId: () => crypto.getRandomValues(new Uint8Array(8)),
      random: this.#context.random,
      wallUs: () => Date.now() * 1000,
    });
  }

  nowUs(): number {
    return this.#context.nowUs();
  }

  /** What there is of the layer; undefined outside of one. */
  get layer(): MemberLayer | undefined {
    return this.#layer;
  }

  /** Flows in the layers below; undefined before the IPCP becomes a member. */
  get lower(): LowerFlows | undefined {
    return this.#lower;
  }

  // Becoming a member.

  async bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    if (this.#lower !== undefined) return busy("bootstrap");
    this.#openLower();
    const result = await this.#type.start(conf, false);
    if ("code" in result) await this.stop();
    return result;
  }

  async enroll(dst: string): Promise<LayerInfo | Failure> {
    if (this.#lower !== undefined) return busy("enroll");
    this.#openLower();
    const failure = await this.#command((nowUs, token) => {
      this.#connections.enroll(nowUs, dst, token);
    });
    const layer = this.#enrolled;
    if (failure !== undefined || layer === undefined) {
      await this.stop();
      return failure ?? busy("enroll");
    }
    this.#context.log.info(`Enrolled with ${dst}.`);
    return layer;
  }

  #openLower(): void {
    const { instance, pid } = this.#context;
    const lower = new LowerFlows(
      instance,
      pid,
      {
        accepted: (flow) => {
          this.#connections.accepted(this.nowUs(), flow);
          this.pump();
        },
        message: (flow, bytes) => {
          this.#connections.onMessage(this.nowUs(), flow, bytes);
          this.pump();
        },
        usable: (flow, usable) => this.#onUsable(flow, usable),
        gone: (flow, cause) => this.onGone(flow, cause),
      },
      this.#type.messageBytesMax ?? MESSAGE_BYTES_MAX,
    );
    this.#lower = lower;
    lower.acceptAll().catch((e) => this.#context.fatal(`cannot accept flows: ${e}`));
  }

  /** For the type, in its `start`: the data plane and its worker; `extra` is what the worker gets. */
  async openPlane(
    worker: WorkerSpec,
    extra: (start: MemberStart) => unknown,
  ): Promise<MemberLayer | Failure> {
    const { log } = this.#context;
    const plane = new DataPlane(this.#context, {
      mgmt: (from, bytes) => {
        this.#type.fromWorker(from, bytes);
        this.pump();
      },
      tooLong: (packets) => log.warn(describe(packets)),
      failed: (why) => this.#context.fatal(why),
      lower: (flow, events) => this.#onLower(flow, events),
      carries: (flow, bytes) => this.#onCarries(flow, bytes),
      released: (flow) => this.#lower?.takeBack(flow),
      policyLeft: (line) => this.#type.policyLeft?.(line),
    });
    const mailbox = new Mailbox();
    const layer = this.#layer = { plane, held: new HeldFlows(plane), mailbox };
    const start = { process: this.#lower!.share(), mailbox: mailbox.buffer };
    if (await plane.start([worker], extra(start))) return layer;
    return { code: -Errno.EPERM, stage: "start", cause: "the data worker does not start" };
  }

  /** For the type, at the end of its `start`: others may enrol and connect; see {@linkcode Connections.setLayer}. */
  setLayer(conf: IpcpConfig, address: number): void {
    this.#connections.setLayer(conf, address);
    this.pump();
  }

  #onUsable(flow: number, usable: boolean): void {
    this.#connections.onUsable(this.nowUs(), flow, usable);
    this.pump();
  }

  /** A lower flow is over. */
  onGone(flow: number, cause: string): void {
    this.#connections.onGone(this.nowUs(), flow, cause);
    this.pump();
  }

  /** The other side says that it ends the connection on a flow. */
  onLeft(flow: number): void {
    this.#connections.onLeft(flow);
    this.pump();
  }

  /** Events of a lower flow that the worker has. */
  #onLower(flow: number, events: number): void {
    if (this.#type.events?.(flow, events) === true) return;
    if ((events & FlowEvent.DEALLOC) !== 0) return this.onGone(flow, "the flow was closed");
    if ((events & FlowEvent.PEER) !== 0) return this.onGone(flow, "it was silent for its time");
    if ((events & FlowEvent.DOWN) !== 0) this.#onUsable(flow, false);
    if ((events & FlowEvent.UP) !== 0) this.#onUsable(flow, true);
  }

  // Commands about connections.

  async #command(
    input: (nowUs: number, token: number) => void,
  ): Promise<Failure | undefined> {
    const result = await this.#machines.command(input);
    if (result === 0) return undefined;
    return typeof result === "number" ? stopped(result) : result;
  }

  /** A command to the type's machine, which is answered with {@linkcode answer}. */
  command(input: (nowUs: number, token: number) => void): Promise<number> {
    return this.#machines.command(input).then((r) => typeof r === "number" ? r : r.code);
  }

  answer(token: number, result: number): void {
    this.#machines.answer(token, result);
  }

  async connect(dst: string, comp: string, qos: QosSpec): Promise<number | Failure> {
    return await this.#command((nowUs, token) => {
      this.#connections.connect(nowUs, dst, comp, qos, token);
    }) ?? 0;
  }

  async disconnect(dst: string, comp: string): Promise<number | Failure> {
    return await this.#command((nowUs, token) => {
      this.#connections.disconnect(nowUs, dst, comp, token);
    }) ?? 0;
  }

  // Flows above.

  flowDealloc(flowId: number, lingerSec: number): number {
    const layer = this.#layer;
    if (layer === undefined || layer.held.pid(flowId) === 0) return -Errno.EPERM;
    this.#machines.feed((nowUs) => this.#lingering.dealloc(nowUs, flowId, lingerSec));
    return 0;
  }

  /** Let a flow above go: what its process wrote last leaves before others hear that it is gone. */
  async dealloc(flowId: number): Promise<void> {
    const layer = this.#layer;
    const pid = layer?.held.pid(flowId) ?? 0;
    if (layer === undefined || pid === 0) return;
    this.#lingering.forget(flowId);
    layer.held.forget(flowId);
    await layer.plane.drop(flowId);
    if (this.#layer !== layer) return;
    this.#type.closed?.(flowId);
    this.pump();
    await this.#context.irm.flowDealloc(flowId, pid);
  }

  /** Tell the IRMd how a flow that it asked for ended up; it may have given the flow up meanwhile. */
  async reply(flowId: number, verdict: Verdict): Promise<void> {
    const { irm } = this.#context;
    const result = await irm.flowAllocReply(flowId, verdict, MPL_MS, this.limits());
    if (result === -Errno.EBADF && verdict.response === 0) await this.dealloc(flowId);
  }

  // Data Transfer flows.

  /**
   * Give a flow below to the data worker, unless it has it; `headBytes` of each packet there are ours. False if that
   * cannot be: the connection is over then.
   */
  handOver(flow: number, headBytes: number): boolean {
    const lower = this.#lower;
    if (lower === undefined) return false;
    if (lower.isAway(flow)) return true;
    const limits = lower.limitsOf(flow);
    const shared = lower.handOver(flow);
    if ("code" in shared) {
      this.#context.log.error(`Cannot use a flow for data transfer: ${shared.cause}.`);
      this.onGone(flow, shared.cause);
      return false;
    }
    this.#below.set(flow, { limits, first: limits, headBytes });
    this.#tellSize();
    const { info: flowInfo, cipher } = shared;
    const bytes = encodeIrmMsg({
      code: IrmCode.IRM_REPLY,
      flowInfo,
      ...(cipher === undefined ? {} : { symKey: cipher }),
    });
    this.mail(Mail.lower, flow, 0, bytes);
    // What encrypts the flow is the worker's alone from now on.
    cipher?.fill(0);
    bytes.fill(0);
    return true;
  }

  /** What all Data Transfer flows carry of packets from above. */
  limits(): SduLimits {
    return leastOf([...this.#below.values()].map((b) => lessHead(b.limits, b.headBytes)));
  }

  /** The layer below carries messages of `bytes` on a Data Transfer flow now. */
  #onCarries(flow: number, bytes: number): void {
    const below = this.#below.get(flow);
    if (below?.limits.sduBytesMax === undefined) return;
    this.#below.set(flow, { ...below, limits: { ...below.limits, sduBytesMax: bytes } });
    this.#tellSize();
  }

  /** What they carried of it when they began. */
  #fullBytes(): number | undefined {
    return leastOf([...this.#below.values()].map((b) => lessHead(b.first, b.headBytes)))
      .sduBytesMax;
  }

  /** Flows above that are open hear what the layer carries now, since new ones are told at their beginning. */
  #tellSize(): void {
    const { sduBytesMax } = this.limits();
    const before = this.#carries;
    const full = this.#fullBytes();
    this.#context.standing.setPackets(
      sduBytesMax === undefined || full === undefined ? undefined : { now: sduBytesMax, full },
    );
    if (sduBytesMax === undefined || sduBytesMax === before) return;
    this.#carries = sduBytesMax;
    this.#layer?.plane.setPacketBytesMax(sduBytesMax);
    if (before === undefined) return;
    const line = `Packets of flows may have ${sduBytesMax} bytes now, before ${before}.`;
    this.#context.log.info(line);
  }

  /** Tell the worker something; it hears of it when everything is done ({@linkcode pump}). */
  mail(kind: number, b: number, c: number, bytes: Uint8Array): void {
    const layer = this.#layer;
    if (layer === undefined) return;
    if (!layer.mailbox.put(kind, b, c, bytes)) {
      Atomics.add(layer.plane.counters, Counter.sendFailed, 1);
    }
    this.#mailed = true;
  }

  // Effects.

  /** Do what the machines want, until they want nothing. */
  pump(): void {
    this.#machines.feed(() => {});
  }

  #do(e: ConnectionEffect): void {
    switch (e.kind) {
      case "alloc":
        void this.#lower?.alloc(e.dst, e.qos, e.timeoutMs).then((flow) => {
          this.#connections.allocated(this.nowUs(), e.ask, flow);
          this.pump();
        });
        return;
      case "write":
        this.#lower?.write(e.flow, e.bytes);
        return;
      case "close":
        return this.#close(e.flow);
      case "answer":
        return this.#machines.answer(e.token, e.failure ?? 0);
      case "joined":
        void this.#type.start(e.joining.conf, true).then((result) => {
          const failure = "code" in result ? result : undefined;
          if (!("code" in result)) this.#enrolled = result;
          this.#connections.started(this.nowUs(), failure);
          this.pump();
        });
        return;
      case "up":
        if (this.#layer !== undefined) this.#type.up(e.connection);
        return;
      case "usable":
        if (this.#layer !== undefined) this.#type.usable?.(e.connection, e.usable);
        return;
      case "gone":
        this.#below.delete(e.connection.flow);
        this.#tellSize();
        if (this.#layer !== undefined) this.#type.gone(e.connection);
        return;
      case "message":
        if (this.#layer !== undefined) this.#type.message(e.connection, e.bytes);
        return;
      case "log":
        return this.#context.log[e.level](e.line);
    }
  }

  #close(flow: number): void {
    const lower = this.#lower;
    if (lower === undefined) return;
    if (lower.isAway(flow)) this.mail(Mail.release, flow, 0, EMPTY);
    else lower.release(flow);
  }

  /** Leave the layer: farewells, then threads and flows end; each step is bounded. */
  async stop(): Promise<void> {
    this.#machines.feed((nowUs) => this.#type.leave?.(nowUs));
    this.#machines.stop((nowUs) => this.#connections.close(nowUs));
    const layer = this.#layer;
    const lower = this.#lower;
    if (layer !== undefined) {
      await layer.plane.stop();
      const c = layer.plane.counters;
      const counts = [
        "sent",
        "received",
        "copies",
        "notDelivered",
        "sendFailed",
        "refused",
      ] as const;
      this.#context.log.dbg(counts.map((k) => `${k} ${c[Counter[k]]}`).join(", "));
    }
    this.#layer = undefined;
    this.#lower = undefined;
    this.#enrolled = undefined;
    this.#below.clear();
    this.#carries = undefined;
    this.#context.standing.setPackets(undefined);
    this.#connections = this.#noConnections();
    this.#lingering = new Lingering();
    this.#machines = this.#driven();
    this.#type.left?.();
    lower?.close();
  }
}

function stopped(code: number): Failure {
  return { code, stage: "stop", cause: "the IPCP stops" };
}

function busy(stage: string): Failure {
  return { code: -Errno.EIPCPSTATE, stage, cause: `${stage} is under way` };
}
