/** What the flow allocator does when the directory was told lies. */

import { assertEquals } from "@std/assert";
import { FlowAllocator } from "../../../../ipcp/unicast/flow_alloc.ts";
import type { FlowEffect } from "../../../../ipcp/unicast/flow_effects.ts";
import { Errno } from "../../../../lib/errno.ts";
import { QOS } from "../../../../lib/qos.ts";
import { LENGTH, parse } from "../../../../lib/wire/fa_msg.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";

const HASH = new Uint8Array(32).fill(3);
const NONE = new Uint8Array(0);

function drain(fa: FlowAllocator): FlowEffect[] {
  const effects: FlowEffect[] = [];
  for (let e = fa.poll(); e !== undefined; e = fa.poll()) effects.push(e);
  return effects;
}

/** The request among what is to be sent: where it goes, and our EID in it. */
function asked(effects: readonly FlowEffect[]) {
  for (const e of effects) {
    const m = e.kind === "send" ? parse(e.bytes, 32) : undefined;
    if (e.kind === "send" && m !== undefined && !isWireError(m) && m.kind === "request") {
      return { dst: e.dst, eid: m.srcEid };
    }
  }
  throw new Error("no request");
}

function deny(fa: FlowAllocator, eid: { hi: number; lo: number }): FlowEffect[] {
  const reply = { kind: "reply", dstEid: eid, srcEid: { hi: 0, lo: 0 } } as const;
  fa.onMessage(1, { ...reply, response: -Errno.ENAME, data: NONE });
  return drain(fa);
}

Deno.test("an address that does not have the name is left for the next, then the directory is asked again", () => {
  let n = 1;
  const fa = new FlowAllocator(99, () => n++, () => false);
  assertEquals(fa.request(0, 7, [10, 11], HASH, QOS.raw, NONE), 0);
  const first = asked(drain(fa));
  assertEquals(first.dst, 10);
  const second = deny(fa, first.eid);
  assertEquals(second[0], { kind: "denied", hash: HASH, addr: 10 });
  assertEquals(asked(second).dst, 11);
  const third = deny(fa, asked(second).eid);
  assertEquals(third.map((e) => e.kind), ["denied", "look_again"]);
  // The flow waits for the directory, which knows one more.
  fa.found(2, 7, [10, 11, 12]);
  const fourth = drain(fa);
  assertEquals(asked(fourth).dst, 12);
  assertEquals(deny(fa, asked(fourth).eid).map((e) => e.kind), ["denied", "look_again"]);
  fa.found(3, 7, [10]);
  const last = drain(fa);
  assertEquals(last.map((e) => e.kind), ["alloc_reply", "release"]);
  assertEquals(last[0]!.kind === "alloc_reply" && last[0]!.response, -Errno.ENAME);
  assertEquals(fa.size, 0);
});

Deno.test("a refusal of the acceptor is final", () => {
  let n = 1;
  const fa = new FlowAllocator(99, () => n++, () => false);
  fa.request(0, 7, [10, 11], HASH, QOS.raw, NONE);
  const { eid } = asked(drain(fa));
  const reply = { kind: "reply", dstEid: eid, srcEid: { hi: 0, lo: 0 } } as const;
  fa.onMessage(1, { ...reply, response: -Errno.EPERM, data: NONE });
  assertEquals(drain(fa).map((e) => e.kind), ["alloc_reply", "release"]);
});

Deno.test("a refusal carries no data; its cause comes ahead of it, and reaches who asked", () => {
  let n = 1;
  const near = new FlowAllocator(99, () => n++, () => false);
  const far = new FlowAllocator(10, () => n++, () => true);
  const toFar = (effects: readonly FlowEffect[], to: FlowAllocator) => {
    const got = [];
    for (const e of effects) {
      const m = e.kind === "send" ? parse(e.bytes, 32) : undefined;
      if (e.kind !== "send" || m === undefined || isWireError(m)) continue;
      got.push({ kind: m.kind, bytes: e.bytes.length });
      to.onMessage(1, m);
    }
    return got;
  };
  near.request(0, 7, [10], HASH, QOS.raw, NONE);
  assertEquals(toFar(drain(near), far).map((m) => m.kind), ["request"]);
  const ask = drain(far).find((e) => e.kind === "ask_irmd")!;
  far.asked(2, ask.ask, { result: -Errno.EPERM, cause: "no room for you", flowId: -1, pid: -1 });
  // A prototype skips the first, and hands the second to its IRMd, which takes a refusal without data only.
  const told = toFar(drain(far), near);
  assertEquals(told.map((m) => m.kind), ["why", "reply"]);
  assertEquals(told[1]!.bytes, LENGTH);
  const reply = drain(near).find((e) => e.kind === "alloc_reply")!;
  assertEquals([reply.response, reply.cause], [-Errno.EPERM, "no room for you"]);
  assertEquals([near.counters.forged, far.counters.forged], [0, 0]);
});

Deno.test("packets of a flow go in the cube of its request, at both ends", () => {
  let n = 1;
  const cubes = [QOS.raw, QOS.data, QOS.video, QOS.voice].map((qos, i) => {
    const near = new FlowAllocator(99, () => n++, () => false);
    const far = new FlowAllocator(10, () => n++, () => true);
    near.request(0, 7 + i, [10], HASH, qos, NONE);
    const out = drain(near);
    const request = out.find((e) => e.kind === "send")!;
    const m = parse(request.bytes, 32);
    if (isWireError(m)) throw new Error(String(m));
    far.onMessage(0, m);
    const ask = drain(far).find((e) => e.kind === "ask_irmd")!;
    const flow = { flowId: 20 + i, pid: 1, uid: 0 };
    far.asked(0, ask.ask, { result: 0, ...flow });
    far.allocResp(0, flow, { response: 0, data: NONE }, 1);
    far.owned(0, flow.flowId, 0);
    return [...out, ...drain(far)].filter((e) => e.kind === "publish").map((e) => e.flow.cube);
  });
  assertEquals(cubes, [[0, 0], [0, 0], [1, 1], [2, 2]]);
});

Deno.test("the way goes down while a request in pieces is on it: who asked is answered, and half of one is no flow", () => {
  const data = new Uint8Array(6000).fill(9);
  const run = (cut: number) => {
    let n = 1;
    const near = new FlowAllocator(99, () => n++, () => false);
    const far = new FlowAllocator(10, () => n++, () => true);
    const seen = { sent: 0, asked: 0, released: 0 };
    const pass = (from: FlowAllocator, to: FlowAllocator, us: number): boolean => {
      const effects = drain(from);
      for (const e of effects) {
        if (e.kind === "ask_irmd") seen.asked++;
        if (e.kind === "release" && from === near) seen.released++;
        if (e.kind !== "send") continue;
        if (seen.sent++ >= cut) continue;
        const m = parse(e.bytes, 32);
        if (isWireError(m)) throw m;
        to.onMessage(us, m);
      }
      return effects.length > 0;
    };
    near.request(0, 7, [10], HASH, QOS.raw, data);
    for (let us = 0; us < 120e6; us += 50_000) {
      near.onTimer(us);
      far.onTimer(us);
      while (pass(near, far, us) || pass(far, near, us));
    }
    return { ...seen, flows: near.size, far: far.size, idle: far.deadlineUs() };
  };
  const whole = run(Infinity);
  assertEquals([whole.asked, whole.released], [1, 1]);
  for (let cut = 0; cut < 9; cut++) {
    const { asked, released, flows, far, idle } = run(cut);
    assertEquals(
      [asked, released, flows, far, idle],
      [cut < 8 ? 0 : 1, 1, 0, 0, Infinity],
      `${cut}`,
    );
  }
});

Deno.test("a member that rejoins no pieces is asked once; then what it can take goes whole at once", () => {
  let n = 1;
  const fa = new FlowAllocator(99, () => n++, () => false);
  const kinds = (effects: readonly FlowEffect[]) =>
    effects.flatMap((e) => {
      if (e.kind !== "send") return [];
      const m = parse(e.bytes, 32);
      if (isWireError(m)) throw m;
      return [m.kind === "piece" ? m.piece.kind : m.kind];
    });
  const data = new Uint8Array(1500);
  assertEquals(fa.request(0, 7, [10], HASH, QOS.raw, data), 0);
  assertEquals(kinds(drain(fa)), ["piece_ask"]);
  const later = [];
  for (let us = 0; us < 1e6; us += 50_000) {
    fa.onTimer(us);
    later.push(...kinds(drain(fa)));
  }
  assertEquals(later, ["piece_ask", "piece_ask", "request"]);
  assertEquals(fa.request(1e6, 8, [10], HASH, QOS.raw, data), 0);
  assertEquals(kinds(drain(fa)), ["request"]);
  // Of another nothing is known yet, and too long is too long.
  assertEquals(fa.request(1e6, 9, [11], HASH, QOS.raw, data), 0);
  assertEquals(kinds(drain(fa)), ["piece_ask"]);
  assertEquals(fa.request(1e6, 6, [10], HASH, QOS.raw, new Uint8Array(3000)), 0);
  assertEquals(kinds(drain(fa)), ["piece_ask"]);
});
