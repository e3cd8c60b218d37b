/**
 * A simulated unicast layer: nodes and the flows between them, in virtual time, all chance from one seed.
 *
 * Two nodes are connected by a Management and a Data Transfer flow, each two {@linkcode Link}s. A connection may be
 * *cut* (nothing passes, nobody is told), *down* (both ends are told), or *closed*. Pure.
 */

import type { Settings } from "../ipcp/unicast/settings.ts";
import { HopState } from "../ipcp/unicast/table.ts";
import { EventQueue } from "./event_queue.ts";
import { Link, type LinkOptions } from "./link.ts";
import { SimNode, type SimPolicies } from "./node.ts";
import { Prng } from "./prng.ts";
import type { Topology } from "./topology.ts";

/** Settings of a layer with the prototype's defaults. */
export function defaultSettings(changes: Partial<Settings> = {}): Settings {
  return {
    layer: "net",
    hashAlgo: 1,
    hashBytes: 32,
    addrBytes: 4,
    eidBytes: 8,
    ttlMax: 60,
    routing: "simple",
    recalcUs: 4e6,
    updateUs: 15e6,
    timeoutUs: 60e6,
    congestion: "mb-ecn",
    dht: { alpha: 3, k: 8, expireSec: 86_400, refreshSec: 900, replicateSec: 900, peer: 0 },
    ...changes,
  };
}

/** A connection of two nodes, by their numbers. */
export interface Connection {
  readonly a: number;
  readonly b: number;
  readonly links: readonly Link[];
  /** Descriptors at either end. */
  readonly atA: { readonly mgmt: number; readonly dt: number };
  readonly atB: { readonly mgmt: number; readonly dt: number };
  up: boolean;
}

/** Options of a simulated layer. */
export interface LayerOptions {
  readonly seed: number;
  readonly settings?: Settings;
  readonly link?: LinkOptions;
  readonly policies?: SimPolicies;
  /** Nodes that there will be, for the size of tables. */
  readonly nodes?: number;
}

export class LayerSim {
  readonly queue = new EventQueue();
  readonly random: Prng;
  readonly settings: Settings;
  readonly nodes: SimNode[] = [];
  readonly connections = new Map<string, Connection>();
  readonly #link: LinkOptions;
  readonly #policies: SimPolicies;
  readonly #size: number;

  constructor(o: LayerOptions) {
    this.random = new Prng(o.seed);
    this.settings = o.settings ?? defaultSettings();
    this.#link = o.link ?? { delayUs: 500, jitterUs: 100 };
    this.#policies = o.policies ?? {};
    this.#size = o.nodes ?? 64;
  }

  /** A layer of a topology: all nodes at once, all links at once. */
  static of(topology: Topology, o: LayerOptions): LayerSim {
    const layer = new LayerSim({ nodes: topology.nodes, ...o });
    for (let i = 0; i < topology.nodes; i++) layer.add();
    for (const [a, b] of topology.links) layer.connect(a, b);
    return layer;
  }

  /** A node more; `addr` when it is not to be drawn. */
  add(addr?: number): SimNode {
    const n = new SimNode(
      this.nodes.length,
      this.queue,
      this.random,
      this.settings,
      this.#size,
      this.#policies,
      addr,
    );
    this.nodes.push(n);
    return n;
  }

  #key(a: number, b: number): string {
    return a < b ? `${a} ${b}` : `${b} ${a}`;
  }

  /** The connection of two nodes, or undefined. */
  connection(a: number, b: number): Connection | undefined {
    return this.connections.get(this.#key(a, b));
  }

  /** Connect two nodes. */
  connect(a: number, b: number, link: LinkOptions = this.#link): Connection {
    const [x, y] = [this.nodes[a]!, this.nodes[b]!];
    // A link delivers to a descriptor that is known once both ends are attached.
    const fds = { a: { mgmt: -1, dt: -1 }, b: { mgmt: -1, dt: -1 } };
    const make = (deliver: (p: Uint8Array) => void) =>
      new Link(this.queue, this.random, link, deliver);
    const management = { ...link, together: true };
    const makeManagement = (deliver: (p: readonly Uint8Array[]) => void) =>
      new Link(this.queue, this.random, management, (p) => deliver([p]), deliver);
    const links = [
      makeManagement((p) => y.onManagement(fds.b.mgmt, p)),
      makeManagement((p) => x.onManagement(fds.a.mgmt, p)),
      make((p) => y.onTransfer(fds.b.dt, p)),
      make((p) => x.onTransfer(fds.a.dt, p)),
    ];
    fds.a = { mgmt: x.attach(links[0]!, HopState.absent), dt: x.attach(links[2]!, HopState.up) };
    fds.b = { mgmt: y.attach(links[1]!, HopState.absent), dt: y.attach(links[3]!, HopState.up) };
    const c: Connection = { a, b, links, atA: fds.a, atB: fds.b, up: true };
    this.connections.set(this.#key(a, b), c);
    x.tell((control, nowUs) => {
      control.managementUp(nowUs, y.addr, fds.a.mgmt);
      control.transferUp(nowUs, y.addr, fds.a.dt);
    });
    y.tell((control, nowUs) => {
      control.managementUp(nowUs, x.addr, fds.b.mgmt);
      control.transferUp(nowUs, x.addr, fds.b.dt);
    });
    return c;
  }

  /** Nothing passes between two nodes any more, and nobody is told; or it does again. */
  cut(a: number, b: number, cut = true): void {
    for (const link of this.connection(a, b)?.links ?? []) link.cut = cut;
  }

  /** The connection goes down, both ends are told; or up again. */
  setUp(a: number, b: number, up: boolean): void {
    const c = this.connection(a, b);
    if (c === undefined || c.up === up) return;
    c.up = up;
    for (const link of c.links) link.cut = !up;
    const [x, y] = [this.nodes[c.a]!, this.nodes[c.b]!];
    x.setState(c.atA.dt, up);
    y.setState(c.atB.dt, up);
    x.tell((control, nowUs) => control.transferState(nowUs, y.addr, c.atA.dt, up));
    y.tell((control, nowUs) => control.transferState(nowUs, x.addr, c.atB.dt, up));
  }

  /** The connection is closed, both ends are told. */
  close(a: number, b: number): void {
    const c = this.connection(a, b);
    if (c === undefined) return;
    this.connections.delete(this.#key(a, b));
    for (const link of c.links) link.cut = true;
    const [x, y] = [this.nodes[c.a]!, this.nodes[c.b]!];
    for (const [me, other, at] of [[x, y, c.atA], [y, x, c.atB]] as const) {
      me.detach(at.mgmt);
      me.detach(at.dt);
      me.tell((control, nowUs) => {
        control.managementDown(other.addr, at.mgmt);
        control.transferGone(nowUs, other.addr, at.dt);
      });
    }
  }

  /** A node dies; its neighbours are told (`silently` false) or must notice themselves. */
  kill(number: number, silently = true): void {
    const node = this.nodes[number]!;
    node.kill();
    for (const c of [...this.connections.values()]) {
      if (c.a !== number && c.b !== number) continue;
      if (silently) this.cut(c.a, c.b);
      else this.close(c.a, c.b);
    }
  }

  /** A node that died begins anew: the same process name, another address, no memory. Its neighbours connect again. */
  restart(number: number, addr?: number): SimNode {
    const old = [...this.connections.values()].filter((c) => c.a === number || c.b === number);
    if (this.nodes[number]!.alive) this.nodes[number]!.kill();
    for (const c of old) this.close(c.a, c.b);
    const node = new SimNode(
      number,
      this.queue,
      this.random,
      this.settings,
      this.#size,
      this.#policies,
      addr,
    );
    this.nodes[number] = node;
    for (const c of old) this.connect(c.a, c.b);
    return node;
  }

  /** Run until `untilUs`, or `done` says so. Whether it did. */
  run(untilUs: number, done?: () => boolean): boolean {
    while (this.queue.nextUs <= untilUs) {
      this.queue.step();
      if (done?.()) return true;
    }
    this.queue.nowUs = Math.max(this.queue.nowUs, untilUs);
    return done?.() ?? true;
  }

  /** Run for so long. */
  runFor(us: number, done?: () => boolean): boolean {
    return this.run(this.queue.nowUs + us, done);
  }

  /** Whether every living node has a way to every other. */
  isConverged(): boolean {
    const alive = this.nodes.filter((n) => n.alive);
    return alive.every((n) => {
      const members = new Set(n.control.members);
      return alive.every((m) => m === n || members.has(m.addr));
    });
  }
}
