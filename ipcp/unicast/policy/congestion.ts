/** A congestion or forwarding policy from a file on the way of packets, with what takes its place. Pure. */

import type { DtPci } from "../../../lib/wire/dt_pci.ts";
import { type Congestion, type CongestionContext, CongestionReport } from "../congestion.ts";
import type { Forwarding } from "../forwarding.ts";
import { type Guard, PACKET_TURNS, shown } from "./guard.ts";

/** Longest time that a packet may be told to wait, ns. */
const WAIT_MAX_NS = 60e9;

export class GuardedCongestion implements Congestion {
  readonly guard: Guard;
  readonly instead: Congestion;
  readonly #own: Congestion;

  constructor(own: Congestion, guard: Guard, instead: Congestion) {
    this.#own = own;
    this.guard = guard;
    this.instead = instead;
  }

  flow(nowNs: number): CongestionContext {
    const own = this.guard.call("flow", () => {
      const made = this.#own.flow(nowNs);
      for (const m of ["onSend", "onReceive", "onUpdate"] as const) {
        if (typeof made[m] !== "function") throw new TypeError(`a flow without ${m}`);
      }
      return made;
    });
    return typeof own === "symbol"
      ? this.instead.flow(nowNs)
      : new GuardedContext(this, own, nowNs);
  }

  mark(queued: number): number {
    const { guard } = this;
    if (!guard.isBroken) {
      try {
        guard.begin(PACKET_TURNS);
        const mark = this.#own.mark(queued);
        if (mark >= 0 && mark <= 255 && Math.floor(mark) === mark) return mark;
        guard.nonsense("mark", `${shown(mark)} is not 0 to 255`);
      } catch (e) {
        guard.threw("mark", e);
      }
    }
    return this.instead.mark(queued);
  }
}

class GuardedContext implements CongestionContext {
  readonly #of: GuardedCongestion;
  readonly #own: CongestionContext;
  #instead: CongestionContext | undefined;
  #nowNs: number;
  /** A policy writes here, not into what others read. */
  readonly #report = new Float64Array(CongestionReport.words);

  constructor(of: GuardedCongestion, own: CongestionContext, nowNs: number) {
    this.#of = of;
    this.#own = own;
    this.#nowNs = nowNs;
  }

  #other(): CongestionContext {
    return this.#instead ??= this.#of.instead.flow(this.#nowNs);
  }

  onSend(nowNs: number, bytes: number): number {
    const { guard } = this.#of;
    this.#nowNs = nowNs;
    if (!guard.isBroken) {
      try {
        guard.begin(PACKET_TURNS);
        const waitNs = this.#own.onSend(nowNs, bytes);
        if (waitNs >= 0 && waitNs <= WAIT_MAX_NS) return waitNs;
        guard.nonsense("onSend", `${shown(waitNs)} is not 0 to ${WAIT_MAX_NS} ns`);
      } catch (e) {
        guard.threw("onSend", e);
      }
    }
    return this.#other().onSend(nowNs, bytes);
  }

  onReceive(bytes: number, ecn: number): number {
    const { guard } = this.#of;
    if (!guard.isBroken) {
      try {
        guard.begin(PACKET_TURNS);
        const told = this.#own.onReceive(bytes, ecn);
        if (told >= -1 && told <= 0xffff && Math.floor(told) === told) return told;
        guard.nonsense("onReceive", `${shown(told)} is not -1 to 65535`);
      } catch (e) {
        guard.threw("onReceive", e);
      }
    }
    return this.#other().onReceive(bytes, ecn);
  }

  onUpdate(ece: number): void {
    const { guard } = this.#of;
    if (!guard.isBroken) {
      try {
        guard.begin(PACKET_TURNS);
        return this.#own.onUpdate(ece);
      } catch (e) {
        guard.threw("onUpdate", e);
      }
    }
    this.#other().onUpdate(ece);
  }

  report(into: Float64Array, at: number): void {
    const { guard } = this.#of;
    if (guard.isBroken) return this.#other().report?.(into, at);
    if (this.#own.report === undefined) return;
    try {
      guard.begin(PACKET_TURNS);
      this.#own.report(this.#report, 0);
    } catch (e) {
      return guard.threw("report", e);
    }
    for (let i = 0; i < CongestionReport.words; i++) into[at + i] = this.#report[i]!;
  }
}

export class GuardedForwarding implements Forwarding {
  readonly #own: Forwarding;
  readonly #guard: Guard;
  readonly #instead: Forwarding;

  constructor(own: Forwarding, guard: Guard, instead: Forwarding) {
    this.#own = own;
    this.#guard = guard;
    this.#instead = instead;
  }

  choose(hops: Int32Array, n: number, packet: Readonly<DtPci>): number {
    const guard = this.#guard;
    if (!guard.isBroken) {
      const { dst, cube, ttl, ecn, eidHi, eidLo } = packet;
      try {
        guard.begin(PACKET_TURNS);
        const i = this.#own.choose(hops, n, packet);
        // The packet and the hops are the forwarder's: a policy that changes them would send it elsewhere.
        const same = packet.dst === dst && packet.cube === cube && packet.ttl === ttl &&
          packet.ecn === ecn && packet.eidHi === eidHi && packet.eidLo === eidLo;
        if (i >= 0 && i < n && Math.floor(i) === i && same) return i;
        guard.nonsense(
          "choose",
          same ? `${shown(i)} is not 0 to ${n - 1}` : "it changed the header",
        );
      } catch (e) {
        guard.threw("choose", e);
      }
    }
    return this.#instead.choose(hops, n, packet);
  }
}
