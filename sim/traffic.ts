/**
 * Applications of a simulated layer. They serve names, open flows, send numbered packets both ways, and notice at once
 * when the layer gives them what is another's, or the same twice. Pure.
 *
 * Every call carries a tag in its request and in every packet, so whoever receives knows what it should be.
 */

import { QOS } from "../lib/qos.ts";
import type { LayerSim } from "./layer.ts";
import type { SimNode } from "./node.ts";
import { Prng } from "./prng.ts";

/** Bytes of a packet's head: tag, direction, number. */
const HEAD_BYTES = 9;

/** The hash of name number `n`, of a layer whose hashes have `bytes`. */
export function nameHash(n: number, bytes = 32): Uint8Array {
  const random = new Prng(n * 7919 + 1);
  return Uint8Array.from({ length: bytes }, () => random.below(256));
}

function u32(b: Uint8Array, at: number): number {
  return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
}

function putU32(b: Uint8Array, at: number, n: number): void {
  b[at] = n >>> 24;
  b[at + 1] = n >>> 16;
  b[at + 2] = n >>> 8;
  b[at + 3] = n;
}

/** One end of a call. */
export interface End {
  readonly node: SimNode;
  flowId: number;
  sent: number;
  /** Numbers that arrived here. */
  readonly got: Set<number>;
}

/** A flow from its request to its end. */
export interface Call {
  readonly tag: number;
  readonly name: number;
  readonly client: End;
  /** Where its request arrived: more than one if the first was slow to answer. */
  readonly servers: End[];
  state: "asked" | "open" | "failed" | "closed";
  /** What the allocation answered. */
  result: number;
  readonly askedUs: number;
  /** When the client knew that it is open, µs. */
  openUs: number;
}

export class Traffic {
  /** What must never be. */
  readonly violations: string[] = [];
  readonly calls: Call[] = [];
  /** Names by number: nodes (by number) that serve them. */
  readonly holders = new Map<number, Set<number>>();
  /** Packets may be doubled by the links below. */
  duplicates = false;
  readonly #layer: LayerSim;
  readonly #byTag = new Map<number, Call>();
  readonly #watched = new WeakSet<SimNode>();
  /** Names by hash. */
  readonly #byHash = new Map<string, number>();
  #nextTag = 1;
  /** The packet that was sent last: a new one each time costs more than all that is done with it. */
  #packet = new Uint8Array(HEAD_BYTES);

  constructor(layer: LayerSim) {
    this.#layer = layer;
  }

  #wrong(what: string): void {
    if (this.violations.length < 20) {
      this.violations.push(`${(this.#layer.queue.nowUs / 1e6).toFixed(3)} s: ${what}`);
    }
  }

  #hash(name: number): Uint8Array {
    const hash = nameHash(name, this.#layer.settings.hashBytes);
    this.#byHash.set(hash.join(), name);
    return hash;
  }

  /** A node serves a name. */
  serve(number: number, name: number): void {
    const node = this.#layer.nodes[number]!;
    this.#watch(node);
    let holders = this.holders.get(name);
    if (holders === undefined) this.holders.set(name, holders = new Set());
    holders.add(number);
    node.register(this.#hash(name));
  }

  /** It serves it no longer. */
  cease(number: number, name: number): void {
    this.holders.get(name)?.delete(number);
    this.#layer.nodes[number]!.unregister(this.#hash(name));
  }

  /** Names that somebody alive serves. */
  servedNames(): number[] {
    return [...this.holders].filter(([, at]) => [...at].some((n) => this.#layer.nodes[n]!.alive))
      .map(([name]) => name);
  }

  /** A node began anew: its IRMd registers its names again, its flows are gone. */
  restarted(number: number): void {
    const node = this.#layer.nodes[number]!;
    this.#watch(node);
    for (const [name, at] of this.holders) if (at.has(number)) node.register(this.#hash(name));
  }

  /** Look after the flows that others open to a node. */
  #watch(node: SimNode): void {
    if (this.#watched.has(node)) return;
    this.#watched.add(node);
    node.onAccepted = ({ flowId, hash, data }) => {
      const name = this.#byHash.get(hash.join());
      if (name === undefined) return this.#wrong(`node ${node.number} asked for a strange name`);
      const call = data.length === 4 ? this.#byTag.get(u32(data, 0)) : undefined;
      if (call === undefined) return; // A request that none of us made: a forged one.
      if (call.name !== name) this.#wrong(`call ${call.tag} to name ${call.name} came for ${name}`);
      const server = { node, flowId, sent: 0, got: new Set<number>() };
      call.servers.push(server);
      this.#read(call, server, 0);
    };
    node.onClosed = (flowId) => {
      for (const call of this.calls) {
        const server = this.serverOf(call);
        const ends = call.client.node === node && call.client.flowId === flowId ||
          server?.node === node && server.flowId === flowId;
        if (ends && call.state === "open") call.state = "closed";
      }
    };
  }

  /** What arrives at an end of a call. */
  #read(call: Call, end: End, direction: number): void {
    end.node.onData(end.flowId, (bytes) => {
      if (bytes.length === 0) return; // A keepalive.
      if (bytes.length < HEAD_BYTES) return this.#wrong(`call ${call.tag}: ${bytes.length} bytes`);
      const tag = u32(bytes, 0);
      const number = u32(bytes, 5);
      if (tag !== call.tag || bytes[4] !== direction) {
        return this.#wrong(`call ${call.tag} got packet ${number} of call ${tag}`);
      }
      if (end.got.has(number) && !this.duplicates) {
        this.#wrong(`call ${call.tag} got packet ${number} twice`);
      }
      end.got.add(number);
    });
  }

  /** A node calls a name. */
  call(number: number, name: number, onSettled?: (call: Call) => void): Call {
    const node = this.#layer.nodes[number]!;
    this.#watch(node);
    const tag = this.#nextTag++;
    const call: Call = {
      tag,
      name,
      client: { node, flowId: -1, sent: 0, got: new Set() },
      servers: [],
      state: "asked",
      result: 0,
      askedUs: this.#layer.queue.nowUs,
      openUs: Infinity,
    };
    this.calls.push(call);
    this.#byTag.set(tag, call);
    const data = new Uint8Array(4);
    putU32(data, 0, tag);
    const settled = (flowId: number) => {
      call.result = flowId;
      call.state = flowId < 0 ? "failed" : "open";
      if (flowId >= 0) {
        call.openUs = this.#layer.queue.nowUs;
        call.client.flowId = flowId;
        this.#read(call, call.client, 1);
      }
      onSettled?.(call);
    };
    node.alloc(this.#hash(name), settled, QOS.raw, data);
    return call;
  }

  /** Send a packet of `bytes` from the client (0) or the server (1): µs its policy wants before the next, -1: no flow. */
  send(call: Call, from: 0 | 1, bytes = HEAD_BYTES): number {
    const end = from === 0 ? call.client : this.serverOf(call);
    if (end === undefined || call.state !== "open") return -1;
    const length = Math.max(bytes, HEAD_BYTES);
    if (this.#packet.length !== length) this.#packet = new Uint8Array(length);
    const packet = this.#packet;
    putU32(packet, 0, call.tag);
    packet[4] = from;
    putU32(packet, 5, end.sent++);
    return end.node.send(end.flowId, packet);
  }

  /** Close a call at its client. */
  close(call: Call): void {
    if (call.state !== "open") return;
    call.state = "closed";
    if (call.client.node.alive) call.client.node.dealloc(call.client.flowId);
  }

  /** The end that the client is connected with. */
  serverOf(call: Call): End | undefined {
    const { client, servers } = call;
    if (servers.length < 2) return servers[0];
    const peer = client.node.peerOf(client.flowId);
    return servers.find(({ node }) => node.addr === peer);
  }

  /** Both ends live, in the life in which they opened it. */
  isWhole(call: Call): boolean {
    return call.state === "open" && call.client.node.alive &&
      this.serverOf(call)?.node.alive === true;
  }
}
