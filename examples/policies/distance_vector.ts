/**
 * A routing policy of one's own: distance vectors, with split horizon, in place of link state. In the simulator:
 * `deno task sim --seeds 20 --faults close --routing examples/policies/distance_vector.ts`; live: `irm ipcp bootstrap
 * … routing FILE` (`docs/policies.md`).
 *
 * A packet of a Management flow is a list of (address, hops), 8 bytes each: what the sender reaches, and itself.
 */

import type { Routing, RoutingEffect } from "../../ipcp/unicast/routing.ts";
import type { Settings } from "../../ipcp/unicast/settings.ts";

const FAR = 32;
const SETTLE_US = 10_000;

interface Peer {
  mgmt: number;
  dt: number;
  up: boolean;
  hops: Map<number, number>;
}

class DistanceVector implements Routing {
  readonly #peers = new Map<number, Peer>();
  readonly #out: RoutingEffect[] = [];
  #best = new Map<number, { hops: number; via: number }>();
  #sendAtUs: number;
  #changeAtUs = Infinity;

  constructor(readonly self: number, readonly settings: Settings, nowUs: number) {
    this.#sendAtUs = nowUs + settings.updateUs;
  }

  poll = () => this.#out.shift();
  deadlineUs = () => Math.min(this.#sendAtUs, this.#changeAtUs);

  onTimer(nowUs: number): void {
    if (nowUs >= this.#changeAtUs) this.#compute();
    if (nowUs < this.#sendAtUs) return;
    this.#sendAtUs = nowUs + this.settings.updateUs;
    this.#tell();
  }

  managementUp(nowUs: number, addr: number, fd: number): void {
    this.#peer(nowUs, addr).mgmt = fd;
  }
  managementDown(addr: number, fd: number): void {
    if (this.#peers.get(addr)?.mgmt === fd) this.#peers.delete(addr);
  }
  transferUp(nowUs: number, addr: number, fd: number): void {
    Object.assign(this.#peer(nowUs, addr), { dt: fd, up: true });
  }
  transferGone(nowUs: number, addr: number, fd: number): void {
    if (this.#peers.get(addr)?.dt === fd) this.#peer(nowUs, addr).up = false;
  }
  transferState(nowUs: number, addr: number, fd: number, up: boolean): void {
    if (this.#peers.get(addr)?.dt === fd) this.#peer(nowUs, addr).up = up;
  }

  onPacket(nowUs: number, fd: number, bytes: Uint8Array): void {
    const peer = [...this.#peers.values()].find((p) => p.mgmt === fd);
    if (peer === undefined || bytes.length % 8 !== 0) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    peer.hops = new Map();
    for (let at = 0; at < bytes.length; at += 8) {
      peer.hops.set(view.getUint32(at), Math.min(view.getUint32(at + 4), FAR));
    }
    this.#changed(nowUs);
  }

  #peer(nowUs: number, addr: number): Peer {
    this.#changed(nowUs);
    let peer = this.#peers.get(addr);
    if (peer === undefined) {
      this.#peers.set(addr, peer = { mgmt: -1, dt: -1, up: false, hops: new Map() });
    }
    return peer;
  }

  #changed(nowUs: number): void {
    this.#changeAtUs = Math.min(this.#changeAtUs, nowUs + SETTLE_US);
  }

  #compute(): void {
    this.#changeAtUs = Infinity;
    const best = new Map<number, { hops: number; via: number }>();
    for (const [via, peer] of this.#peers) {
      if (!peer.up) continue;
      for (const [dst, hops] of peer.hops) {
        const known = best.get(dst)?.hops ?? FAR;
        if (dst !== this.self && hops + 1 < known) best.set(dst, { hops: hops + 1, via });
      }
    }
    const text = (m: typeof best) =>
      [...m].map(([d, b]) => `${d} ${b.hops} ${b.via}`).sort().join();
    const isNew = text(best) !== text(this.#best);
    this.#best = best;
    const routes = new Map([...best].map(([dst, { via }]) => [dst, [this.#peers.get(via)!.dt]]));
    this.#out.push({ kind: "routes", routes });
    if (isNew || this.#best.size === 0) this.#tell();
  }

  #tell(): void {
    for (const [addr, { mgmt }] of this.#peers) {
      if (mgmt < 0) continue;
      const rows = [
        [this.self, 0],
        ...[...this.#best].filter(([, b]) => b.via !== addr)
          .map(([dst, b]) => [dst, b.hops]),
      ];
      const view = new DataView(new ArrayBuffer(rows.length * 8));
      rows.forEach(([dst, hops], i) => {
        view.setUint32(i * 8, dst!);
        view.setUint32(i * 8 + 4, hops!);
      });
      this.#out.push({ kind: "send_mgmt", fd: mgmt, bytes: new Uint8Array(view.buffer) });
    }
  }
}

/** The policy of a node. */
export const routing = (self: number, settings: Settings, nowUs: number): Routing =>
  new DistanceVector(self, settings, nowUs);
