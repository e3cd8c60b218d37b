// Long management messages in pieces: whole or refused, whatever the network loses, and bounded whoever sends.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  ASK_US,
  JOINING_BYTES_MAX,
  JOINING_MAX,
  JOINING_PER_SOURCE_MAX,
  JOINING_US,
  Pieces,
} from "../../../ipcp/pieces.ts";
import * as piece from "../../../lib/wire/mgmt_piece.ts";
import { dixMgmt, llcMgmt } from "../../../lib/wire/eth_mgmt.ts";
import * as fa from "../../../lib/wire/fa_msg.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import { udpMgmt } from "../../../lib/wire/udp_mgmt.ts";

function ensure(condition: boolean): asserts condition {
  assert(condition);
}

/** Numbers that look random, the same each time. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state ^ (state >>> 15)) >>> 0;
  };
}

/** Two ends and what is between them, in a time of its own. */
class Pair {
  readonly a = new Pieces<string>(1000, random(1));
  readonly b = new Pieces<string>(1000, random(2));
  nowUs = 0;
  readonly events: string[] = [];
  readonly whole: Uint8Array[] = [];
  /** Bytes from each end. */
  readonly sent = { a: 0, b: 0 };
  /** What reaches the other end. */
  pass: (m: piece.PieceMsg, from: "a" | "b") => boolean = () => true;

  run(untilUs: number): void {
    for (;;) {
      while (this.#step("a", this.a, this.b) || this.#step("b", this.b, this.a));
      const at = Math.min(this.a.deadlineUs(), this.b.deadlineUs());
      if (at > untilUs) return void (this.nowUs = untilUs);
      this.nowUs = Math.max(this.nowUs, at);
      this.a.onTimer(this.nowUs);
      this.b.onTimer(this.nowUs);
    }
  }

  #step(name: "a" | "b", from: Pieces<string>, to: Pieces<string>): boolean {
    const e = from.poll();
    if (e === undefined) return false;
    if (e.kind !== "send_piece") return this.events.push(`${name} ${e.kind} ${e.token}`) > 0;
    this.sent[name] += piece.encodedLength(e.m);
    if (this.pass(e.m, name)) {
      const got = to.onMessage(this.nowUs, name, name, e.m);
      if (got !== undefined) this.whole.push(got);
    }
    return true;
  }
}

const bytesOf = (n: number) => Uint8Array.from({ length: n }, (_, i) => (i * 7 + (i >> 8)) & 0xff);

Deno.test("a long message is whole at the other end, once, and both ends forget it", () => {
  for (const n of [1, 975, 976, 977, 5000, piece.TOTAL_BYTES_MAX]) {
    const pair = new Pair();
    assert(pair.a.send(0, "b", "b", bytesOf(n), 7));
    pair.run(50_000);
    assertEquals(pair.events, ["a taken 7"]);
    assertEquals(pair.whole.map((w) => w.toHex()), [bytesOf(n).toHex()]);
    assertEquals([pair.a.sendingCount, pair.b.joiningCount], [0, 0]);
    pair.run(2 * JOINING_US);
    assertEquals(Math.min(pair.a.deadlineUs(), pair.b.deadlineUs()), Infinity);
  }
  const { a } = new Pair();
  assert(!a.send(0, "b", "b", bytesOf(piece.TOTAL_BYTES_MAX + 1), 7));
});

Deno.test("a prototype does not answer: refused in less than a second", () => {
  const pair = new Pair();
  pair.pass = () => false;
  pair.a.send(0, "b", "b", bytesOf(5000), 7);
  pair.run(10e6);
  assertEquals(pair.events, ["a refused 7"]);
  assert(ASK_US.at(-1)! < 1e6);
  assertEquals(pair.a.sendingCount, 0);
  assert(pair.sent.a < 200, "nothing but the question was sent");
});

Deno.test("property: what is lost is sent again; never two messages, never a wrong one", () => {
  const lossy = fc.record({
    size: fc.integer({ min: 1, max: 20_000 }),
    lost: fc.array(fc.nat(9), { minLength: 64, maxLength: 64 }),
    limit: fc.nat(5),
  });
  let both = 0;
  fc.assert(
    fc.property(lossy, ({ size, lost, limit }) => {
      const pair = new Pair();
      let i = 0;
      pair.pass = () => lost[i++ % lost.length]! >= limit;
      pair.a.send(0, "b", "b", bytesOf(size), 7);
      pair.run(20e6);
      assertEquals(pair.events.length, 1);
      assert(pair.whole.length <= 1);
      if (pair.events[0] === "a refused 7") assertEquals(pair.whole.length, 0);
      for (const w of pair.whole) assertEquals(w.toHex(), bytesOf(size).toHex());
      if (limit === 0) assertEquals(pair.whole.length, 1);
      if (pair.whole.length === 1) both++;
      assertEquals([pair.a.sendingCount, pair.b.joiningCount], [0, 0]);
    }),
    { numRuns: 300, seed: 11 },
  );
  assert(both > 100, `${both} came through`);
});

Deno.test("a layer below that goes down in mid-message: whole once it is back, or refused, and forgotten by both ends", () => {
  const size = 20_000;
  let messages = 0;
  const whole = new Pair();
  whole.pass = () => ++messages > 0;
  whole.a.send(0, "b", "b", bytesOf(size), 7);
  whole.run(20e6);
  assert(messages > 20);
  for (let cut = 0; cut < messages; cut++) {
    for (const downUs of [100_000, Infinity]) {
      const pair = new Pair();
      let sent = 0;
      let cutUs = Infinity;
      pair.pass = () => {
        if (sent++ === cut) cutUs = pair.nowUs;
        return pair.nowUs < cutUs || pair.nowUs > cutUs + downUs;
      };
      pair.a.send(0, "b", "b", bytesOf(size), 7);
      pair.run(60e6);
      const at = `cut at message ${cut} for ${downUs} us: ${pair.events}`;
      assertEquals(pair.events.length, 1, at);
      if (downUs < Infinity) assertEquals(pair.events, ["a taken 7"], at);
      if (downUs < Infinity || cut === messages - 1) {
        assertEquals(pair.whole.map((w) => w.toHex()), [bytesOf(size).toHex()], at);
      } else assertEquals(pair.whole, [], at);
      assertEquals([pair.a.sendingCount, pair.b.joiningCount], [0, 0], at);
      assertEquals([pair.a.deadlineUs(), pair.b.deadlineUs()], [Infinity, Infinity], at);
    }
  }
});

Deno.test("who did not show that it receives costs no memory and gets no more than it sent", () => {
  const pair = new Pair();
  for (let i = 0; i < 10_000; i++) {
    const proof = new Uint8Array(piece.PROOF_BYTES).fill(i);
    const bytes = bytesOf(900);
    pair.b.onMessage(0, "x", `x${i}`, { kind: "piece", id: i, total: 60_000, at: 0, proof, bytes });
  }
  assertEquals(pair.b.joiningCount, 0);
  assertEquals(pair.b.poll(), undefined);
  assertEquals(pair.b.dropped, 10_000);
  const ask = { kind: "piece_ask", id: 1, total: 60_000 } as const;
  pair.b.onMessage(0, "x", "x", ask);
  const e = pair.b.poll();
  assert(e?.kind === "send_piece" && piece.encodedLength(e.m) <= piece.encodedLength(ask));
  assertEquals(pair.b.poll(), undefined);
});

/** The proof that an end gives to a source. */
function proofOf(p: Pieces<string>, key: string, id: number, total: number): Uint8Array {
  p.onMessage(0, key, key, { kind: "piece_ask", id, total });
  const e = p.poll();
  ensure(e?.kind === "send_piece" && e.m.kind === "piece_go");
  return e.m.proof;
}

Deno.test("a proof is for one source, one id, one length", () => {
  const { b } = new Pair();
  const proof = proofOf(b, "x", 1, 5000);
  const p = { kind: "piece", id: 1, total: 5000, at: 0, proof, bytes: bytesOf(10) } as const;
  b.onMessage(0, "y", "y", p);
  b.onMessage(0, "x", "x", { ...p, id: 2 });
  b.onMessage(0, "x", "x", { ...p, total: 5001 });
  assertEquals([b.joiningCount, b.dropped], [0, 3]);
  b.onMessage(0, "x", "x", p);
  assertEquals(b.joiningCount, 1);
});

Deno.test("a source, and all together, hold a bounded share, for seconds", () => {
  const { b } = new Pair();
  const begin = (key: string, id: number, total: number) => {
    const proof = proofOf(b, key, id, total);
    b.onMessage(0, key, key, { kind: "piece", id, total, at: 0, proof, bytes: bytesOf(10) });
  };
  for (let id = 0; id < 50; id++) begin("x", id, 1000);
  assertEquals(b.joiningCount, JOINING_PER_SOURCE_MAX);
  for (let i = 0; i < 2000; i++) begin(`s${i}`, 1, 1000);
  assertEquals(b.joiningCount, JOINING_MAX);
  b.onTimer(JOINING_US);
  assertEquals(b.joiningCount, 0);
  for (let i = 0; i < 2000; i++) begin(`t${i}`, 1, piece.TOTAL_BYTES_MAX);
  assert(b.joiningCount * piece.TOTAL_BYTES_MAX <= JOINING_BYTES_MAX);
  b.onTimer(2 * JOINING_US);
  assertEquals([b.joiningCount, b.deadlineUs()], [0, Infinity]);
});

Deno.test("property: pieces in any order, twice, overlapping or false never make a wrong message", () => {
  const part = fc.record({
    at: fc.nat(120),
    bytes: fc.nat(60),
    wrong: fc.integer({ min: 0, max: 40 }),
  });
  fc.assert(
    fc.property(fc.array(part, { maxLength: 60 }), (parts) => {
      const { b } = new Pair();
      const total = 121;
      const good = bytesOf(total);
      const proof = proofOf(b, "x", 1, total);
      for (const { at, bytes: n, wrong } of parts) {
        const bytes = good.slice(at, Math.min(total, at + n + 1));
        if (wrong === 0) bytes[0]! ^= 1;
        const got = b.onMessage(0, "x", "x", { kind: "piece", id: 1, total, at, proof, bytes });
        if (got === undefined) continue;
        // Only what every piece of it said, which may be false: its source says what it likes.
        assertEquals(got.length, total);
        if (parts.every((p) => p.wrong !== 0)) assertEquals(got.toHex(), good.toHex());
      }
      assert(b.joiningCount <= 1);
    }),
    { numRuns: 1000 },
  );
});

const MESSAGES: piece.PieceMsg[] = [
  { kind: "piece_ask", id: 0xfffffffe, total: 14_000 },
  { kind: "piece_go", id: 1, proof: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
  {
    kind: "piece",
    id: 2,
    total: 14_000,
    at: 13_000,
    proof: new Uint8Array(8).fill(9),
    bytes: bytesOf(1000),
  },
  { kind: "piece_all", id: 3 },
];

Deno.test("every layout carries them; padding at the end of a frame is none of the piece", () => {
  for (const m of MESSAGES) {
    for (const codec of [udpMgmt, dixMgmt, llcMgmt]) {
      const b = new Uint8Array(codec.encodedLength(m)).fill(0xa5);
      assertEquals(codec.encode(m, b, 0), b.length);
      assertEquals(codec.parse(b, 16), m);
      if (m.kind === "piece") {
        assertEquals(codec.parse(Uint8Array.of(...b, 0, 0, 0), 16), m);
        assert(isWireError(codec.parse(b.subarray(0, codec.headerBytes + piece.LENGTH), 16)));
      }
    }
    const b = fa.encode({ kind: "piece", srcAddr: 77, piece: m });
    ensure(!isWireError(b));
    assertEquals(fa.parse(b, 32), { kind: "piece", srcAddr: 77, piece: m });
    assert(fa.describe(b).startsWith("fa: "));
  }
});

Deno.test("property: hostile bytes are an error or a message, never a throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(3), (tail, what) => {
      const b = new Uint8Array(piece.LENGTH + tail.length);
      b.set(tail);
      b[0] = what;
      const m = piece.parse(b, 0);
      if (isWireError(m)) return;
      const again = new Uint8Array(piece.encodedLength(m));
      piece.encode(m, again, 0);
      assertEquals(piece.parse(again, 0), m);
      piece.describe(m);
    }),
  );
});
