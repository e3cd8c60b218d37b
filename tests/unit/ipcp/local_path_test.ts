// The local data path: who copies how often, order, what is dropped, hostile offsets, letting go.

import { assert, assertEquals } from "@std/assert";
import { LocalPath } from "../../../ipcp/local/data/path.ts";
import { QUEUED_MAX } from "../../../ipcp/data/port.ts";
import { Counter, Order } from "../../../ipcp/data/table.ts";
import { ownerUid, withShm } from "../../support/shm.ts";
import { App, type AppFlow, IpcpMemory, used } from "../../support/ipcp_memory.ts";

const [U, V] = [ownerUid(61001), ownerUid(61002)];

interface Pair {
  m: IpcpMemory;
  path: LocalPath;
  a: AppFlow;
  b: AppFlow;
}

/** Flow 1 of a process of uid `ua` and flow 2 of one of `ub`, paired. */
function withPair(ua: number, ub: number, use: (p: Pair) => void): void {
  withShm((i, defer) => {
    const m = new IpcpMemory(i, [...new Set([ua, ub])].filter((u) => u !== 0), defer);
    const path = new LocalPath(m, m.set);
    const appA = new App(i, 900101, ua, m.set, defer);
    const appB = new App(i, 900102, ub, m.set, defer);
    const a = appA.flow(1, defer);
    const b = appB.flow(2, defer);
    m.publish(appA, 1, { partner: 2 });
    m.publish(appB, 2, { partner: 1 });
    try {
      use({ m, path, a, b });
    } finally {
      m.order(Order.stop, 0);
      assertEquals(path.turn(0), false);
    }
  });
}

const root = Deno.uid() === 0;

// Spec 10 §8.2; the prototype copies between two processes of one user, we need not (§11.19).
const MATRIX: [string, number, number, number][] = [
  ["privileged to privileged", 0, 0, 0],
  ["a user to itself", U, U, 0],
  ["a user to privileged", U, 0, 1],
  ["privileged to a user", 0, U, 1],
  ["one user to another", U, V, 1],
];

for (const [who, ua, ub, copies] of MATRIX) {
  Deno.test({
    name: `a packet from ${who} is copied ${copies} times`,
    ignore: !root && ua !== ub,
    fn: () =>
      withPair(ua, ub, ({ m, path, a, b }) => {
        for (const n of [0, 1, 64, 1400, 8000]) {
          const bytes = Uint8Array.from({ length: n }, (_, k) => k * 7);
          m.counters[Counter.copies] = 0;
          const off = a.write(bytes);
          assert(path.turn(0));
          const got = b.read();
          assertEquals(got?.bytes, bytes);
          assertEquals(m.counters[Counter.copies], copies);
          // Without a copy it is the same block of the same pool.
          assertEquals(got?.off === off && a.app.uid === b.app.uid, copies === 0);
          assertEquals(b.app.events(), [[2, 1]]);
        }
        assertEquals([used(a.app.pool), used(b.app.pool)], [0, 0]);
      }),
  });
}

Deno.test("packets keep their order in both directions", () => {
  withPair(0, 0, ({ path, a, b }) => {
    for (let i = 0; i < 100; i++) {
      a.write(Uint8Array.of(i));
      b.write(Uint8Array.of(i, i));
    }
    path.turn(0);
    for (let i = 0; i < 100; i++) {
      assertEquals(b.read()?.bytes, Uint8Array.of(i));
      assertEquals(a.read()?.bytes, Uint8Array.of(i, i));
    }
  });
});

Deno.test("a process that does not read loses packets and keeps no more blocks than its share", () => {
  withPair(0, 0, ({ m, path, a, b }) => {
    for (let i = 0; i < 700; i++) {
      a.write(Uint8Array.of(i));
      path.turn(0);
    }
    assertEquals(b.rx.queued(), QUEUED_MAX);
    assertEquals(used(a.app.pool), QUEUED_MAX);
    assertEquals(m.counters[Counter.notDelivered], 700 - QUEUED_MAX);
    const lost = 700 - QUEUED_MAX;
    assertEquals(m.table.losses(1), { sent: lost, received: 0 });
    assertEquals(m.table.losses(2), { sent: 0, received: lost });
    b.write(Uint8Array.of(1));
    path.turn(0);
    assertEquals(a.read()?.bytes, Uint8Array.of(1));
    while (b.read() !== undefined);
    assertEquals(used(a.app.pool), 0);
  });
});

Deno.test("offsets that name no packet are dropped and counted", () => {
  withPair(0, 0, ({ m, path, a, b }) => {
    for (const off of [0, 1, 255, 256 * 3, -1, 0x7fffff00]) a.tx.write(off);
    m.set.notify(1, 1);
    path.turn(0);
    assertEquals(b.read(), undefined);
    assertEquals(m.counters[Counter.badPackets], 6);
    a.write(Uint8Array.of(9));
    path.turn(0);
    assertEquals(b.read()?.bytes, Uint8Array.of(9));
  });
});

Deno.test("a block whose packet would reach beyond it is freed, not sent", () => {
  withPair(0, 0, ({ m, path, a, b }) => {
    const off = a.app.pool.alloc(10);
    a.app.pool.i32[(off + 20) >> 2] = 100_000; // Its tail.
    a.tx.write(off);
    m.set.notify(1, 1);
    path.turn(0);
    assertEquals([b.read(), m.counters[Counter.badPackets]], [undefined, 1]);
    assertEquals(used(a.app.pool), 0);
  });
});

Deno.test({
  name: "a packet that no block of the other pool holds is dropped, counted and reported",
  ignore: !root,
  fn: () =>
    withPair(0, U, ({ m, path, a, b }) => {
      const most = b.app.pool.payloadBytesMax;
      a.write(new Uint8Array(most + 1));
      a.write(new Uint8Array(most));
      path.turn(0);
      assertEquals(b.read()?.bytes.length, most);
      assertEquals([m.counters[Counter.tooLong], m.counters[Counter.notDelivered]], [1, 0]);
      assertEquals(m.long, [
        { way: "out", flowId: 1, bytes: most + 1, limitBytes: most, count: 1 },
      ]);
      assertEquals([used(a.app.pool), used(b.app.pool)], [0, 0]);
    }),
});

Deno.test("a flow without partner has its packets freed", () => {
  withPair(0, 0, ({ m, path, a }) => {
    m.table.setPartner(1, 0);
    a.write(Uint8Array.of(1));
    path.turn(0);
    assertEquals([used(a.app.pool), m.counters[Counter.notDelivered]], [0, 1]);
  });
});

Deno.test("what a process wrote just before its flow is closed arrives, be it the first packet", () => {
  withPair(0, 0, ({ m, path, a, b }) => {
    a.write(Uint8Array.of(1));
    m.table.close(1);
    m.order(Order.close, 1);
    path.turn(0);
    assertEquals([b.read()?.bytes, m.letGo], [Uint8Array.of(1), [1]]);
  });
});

Deno.test("what a process wrote before its flow is closed still arrives", () => {
  withPair(0, 0, ({ m, path, a, b }) => {
    a.write(Uint8Array.of(1));
    path.turn(0);
    a.write(Uint8Array.of(2));
    // The event of the second packet is lost, as if the order came first.
    m.set.wait(1, new Int32Array(2048), 0);
    m.order(Order.close, 1);
    path.turn(0);
    assertEquals(m.letGo, [1]);
    assertEquals([b.read()?.bytes, b.read()?.bytes], [Uint8Array.of(1), Uint8Array.of(2)]);
  });
});
