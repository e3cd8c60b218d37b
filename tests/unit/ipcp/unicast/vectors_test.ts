// deno-lint-ignore-file camelcase -- the vectors have these names
// The vectors of unicast.json, every case by its kind. Cases that show a defect of the prototype (spec 60 §21 names
// them) are run too: there we must do what spec 60 §19 asks instead.

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { NO_CONGESTION } from "../../../../ipcp/unicast/congestion.ts";
import { FlowAllocator } from "../../../../ipcp/unicast/flow_alloc.ts";
import type { FlowEffect } from "../../../../ipcp/unicast/flow_effects.ts";
import { Forwarder, Verdict } from "../../../../ipcp/unicast/forward.ts";
import { BEST_HOP, HOP_BY_FLOW } from "../../../../ipcp/unicast/forwarding.ts";
import { Graph } from "../../../../ipcp/unicast/graph.ts";
import { HOLD_US, LinkStateRouting } from "../../../../ipcp/unicast/link_state.ts";
import { mark } from "../../../../ipcp/unicast/mb_ecn.ts";
import { PrototypeMbEcn } from "../../../../sim/prototype_sender.ts";
import type { RoutingPolicy } from "../../../../ipcp/unicast/settings.ts";
import { ForwardTable, HopState, HopStates } from "../../../../ipcp/unicast/table.ts";
import * as dtPci from "../../../../lib/wire/dt_pci.ts";
import * as faMsg from "../../../../lib/wire/fa_msg.ts";
import * as linkState from "../../../../lib/wire/link_state.ts";
import { isWireError, type WireError } from "../../../../lib/wire/mod.ts";

// deno-lint-ignore no-explicit-any -- the shape differs per kind
type Case = any;

const path = fromFileUrl(new URL("../../../vectors/unicast.json", import.meta.url));
const cases: Case[] = JSON.parse(Deno.readTextFileSync(path)).cases;
const hex = (s: string) => Uint8Array.fromHex(s);

/** What is no refusal. */
function ok<T>(x: T): Exclude<T, WireError> {
  if (isWireError(x)) throw new Error(`refused: ${x}`);
  return x as Exclude<T, WireError>;
}

const WALK: Record<string, (v: Case) => void> = {
  layout(v) {
    assertEquals(v.fields.sizeof, faMsg.LENGTH);
    // Each field is where a message that sets it alone differs from one of zeros.
    const eid = { hi: 0x01020304, lo: 0x05060708 };
    const reply = {
      kind: "reply",
      dstEid: eid,
      srcEid: eid,
      response: -1,
      data: hex(""),
    };
    const b = ok(faMsg.encode(reply as faMsg.FaMsg));
    const view = new DataView(b.buffer);
    for (const field of ["r_eid", "s_eid"]) {
      assertEquals(view.getBigUint64(v.fields[field][0]), 0x0102030405060708n, field);
    }
    assertEquals(view.getInt32(v.fields.response[0]), -1);
    assertEquals(b[v.fields.code[0]], 1);
    const u = ok(faMsg.encode({ kind: "update", dstEid: eid, ece: 0x1234 }));
    assertEquals(new DataView(u.buffer).getUint16(v.fields.ece[0]), 0x1234);
  },

  dt_pci_write(v) {
    const { input } = v;
    const layout = dtPci.dtPciLayout(input.addr_size, 8);
    assertEquals(layout.headerBytes, v.layout.head_size);
    assertEquals([layout.cubeAt, layout.ttlAt], [v.layout.qc_o, v.layout.ttl_o]);
    assertEquals([layout.ecnAt, layout.eidAt], [v.layout.ecn_o, v.layout.eid_o]);
    const pci = {
      dst: input.dst_addr,
      cube: input.qc,
      ttl: input.max_ttl,
      ecn: input.ecn_mark,
      eidHi: parseInt(input.eid.slice(0, 8), 16),
      eidLo: parseInt(input.eid.slice(8), 16),
    };
    const b = new Uint8Array(layout.headerBytes).fill(0xa5);
    assertEquals(dtPci.encode(pci, b, 0, layout), layout.headerBytes);
    assertEquals(b.toHex() + input.payload, v.hex);
    const back = dtPci.emptyDtPci();
    assertEquals(dtPci.parse(hex(v.hex), 0, v.hex.length / 2, layout, back), 0);
    const shift = 8 * input.addr_size;
    const dst = shift < 32 ? pci.dst % 2 ** shift : pci.dst;
    assertEquals(back, { ...pci, dst });
    for (let n = 0; n < layout.headerBytes; n++) {
      assertEquals(dtPci.parse(hex(v.hex), 0, n, layout, back), -1);
    }
  },

  dt_receive(v) {
    const { input } = v;
    const table = new ForwardTable(16), states = new HopStates(128);
    const f = new Forwarder(
      input.own_addr,
      dtPci.FLAT_LAYOUT,
      60,
      BEST_HOP,
      {
        ...NO_CONGESTION,
        mark: () => input.ecn_mark,
      },
      table,
      states,
    );
    const b = hex(input.hex);
    const seen = dtPci.emptyDtPci();
    dtPci.parse(b, 0, b.length, dtPci.FLAT_LAYOUT, seen);
    const fd = input.next_hop_fd_or_minus1;
    if (fd >= 0) {
      table.publish(new Map([[seen.dst, [fd]]]));
      states.set(fd, HopState.up);
    }
    const verdict = f.receive(b, 0, b.length, 1);
    // W4: the prototype's count of hops wraps below 0 and goes on (spec 60 §21).
    if (v.outcome === "forward" && seen.ttl === 0) return assertEquals(verdict, Verdict.expired);
    switch (v.outcome) {
      case "forward":
        assertEquals([verdict, f.out], [Verdict.relay, fd]);
        f.relay(b, 0, 0);
        return assertEquals(b.toHex(), v.hex);
      case "deliver_comp":
        assertEquals(verdict, Verdict.component);
        assert(input.registered_eids.includes(f.pci.eidLo));
        return assertEquals(b.subarray(15).toHex(), v.hex);
      case "deliver_flow":
        assertEquals(verdict, Verdict.flow);
        return assertEquals(b.subarray(15).toHex(), v.hex);
      case "drop":
        return assert(verdict >= Verdict.short, `${verdict}`);
      default:
        throw new Error(`unknown outcome: ${v.outcome}`);
    }
  },

  flow_allocator: walkFlowAllocator,
  pff: walkPff,
  link_state: walkLinkState,

  graph(v) {
    const g = new Graph();
    for (const [op, src, dst] of v.input.ops) {
      if (op === "add") g.add(src, dst);
      else if (op === "del") g.remove(src, dst);
      else throw new Error(`unknown op: ${op}`);
    }
    if (announcesTwice(v.input.ops)) {
      // The prototype counts; to us, announced twice by one side is announced by one side.
      for (const s of v.input.sources) {
        const both = [...g.vertices()].find((x) => x.addr === s)?.edges
          .filter((e) => e.here && e.there).map((e) => e.to);
        assertEquals(
          [...g.routes(s, "simple").keys()].filter((d) => both?.includes(d)),
          both ?? [],
        );
      }
      return;
    }
    if (v.vertices !== undefined) {
      const counts = [...g.vertices()].map((x) => ({
        addr: x.addr,
        edges: x.edges.map((e) => [e.to, Number(e.here) + Number(e.there)]),
      }));
      assertEquals(counts, v.vertices.map((x: Case) => ({ addr: x.addr, edges: x.edges })));
    }
    for (const want of v.expect) {
      const vertex = [...g.vertices()].find((x) => x.addr === want.source);
      const linked = vertex?.edges.filter((e) => e.here && e.there).map((e) => e.to) ?? [];
      for (const policy of ["simple", "lfa", "ecmp"] as const) {
        const got = [...g.routes(want.source, policy)].sort((a, b) => a[0] - b[0]);
        // The prototype fails where there is nobody; it tries links of one side, and lists the primary twice (§19).
        const rows: [number, number[]][] = (want[policy] ?? [])
          .map((
            [dst, hops]: [number, number[]],
          ) => [dst, [...new Set(hops)].filter((h) => linked.includes(h))]);
        const expected = rows.sort((a, b) => a[0] - b[0]);
        assertEquals(
          got,
          expected.filter(([, hops]) => hops.length > 0),
          `${want.source} ${policy}`,
        );
      }
    }
  },

  mb_ecn(v) {
    let ca = new PrototypeMbEcn(0);
    /** Told more than a sum of marks can be: the prototype's limit wraps (W3). */
    let lied = false;
    const state = (row: unknown[]) => row.map(String);
    for (const row of v.rows) {
      const [op, ...args] = row;
      switch (op) {
        case "create":
          ca = new PrototypeMbEcn(args[0]);
          assertEquals(state([...ca.state]), state(args.slice(1)));
          break;
        case "snd": {
          const pause = ca.onSend(args[0], args[1]);
          if (lied) {
            assert(ca.state[4]! >= 0 && ca.state[4]! < 2 ** 40, `limit ${ca.state[4]}`);
            break;
          }
          assertEquals(pause, args[3], JSON.stringify(row));
          assertEquals(state([...ca.state]), state(args.slice(4)));
          break;
        }
        case "ece":
          ca.onUpdate(args[0]);
          lied ||= args[0] > 8192;
          if (!lied) assertEquals(state([...ca.state]), state(args.slice(1)));
          break;
        case "rcv": {
          const told = ca.onReceive(0, args[0]);
          assertEquals(told >= 0, Boolean(args[1]), JSON.stringify(row));
          if (told >= 0) assertEquals(told, args[2]);
          assertEquals([...ca.received], args.slice(3));
          break;
        }
        case "mark":
          assertEquals(args[1] | mark(args[0]), args[2]);
          break;
        case "stats":
          break; // Text of the RIB, tested there.
        default:
          throw new Error(`unknown row: ${op}`);
      }
    }
  },

  capture(v) {
    const layout = dtPci.FLAT_LAYOUT;
    for (const p of v.packets) {
      const b = hex(p.hex);
      if (/^LSU/.test(p.what)) {
        const m = ok(linkState.parse(b));
        const again = new Uint8Array(linkState.LENGTH);
        linkState.encode(m, again);
        assertEquals(again.toHex(), p.hex);
      } else if (/\bFA\b|^flow allocator/i.test(p.what) && b.length >= layout.headerBytes) {
        const pci = dtPci.emptyDtPci();
        assertEquals(dtPci.parse(b, 0, b.length, layout, pci), 0);
        const m = ok(faMsg.parse(b.subarray(layout.headerBytes), 32));
        const bytes = ok(faMsg.encode(m));
        assertEquals(bytes.toHex(), b.subarray(layout.headerBytes).toHex());
      }
      // Whatever it is, it can be shown.
      assert(dtPci.describe(b).length > 0 && faMsg.describe(b).length > 0);
      assert(linkState.describe(b).length > 0);
    }
  },
};

/** Whether a direction is announced while it is announced. */
function announcesTwice(ops: [string, number, number][]): boolean {
  const announced = new Set<string>();
  return ops.some(([op, src, dst]) => {
    const twice = op === "add" && announced.has(`${src} ${dst}`);
    if (op === "add") announced.add(`${src} ${dst}`);
    else announced.delete(`${src} ${dst}`);
    return twice;
  });
}

/** Walked by `tests/unit/lib/wire/cep_enroll_test.ts`. */
const ELSEWHERE = /^(cep|enroll)/;

Deno.test("vectors unicast.json: every case by its kind", async (t) => {
  assert(cases.length > 0);
  for (const v of cases) {
    if (ELSEWHERE.test(v.kind)) continue;
    await t.step(v.name, () => {
      const walk = WALK[v.kind];
      if (walk === undefined) throw new Error(`unknown kind: ${v.kind}`);
      walk(v);
    });
  }
});

/** Scripted steps; our endpoint ids have slots of their own in the low half, so ids are translated. */
function walkFlowAllocator(v: Case): void {
  const { input } = v;
  let high = 0;
  const fa = new FlowAllocator(input.own_addr, () => high, () => true);
  const ours = new Map<string, string>();
  const theirs = new Map<string, string>();
  const asHex = (e: faMsg.Eid) =>
    e.hi.toString(16).padStart(8, "0") + e.lo.toString(16).padStart(8, "0");
  const learn = (vector: string | undefined, flowId: number) => {
    const flow = fa.flows().find((f) => f.flowId === flowId);
    if (flow === undefined || vector === undefined) return;
    ours.set(vector, asHex(flow.localEid));
    theirs.set(asHex(flow.localEid), vector);
  };
  const inwards = (h: string) =>
    h.slice(0, 16) + (ours.get(h.slice(16, 32)) ?? h.slice(16, 32)) + h.slice(32);
  const outwards = (h: string) =>
    h.slice(0, 32) + (theirs.get(h.slice(32, 48)) ?? h.slice(32, 48)) + h.slice(48);
  const effects = () => {
    const all: FlowEffect[] = [];
    for (let e = fa.poll(); e !== undefined; e = fa.poll()) all.push(e);
    return all;
  };
  const sent = (all: FlowEffect[]) =>
    all.flatMap((e) => e.kind === "send" ? [{ dst: e.dst, hex: outwards(e.bytes.toHex()) }] : []);
  const wanted = (want: Case) =>
    want.actions.flatMap((a: Case) => a.do === "dt_write" ? [{ dst: a.dst_addr, hex: a.hex }] : []);

  input.steps.forEach((step: Case, i: number) => {
    const want = v.steps[i];
    high = step.eid_random_high32 ?? 0;
    switch (step.op) {
      case "alloc": {
        const qos = { ...step.qos, bandwidth: BigInt(step.qos.bandwidth) };
        const spec = {
          delay: qos.delay,
          bandwidth: qos.bandwidth,
          availability: qos.availability,
          loss: qos.loss,
          ber: qos.ber,
          inOrder: qos.in_order,
          maxGap: qos.max_gap,
          timeout: qos.timeout,
        };
        const result = fa.request(
          0,
          step.fd,
          [step.dir_answer],
          hex(step.hash),
          spec,
          hex(step.data),
        );
        assertEquals(result, want.rc);
        const all = effects();
        learn(want.flow?.s_eid, step.fd);
        assertEquals(sent(all), wanted(want));
        // W7: the data path knows the flow before the request leaves.
        assert(
          all.findIndex((e) => e.kind === "publish") < all.findIndex((e) => e.kind === "send"),
        );
        return;
      }
      case "rx_msg": {
        const m = faMsg.parse(hex(inwards(step.hex)), input.hash_len);
        const refused = want.accepted_len === 0 || want.rc === -999 || want.actions.length === 0;
        if (isWireError(m)) return assert(refused || want.rc < 0, `${m}`);
        if (m.kind === "dealloc") return assertEquals(want.rc, -999); // Ours; nothing to a prototype.
        if (m.kind === "update") {
          const told = want.actions.find((a: Case) => a.do === "ca_update_ece");
          return assertEquals(m.ece, told?.ece);
        }
        const again = ok(faMsg.encode(m));
        if (m.kind !== "request") assertEquals(again.toHex(), inwards(step.hex));
        fa.onMessage(0, m);
        const all = effects();
        const arrival = want.actions.find((a: Case) => a.do === "irmd_flow_req_arr");
        if (arrival !== undefined) {
          const ask = all.find((e) => e.kind === "ask_irmd");
          if (ask?.kind !== "ask_irmd") throw new Error("not asked");
          assertEquals([ask.hash.toHex(), ask.data.toHex()], [arrival.hash, arrival.data]);
          const returns = step.irmd_returns_fd_for_request;
          fa.asked(0, ask.ask, { result: Math.min(returns, 0), flowId: returns, pid: 1 });
          assertEquals(fa.flowState(returns), returns >= 0 ? "arrived" : undefined);
          learn(want.flow?.s_eid, returns);
          const after = sent(effects());
          // W9: a refusal is answered at once.
          if (returns < 0) {
            const reply = ok(faMsg.parse(hex(after[0]!.hex), input.hash_len));
            assertEquals(reply.kind === "reply" && reply.response, returns);
          } else assertEquals(after, []);
          return;
        }
        const reply = want.actions.find((a: Case) => a.do === "irmd_flow_alloc_reply");
        const told = all.find((e) => e.kind === "alloc_reply");
        if (reply === undefined) return assertEquals(told, undefined);
        if (told?.kind !== "alloc_reply") throw new Error("not told");
        assertEquals(
          [told.flowId, told.response, told.data.toHex()],
          [reply.fd, reply.response, reply.data],
        );
        // A second one like it changes nothing.
        fa.onMessage(0, m);
        return assertEquals(effects().filter((e) => e.kind === "alloc_reply"), []);
      }
      case "alloc_resp": {
        const { fd: flowId, response, data } = step;
        fa.allocResp(0, { flowId, pid: 1, uid: 0 }, { response, data: hex(data) }, 5);
        const all = effects();
        if (all.some((e) => e.kind === "own")) {
          fa.owned(0, flowId, 0);
          all.push(...effects());
        }
        assert(all.some((e) => e.kind === "answer" && e.token === 5 && e.result === want.rc));
        const got = sent(all);
        const expected = wanted(want);
        if (step.response === 0) return assertEquals(got, expected);
        // A refusal opens nothing: its source EID says nothing.
        const blind = (h: string) => h.slice(0, 32) + "-" + h.slice(48);
        return assertEquals(got.map((s) => blind(s.hex)), expected.map((s: Case) => blind(s.hex)));
      }
      case "send_update": {
        const flow = fa.flows().find((f) => f.flowId === step.fd)!;
        const bytes = ok(faMsg.encode({ kind: "update", dstEid: flow.remoteEid, ece: step.ece }));
        return assertEquals([{ dst: flow.peer, hex: bytes.toHex() }], wanted(want));
      }
      case "rx_data": {
        const flow = fa.flows().find((f) => asHex(f.localEid) === (ours.get(step.eid) ?? step.eid));
        const delivered = want.actions.some((a: Case) => a.do === "np1_write");
        assertEquals(flow !== undefined, delivered);
        if (step.ca_says_update !== true) return;
        const bytes = ok(
          faMsg.encode({ kind: "update", dstEid: flow!.remoteEid, ece: step.ca_ece }),
        );
        return assertEquals([{ dst: flow!.peer, hex: bytes.toHex() }], wanted(want));
      }
      case "dealloc":
        assertEquals(fa.dealloc(step.fd), want.rc);
        assertEquals(fa.flowState(step.fd), undefined);
        return;
      default:
        throw new Error(`unknown step: ${step.op}`);
    }
  });
}

/** The prototype's forwarding functions as operations on our table: down flows are passed over by all of them. */
function walkPff(v: Case): void {
  const kinds = ["simple", "multipath", "alternate"];
  assert(kinds.includes(v.input.type), `unknown type: ${v.input.type}`);
  const routes = new Map<number, number[]>();
  const table = new ForwardTable(64);
  const states = new HopStates(4096);
  for (let fd = 0; fd < 4096; fd++) states.set(fd, HopState.up);
  const spread = v.input.type === "multipath";
  const forwarding = spread ? HOP_BY_FLOW : BEST_HOP;
  const f = new Forwarder(1, dtPci.FLAT_LAYOUT, 60, forwarding, NO_CONGESTION, table, states);
  v.input.ops.forEach(([op, ...args]: [string, ...number[]], i: number) => {
    const [addr, ...fds] = args;
    switch (op) {
      case "add":
        if (!routes.has(addr!)) routes.set(addr!, v.input.type === "simple" ? [fds[0]!] : fds);
        break;
      case "update":
        routes.set(addr!, v.input.type === "simple" ? [fds[0]!] : fds);
        break;
      case "del":
        routes.delete(addr!);
        break;
      case "flush":
        routes.clear();
        break;
      case "state":
        states.set(args[0]!, args[1] === 1 ? HopState.up : HopState.down);
        break;
      case "nhop": {
        const found = f.route(addr!, 0, 0, 64 + i);
        const usable = (routes.get(addr!) ?? []).filter((fd) => states.isUp(fd));
        assertEquals(found, usable.length > 0, `step ${i}`);
        if (!found) break;
        if (spread) assert(usable.includes(f.out), `step ${i}`);
        else assertEquals(f.out, usable[0], `step ${i}`);
        // One flow keeps to one path.
        const first = f.out;
        f.route(addr!, 0, 0, 64 + i);
        assertEquals(f.out, first);
        // The prototype's choice, where it knows that the flow is up.
        const theirs = v.results[i];
        if (!spread && theirs >= 0 && states.isUp(theirs)) {
          assertEquals(f.out, theirs, `step ${i}`);
        }
        break;
      }
      default:
        throw new Error(`unknown op: ${op}`);
    }
    table.publish(routes);
  });
}

const POLICIES: readonly RoutingPolicy[] = ["simple", "lfa", "ecmp"];

/** A scripted node. After each step: what is sent, neighbours, the database. */
function walkLinkState(v: Case): void {
  let nowUs = 0;
  let routing: LinkStateRouting | undefined;
  let routes: ReadonlyMap<number, readonly number[]> = new Map();
  const down = new Set<number>();
  const times = { updateUs: 0, timeoutUs: 0 };
  const sent: { fd: number; hex: string }[] = [];
  const drain = () => {
    for (let e = routing?.poll(); e !== undefined; e = routing?.poll()) {
      if (e.kind === "send_mgmt") sent.push({ fd: e.fd, hex: e.bytes.toHex() });
      else if (e.kind === "routes") routes = e.routes;
    }
  };
  /** Time passes; timers run one after the other, as a shell would run them. */
  const until = (us: number) => {
    for (let at = routing?.deadlineUs() ?? Infinity; at <= us; at = routing!.deadlineUs()) {
      routing!.onTimer(at);
      drain();
    }
    nowUs = us;
  };
  let expected = 0;
  /** A neighbour left and the prototype has not computed yet; we have. */
  let ahead = false;
  /** Links aged out, which the prototype does not take as a reason to compute (spec 60 §21). */
  let aged = false;
  let held = 0;
  let pending = false;
  /** Flows for data, and neighbours that connected over new flows while the old ones were known. */
  const transfers = new Set<number>();
  const flows = new Map<string, number>();
  const moved = new Set<number>();
  const connected = (type: string, addr: number, fd: number) => {
    if (flows.has(`${type} ${addr}`)) moved.add(addr);
    flows.set(`${type} ${addr}`, fd);
  };
  for (const line of v.input.script as string[]) {
    const [op, ...words] = line.split(" ");
    const n = words.map(Number);
    sent.length = 0;
    if (op === "now") {
      // The prototype's loops are scripted; ours run by the clock, and must not have done more than refresh.
      until(n[0]! * 1e6);
      continue;
    }
    const want = v.steps[expected++];
    assertEquals(want.op, op, line);
    switch (op) {
      case "init":
        times.updateUs = n[3]! * 1e6;
        times.timeoutUs = n[4]! * 1e6;
        routing = new LinkStateRouting(n[0]!, POLICIES[n[1]!]!, times, nowUs);
        break;
      case "mgmt_add":
        connected("mgmt", n[0]!, n[1]!);
        routing!.managementUp(nowUs, n[0]!, n[1]!);
        break;
      case "mgmt_del":
        flows.delete(`mgmt ${n[0]}`);
        routing!.managementDown(n[0]!, n[1]!);
        break;
      case "dt_add":
        connected("dt", n[0]!, n[1]!);
        transfers.add(n[1]!);
        routing!.transferUp(nowUs, n[0]!, n[1]!);
        break;
      case "dt_del":
        flows.delete(`dt ${n[0]}`);
        transfers.delete(n[1]!);
        routing!.transferGone(nowUs, n[0]!, n[1]!);
        ahead = true;
        break;
      case "dt_up":
      case "dt_down":
        if (op === "dt_up") down.delete(n[1]!);
        else down.add(n[1]!);
        break; // The table's matter; a withdrawal beside it is ours.
      case "lsu":
        routing!.onPacket(nowUs, n[0]!, hex(words[1]!));
        drain();
        {
          // What only renews is passed on a moment later.
          const at = nowUs;
          until(at + HOLD_US);
          nowUs = at;
        }
        break;
      case "tick_update":
        aged ||= want.lsdb.length < held;
        break;
      case "tick_recalc":
        ahead = false;
        if (pending) aged = false;
        break;
      case "nhop":
        until(nowUs + 20_000);
        if (ahead || aged) break;
        for (const [addr, theirs] of Object.entries(want.result as Record<string, number>)) {
          // Neighbours that came over new flows, and flows that are gone but stay in the prototype's table.
          if (moved.has(Number(addr)) || theirs >= 0 && !transfers.has(theirs)) continue;
          const fds = (routes.get(Number(addr)) ?? []).filter((fd) => !down.has(fd));
          if (v.input.script.some((s: string) => /^init \d+ 2 /.test(s))) {
            if (!down.has(theirs)) {
              assert(theirs < 0 ? fds.length === 0 : fds.includes(theirs), line);
            }
          } else if (!down.has(theirs)) {
            assertEquals(fds[0] ?? -1, theirs, line);
          }
        }
        break;
      default:
        throw new Error(`unknown line: ${line}`);
    }
    drain();
    held = want.lsdb?.length ?? held;
    pending = want.recalc_pending ?? pending;
    compare(v, line, want, routing!, sent, moved);
  }
}

function compare(
  v: Case,
  line: string,
  want: Case,
  routing: LinkStateRouting,
  sent: { fd: number; hex: string }[],
  moved: ReadonlySet<number>,
): void {
  // Own links without a flow: the prototype takes its own address from others (W11) and keeps them alive.
  const flows = new Set(want.nbs?.filter((n: Case) => n[2] === "dt").map((n: Case) => n[0]));
  const ghost = (src: number, dst: number) => src === routing.self && !flows.has(dst);
  // Numbers: ours of our own links may be higher, since a link keeps counting, and we refresh by the clock.
  const wide = (addr: number) => BigInt(addr).toString(16).padStart(16, "0");
  const own = wide(routing.self);
  // (A withdrawal has a word of its own before the low half of the address.)
  const ghosts: string[] = (want.lsdb ?? []).filter(([src, dst]: number[]) => ghost(src!, dst!))
    .map(([src, dst]: number[]) => wide(dst!).slice(8) + wide(src!));
  const blind = (s: { fd: number; hex: string }) =>
    s.hex.slice(16, 32) === own ? `${s.fd} ${s.hex.slice(0, 32)}` : `${s.fd} ${s.hex}`;
  if (!/^(tick|dt_del|nhop)/.test(line)) {
    const expected = want.actions.filter((a: Case) => a.do === "send");
    const real = (all: { fd: number; hex: string }[]) =>
      all.map(blind).filter((s) => !ghosts.some((g) => s.endsWith(g))).sort();
    assertEquals(real(sent), real(expected), line);
  }
  const links = routing.links().map((l) => `${l.src} ${l.dst}`);
  if (want.lsdb === undefined) return;
  const theirs = want.lsdb.filter(([src, dst]: number[]) => !ghost(src!, dst!)).map((
    [src, dst]: number[],
  ) => `${src} ${dst}`);
  const settled = (l: string) => !moved.has(Number(l.split(" ")[0]));
  const order = (l: string[]) => [...l].sort();
  // Ours withdraws the link to a neighbour that was silent for long ; the prototype goes on naming it.
  const silent = new Set(
    routing.neighbours().filter((n) => !n.up).map((n) => `${routing.self} ${n.addr}`),
  );
  const told = (l: string) => !silent.has(l);
  assertEquals(order(links.filter(told)), order(theirs.filter(told)), `${v.name}: ${line}`);
  for (const [src, dst, seqno] of want.lsdb) {
    if (src === routing.self) continue;
    const link = routing.links().find((l) => l.src === src && l.dst === dst);
    assertEquals(link?.seqno, seqno, `${v.name}: ${line}`);
  }
  const neighbours = routing.neighbours().flatMap((n) => [
    ...(n.mgmt >= 0 ? [`${n.addr} ${n.mgmt} mgmt`] : []),
    ...(n.dt >= 0 ? [`${n.addr} ${n.dt} dt`] : []),
  ]);
  const wanted = want.nbs.map(([addr, fd, type]: [number, number, string]) =>
    `${addr} ${fd} ${type}`
  );
  assertEquals(order(neighbours.filter(settled)), order(wanted.filter(settled)), line);
}
