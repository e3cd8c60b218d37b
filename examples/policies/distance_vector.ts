/**
 * A routing policy of one's own: distance vectors, with split horizon, in place of link state. In the simulator:
 * `deno task sim --seeds 20 --faults close --routing examples/policies/distance_vector.ts`; live: `irm ipcp bootstrap
 * … routing FILE` (`docs/policies.md`).
 *
 * A packet of a Management flow is a list of (address, hops), 4 bytes each: what the sender reaches, and itself.
 */

import type { Routing, RoutingEffect } from "../../ipcp/unicast/routing.ts";
import type { Settings } from "../../ipcp/unicast/settings.ts";

const FAR = 32;
const SETTLE_US = 10_000;
/** A neighbour: its flows, and how far what it reaches is from it. */
const NOBODY = { mgmt: -1, dt: -1, up: false, hops: [] as [addr: number, n: number][] };

class DistanceVector implements Routing {
  readonly #peers = new Map<number, typeof NOBODY>();
  readonly #out: RoutingEffect[] = [];
  #atUs: number;

  constructor(readonly self: number, readonly settings: Settings, nowUs: number) {
    this.#atUs = nowUs + settings.updateUs;
  }

  poll = () => this.#out.shift();
  deadlineUs = () => this.#atUs;

  managementUp = (us: number, addr: number, mgmt: number) => this.#note(us, addr, { mgmt });
  managementDown(addr: number, fd: number): void {
    if (this.#peers.get(addr)?.mgmt === fd) this.#note(0, addr, { mgmt: -1, hops: [] });
  }
  transferUp = (us: number, addr: number, dt: number) => this.#note(us, addr, { dt, up: true });
  transferGone = (us: number, addr: number, fd: number) => this.transferState(us, addr, fd, false);
  transferState(us: number, addr: number, fd: number, up: boolean): void {
    if (this.#peers.get(addr)?.dt === fd) this.#note(us, addr, { up });
  }

  onPacket(us: number, fd: number, bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const word = (i: number) => view.getUint32(i * 4);
    const row = (_: unknown, i: number): [number, number] => [word(2 * i), word(2 * i + 1)];
    const hops = Array.from({ length: bytes.length >> 3 }, row);
    for (const [addr, peer] of this.#peers) {
      if (peer.mgmt === fd && `${peer.hops}` !== `${hops}`) this.#note(us, addr, { hops });
    }
  }

  /** Something of a neighbour is new: soon all is computed again and told, with what else comes meanwhile. */
  #note(us: number, addr: number, news: Partial<typeof NOBODY>): void {
    this.#peers.set(addr, { ...NOBODY, ...this.#peers.get(addr), ...news });
    this.#atUs = Math.min(this.#atUs, us + SETTLE_US);
  }

  onTimer(nowUs: number): void {
    if (nowUs < this.#atUs) return;
    this.#atUs = nowUs + this.settings.updateUs;
    const best = new Map([[this.self, { n: 0, via: this.self }]]);
    for (const [via, { up, hops }] of this.#peers) {
      for (const [addr, n] of up ? hops : []) {
        if (n + 1 < (best.get(addr)?.n ?? FAR)) best.set(addr, { n: n + 1, via });
      }
    }
    const ways = [...best].filter(([addr]) => addr !== this.self);
    const routes = new Map(ways.map(([addr, { via }]) => [addr, [this.#peers.get(via)!.dt]]));
    this.#out.push({ kind: "routes", routes });
    for (const [peer, { mgmt: fd }] of this.#peers) {
      const told = [...best].filter(([, { via }]) => via !== peer).map((
        [addr, { n }],
      ) => [addr, n]);
      const view = new DataView(new ArrayBuffer(told.length * 8));
      told.flat().forEach((word, i) => view.setUint32(i * 4, word));
      if (fd >= 0) this.#out.push({ kind: "send_mgmt", fd, bytes: new Uint8Array(view.buffer) });
    }
  }
}

/** The policy of a node. */
export const routing = (self: number, settings: Settings, nowUs: number): Routing =>
  new DistanceVector(self, settings, nowUs);
