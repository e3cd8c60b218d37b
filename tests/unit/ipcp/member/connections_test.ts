// The connections of members: both roles of CEP and enrollment, several at once, silence, refusals, farewells, and
// what is made again. Bytes are proved in lib/wire/cep_enroll_test.ts.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { Errno } from "../../../../lib/errno.ts";
import { QOS } from "../../../../lib/qos.ts";
import { encodeEnrollReq } from "../../../../lib/wire/enroll_msg.ts";
import {
  BROADCAST_DT,
  ENROLLMENT,
  judge,
  MANAGEMENT,
  presentation,
  REFUSAL,
  UNICAST_DT,
} from "../../../../ipcp/member/cep.ts";
import {
  DOWN_LIFE_US,
  GREETING_US,
  GREETINGS_MAX,
  STRANGERS_MAX,
  TWINS_MAX,
} from "../../../../ipcp/member/connections.ts";
import { MESSAGE_US, START_US } from "../../../../ipcp/member/enrollment.ts";
import { CONF, Member, pair, type World } from "../../../support/members.ts";

const S = 1e6;

function connected(): ReturnType<typeof pair> {
  const w = pair();
  w.b.machine.setLayer(CONF, w.b.address);
  w.b.machine.connect(w.world.nowUs, "a", "Management", QOS.raw, 1);
  w.b.machine.connect(w.world.nowUs, "a", "Data Transfer", QOS.raw, 2);
  w.world.run(S);
  assertEquals([...w.b.answers], [[1, undefined], [2, undefined]]);
  return w;
}

Deno.test("enroll() takes over the member's configuration, and every flow of it is closed", () => {
  const { world, a, b } = pair();
  b.machine.enroll(0, "a", 7);
  world.run(S);
  assertEquals([...b.answers], [[7, undefined]]);
  assertEquals(b.joining!.conf, CONF);
  assertEquals([a.flows.size, b.flows.size], [0, 0]);
  assertEquals([a.machine.pending, b.machine.pending], [0, 0]);
  assertEquals(b.machine.deadlineUs(), Infinity);
  assertEquals(a.machine.deadlineUs(), Infinity);
});

Deno.test("enroll() reports how far the clocks are apart", () => {
  const { world } = pair();
  const c = world.add(new Member("c", 3, -5 * S));
  c.machine.enroll(0, "a", 1);
  world.run(S);
  assertEquals(c.joining!.clockOff, true);
  assertEquals(c.joining!.clockOffsetUs, 5 * S);
  assertEquals(c.joining!.rttUs, 2000);
});

Deno.test("a member serves many enrollments at once, and one that falls silent holds up nobody", () => {
  const { world, a } = pair();
  const silent = world.add(new Member("silent", 99));
  silent.start = undefined;
  silent.machine.enroll(0, "a", 1);
  const many = Array.from({ length: 20 }, (_, i) => world.add(new Member(`m${i}`, 100 + i)));
  for (const m of many) m.machine.enroll(0, "a", 1);
  world.run(S);
  for (const m of many) assertEquals([...m.answers], [[1, undefined]]);
  assertEquals(a.flows.size, 1);
  world.run(START_US);
  assertEquals(a.flows.size, 0);
});

Deno.test("enroll() with a member that never answers ends with a time-out that names it", () => {
  const { world, a, b } = pair();
  world.pass = (from) => from !== a;
  b.machine.enroll(0, "a", 1);
  world.run(GREETING_US + S);
  const failure = b.answers.get(1)!;
  assertEquals(failure.code, -110);
  assertStringIncludes(failure.cause, `"a": it did not answer`);
  assertEquals(b.flows.size, 0);
});

Deno.test("enroll() with a member that presents itself and then is silent ends with a time-out", () => {
  const { world, a, b } = pair();
  let said = 0;
  world.pass = (from) => from !== a || said++ === 0;
  b.machine.enroll(0, "a", 1);
  world.run(MESSAGE_US + S);
  assertEquals(b.answers.get(1)!.code, -110);
  assertEquals(b.answers.get(1)!.stage, "enrollment");
});

Deno.test("enroll() with a node that is in no layer is denied with its number", () => {
  const { world, b } = pair();
  world.add(new Member("c", 3));
  b.machine.enroll(0, "c", 1);
  world.run(S);
  assertEquals(b.answers.get(1)!.code, -1004);
});

Deno.test("enroll() whose components do not start tells the member and fails", () => {
  const { world, a, b } = pair();
  b.start = { code: -22, stage: "start", cause: "addr_size is 3" };
  b.machine.enroll(0, "a", 1);
  world.run(S);
  assertEquals(b.answers.get(1), b.start);
  assertEquals([a.flows.size, b.flows.size], [0, 0]);
  // The next one may be tried at once.
  b.start = "ok";
  b.machine.enroll(world.nowUs, "a", 2);
  world.run(S);
  assertEquals(b.answers.get(2), undefined);
});

Deno.test("W6: who knocks while a member joins is answered, and served once it has joined", () => {
  const { world, b } = pair();
  const c = world.add(new Member("c", 3));
  b.machine.enroll(0, "a", 1);
  c.machine.enroll(0, "b", 1);
  world.run(S);
  assertEquals(b.answers.get(1), undefined);
  assertEquals(c.answers.get(1)!.code, -1004);
  b.machine.setLayer(b.joining!.conf, b.address);
  c.machine.enroll(world.nowUs, "b", 2);
  world.run(S);
  assertEquals([c.answers.has(2), c.answers.get(2)], [true, undefined]);
});

Deno.test("enroll() refuses a second one while the first is under way", () => {
  const { world, b } = pair();
  b.machine.enroll(0, "a", 1);
  b.machine.enroll(0, "a", 2);
  world.run(S);
  assertEquals(b.answers.get(1), undefined);
  assertEquals(b.answers.get(2)!.code, -1004);
});

Deno.test("enroll() to a name nobody has fails with what the layer below said", () => {
  const { world, b } = pair();
  b.machine.enroll(0, "nobody", 1);
  world.run(S);
  assertEquals(b.answers.get(1)!.code, -1003);
});

Deno.test("connect() gives both sides a connection with the other's address", () => {
  const { a, b } = connected();
  assertEquals(a.names(), ["Data Transfer", "Management"]);
  assertEquals(b.names(), ["Data Transfer", "Management"]);
  assertEquals(a.up.map((c) => [c.address, c.dst]), [[b.address, ""], [b.address, ""]]);
  assertEquals(b.up.map((c) => [c.address, c.dst]), [[a.address, "a"], [a.address, "a"]]);
});

Deno.test("connect() twice is one connection", () => {
  const { world, a, b } = connected();
  b.machine.connect(world.nowUs, "a", "Management", QOS.raw, 3);
  world.run(S);
  assertEquals(b.answers.get(3), undefined);
  assertEquals(a.flows.size, 2);
});

Deno.test("connect() names an unknown component, and a node that is in no layer", () => {
  const { world, b } = pair();
  b.machine.connect(0, "a", "Management", QOS.raw, 1);
  b.machine.setLayer(CONF, b.address);
  b.machine.connect(0, "a", "y", QOS.raw, 2);
  world.run(S);
  assertEquals(b.answers.get(1)!.code, -1004);
  assertEquals(b.answers.get(2), { code: -1, stage: "connect", cause: "no such component: y" });
});

Deno.test("connect() to a node with our own address is refused on both sides", () => {
  const { world, a } = pair();
  const twin = world.add(new Member("twin", 0x0c0c0c0c));
  twin.machine.setLayer(CONF, a.address);
  twin.machine.connect(0, "a", "Data Transfer", QOS.raw, 1);
  world.run(S);
  assertStringIncludes(twin.answers.get(1)!.cause, "has no component");
  assertEquals([a.names(), twin.names()], [[], []]);
  assertEquals([a.flows.size, twin.flows.size], [0, 0]);
});

/** Members a and c that both answer to "net", in turns, and b that connects to that. */
function several(answers: (n: number) => number) {
  const { world, a, b } = pair();
  const c = world.add(new Member("c", 3));
  for (const m of [b, c]) m.machine.setLayer(CONF, m.address);
  let n = 0;
  const get = world.members.get.bind(world.members);
  world.members.get = (name) => name === "net" ? [a, c][answers(n++)] : get(name);
  for (const [i, name] of ["Management", "Data Transfer"].entries()) {
    b.machine.connect(0, "net", name, QOS.raw, i);
  }
  world.run(S);
  return { b, asked: () => n };
}

Deno.test("connect() to a name that several have connects all components to the same member", () => {
  const { b } = several((n) => n % 2);
  assertEquals([...b.answers.values()], [undefined, undefined]);
  const addresses = [...b.machine.open()].map((c) => c.address);
  assertEquals(addresses.length, 2);
  assertEquals(new Set(addresses).size, 1);
});

Deno.test("connect() to a name of several says so when the same member does not answer again", () => {
  const { b, asked } = several((n) => Math.min(n, 1));
  const failure = [...b.answers.values()].find((f) => f !== undefined)!;
  assertEquals(failure.code, -Errno.EAGAIN);
  assertStringIncludes(failure.cause, "connect to a member by its own name");
  assertEquals(asked(), 1 + STRANGERS_MAX);
  assertEquals([...b.machine.open()].length, 1);
});

Deno.test("disconnect() ends the connection at both ends at once", () => {
  const { world, a, b } = connected();
  b.machine.disconnect(world.nowUs, "a", "Data Transfer", 3);
  world.run(10_000);
  assertEquals([a.names(), b.names()], [["Management"], ["Management"]]);
  b.machine.disconnect(world.nowUs, "a", "Management", 4);
  world.run(10_000);
  assertEquals([a.names(), b.names()], [[], []]);
  assertEquals([a.flows.size, b.flows.size], [0, 0]);
  world.run(60 * S);
  assertEquals([a.names(), b.names()], [[], []]);
});

Deno.test("disconnect() ends what the other side made, by its address, and it stays ended", () => {
  const { world, a, b } = connected();
  a.machine.disconnect(world.nowUs, "0b.0b.0b.0b", "Data Transfer", 1);
  world.run(60 * S);
  assertEquals(a.answers.get(1), undefined);
  assertEquals([a.names(), b.names()], [["Management"], ["Management"]]);
});

Deno.test("disconnect() of nothing says that there is nothing", () => {
  const { world, b } = pair();
  b.machine.disconnect(0, "nobody", "Management", 1);
  world.run(S);
  assertEquals(b.answers.get(1), {
    code: -Errno.ENOENT,
    stage: "disconnect",
    cause: 'it is not connected to "nobody"',
  });
});

Deno.test("a connection that breaks is made again, with growing pauses while it fails", () => {
  const { world, a, b } = connected();
  a.dead = true;
  for (const flow of [...b.flows]) b.machine.onGone(world.nowUs, flow, "silent");
  world.run(60 * S);
  assertEquals(b.names(), []);
  const again = world.add(new Member("a", 0x0d0d0d0d));
  again.machine.setLayer(CONF, again.address);
  world.run(20 * S);
  assertEquals(again.names(), ["Data Transfer", "Management"]);
  assertEquals(b.names(), ["Data Transfer", "Management"]);
  // The member came back with another address.
  assertEquals(b.up.at(-1)!.address, again.address);
  b.machine.disconnect(world.nowUs, "a", "Data Transfer", 5);
  world.run(60 * S);
  assertEquals(b.names(), ["Management"]);
});

Deno.test("connect() while a connection is made again waits for that", () => {
  const { world, a, b } = connected();
  a.dead = true;
  for (const flow of [...b.flows]) b.machine.onGone(world.nowUs, flow, "silent");
  world.run(30 * S);
  const again = world.add(new Member("a", a.address));
  again.machine.setLayer(CONF, a.address);
  b.machine.connect(world.nowUs, "a", "Management", QOS.raw, 9);
  world.run(0.1 * S);
  assert(b.answers.has(9));
  assertEquals(b.answers.get(9), undefined);
});

Deno.test("an interface that goes down and comes back costs no connection", () => {
  const { world, a, b } = connected();
  const flow = a.up[1]!.flow;
  a.machine.onUsable(world.nowUs, flow, false);
  a.machine.onUsable(world.nowUs, flow, false);
  world.run(60 * S);
  a.machine.onUsable(world.nowUs, flow, true);
  world.run(1 * S);
  assertEquals(a.usable, [false, true]);
  assertEquals([a.gone, b.gone], [[], []]);
});

Deno.test("a flow that stays down is made again by who made it, and given up in the end by the other", () => {
  const { world, a, b } = connected();
  const mine = b.up[1]!.flow;
  const theirs = world.peer(b, mine)!.flow;
  a.machine.onUsable(world.nowUs, theirs, false);
  b.machine.onUsable(world.nowUs, mine, false);
  world.run(5 * S);
  assertEquals(b.gone.map((g) => g.connection.flow), [mine]);
  assertEquals(b.names(), ["Data Transfer", "Management"]);
  world.run(DOWN_LIFE_US);
  assertEquals(a.gone.map((g) => g.connection.flow), [theirs]);
  assertEquals(a.names(), ["Data Transfer", "Management"]);
});

Deno.test("when the newest of two flows to a neighbour ends, the older one takes its place", () => {
  const { world, a, b } = connected();
  a.machine.connect(world.nowUs, "b", "Data Transfer", QOS.raw, 1);
  world.run(S);
  a.machine.disconnect(world.nowUs, "b", "Data Transfer", 2);
  const last = () => a.up.filter((c) => c.component === UNICAST_DT).at(-1)!;
  world.settle();
  assertEquals(last().flow, a.up[1]!.flow);
  assert(b.flows.size > 0);
});

Deno.test("a neighbour that connects again and again piles up nothing", () => {
  const { world, a, b } = connected();
  for (let i = 0; i < 50; i++) {
    const flow = 1000 + i;
    a.flows.add(flow);
    a.machine.accepted(world.nowUs, flow);
    a.machine.onMessage(world.nowUs, flow, presentation(UNICAST_DT, b.address));
    world.settle();
  }
  assertEquals([...a.machine.open()].filter((c) => c.component === UNICAST_DT).length, TWINS_MAX);
  assertEquals(a.flows.size, TWINS_MAX + 1);
});

Deno.test("strangers that say nothing are few, and gone after their time", () => {
  const { world, a } = pair();
  for (let i = 0; i < 500; i++) {
    a.flows.add(i + 1);
    a.machine.accepted(0, i + 1);
  }
  world.settle();
  assertEquals(a.flows.size, GREETINGS_MAX);
  world.run(GREETING_US + 1);
  assertEquals(a.flows.size, 0);
});

Deno.test("of a flood of strangers the log has a line for the first, then one a minute with their number", () => {
  const greeting = (what: string) =>
    presentation({ ...MANAGEMENT, name: what, protocol: "nobody's" }, 5);
  // Refused for what they name, what they speak, or for saying nothing that can be read; or an enrollment of garbage.
  const kinds: Record<string, (i: number) => Uint8Array[]> = {
    "other components": (i) => [greeting(`component ${String.fromCharCode(97 + i % 26)}${i}`)],
    "other protocols": () => [greeting(MANAGEMENT.name)],
    "refusals": () => [REFUSAL],
    "garbage": (i) => [new Uint8Array(1 + i % 900).fill(255)],
    "enrollments of garbage": (i) => [presentation(ENROLLMENT, 0), Uint8Array.of(255, i & 0xff)],
    "enrollments that stop": () => [presentation(ENROLLMENT, 0)],
  };
  for (const [kind, messages] of Object.entries(kinds)) {
    const { world, a } = pair();
    const flood = (first: number) => {
      for (let i = first; i < first + 1000; i++) {
        a.flows.add(i);
        a.machine.accepted(world.nowUs, i);
        for (const bytes of messages(i)) a.machine.onMessage(world.nowUs, i, bytes);
        world.settle();
      }
      world.run(30 * S);
    };
    flood(1);
    assertEquals(a.log.length, 1, `${kind}: ${a.log.slice(0, 3).join(" ")}`);
    flood(1001);
    assertEquals(a.log.length, 1, kind);
    flood(2001);
    assertEquals(a.log.length, 2, kind);
    assert(/[0-9]{3,} (connections|enrollments)/.test(a.log[1]!), a.log[1]);
    assertEquals([a.flows.size, a.machine.pending], [0, 0], kind);
  }
});

Deno.test("close() answers what waits and leaves every connection", () => {
  const { world, a, b } = connected();
  b.machine.connect(world.nowUs, "nobody", "Management", QOS.raw, 5);
  b.machine.close(world.nowUs);
  world.run(S);
  assertEquals(b.answers.get(5)!.code, -1004);
  assertEquals(b.flows.size, 0);
  // Its neighbour heard.
  assertEquals(a.names(), []);
});

Deno.test("judge() refuses unknown components, empty names, other protocols, and garbage without a word", () => {
  const own = [ENROLLMENT, BROADCAST_DT];
  const stage = (bytes: Uint8Array) => {
    const answer = judge(own, 0, bytes);
    return answer.kind === "refused" ? answer.tell : answer.component.name;
  };
  assertEquals(stage(presentation(BROADCAST_DT, 0)), "Data Transfer");
  assertEquals(stage(presentation(MANAGEMENT, 5)), true);
  assertEquals(stage(presentation(UNICAST_DT, 5)), true);
  assertEquals(stage(REFUSAL), true);
  assertEquals(stage(Uint8Array.of(255, 255)), false);
  assertEquals(stage(new Uint8Array(4000)), false);
});

Deno.test("onMessage() survives anything on a flow in any state, and the member stays well", () => {
  fc.assert(fc.property(
    fc.array(
      fc.tuple(
        fc.integer({ min: 1, max: 6 }),
        fc.oneof(
          fc.uint8Array({ maxLength: 64 }),
          fc.constant(presentation(ENROLLMENT, 0)),
          fc.constant(presentation(MANAGEMENT, 77)),
          fc.constant(encodeEnrollReq({ id: new Uint8Array(8) })),
          fc.constant(REFUSAL),
        ),
      ),
      { maxLength: 60 },
    ),
    (messages) => {
      const { world, a, b } = pair();
      for (const [flow, bytes] of messages) {
        if (!a.flows.has(flow)) {
          a.flows.add(flow);
          a.machine.accepted(world.nowUs, flow);
        }
        a.machine.onMessage(world.nowUs, flow, bytes);
        world.settle();
      }
      enrols(world, b);
    },
  ));
});

/** Calls `run` with every change of one message: cut at each byte, or a byte of it another. */
function eachChange(
  sizes: readonly number[],
  run: (change: (nth: number, bytes: Uint8Array) => Uint8Array) => void,
): void {
  sizes.forEach((size, nth) => {
    for (let at = 0; at < size; at++) {
      run((n, bytes) => n === nth ? bytes.slice(0, at) : bytes);
      for (const value of [0, 0x7f, 0xff]) {
        run((n, bytes) => n === nth ? bytes.with(at, value) : bytes);
      }
    }
  });
}

Deno.test("whichever message of joining comes cut or changed: who asked is answered, the member stays well", () => {
  const enrolled = (change: (nth: number, bytes: Uint8Array) => Uint8Array) => {
    const { world, a, b } = pair();
    const sizes: number[] = [];
    world.garble = (bytes) => change(sizes.push(bytes.length) - 1, bytes);
    b.machine.enroll(0, "a", 1);
    world.run(GREETING_US + MESSAGE_US + START_US);
    assert(b.answers.has(1));
    assertEquals([a.flows.size, b.flows.size, a.machine.pending], [0, 0, 0]);
    world.garble = (bytes) => bytes;
    b.machine.enroll(world.nowUs, "a", 2);
    world.run(S);
    assertEquals([b.answers.has(2), b.answers.get(2)], [true, undefined]);
    return sizes;
  };
  const sizes = enrolled((_, bytes) => bytes);
  assertEquals(sizes.length, 5);
  eachChange(sizes, enrolled);
});

function enrols(world: World, b: Member): void {
  b.machine.enroll(world.nowUs, "a", 1);
  world.run(S);
  assertEquals(b.answers.get(1), undefined);
  assertEquals(b.joining!.conf, CONF);
}
