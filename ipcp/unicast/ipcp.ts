/**
 * The unicast IPCP: the shell around the machines of a member of a unicast layer (spec 60 §3).
 *
 *     IRMd ── commands ──▶ node.ts (flows, directory, routing) ── routes ──▶ data worker ◀──▶ lower flows
 *                              ▲ neighbours, link states                         ▲
 *                          Connections (member/) ◀── LowerFlows (member/) ── Data Transfer flows
 *
 * It moves what the machines want between each other, the IRMd, the lower flows and the worker, and decides nothing.
 * The components exist from bootstrap or enrollment on; a lower flow's id is its descriptor everywhere.
 */

import { Errno } from "../../lib/errno.ts";
import type { Failure } from "../../lib/failure.ts";
import { HASH_BYTES } from "../../lib/codes.ts";
import type { IpcpConfig } from "../../lib/wire/ipcp_config.ts";
import {
  encodeIrmMsg,
  IpcpType as TypeNumber,
  IrmCode,
  type LayerInfo,
  NO_SDU_LIMITS,
  type SduLimits,
} from "../../lib/irm/messages.ts";
import { FLOW_IDS_MAX } from "../../lib/limits.ts";
import type { QosSpec } from "../../lib/qos.ts";
import type { RibComponent } from "../../lib/rib/tree.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { dotted, dtPciLayout } from "../../lib/wire/dt_pci.ts";
import { describe } from "../data/long_packets.ts";
import { Mail, Mailbox } from "../data/mailbox.ts";
import { DataPlane, type WorkerSpec } from "../data/plane.ts";
import { Counter } from "../data/table.ts";
import { HeldFlows } from "../held_flows.ts";
import { MANAGEMENT, UNICAST_DT } from "../member/cep.ts";
import { type Connection, type ConnectionEffect, Connections } from "../member/connections.ts";
import { LowerFlows } from "../member/lower_flows.ts";
import type { FlowOrder } from "../machine.ts";
import type { IpcpContext, IpcpType } from "../type.ts";
import { DeadlineTimer, Waiters } from "../waiters.ts";
import { drawAddress } from "./address.ts";
import { eidHalves, UnicastMail, type UnicastStart } from "./data/start.ts";
import { Dht } from "./dht/dht.ts";
import { type NodeEffect, UnicastNode } from "./node.ts";
import { LinkStateRouting } from "./link_state.ts";
import { unicastComponents, type UnicastState } from "./rib.ts";
import { isBadSetting, readSettings, type Settings } from "./settings.ts";
import { BUCKETS_LIVE, ForwardTable, HopState, HopStates } from "./table.ts";

/** Maximum packet lifetime of the layer, ms (spec 60 §2). */
const MPL_MS = 100;
/** Longest wait at the end for farewells to leave, ms. */
const EMPTY = new Uint8Array(0);

const WORKER: WorkerSpec = {
  name: "unicast",
  start: () => new Worker(new URL("./data/unicast_worker.ts", import.meta.url), { type: "module" }),
};

/** What exists while the node is in a layer. */
interface Layer {
  readonly node: UnicastNode;
  readonly plane: DataPlane;
  readonly held: HeldFlows;
  readonly table: ForwardTable;
  readonly states: HopStates;
  readonly mailbox: Mailbox;
  readonly headerBytes: number;
  readonly rib: UnicastState;
}

export class UnicastIpcp implements IpcpType {
  readonly type = "unicast";
  readonly #context: IpcpContext;
  /** Made anew for each try to become a member. */
  #connections: Connections;
  readonly #waiters = new Waiters();
  /** Commands about connections that wait, by token. */
  readonly #commands = new Map<number, (failure: Failure | undefined) => void>();
  #nextCommand = 1;
  readonly #timer: DeadlineTimer;
  #lower: LowerFlows | undefined;
  #layer: Layer | undefined;
  /** The configuration that an enrollment brought. */
  #enrolled: LayerInfo | undefined;
  /** What the layers below carry on each Data Transfer flow. */
  readonly #limits = new Map<number, SduLimits>();
  /** Why a flow was refused, until its command is answered. */
  #pumping = false;
  #mailed = false;

  constructor(context: IpcpContext) {
    this.#context = context;
    this.#connections = this.#noConnections();
    this.#timer = new DeadlineTimer(() => {
      const nowUs = this.#nowUs();
      if (this.#connections.deadlineUs() <= nowUs) this.#connections.onTimer(nowUs);
      const node = this.#layer?.node;
      if (node !== undefined && node.deadlineUs() <= nowUs) node.onTimer(nowUs);
      this.#pump();
    });
  }

  #noConnections(): Connections {
    return new Connections({
      ipcpType: TypeNumber.UNICAST,
      components: [MANAGEMENT, UNICAST_DT],
      randomId: () => crypto.getRandomValues(new Uint8Array(8)),
      random: this.#context.random,
      wallUs: () => Date.now() * 1000,
    });
  }

  #nowUs(): number {
    return this.#context.nowUs();
  }

  // Becoming a member.

  async bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    if (this.#lower !== undefined) return busy("bootstrap");
    this.#openLower();
    const failure = await this.#start(conf, false);
    if (failure !== undefined) {
      await this.stop();
      return failure;
    }
    return { ...conf.layerInfo };
  }

  async enroll(dst: string): Promise<LayerInfo | Failure> {
    if (this.#lower !== undefined) return busy("enroll");
    this.#openLower();
    const failure = await this.#command((token) => {
      this.#connections.enroll(this.#nowUs(), dst, token);
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
    const lower = new LowerFlows(instance, pid, {
      accepted: (flow) => {
        this.#connections.accepted(this.#nowUs(), flow);
        this.#pump();
      },
      message: (flow, bytes) => {
        this.#connections.onMessage(this.#nowUs(), flow, bytes);
        this.#pump();
      },
      usable: (flow, usable) => this.#onUsable(flow, usable),
      gone: (flow, cause) => this.#onGone(flow, cause),
    });
    this.#lower = lower;
    lower.acceptAll().catch((e) => this.#context.fatal(`cannot accept flows: ${e}`));
  }

  #onUsable(flow: number, usable: boolean): void {
    this.#connections.onUsable(this.#nowUs(), flow, usable);
    this.#pump();
  }

  #onGone(flow: number, cause: string): void {
    this.#connections.onGone(this.#nowUs(), flow, cause);
    this.#pump();
  }

  /** Make and start the components of a layer. */
  async #start(conf: IpcpConfig, enrolled: boolean): Promise<Failure | undefined> {
    const { log, random, instance, pid } = this.#context;
    const settings = readSettings(conf);
    if (isBadSetting(settings)) {
      return { code: -Errno.EINVAL, stage: "configuration", cause: settings.bad };
    }
    const self = drawAddress(random, (addr) => addr === settings.dht.peer);
    log.info(`IPCP got address ${self}.`);
    const plane = new DataPlane(instance, pid, {
      mgmt: (from, bytes) => {
        this.#layer?.node.onComponent(this.#nowUs(), from[0]!, bytes);
        this.#pump();
      },
      tooLong: (packets) => log.warn(describe(packets)),
      failed: (why) => this.#context.fatal(why),
      lower: (flow, events) => this.#onLower(flow, events),
      released: (flow) => this.#lower?.takeBack(flow),
    });
    const layer = this.#makeLayer(settings, self, plane, enrolled);
    this.#layer = layer;
    const start: UnicastStart = {
      process: this.#lower!.share(),
      self,
      addrBytes: settings.addrBytes,
      eidBytes: settings.eidBytes,
      ttlMax: settings.ttlMax,
      spread: settings.routing === "ecmp",
      congestion: settings.congestion,
      routes: layer.table.buffer,
      states: layer.states.buffer,
      mailbox: layer.mailbox.buffer,
    };
    if (!await plane.start([WORKER], start)) {
      return { code: -Errno.EPERM, stage: "start", cause: "the data worker does not start" };
    }
    this.#connections.setLayer(handedOn(conf, self), self);
    this.#pump();
    return undefined;
  }

  #makeLayer(settings: Settings, self: number, plane: DataPlane, enrolled: boolean): Layer {
    const { random } = this.#context;
    const nowUs = this.#nowUs();
    const id = crypto.getRandomValues(new Uint8Array(HASH_BYTES[settings.hashAlgo]!));
    // The peer in a configuration that was not learnt from a member means nothing.
    const dht = enrolled ? settings.dht : { ...settings.dht, peer: 0 };
    const directory = new Dht(nowUs, { id, addr: self }, dht, Date.now() / 1000, random);
    const node = new UnicastNode(nowUs, { settings, self, directory, random });
    const { routing } = node;
    const states = routing instanceof LinkStateRouting ? routing : undefined;
    return {
      node,
      rib: {
        self,
        directory: { self: directory.self, settings: dht, values: directory.values },
        startedSec: Date.now() / 1000,
        flows: () => node.flows.flows(),
        links: () => states?.links() ?? [],
        neighbours: () => states?.neighbours() ?? [],
        unixSec: (atUs) => (Date.now() + (atUs - this.#context.nowUs()) / 1000) / 1000,
      },
      plane,
      held: new HeldFlows(plane),
      table: new ForwardTable(BUCKETS_LIVE),
      states: new HopStates(FLOW_IDS_MAX),
      mailbox: new Mailbox(),
      headerBytes: dtPciLayout(settings.addrBytes, settings.eidBytes).headerBytes,
    };
  }

  /** Events of a lower flow that the worker has. */
  #onLower(flow: number, events: number): void {
    if ((events & FlowEvent.DEALLOC) !== 0) return this.#onGone(flow, "the flow was closed");
    if ((events & FlowEvent.PEER) !== 0) return this.#onGone(flow, "it was silent for its time");
    if ((events & FlowEvent.DOWN) !== 0) this.#onUsable(flow, false);
    if ((events & FlowEvent.UP) !== 0) this.#onUsable(flow, true);
  }

  // Connections.

  #command(start: (token: number) => void): Promise<Failure | undefined> {
    const token = this.#nextCommand++;
    const { promise, resolve } = Promise.withResolvers<Failure | undefined>();
    this.#commands.set(token, resolve);
    start(token);
    this.#pump();
    return promise;
  }

  async connect(dst: string, comp: string, qos: QosSpec): Promise<number | Failure> {
    if (comp === UNICAST_DT.name && qos.inOrder !== 0) {
      return {
        code: -Errno.ENOTSUP,
        stage: "connect",
        cause: "data transfer needs a flow with in_order 0 (qos raw)",
      };
    }
    return await this.#command((token) => {
      this.#connections.connect(this.#nowUs(), dst, comp, qos, token);
    }) ?? 0;
  }

  rib(): readonly RibComponent[] {
    return this.#layer === undefined ? [] : unicastComponents(this.#layer.rib);
  }

  countMembers(): number {
    return 1 + (this.#layer?.node.members.length ?? 0);
  }

  async disconnect(dst: string, comp: string): Promise<number | Failure> {
    return await this.#command((token) => {
      this.#connections.disconnect(this.#nowUs(), dst, comp, token);
    }) ?? 0;
  }

  // Commands about names and flows.

  register(hash: Uint8Array): number {
    const layer = this.#layer;
    if (layer === undefined) return -Errno.EIPCPSTATE;
    const result = layer.node.register(this.#nowUs(), hash);
    this.#pump();
    return result;
  }

  unregister(hash: Uint8Array): number {
    const layer = this.#layer;
    if (layer === undefined) return -Errno.EIPCPSTATE;
    const result = layer.node.unregister(this.#nowUs(), hash);
    this.#pump();
    return result;
  }

  query(hash: Uint8Array): Promise<number> {
    const { token, result } = this.#waiters.open();
    this.#layer!.node.query(this.#nowUs(), hash, token);
    this.#pump();
    return result;
  }

  async flowAlloc(
    flow: FlowOrder,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): Promise<number> {
    const { node, held } = this.#layer!;
    const taken = held.hold(flow);
    if (taken < 0) return taken;
    const { token, result } = this.#waiters.open();
    node.alloc(this.#nowUs(), flow.flowId, hash, qos, data, token);
    this.#pump();
    const r = await result;
    if (r < 0 && node.flows.flowState(flow.flowId) === undefined) held.release(flow.flowId);
    return r;
  }

  flowAllocResp(flow: FlowOrder, response: number, data: Uint8Array): Promise<number> {
    const { node, held } = this.#layer!;
    return held.verdict(flow, response, (verdict) => {
      const { token, result } = this.#waiters.open();
      node.respond(this.#nowUs(), flow.flowId, verdict, data, token);
      this.#pump();
      return result;
    });
  }

  flowDealloc(flowId: number, lingerSec: number): number {
    const layer = this.#layer;
    if (layer === undefined || layer.held.pid(flowId) === 0) return -Errno.EPERM;
    if (lingerSec > 0) setTimeout(() => void this.#dealloc(flowId), lingerSec * 1000);
    else void this.#dealloc(flowId);
    return 0;
  }

  async #dealloc(flowId: number): Promise<void> {
    const layer = this.#layer;
    const pid = layer?.held.pid(flowId) ?? 0;
    if (layer === undefined || pid === 0) return;
    // What the process wrote last leaves before the other end hears that the flow is gone.
    layer.held.forget(flowId);
    await layer.plane.drop(flowId);
    if (this.#layer !== layer) return;
    layer.node.dealloc(this.#nowUs(), flowId);
    this.#pump();
    await this.#context.irm.flowDealloc(flowId, pid);
  }

  // Effects.

  /** Do what the machines want, until they want nothing. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (;;) {
        const c = this.#connections.poll();
        if (c !== undefined) this.#doConnection(c);
        const n = this.#layer?.node.poll();
        if (n !== undefined) this.#doNode(this.#layer!, n);
        if (c === undefined && n === undefined) break;
      }
    } finally {
      this.#pumping = false;
    }
    if (this.#mailed) this.#layer?.plane.poke();
    this.#mailed = false;
    const atUs = Math.min(
      this.#connections.deadlineUs(),
      this.#layer?.node.deadlineUs() ?? Infinity,
    );
    this.#timer.arm(this.#nowUs(), atUs);
  }

  #doConnection(e: ConnectionEffect): void {
    const { log } = this.#context;
    switch (e.kind) {
      case "alloc":
        void this.#lower?.alloc(e.dst, e.qos, e.timeoutMs).then((flow) => {
          this.#connections.allocated(this.#nowUs(), e.ask, flow);
          this.#pump();
        });
        return;
      case "write":
        this.#lower?.write(e.flow, e.bytes);
        return;
      case "close":
        return this.#close(e.flow);
      case "answer":
        this.#commands.get(e.token)?.(e.failure);
        this.#commands.delete(e.token);
        return;
      case "joined":
        void this.#start(e.joining.conf, true).then((failure) => {
          if (failure === undefined) this.#enrolled = { ...e.joining.conf.layerInfo };
          this.#connections.started(this.#nowUs(), failure);
          this.#pump();
        });
        return;
      case "up":
        return this.#up(e.connection);
      case "usable":
        return this.#usable(e.connection, e.usable);
      case "gone":
        return this.#gone(e.connection);
      case "message":
        return this.#layer?.node.onManagement(this.#nowUs(), e.connection.flow, e.bytes);
      case "log":
        return log[e.level](e.line);
    }
  }

  #close(flow: number): void {
    const lower = this.#lower;
    if (lower === undefined) return;
    this.#limits.delete(flow);
    if (lower.isAway(flow)) this.#mail(Mail.release, flow, 0, EMPTY);
    else lower.release(flow);
  }

  #up({ component, address, flow }: Connection): void {
    const layer = this.#layer;
    if (layer === undefined) return;
    if (component === MANAGEMENT) return layer.node.managementUp(this.#nowUs(), address, flow);
    const lower = this.#lower!;
    if (!lower.isAway(flow)) {
      const limits = lower.limitsOf(flow);
      const shared = lower.handOver(flow);
      if ("code" in shared) {
        this.#context.log.error(`Cannot use a flow for data transfer: ${shared.cause}.`);
        return this.#connections.onGone(this.#nowUs(), flow, shared.cause);
      }
      this.#limits.set(flow, limits);
      const { info: flowInfo, cipher } = shared;
      const bytes = encodeIrmMsg({
        code: IrmCode.IRM_REPLY,
        flowInfo,
        ...(cipher === undefined ? {} : { symKey: cipher }),
      });
      this.#mail(Mail.lower, flow, 0, bytes);
      // What encrypts the flow is the worker's alone from now on.
      cipher?.fill(0);
      bytes.fill(0);
    }
    layer.states.set(flow, HopState.up);
    layer.node.transferUp(this.#nowUs(), address, flow);
  }

  #usable({ component, address, flow }: Connection, usable: boolean): void {
    const layer = this.#layer;
    if (layer === undefined) return;
    if (component === MANAGEMENT) {
      if (usable) layer.node.managementUp(this.#nowUs(), address, flow);
      else layer.node.managementDown(address, flow);
      return;
    }
    layer.states.set(flow, usable ? HopState.up : HopState.down);
    layer.node.transferState(this.#nowUs(), address, flow, usable);
  }

  #gone({ component, address, flow }: Connection): void {
    const layer = this.#layer;
    if (layer === undefined) return;
    if (component === MANAGEMENT) return layer.node.managementDown(address, flow);
    layer.states.set(flow, HopState.absent);
    layer.node.transferGone(this.#nowUs(), address, flow);
  }

  #mail(kind: number, b: number, c: number, bytes: Uint8Array): void {
    const layer = this.#layer;
    if (layer === undefined) return;
    if (!layer.mailbox.put(kind, b, c, bytes)) {
      Atomics.add(layer.plane.counters, Counter.sendFailed, 1);
    }
    this.#mailed = true;
  }

  #doNode(layer: Layer, e: NodeEffect): void {
    const { irm, log } = this.#context;
    switch (e.kind) {
      case "ask_irmd":
        void this.#ask(layer, e.ask, e.hash, e.qos, e.data);
        return;
      case "alloc_reply": {
        if (e.response !== 0) log.info(`Flow ${e.flowId} was refused: ${e.response} ${e.cause}.`);
        void irm.flowAllocReply(e.flowId, e.response, MPL_MS, e.data, this.#limitsOf(layer))
          .then((result) => {
            // The IRMd has given the flow up meanwhile.
            if (result === -Errno.EBADF && e.response === 0) return this.#dealloc(e.flowId);
          });
        return;
      }
      case "answer":
        return this.#waiters.answer(e.token, e.result);
      case "publish": {
        const { flowId, localEid, remoteEid, peer } = e.flow;
        return layer.plane.publish(flowId, {
          localEid: localEid.lo,
          remoteEid: remoteEid.lo,
          partner: peer,
          peer: eidHalves(localEid.hi, remoteEid.hi),
        });
      }
      case "release":
        return layer.held.release(e.flowId);
      case "down":
        return layer.plane.end(e.flowId);
      case "routes":
        layer.table.publish(e.routes);
        return;
      case "send_mgmt":
        this.#lower?.write(e.fd, e.bytes);
        return;
      case "transfer":
        return this.#mail(UnicastMail.transfer, e.dst, e.eid, e.bytes);
      case "conflict":
        return log.warn(`Somebody else announces links of our address (to ${dotted(e.dst)}).`);
      case "neighbour":
        return log.info(
          `Neighbour ${dotted(e.addr)} ${e.alive ? "is heard again" : "says nothing"}.`,
        );
    }
  }

  async #ask(
    layer: Layer,
    ask: number,
    hash: Uint8Array,
    qos: QosSpec,
    data: Uint8Array,
  ): Promise<void> {
    const r = await this.#context.irm.flowReqArr(hash, qos, MPL_MS, data, this.#limitsOf(layer));
    if (this.#layer !== layer) return;
    const result = r.result === 0 ? layer.held.hold(r) : r.result;
    const taken = layer.node.asked(this.#nowUs(), ask, result, r.flowId, r.cause ?? "");
    if (!taken && r.result === 0) layer.held.release(r.flowId);
    this.#pump();
  }

  /** What every lower flow carries, less our header. */
  #limitsOf({ headerBytes }: Layer): SduLimits {
    let most = Infinity, whole = Infinity;
    for (const limits of this.#limits.values()) {
      if (limits.sduBytesMax === undefined) return NO_SDU_LIMITS;
      most = Math.min(most, limits.sduBytesMax);
      whole = Math.min(whole, limits.sduBytesWhole ?? limits.sduBytesMax);
    }
    if (most === Infinity) return NO_SDU_LIMITS;
    const sduBytesMax = Math.max(1, most - headerBytes);
    return whole < most
      ? { sduBytesMax, sduBytesWhole: Math.max(1, whole - headerBytes) }
      : { sduBytesMax };
  }

  async stop(): Promise<void> {
    const nowUs = this.#nowUs();
    this.#layer?.node.close(nowUs);
    this.#pump();
    this.#connections.close(nowUs);
    this.#pump();
    this.#timer.stop();
    const layer = this.#layer, lower = this.#lower;
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
    this.#connections = this.#noConnections();
    lower?.close();
  }
}

function busy(stage: string): Failure {
  return { code: -Errno.EIPCPSTATE, stage, cause: `${stage} is under way` };
}

/** The configuration as those who enrol here get it: with our address to begin with. */
function handedOn(conf: IpcpConfig, self: number): IpcpConfig {
  if (conf.ipcpType !== TypeNumber.UNICAST || conf.unicast.dir.dht === undefined) return conf;
  const { dir } = conf.unicast;
  const dht = { ...conf.unicast.dir.dht, peer: BigInt(self) };
  return { ...conf, unicast: { ...conf.unicast, dir: { ...dir, dht } } };
}
