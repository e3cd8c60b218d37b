/**
 * The unicast IPCP: the shell around the machines of a member of a unicast layer (spec 60 §3).
 *
 *     IRMd ── commands ──▶ node.ts (flows, directory, routing) ── routes ──▶ data worker ◀──▶ lower flows
 *                              ▲ neighbours, link states                         ▲
 *                          MemberShell (member/) ───────── Data Transfer flows ──┘
 *
 * It moves what the machine wants between the IRMd, the neighbours and the worker, and decides nothing.
 */

import { Errno } from "../../lib/errno.ts";
import type { Failure } from "../../lib/failure.ts";
import { HASH_BYTES, POLICY_STAGE, POLICY_WORDS, PolicyKind } from "../../lib/codes.ts";
import type { IpcpConfig, PolicyRef } from "../../lib/wire/ipcp_config.ts";
import { type FlowLosses, IpcpType as TypeNumber, type LayerInfo } from "../../lib/irm/messages.ts";
import { FLOW_IDS_MAX } from "../../lib/limits.ts";
import type { QosSpec } from "../../lib/qos.ts";
import type { RibComponent } from "../../lib/rib/tree.ts";
import { dotted, dtPciLayout } from "../../lib/wire/dt_pci.ts";
import type { WorkerSpec } from "../data/plane.ts";
import { Counter } from "../data/table.ts";
import { MANAGEMENT, UNICAST_DT } from "../member/cep.ts";
import type { Connection } from "../member/effects.ts";
import { type MemberLayer, MemberShell, MPL_MS } from "../member/shell.ts";
import type { FlowOrder, Verdict } from "../machine.ts";
import type { IpcpContext, IpcpType } from "../type.ts";
import { peerBytes, UnicastMail, type UnicastStart } from "./data/start.ts";
import { Dht } from "./dht/dht.ts";
import { LinkStateRouting } from "./link_state.ts";
import { type NodeEffect, UnicastNode } from "./node.ts";
import { dhtOf, linkStateOf, type OwnPolicies, ownPolicies } from "./policy/own.ts";
import { NO_POLICIES, readPolicies } from "./policy/load.ts";
import {
  badPolicies,
  describePolicy,
  policyMismatch,
  shippedPolicy,
  withoutPaths,
} from "./policy/mod.ts";
import { unicastComponents, type UnicastState } from "./rib.ts";
import { isBadSetting, readSettings, type Settings } from "./settings.ts";
import { Above, DataStats } from "./stats.ts";
import { BUCKETS_LIVE, ForwardTable, HopState, HopStates } from "./table.ts";

const WORKER: WorkerSpec = {
  name: "unicast",
  start: () => new Worker(new URL("./data/unicast_worker.ts", import.meta.url), { type: "module" }),
};

/** Kinds of policies that the data worker asks for each packet. */
const POLICIES_OF_PACKETS: ReadonlySet<number> = new Set([
  PolicyKind.FORWARDING,
  PolicyKind.CONGESTION,
]);

/** What exists while the node is in a layer. */
interface Layer extends MemberLayer {
  readonly node: UnicastNode;
  readonly table: ForwardTable;
  readonly states: HopStates;
  readonly headerBytes: number;
  readonly rib: UnicastState;
}

export class UnicastIpcp implements IpcpType {
  readonly type = "unicast";
  readonly #context: IpcpContext;
  readonly #shell: MemberShell;
  #layer: Layer | undefined;
  /** Files in the place of shipped policies. */
  #policies = NO_POLICIES;
  /** What was said of policies that failed. */
  readonly #left: string[] = [];
  /** When flows below and above began, s since 1970, by flow id. */
  readonly #sinceSec = new Map<number, number>();

  constructor(context: IpcpContext) {
    this.#context = context;
    this.#shell = new MemberShell(context, {
      ipcpType: TypeNumber.UNICAST,
      components: [MANAGEMENT, UNICAST_DT],
      start: (conf, enrolled) => this.#start(conf, enrolled),
      up: (connection) => this.#up(connection),
      usable: (connection, usable) => this.#usable(connection, usable),
      gone: (connection) => this.#gone(connection),
      message: ({ flow }, bytes) => this.#layer?.node.onManagement(this.#nowUs(), flow, bytes),
      fromWorker: (from, bytes) => this.#onComponent(from[0]!, bytes),
      policyLeft: (line) => this.#onPolicyLeft(line),
      closed: (flowId) => {
        this.#sinceSec.delete(flowId);
        this.#layer?.node.dealloc(this.#nowUs(), flowId);
      },
      leave: (nowUs) => this.#layer?.node.close(nowUs),
      left: () => {
        this.#layer = undefined;
        this.#left.length = 0;
        this.#context.standing.setPolicies([]);
        this.#sinceSec.clear();
      },
      pump: () => this.#pumpNode(),
      onTimer: (nowUs) => {
        const node = this.#layer?.node;
        if (node === undefined) return;
        // The wall clock may have been set.
        dhtOf(node.directory)?.onClock(nowUs, Date.now() / 1000);
        node.onTimer(nowUs);
      },
      deadlineUs: () => this.#layer?.node.deadlineUs() ?? Infinity,
    });
  }

  #nowUs(): number {
    return this.#shell.nowUs();
  }

  // Becoming a member, and connections.

  async bootstrap(conf: IpcpConfig): Promise<LayerInfo | Failure> {
    const named = conf.ipcpType === TypeNumber.UNICAST ? conf.unicast.policies : undefined;
    return await this.#usePolicies(named) ?? await this.#shell.bootstrap(conf);
  }

  async enroll(dst: string, policies: readonly PolicyRef[]): Promise<LayerInfo | Failure> {
    return await this.#usePolicies(policies) ?? await this.#shell.enroll(dst);
  }

  /** Reads the files that a command names; what is wrong with them. */
  async #usePolicies(named: readonly PolicyRef[] = []): Promise<Failure | undefined> {
    if (this.#layer !== undefined) return undefined;
    const read = await readPolicies(named);
    if ("code" in read) return read;
    this.#policies = read;
    return undefined;
  }

  policies(): readonly PolicyRef[] {
    return withoutPaths(this.#policies.refs);
  }

  #onPolicyLeft(line: string): void {
    const { log, standing } = this.#context;
    log.error(line);
    this.#left.push(line);
    standing.setPolicies([...this.#left]);
  }

  /**
   * FRCT is the business of the ends of a flow, not of what relays its packets: a Data Transfer connection has the cube
   * that is asked for, without order and retransmission (spec 60 §19).
   */
  connect(dst: string, comp: string, qos: QosSpec): Promise<number | Failure> {
    const below = comp === UNICAST_DT.name ? { ...qos, inOrder: 0, loss: 1 } : qos;
    return this.#shell.connect(dst, comp, below);
  }

  disconnect(dst: string, comp: string): Promise<number | Failure> {
    return this.#shell.disconnect(dst, comp);
  }

  rib(): readonly RibComponent[] {
    return this.#layer === undefined ? [] : unicastComponents(this.#layer.rib);
  }

  countMembers(): number {
    return 1 + (this.#layer?.node.members.length ?? 0);
  }

  /** Make and start the components of a layer. */
  async #start(conf: IpcpConfig, enrolled: boolean): Promise<LayerInfo | Failure> {
    const { log, random, name } = this.#context;
    const settings = readSettings(conf);
    if (isBadSetting(settings)) {
      return { code: -Errno.EINVAL, stage: "configuration", cause: settings.bad };
    }
    const { refs, compiled } = this.#policies;
    if (enrolled && conf.ipcpType === TypeNumber.UNICAST) {
      const there = conf.unicast.policies ?? [];
      const cause = badPolicies(there) ?? policyMismatch(there, refs);
      if (cause !== undefined) return { code: -Errno.EPERM, stage: POLICY_STAGE, cause };
    }
    const own = await ownPolicies(compiled, settings, (line) => this.#onPolicyLeft(line));
    if ("bad" in own) return { code: -Errno.EINVAL, stage: POLICY_STAGE, cause: own.bad };
    const self = own.address({ random, name, layer: settings.layer }, settings.dht.peer);
    log.info(`IPCP got address ${self}.`);
    const table = new ForwardTable(BUCKETS_LIVE);
    const states = new HopStates(FLOW_IDS_MAX);
    const stats = new DataStats();
    const plane = await this.#shell.openPlane(WORKER, (start): UnicastStart => ({
      ...start,
      self,
      addrBytes: settings.addrBytes,
      eidBytes: settings.eidBytes,
      ttlMax: settings.ttlMax,
      spread: settings.routing === "ecmp",
      congestion: settings.congestion,
      policies: compiled.filter(({ kind }) => POLICIES_OF_PACKETS.has(kind)),
      shipped: POLICY_WORDS.map((_, kind) => shippedPolicy(kind, settings)),
      routes: table.buffer,
      states: states.buffer,
      stats: stats.buffer,
    }));
    if ("code" in plane) return plane;
    this.#layer = {
      ...plane,
      ...this.#makeNode(settings, self, enrolled, stats, own),
      table,
      states,
      headerBytes: dtPciLayout(settings.addrBytes, settings.eidBytes).headerBytes,
    };
    this.#shell.setLayer(handedOn(conf, self, this.policies()), self);
    return { ...conf.layerInfo };
  }

  #makeNode(
    settings: Settings,
    self: number,
    enrolled: boolean,
    stats: DataStats,
    own: OwnPolicies,
  ): Pick<Layer, "node" | "rib"> {
    const { random } = this.#context;
    const nowUs = this.#nowUs();
    const id = crypto.getRandomValues(new Uint8Array(HASH_BYTES[settings.hashAlgo]!));
    // The peer in a configuration that was not learnt from a member means nothing.
    const dht = enrolled ? settings.dht : { ...settings.dht, peer: 0 };
    const makeDht = (us: number) => new Dht(us, { id, addr: self }, dht, Date.now() / 1000, random);
    const makeLinkState = (us: number) =>
      new LinkStateRouting(self, settings.routing, settings, us);
    const directory = own.directory(self, random, makeDht, nowUs);
    const routing = own.routing(self, makeLinkState, nowUs);
    const node = new UnicastNode(nowUs, { settings, self, directory, routing, random });
    const states = () => linkStateOf(routing);
    const rib: UnicastState = {
      self,
      get directory() {
        const found = dhtOf(directory);
        return found === undefined
          ? undefined
          : { self: found.self, settings: dht, values: found.values };
      },
      startedSec: Date.now() / 1000,
      flows: () => node.flows.flows(),
      links: () => states()?.links() ?? [],
      neighbours: () => states()?.neighbours() ?? [],
      policies: () => this.#policyRows(settings),
      stats,
      sinceSec: (flowId) => this.#sinceSec.get(flowId),
      queued: (flowId) => this.#shell.lower?.queued(flowId) ?? { rx: 0, tx: 0 },
      unixSec: (atUs) => (Date.now() + (atUs - this.#context.nowUs()) / 1000) / 1000,
    };
    return { node, rib };
  }

  /** The policies that run, for the RIB: kind, what it is, and what became of a file. */
  #policyRows(settings: Settings): { word: string; policy: string; state: string }[] {
    return POLICY_WORDS.map((word, kind) => {
      const ref = this.#policies.refs.find((r) => r.kind === kind);
      const shipped = shippedPolicy(kind, settings);
      if (ref === undefined) return { word, policy: shipped, state: "shipped" };
      const left = this.#left.find((line) => line.startsWith(`Policy ${word} `));
      return { word, policy: describePolicy(ref), state: left ?? "from a file" };
    });
  }

  // Commands about names and flows.

  register(hash: Uint8Array): number {
    const layer = this.#layer;
    if (layer === undefined) return -Errno.EIPCPSTATE;
    const result = layer.node.register(this.#nowUs(), hash);
    this.#shell.pump();
    return result;
  }

  unregister(hash: Uint8Array): number {
    const layer = this.#layer;
    if (layer === undefined) return -Errno.EIPCPSTATE;
    const result = layer.node.unregister(this.#nowUs(), hash);
    this.#shell.pump();
    return result;
  }

  query(hash: Uint8Array): Promise<number> {
    return this.#shell.command((nowUs, token) => this.#layer!.node.query(nowUs, hash, token));
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
    const r = await this.#shell.command((nowUs, token) => {
      node.alloc(nowUs, flow.flowId, hash, qos, data, token);
    });
    if (r < 0 && node.flows.flowState(flow.flowId) === undefined) held.release(flow.flowId);
    return r;
  }

  flowAllocResp(flow: FlowOrder, verdict: Verdict): Promise<number> {
    const { node } = this.#layer!;
    return this.#shell.command((nowUs, token) => node.allocResp(nowUs, flow, verdict, token));
  }

  flowDealloc(flowId: number, lingerSec: number): number {
    return this.#shell.flowDealloc(flowId, lingerSec);
  }

  flowLosses(flowId: number): FlowLosses {
    const { stats } = this.#layer!.rib;
    return {
      sent: stats.counted(flowId, Above.sendFailed)[0],
      received: stats.counted(flowId, Above.receiveFailed)[0],
    };
  }

  // Connections.

  #up({ component, address, flow }: Connection): void {
    const layer = this.#layer;
    if (layer === undefined) return;
    if (component === MANAGEMENT) return layer.node.managementUp(this.#nowUs(), address, flow);
    if (!this.#shell.handOver(flow, layer.headerBytes)) return;
    this.#begins(flow);
    layer.states.set(flow, HopState.up);
    layer.node.transferUp(this.#nowUs(), address, flow);
  }

  #begins(flowId: number): void {
    if (!this.#sinceSec.has(flowId)) this.#sinceSec.set(flowId, Date.now() / 1000);
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
    this.#sinceSec.delete(flow);
    layer.states.set(flow, HopState.absent);
    layer.node.transferGone(this.#nowUs(), address, flow);
  }

  /** The worker has a message for a component; it waits in the queue no more. */
  #onComponent(eid: number, bytes: Uint8Array): void {
    const { counters } = this.#shell.layer!.plane;
    Atomics.sub(counters, Counter.componentPending + eid, 1);
    this.#layer?.node.onComponent(this.#nowUs(), eid, bytes);
  }

  // What the node wants.

  /** Does one thing that the node wants, or false. */
  #pumpNode(): boolean {
    const layer = this.#layer;
    const effect = layer?.node.poll();
    if (effect === undefined) return false;
    this.#doNode(layer!, effect);
    return true;
  }

  #doNode(layer: Layer, e: NodeEffect): void {
    const { log } = this.#context;
    switch (e.kind) {
      case "ask_irmd":
        void this.#ask(layer, e.ask, e.hash, e.qos, e.data);
        return;
      case "alloc_reply": {
        const { kind: _, flowId, ...verdict } = e;
        const { response, cause = "" } = verdict;
        if (response !== 0) log.info(`Flow ${flowId} was refused: ${response} ${cause}.`);
        void this.#shell.reply(flowId, verdict);
        return;
      }
      case "answer":
        return this.#shell.answer(e.token, e.result);
      case "own": {
        const result = layer.plane.setUid(e.flowId, e.uid);
        return layer.node.owned(this.#nowUs(), e.flowId, result);
      }
      case "publish": {
        const { flowId, localEid, remoteEid, peer, cube } = e.flow;
        // The worker looks at a flow with its first packet only.
        if (!this.#sinceSec.has(flowId)) layer.rib.stats.clearAbove(flowId);
        this.#begins(flowId);
        return layer.plane.publish(flowId, {
          localEid: localEid.lo,
          remoteEid: remoteEid.lo,
          partner: peer,
          peer: peerBytes(localEid.hi, remoteEid.hi, cube),
        });
      }
      case "release":
        this.#sinceSec.delete(e.flowId);
        return layer.held.release(e.flowId);
      case "down":
        return layer.plane.end(e.flowId);
      case "routes":
        layer.table.publish(e.routes);
        return;
      case "send_mgmt":
        this.#shell.lower?.write(e.fd, e.bytes);
        return;
      case "transfer":
        return this.#shell.mail(UnicastMail.transfer, e.dst, e.eid, e.bytes);
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
    const limits = this.#shell.limits();
    const r = await this.#context.irm.flowReqArr(hash, qos, MPL_MS, data, limits);
    if (this.#layer !== layer) return;
    const result = r.result === 0 ? layer.held.hold(r) : r.result;
    layer.node.asked(this.#nowUs(), ask, { ...r, result });
    this.#shell.pump();
  }

  stop(): Promise<void> {
    return this.#shell.stop();
  }
}

/** The configuration as those who enrol here get it: with our address to begin with. */
function handedOn(conf: IpcpConfig, self: number, policies: readonly PolicyRef[]): IpcpConfig {
  if (conf.ipcpType !== TypeNumber.UNICAST || conf.unicast.dir.dht === undefined) return conf;
  const { dir } = conf.unicast;
  const dht = { ...conf.unicast.dir.dht, peer: BigInt(self) };
  const { policies: _, ...unicast } = conf.unicast;
  const more = policies.length === 0 ? {} : { policies: [...policies] };
  return { ...conf, unicast: { ...unicast, dir: { ...dir, dht }, ...more } };
}
