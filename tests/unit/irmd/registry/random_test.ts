// Random sequences of requests, deaths and deadlines: after every step all invariants hold, every waiter is settled
// at most once and only by the registry, and when everybody has left nothing is left behind.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { IpcpState } from "../../../../lib/irm/messages.ts";
import { QOS } from "../../../../lib/qos.ts";
import {
  type AcceptorOutcome,
  type FlowRecord,
  LINGER_MS,
  type Registry,
  type Reservation,
  type Waiter,
} from "../../../../irmd/registry/mod.ts";
import { registry, REQUEST, RESPONSE, violations } from "../../../support/registry.ts";

/** Pids 1 … 5 are processes, 6 … 8 IPCPs; two users. */
const PROCS = [1, 2, 3, 4, 5];
const IPCPS = [6, 7, 8];
const NAMES = ["a", "b", "c"];

/** What the shell would remember between calls. */
class World {
  readonly r: Registry = registry();
  nowMs = 0;
  readonly reservations: Reservation[] = [];
  readonly flows: FlowRecord[] = [];
  readonly acceptors: { name: string; w: Waiter<AcceptorOutcome> }[] = [];
  readonly rings = new Map<number, string>();
  settled = 0;

  watch<T>(w: Waiter<T>): void {
    let called = false;
    w.onSettle(() => {
      assert(!called, "a waiter called back twice");
      called = true;
      this.settled++;
    });
  }

  /** The flow of the k-th remembered record. */
  flow(k: number): FlowRecord | undefined {
    return this.flows.length === 0 ? undefined : this.flows[k % this.flows.length];
  }

  made(flow: FlowRecord): void {
    assert(!this.rings.has(flow.id), `rings of ${flow.id} made twice`);
    this.rings.set(flow.id, `${flow.nPid} ${flow.n1Pid}`);
    this.flows.push(flow);
  }

  step(op: string, x: number, y: number): void {
    const { r } = this;
    const pid = PROCS[x % PROCS.length]!;
    const ipcp = IPCPS[x % IPCPS.length]!;
    const name = NAMES[y % NAMES.length]!;
    const uid = pid % 2 === 0 ? 1000 : 0;
    switch (op) {
      case "announce":
        r.announce({ pid, prog: `p${pid % 2}`, uid, gid: uid, flowUid: uid });
        break;
      case "gone":
        r.processGone(y % 3 === 0 ? ipcp : pid, this.nowMs);
        break;
      case "name":
        r.createName({ name, polLb: x % 3, skey: "", scrt: "", ckey: "", ccrt: "" });
        break;
      case "destroy":
        r.destroyName(name);
        break;
      case "bind":
        r.bindProcess(pid, name);
        break;
      case "unbind":
        r.unbindProcess(pid, name);
        break;
      case "bindprog":
        r.bindProgram([`/bin/p${x % 2}`], name, { auto: y % 2 === 0 });
        break;
      case "unbindprog":
        r.unbindProgram(`p${x % 2}`, y % 4 === 0 ? undefined : name);
        break;
      case "ipcp":
        if (r.createIpcp(ipcp, x % 7, "i")) {
          this.watch(r.awaitBoot(ipcp));
          if (y % 3 !== 0) r.ipcpReady(ipcp, y % 7, "i", IpcpState.BOOT);
          r.setLayer(ipcp, "l", 1, "bootstrapped");
        }
        break;
      case "accept": {
        const a = r.accept(pid, QOS.raw);
        if (typeof a !== "number") {
          this.watch(a.waiter);
          this.flows.push(a.flow);
        }
        break;
      }
      case "acceptor": {
        const w = r.awaitAcceptor(name, y % 2 === 0 ? { pid, uid } : undefined);
        this.watch(w);
        this.acceptors.push({ name, w });
        break;
      }
      case "endwait": {
        const at = x % Math.max(1, this.acceptors.length);
        const a = this.acceptors[at];
        if (a !== undefined && !a.w.settled) r.endAcceptorWait(a.name, a.w);
        break;
      }
      case "arrive":
      case "direct":
      case "release":
        this.#useReservation(op, pid, ipcp, y);
        break;
      case "respond": {
        const f = this.flow(x);
        if (f !== undefined) r.directRespond(f, RESPONSE);
        break;
      }
      case "alloc": {
        const f = r.alloc(pid, QOS.raw);
        if (typeof f === "number") break;
        const w = r.allocOver(f, ipcp);
        if (typeof w === "number") r.drop(f, -1003);
        else {
          this.watch(w);
          this.made(f);
        }
        break;
      }
      case "reply": {
        const f = this.flow(x);
        if (f !== undefined) {
          r.allocReply(y % 4 === 0 ? ipcp : f.n1Pid, f.id, {
            response: [0, 0, -5, 5][y % 4]!,
            mpl: 100,
            data: RESPONSE,
          });
        }
        break;
      }
      case "dealloc": {
        const f = this.flow(x);
        if (f !== undefined) {
          r.dealloc([f.nPid, f.n1Pid, pid][y % 3]!, f.id, y % 5, this.nowMs);
        }
        break;
      }
      case "confirm": {
        const f = this.flow(x);
        if (f !== undefined) r.ipcpDealloc(y % 4 === 0 ? ipcp : f.n1Pid, f.id);
        break;
      }
      case "giveup": {
        const f = this.flow(x);
        if (f !== undefined) r.giveUp(f, y % 2 === 0 ? f.nPid : f.n1Pid, this.nowMs);
        break;
      }
      case "acceptend": {
        const f = this.flow(x);
        if (f !== undefined) r.acceptEnd(f, -110);
        break;
      }
      case "drop": {
        const f = this.flow(x);
        if (f !== undefined) r.drop(f, -1);
        break;
      }
      case "time":
        this.nowMs += (y + 1) * 1000;
        r.expire(this.nowMs);
        break;
      default:
        throw new Error(op);
    }
    this.drain();
  }

  #useReservation(op: string, pid: number, ipcp: number, y: number): void {
    for (const a of this.acceptors.splice(0)) {
      const result = a.w.result;
      if (result?.kind === "reserved") this.reservations.push(result.reservation);
      else if (result === undefined) this.acceptors.push(a);
    }
    const got = this.reservations.splice(y % Math.max(1, this.reservations.length), 1)[0];
    if (got === undefined) return;
    if (op === "release") return this.r.release(got);
    if (op === "arrive") {
      const q = { ipcpPid: ipcp, mpl: 5, qos: QOS.raw, request: REQUEST };
      if (typeof this.r.arrive(got, q) !== "number") this.made(got.flow);
      else this.r.release(got);
      return;
    }
    const w = this.r.direct(got, { clientPid: pid, qos: QOS.raw, request: REQUEST });
    if (typeof w === "number") return this.r.release(got);
    this.watch(w);
    this.made(got.flow);
  }

  /** Carries out what the registry asks for. */
  drain(): void {
    for (const e of this.r.takeEffects()) {
      if (e.kind === "rings-destroy") {
        assertEquals(this.rings.get(e.flowId), e.pids.join(" "), `rings of ${e.flowId}`);
        this.rings.delete(e.flowId);
      } else if (e.kind === "ipcp-dealloc") {
        assert(this.r.ipcps.has(e.ipcpPid), `dealloc for IPCP ${e.ipcpPid}, which is gone`);
      }
    }
  }
}

const OPS = [
  "announce",
  "announce",
  "gone",
  "name",
  "destroy",
  "bind",
  "bind",
  "unbind",
  "bindprog",
  "unbindprog",
  "ipcp",
  "accept",
  "accept",
  "acceptor",
  "acceptor",
  "endwait",
  "arrive",
  "direct",
  "direct",
  "release",
  "respond",
  "alloc",
  "reply",
  "dealloc",
  "confirm",
  "giveup",
  "acceptend",
  "drop",
  "time",
];

const arbOps = fc.array(fc.tuple(fc.constantFrom(...OPS), fc.nat(30), fc.nat(30)), {
  minLength: 1,
  maxLength: 250,
  size: "max",
});

Deno.test("random requests, deaths and deadlines keep the invariants", () => {
  let settled = 0;
  let flows = 0;
  fc.assert(
    fc.property(arbOps, (ops) => {
      const w = new World();
      // Everybody is there at first, so that most steps have something to do.
      for (const p of [0, 1, 2, 3, 4]) w.step("announce", p, 0);
      for (const i of [0, 1, 2]) w.step("ipcp", i, 1);
      for (const n of [0, 1, 2]) w.step("bind", n, n);
      ops.forEach(([op, x, y], i) => {
        w.step(op, x, y);
        assertEquals(violations(w.r), [], `after step ${i}: ${op} ${x} ${y}`);
      });
      settled += w.settled;
      flows += w.flows.length;

      for (const pid of [...PROCS, ...IPCPS]) {
        w.r.processGone(pid, w.nowMs);
        w.drain();
      }
      w.r.expire(w.nowMs + 100_000 + LINGER_MS);
      w.drain();
      assertEquals(violations(w.r), []);
      assertEquals([w.r.flows.count, w.rings.size], [0, 0], "left behind");
      assertEquals([w.r.procs.size, w.r.ipcps.count, w.r.pools.count], [0, 0, 0]);
    }),
    { numRuns: 200 },
  );
  assert(settled > 100 && flows > 100, `the sequences do too little: ${settled}, ${flows}`);
});
