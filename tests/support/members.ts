/** Members of a layer that meet over a lower layer in virtual time: what the connection machines are tested in. */

import type { Failure } from "../../lib/failure.ts";
import type { IpcpConfig } from "../../lib/wire/ipcp_config.ts";
import { IpcpType } from "../../lib/irm/messages.ts";
import { MANAGEMENT, UNICAST_DT } from "../../ipcp/member/cep.ts";
import { Connections } from "../../ipcp/member/connections.ts";
import type { Connection, ConnectionEffect } from "../../ipcp/member/effects.ts";
import type { Joining } from "../../ipcp/member/enrollment.ts";

/** What describes a unicast layer; `peer` is the address of a member of its directory. */
export function unicastConf(name: string, peer: bigint, congAvoid = 1): IpcpConfig {
  return {
    layerInfo: { name, dirHashAlgo: 1 },
    ipcpType: IpcpType.UNICAST,
    unicast: {
      dt: {
        addrSize: 4,
        eidSize: 8,
        maxTtl: 60,
        routing: { pol: 0, ls: { pol: 0, tRecalc: 4, tUpdate: 15, tTimeo: 60 } },
      },
      dir: {
        pol: 0,
        dht: { alpha: 3, k: 8, tExpire: 86400, tRefresh: 900, tReplicate: 900, peer },
      },
      addrAuthType: 0,
      congAvoid,
    },
  };
}

export const CONF = unicastConf("net", 1n);

/** A member, and what became of what it did. */
export class Member {
  readonly machine: Connections;
  readonly flows = new Set<number>();
  readonly up: Connection[] = [];
  readonly gone: { connection: Connection; cause: string }[] = [];
  readonly usable: boolean[] = [];
  readonly answers = new Map<number, Failure | undefined>();
  readonly messages: Uint8Array[] = [];
  readonly log: string[] = [];
  joining: Joining | undefined;
  /** What `started` is told; undefined: nobody starts it. */
  start: Failure | "ok" | undefined = "ok";
  /** Takes no part any more, as a killed process. */
  dead = false;

  constructor(readonly name: string, readonly address: number, wallOffsetUs = 0) {
    let id = address;
    this.machine = new Connections({
      ipcpType: IpcpType.UNICAST,
      components: [MANAGEMENT, UNICAST_DT],
      randomId: () => new Uint8Array(8).fill(id++),
      random: () => 0x80000000,
      wallUs: (nowUs) => 1.7e15 + nowUs + wallOffsetUs,
    });
  }

  names(): string[] {
    return this.up.filter((c) => this.machine.of(c.flow) === c).map((c) => c.component.name).sort();
  }
}

/** Moves messages after a delay; flows are pairs of ids. */
export class World {
  nowUs = 0;
  delayUs = 1000;
  /** Whether a message arrives; a test may lose some. */
  pass: (from: Member, bytes: Uint8Array) => boolean = () => true;
  /** What arrives in the place of a message. */
  garble: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes;
  readonly members = new Map<string, Member>();
  readonly #ends = new Map<string, { member: Member; flow: number }>();
  readonly #queue: { atUs: number; run: () => void }[] = [];
  #nextFlow = 1;

  add(member: Member): Member {
    this.members.set(member.name, member);
    return member;
  }

  at(delayUs: number, run: () => void): void {
    this.#queue.push({ atUs: this.nowUs + delayUs, run });
    this.#queue.sort((a, b) => a.atUs - b.atUs);
  }

  #key(m: Member, flow: number): string {
    return `${m.address} ${flow}`;
  }

  /** The other end of a flow. */
  peer(m: Member, flow: number): { member: Member; flow: number } | undefined {
    return this.#ends.get(this.#key(m, flow));
  }

  settle(): void {
    let moved = true;
    while (moved) {
      moved = false;
      for (const m of [...this.members.values()]) {
        if (m.dead) continue;
        for (let e = m.machine.poll(); e !== undefined; e = m.machine.poll()) {
          moved = true;
          this.#do(m, e);
        }
      }
    }
  }

  #do(m: Member, e: ConnectionEffect): void {
    switch (e.kind) {
      case "alloc":
        return this.at(this.delayUs, () => this.#alloc(m, e.ask, e.dst));
      case "write": {
        const far = this.peer(m, e.flow);
        if (far === undefined || !this.pass(m, e.bytes)) return;
        const bytes = this.garble(e.bytes);
        return this.at(this.delayUs, () => {
          if (!far.member.dead) far.member.machine.onMessage(this.nowUs, far.flow, bytes);
        });
      }
      case "close":
        m.flows.delete(e.flow);
        return;
      case "answer":
        m.answers.set(e.token, e.failure);
        return;
      case "joined": {
        m.joining = e.joining;
        const { start } = m;
        if (start === undefined) return;
        return this.at(100e3, () => {
          if (start === "ok") m.machine.setLayer(e.joining.conf, m.address);
          m.machine.started(this.nowUs, start === "ok" ? undefined : start);
        });
      }
      case "up":
        m.up.push(e.connection);
        return;
      case "gone":
        m.gone.push({ connection: e.connection, cause: e.cause });
        return;
      case "usable":
        m.usable.push(e.usable);
        return;
      case "message":
        m.messages.push(e.bytes);
        return;
      case "log":
        m.log.push(e.line);
        return;
    }
  }

  #alloc(m: Member, ask: number, dst: string): void {
    const far = this.members.get(dst);
    if (far === undefined || far.dead) {
      m.machine.allocated(this.nowUs, ask, {
        code: -1003,
        stage: "flow_alloc",
        cause: `no IPCP knows "${dst}"`,
      });
      return;
    }
    const a = this.#nextFlow++;
    const b = this.#nextFlow++;
    this.#ends.set(this.#key(m, a), { member: far, flow: b });
    this.#ends.set(this.#key(far, b), { member: m, flow: a });
    m.flows.add(a);
    far.flows.add(b);
    far.machine.accepted(this.nowUs, b);
    m.machine.allocated(this.nowUs, ask, a);
  }

  /** Run for a time, µs. */
  run(us: number): void {
    const endUs = this.nowUs + us;
    for (;;) {
      this.settle();
      let next = this.#queue[0]?.atUs ?? Infinity;
      for (const m of this.members.values()) {
        if (!m.dead) next = Math.min(next, m.machine.deadlineUs());
      }
      if (next > endUs) break;
      this.nowUs = Math.max(this.nowUs, next);
      while (this.#queue.length > 0 && this.#queue[0]!.atUs <= this.nowUs) {
        this.#queue.shift()!.run();
        this.settle();
      }
      for (const m of this.members.values()) if (!m.dead) m.machine.onTimer(this.nowUs);
    }
    this.nowUs = endUs;
    this.settle();
  }
}

/** A world with a member in a layer, and one that is in none. */
export function pair(): { world: World; a: Member; b: Member } {
  const world = new World();
  const a = world.add(new Member("a", 0x0a0a0a0a));
  const b = world.add(new Member("b", 0x0b0b0b0b));
  a.machine.setLayer(CONF, a.address);
  return { world, a, b };
}
