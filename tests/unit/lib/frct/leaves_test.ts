/**
 * The parts of FRCT that stand alone: sequence numbers, RTT, loss, rings and buffers, each with a naive twin where it
 * helps.
 */
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { BufferPool, copyBytes } from "../../../../lib/frct/buffers.ts";
import { RTO_MAX_NS, RTO_MIN_NS } from "../../../../lib/frct/constants.ts";
import { LossEstimator } from "../../../../lib/frct/loss.ts";
import { Accept, Receiver } from "../../../../lib/frct/receiver.ts";
import { RttEstimator } from "../../../../lib/frct/rtt.ts";
import { SentRing } from "../../../../lib/frct/sent_ring.ts";
import { before, distance, extend24, plus } from "../../../../lib/frct/seq.ts";

const u32 = fc.integer({ min: 0, max: 0xffffffff });

Deno.test("before() and distance() compare modulo 2^32", () => {
  assert(before(0xffffffff, 0));
  assert(!before(0, 0xffffffff));
  assert(!before(7, 7));
  assertEquals(distance(3, 0xfffffffe), 5);
  fc.assert(fc.property(u32, fc.integer({ min: 1, max: 0x7fffffff }), (a, n) => {
    assert(before(a, plus(a, n)));
    assertEquals(distance(plus(a, n), a), n);
  }));
});

Deno.test("extend24() gives back any edge within 2^23 of the reference", () => {
  fc.assert(fc.property(u32, fc.integer({ min: -0x7fffff, max: 0x7fffff }), (near, d) => {
    const edge = plus(near, d);
    assertEquals(extend24(edge & 0xffffff, near), edge);
  }));
});

Deno.test("RttEstimator keeps its floor, backs off to its ceiling and recovers with a sample", () => {
  const rtt = new RttEstimator();
  assertEquals(rtt.rtoNs, 1_000_000_000);
  rtt.backOff();
  assertEquals(rtt.rtoNs, 2_000_000_000);
  for (let i = 0; i < 20; i++) rtt.backOff();
  assertEquals(rtt.rtoNs, RTO_MAX_NS);
  rtt.progress();
  assertEquals(rtt.rtoNs, 1_000_000_000);
  rtt.sample(20_000);
  assertEquals(rtt.rtoNs, RTO_MIN_NS);
  assertEquals(rtt.minNs, 20_000);
  for (let i = 0; i < 400; i++) rtt.sample(50_000_000); // the path got longer
  assert(rtt.minNs > 45_000_000 && rtt.leastNs === 20_000);
  rtt.sample(-5); // a clock that jumped back
  assert(rtt.srttNs > 0 && Number.isFinite(rtt.rtoNs));
  rtt.sample(3e15); // and forth
  assert(rtt.rtoNs <= RTO_MAX_NS);
});

Deno.test("LossEstimator settles at the share lost and forgets", () => {
  const loss = new LossEstimator();
  for (let i = 0; i < 20_000; i++) {
    loss.acked(1);
    if (i % 20 === 0) loss.lost();
  }
  assert(Math.abs(loss.share - 0.05) < 0.005, `${loss.share}`);
  for (let i = 0; i < 1000; i++) loss.acked(16);
  assert(loss.share < 0.001);
});

Deno.test("BufferPool reuses buffers by size and counts what is out", () => {
  const pool = new BufferPool();
  const a = pool.take(100);
  const b = pool.take(1400);
  const c = pool.take(1_000_000);
  assert(a.length >= 100 && b.length >= 1400 && c.length >= 1_000_000);
  assertEquals(pool.live, 3);
  for (const x of [a, b, c]) pool.give(x);
  assertEquals(pool.live, 0);
  assert(pool.take(1) === a);
  assert(pool.take(2000) === b);
});

Deno.test("copyBytes() copies short and long pieces and nothing beside them", () => {
  const src = Uint8Array.from({ length: 300 }, (_, i) => i & 0xff);
  for (const len of [0, 1, 63, 64, 65, 200]) {
    const dst = new Uint8Array(300).fill(0xa5);
    copyBytes(src, 7, len, dst, 11);
    assertEquals(dst.subarray(11, 11 + len), src.subarray(7, 7 + len));
    assert(dst.subarray(0, 11).every((x) => x === 0xa5));
    assert(dst.subarray(11 + len).every((x) => x === 0xa5));
  }
});

Deno.test("SentRing agrees with a map while it grows and wraps", () => {
  fc.assert(
    fc.property(u32, fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 60 }), (first, ops) => {
      const pool = new BufferPool();
      const ring = new SentRing(pool);
      const twin = new Map<number, number>();
      let lwe = first;
      let seqno = first;
      for (const op of ops) {
        for (let i = 0; i < op && distance(seqno, lwe) < 256; i++, seqno = plus(seqno, 1)) {
          ring.put(lwe, seqno, 1, Uint8Array.of(seqno & 0xff, op), 0, 2, seqno);
          twin.set(seqno, op);
        }
        for (let i = 0; i < op / 2 && lwe !== seqno; i++, lwe = plus(lwe, 1)) {
          ring.drop(lwe);
          twin.delete(lwe);
        }
        for (const [s, value] of twin) {
          const out = new Uint8Array(2);
          ring.resend(s, 1, out, 0);
          assertEquals([...out], [s & 0xff, value]);
          assertEquals([ring.bytes(s), ring.firstUs(s)], [2, s]);
        }
        assertEquals(pool.live, twin.size);
      }
    }),
    { numRuns: 60 },
  );
});

Deno.test("Receiver delivers what sorting the packets of its window would deliver", () => {
  const arrivals = fc.array(fc.integer({ min: -20, max: 300 }), { maxLength: 200 });
  fc.assert(
    fc.property(u32, arrivals, fc.boolean(), (first, offsets, late) => {
      const pool = new BufferPool();
      const rcv = new Receiver(true, 1e9, pool);
      rcv.begin(first);
      const seen = new Set<number>(); // twin: all offsets accepted
      const got: number[] = [];
      let next = 0;
      const into = new Uint8Array(4);
      const readAll = () => {
        while (rcv.pendingBytes >= 0) {
          assertEquals(rcv.take(0, into, 0, 4), 2);
          got.push((into[0]! << 8) | into[1]!);
        }
      };
      for (const o of offsets) {
        const unread = next - got.length;
        const r = rcv.accept(0, plus(first, o), Uint8Array.of(o >> 8, o), 0, 2, -1);
        if (o < next || seen.has(o)) assertEquals(r, Accept.Duplicate);
        else if (o - next >= 256 - unread) assertEquals(r, Accept.Outside);
        else seen.add(o);
        while (seen.has(next)) next++;
        if (!late) readAll();
      }
      readAll();
      assertEquals(got, Array.from({ length: next }, (_, i) => i));
      rcv.clear();
      assertEquals(pool.live, 0);
    }),
    { numRuns: 100 },
  );
});
