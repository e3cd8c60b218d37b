/** What routing does beyond the vectors: silence and its end, spare flows, twins, numbers that jump. */

import { assert, assertEquals } from "@std/assert";
import { LinkStateRouting } from "../../../../ipcp/unicast/link_state.ts";
import type { RoutingEffect } from "../../../../ipcp/unicast/routing.ts";
import { encode, parse } from "../../../../lib/wire/link_state.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";

const [A, B, C] = [0x11111111, 0x22222222, 0x33333333];
const TIMES = { updateUs: 2e6, timeoutUs: 6e6 };

function drain(r: LinkStateRouting): RoutingEffect[] {
  const effects: RoutingEffect[] = [];
  for (let e = r.poll(); e !== undefined; e = r.poll()) effects.push(e);
  return effects;
}

function update(src: number, dst: number, seqno: number, withdrawn = false): Uint8Array {
  const b = new Uint8Array(24);
  encode({ src, dst, seqno, withdrawn }, b);
  return b;
}

/** What was sent, as "src>dst" or "src-dst" for a withdrawal. */
function sent(effects: readonly RoutingEffect[]): string[] {
  const names = new Map([[A, "A"], [B, "B"], [C, "C"]]);
  return effects.flatMap((e) => {
    const u = e.kind === "send_mgmt" ? parse(e.bytes) : undefined;
    if (u === undefined || isWireError(u)) return [];
    return [`${names.get(u.src)}${u.withdrawn ? "-" : ">"}${names.get(u.dst)}`];
  });
}

/** Let time pass, exchanging what two nodes send unless `cut`. */
function pass(a: LinkStateRouting, b: LinkStateRouting, from: number, to: number, cut = false) {
  for (let now = from; now <= to; now += 10_000) {
    for (const [x, y] of [[a, b], [b, a]] as const) {
      if (x.deadlineUs() <= now) x.onTimer(now);
      for (const e of drain(x)) if (e.kind === "send_mgmt" && !cut) y.onPacket(now, 1, e.bytes);
    }
  }
}

Deno.test("two nodes that both fell silent find each other again when the cut ends", () => {
  const a = new LinkStateRouting(A, "simple", TIMES, 0);
  const b = new LinkStateRouting(B, "simple", TIMES, 0);
  for (const [x, peer] of [[a, B], [b, A]] as const) {
    x.managementUp(0, peer, 1);
    x.transferUp(0, peer, 2);
  }
  pass(a, b, 0, 1e6);
  assert(a.reaches(B) && b.reaches(A));
  pass(a, b, 1e6, 20e6, true);
  assert(!a.reaches(B) && !b.reaches(A), "a dead link is still used");
  pass(a, b, 20e6, 23e6);
  assert(a.reaches(B) && b.reaches(A), "they wait for each other's first word");
});

Deno.test("a second flow to a neighbour is a spare: the link stays while one of them is up", () => {
  const a = new LinkStateRouting(A, "simple", TIMES, 0);
  a.managementUp(0, B, 1);
  a.transferUp(0, B, 2);
  a.transferUp(0, B, 3);
  a.onPacket(0, 1, update(B, A, 0));
  a.onTimer(10_000);
  const routes = (effects: readonly RoutingEffect[]) =>
    effects.filter((e) => e.kind === "routes").map((e) => e.routes.get(B));
  assertEquals(routes(drain(a)), [[3]]);
  a.transferGone(20_000, B, 3);
  a.onTimer(30_000);
  const effects = drain(a);
  assertEquals(routes(effects), [[2]]);
  assertEquals(sent(effects), []);
  a.transferState(40_000, B, 2, false);
  assertEquals(sent(drain(a)), ["A-B"]);
  a.transferState(50_000, B, 2, true);
  assertEquals(sent(drain(a)), ["A>B"]);
  a.transferGone(60_000, B, 2);
  assertEquals(sent(drain(a)), ["A-B"]);
});

Deno.test("a neighbour with our own address is a conflict, not a link", () => {
  const a = new LinkStateRouting(A, "simple", TIMES, 0);
  a.managementUp(0, A, 1);
  a.transferUp(0, A, 2);
  assertEquals(drain(a).map((e) => e.kind), ["conflict"]);
  assertEquals(a.linksHeld, 0);
});

Deno.test("a number far ahead is not believed, and none silences a link for ever", () => {
  const b = new LinkStateRouting(B, "simple", TIMES, 0);
  b.managementUp(0, C, 1);
  b.onPacket(0, 1, update(A, C, 5));
  b.onPacket(0, 1, update(A, C, Number.MAX_SAFE_INTEGER, true));
  assertEquals(b.links().map((l) => l.seqno), [5]);
  // The owner of a link keeps counting where it was when no number is higher.
  const a = new LinkStateRouting(A, "simple", TIMES, 0);
  a.managementUp(0, B, 1);
  a.transferUp(0, B, 2);
  a.onPacket(0, 1, update(A, B, Number.MAX_SAFE_INTEGER, true));
  drain(a);
  a.onTimer(2e6);
  assertEquals(sent(drain(a)), ["A>B"]);
  assertEquals(a.links().map((l) => l.seqno), [1]);
});

Deno.test("in a large layer links are renewed less often, and before anybody takes them for gone", () => {
  const times = { updateUs: 15e6, timeoutUs: 60e6 };
  for (const [links, gapUs] of [[100, 15e6], [1100, 24e6]] as const) {
    const a = new LinkStateRouting(A, "simple", times, 0);
    a.managementUp(0, B, 1);
    a.transferUp(0, B, 1);
    const said: number[] = [];
    for (let now = 0; now < 200e6; now += 0.1e6) {
      // The neighbour tells of many links, a little more often than it must.
      if (now % 10e6 === 0) {
        for (let i = 0; i < links; i++) a.onPacket(now, 1, update(0x1000 + i, C, 1 + now / 10e6));
      }
      while (a.deadlineUs() <= now) a.onTimer(now);
      if (sent(drain(a)).includes("A>B")) said.push(now);
    }
    const gaps = said.slice(3).map((now, i) => Math.round((now - said[i + 2]!) / 1e6) * 1e6);
    assert(gaps.length >= 4 && gaps.every((gap) => gap === gapUs), `${links} links: ${gaps}`);
  }
});
