/**
 * FRCT over real shared memory, with a thief at the ring: loss, forged packets, encryption and CRC of what is sent again,
 * callers that never yield. The machine itself is tested in lib/frct and tests/sim.
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { crc32 } from "../../../../lib/crc32.ts";
import { Errno } from "../../../../lib/errno.ts";
import { instanceOf } from "../../../../lib/instance.ts";
import { type Flow, type OuroProcess, QOS, type QosSpec } from "../../../../lib/mod.ts";
import { Rbuff } from "../../../../lib/shm/rbuff.ts";
import { PciFlag } from "../../../../lib/wire/frct_pci.ts";
import { FakeIrmd } from "../../../support/memory_irmd.ts";
import { Prng } from "../../../../sim/prng.ts";
import { removeShm } from "../../../support/shm.ts";

const NOW = { nonblock: true };
let counter = 0;

interface Fixture {
  irmd: FakeIrmd;
  a: OuroProcess;
  b: OuroProcess;
  pair(qos?: QosSpec, options?: { crc?: boolean }): [Flow, Flow];
  /** Takes everything out of the receive ring of `flow`, as copies. */
  steal(flow: Flow): Uint8Array[];
  /** Puts a packet in the receive ring of `flow`. */
  plant(flow: Flow, packet: Uint8Array): void;
}

function flowTest(name: string, use: (f: Fixture) => void | Promise<void>): void {
  Deno.test({
    name,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const instance = instanceOf(`/tmp/ouro-frct-test-${Deno.pid}-${counter++}`);
      try {
        using irmd = new FakeIrmd(instance);
        const [a, b] = [irmd.open(), irmd.open()];
        const { pool } = irmd;
        const ring = (flow: Flow) => Rbuff.open(instance, flow.info.nPid, flow.id);
        await use({
          irmd,
          a,
          b,
          pair: (qos, options) => irmd.pair(a, b, qos ?? { ...QOS.data, ber: 1 }, options),
          steal(flow) {
            const rbuff = ring(flow);
            const got: Uint8Array[] = [];
            for (let off; (off = rbuff.read()) > 0;) {
              const n = pool.inspect(off);
              got.push(pool.u8.slice(pool.at, pool.at + n));
              pool.remove(off);
            }
            rbuff.close();
            return got;
          },
          plant(flow, packet) {
            const rbuff = ring(flow);
            const off = pool.alloc(packet.length);
            assert(off > 0 && pool.inspect(off) >= 0);
            pool.u8.set(packet, pool.at);
            assertEquals(rbuff.write(off), 0);
            rbuff.close();
          },
        });
        a.close();
        b.close();
        assertEquals(irmd.blocksInUse(), 0, "blocks left");
      } finally {
        removeShm(instance);
      }
    },
  });
}

/** Repeats `step` until it gives something, for 10 s at most. */
async function eventually<T>(step: () => T | undefined): Promise<T> {
  const end = performance.now() + 60_000;
  for (;;) {
    const got = step();
    if (got !== undefined) return got;
    if (performance.now() > end) throw new Error("Cannot wait any longer: nothing came in 60 s");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

flowTest(
  "data: a lost packet is sent again under a caller that never yields",
  ({ pair, steal }) => {
    const [x, y] = pair();
    assertEquals(x.writeSync(Uint8Array.of(1, 2, 3)), 3);
    assertEquals(steal(y).length, 1);
    const into = new Uint8Array(10);
    const end = performance.now() + 60_000;
    let n;
    do {
      assertEquals(x.readSync(into, NOW), -Errno.EAGAIN);
      n = y.readSync(into, NOW);
    } while (n === -Errno.EAGAIN && performance.now() < end);
    assertEquals([n, ...into.subarray(0, 3)], [3, 1, 2, 3]);
    assert(x.frctStats!.retransmissions >= 1);
  },
);

flowTest("data: a lost packet is sent again while everybody awaits", async ({ pair, steal }) => {
  const [x, y] = pair();
  await x.write(Uint8Array.of(7));
  steal(y);
  assertEquals([...await y.read({ timeoutMs: 60_000 })], [7]);
  await x.dealloc();
  await y.dealloc();
});

flowTest(
  "data: forged packets in the ring neither crash the flow nor reach the reader",
  ({ pair, plant }) => {
    const [x, y] = pair();
    const r = new Prng(1);
    const into = new Uint8Array(100);
    for (let i = 0; i < 500; i++) {
      const bad = Uint8Array.from({ length: r.pick([1, 3, 11, 12, 13, 40]) }, () => r.below(256));
      if (bad.length >= 12) bad[0]! |= r.pick([0x80, 0x40, 0x20]); // not an honest header
      plant(y, bad);
      if (i % 50 === 0) {
        assertEquals(x.writeSync(Uint8Array.of(i / 50)), 1);
        let n;
        do n = y.readSync(into, { timeoutMs: 60_000 }); while (n === -Errno.EAGAIN);
        assertEquals([n, into[0]], [1, i / 50]);
      }
    }
    assert(y.frctStats!.malformed >= 450);
  },
);

flowTest(
  "data, encrypted: a retransmission is encrypted anew and never in the clear",
  async ({ irmd, pair, steal }) => {
    irmd.cipherNid = 901; // aes-256-gcm
    const [x, y] = pair();
    const secret = new TextEncoder().encode("attack at dawn, attack at dawn");
    x.writeSync(secret);
    const first = steal(y);
    const again = await eventually(() => {
      x.readSync(new Uint8Array(1), NOW);
      const got = steal(y);
      return got.length > 0 ? got : undefined;
    });
    assertEquals([first.length, again[0]!.length], [1, first[0]!.length]);
    assertNotEquals(again[0]!.subarray(0, 12), first[0]!.subarray(0, 12), "same IV");
    for (const p of [...first, ...again]) {
      assert(!new TextDecoder("latin1").decode(p).includes("attack"), "plaintext on the wire");
    }
    const into = new Uint8Array(100);
    let n;
    do { // the next one is let through
      x.readSync(new Uint8Array(1), NOW);
      n = y.readSync(into, NOW);
    } while (n === -Errno.EAGAIN);
    assertEquals(into.subarray(0, n), secret);
  },
);

flowTest(
  "data, CRC: acknowledgements and retransmissions carry it too",
  async ({ pair, steal }) => {
    const [x, y] = pair(QOS.data, { crc: true });
    const packets: Uint8Array[] = [];
    x.writeSync(Uint8Array.of(1));
    packets.push(...steal(y)); // lost
    packets.push(
      ...await eventually(() => {
        x.readSync(new Uint8Array(1), NOW);
        const got = steal(y);
        return got.length > 0 ? got : undefined;
      }),
    );
    const into = new Uint8Array(10);
    let n;
    do {
      x.readSync(into, NOW);
      n = y.readSync(into, NOW);
    } while (n === -Errno.EAGAIN);
    assertEquals(n, 1);
    const acks = await eventually(() => {
      y.readSync(into, NOW);
      const got = steal(x);
      return got.length > 0 ? got : undefined;
    });
    assertEquals(acks[0]![0]! & (PciFlag.ACK | PciFlag.DATA), PciFlag.ACK);
    for (const p of [...packets, ...acks]) {
      const end = p.length - 4;
      const sum = new DataView(p.buffer, p.byteOffset).getUint32(end);
      assertEquals(crc32(p, 0, end) >>> 0, sum);
    }
  },
);

/** Everything that may become of a packet on its way: cut anywhere, lengthened, a bit turned in every byte, noise. */
function damaged(packet: Uint8Array, r: Prng): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let n = 1; n < packet.length; n++) all.push(packet.slice(0, n), packet.slice(n));
  for (let n = 1; n <= 20; n++) {
    const longer = new Uint8Array(packet.length + n);
    longer.set(packet);
    all.push(longer);
  }
  for (let at = 0; at < packet.length; at++) {
    const turned = packet.slice();
    turned[at]! ^= 1 << r.below(8);
    all.push(turned);
  }
  for (let n = 1; n <= 80; n++) all.push(Uint8Array.from({ length: n }, () => 1 + r.below(255)));
  return all;
}

for (
  const [what, nid, crc] of [
    ["a CRC", 0, true],
    ["aes-256-gcm", 901, false],
    ["chacha20-poly1305", 1018, false],
    ["aes-256-gcm and a CRC", 901, true],
    ["aes-256-ctr and a CRC", 906, true],
  ] as const
) {
  for (const qos of ["raw", "best", "data"] as const) {
    flowTest(
      `${qos} with ${what}: packets shorter than their trailers and all other damage are dropped and counted`,
      ({ irmd, pair, steal, plant }) => {
        const r = new Prng(nid + 1);
        irmd.cipherNid = nid;
        const [x, y] = pair({ ...QOS[qos], ber: crc ? 0 : 1 }, { crc });
        const message = Uint8Array.from({ length: 40 }, (_, k) => k);
        assertEquals(x.writeSync(message), 40);
        const [authentic] = steal(y);
        const bad = damaged(authentic!, r);
        const into = new Uint8Array(200);
        for (let k = 0; k < bad.length; k++) {
          plant(y, bad[k]!);
          if (k % 100 !== 99 && k !== bad.length - 1) continue;
          assertEquals(y.readSync(into, NOW), -Errno.EAGAIN);
          assertEquals(y.counters.rxDropped, k + 1);
        }
        plant(y, authentic!);
        assertEquals([y.readSync(into, NOW), ...into.subarray(0, 40)], [40, ...message]);
        assertEquals([y.counters.rxPackets, y.rxQueued], [1, 0]);
      },
    );
  }
}

flowTest("data: streams cut what is larger than a packet and rejoin it", async ({ pair }) => {
  const [x, y] = pair();
  const size = 3_000_000;
  const sent = Uint8Array.from({ length: size }, (_, i) => (i * 31) >> 3);
  const writer = x.writable.getWriter();
  const write = writer.write(sent).then(() => writer.close());
  const got = new Uint8Array(size);
  let at = 0;
  for await (const chunk of y.readable) {
    got.set(chunk, at);
    at += chunk.length;
    if (at === size) break;
  }
  await write;
  assertEquals(at, size);
  assertEquals(got, sent);
});

flowTest("a message larger than a block is refused with the limit", async ({ pair }) => {
  const [x] = pair();
  const big = new Uint8Array(2_000_000);
  assertEquals(x.writeSync(big), -Errno.EMSGSIZE);
  const e = await x.write(big).then(() => undefined, (e: Error) => e);
  assert(e?.message.includes(String(x.messageBytesMax)), e?.message);
});

flowTest("data: 100 flows at once answer each other", async ({ pair }) => {
  const pairs = Array.from({ length: 100 }, () => pair());
  await Promise.all(pairs.map(async ([x, y], i) => {
    for (let k = 0; k < 5; k++) {
      await x.write(Uint8Array.of(i, k));
      const request = await y.read({ timeoutMs: 60_000 });
      await y.write(Uint8Array.of(...request, 1));
      assertEquals([...await x.read({ timeoutMs: 60_000 })], [i, k, 1]);
    }
    await Promise.all([x.dealloc(), y.dealloc()]);
  }));
});

flowTest("data: a stream waits for a reader that does not read", async ({ pair }) => {
  const [x, y] = pair();
  const writer = x.writable.getWriter();
  let done = false;
  const write = writer.write(new Uint8Array(20_000_000)).then(() => done = true);
  // Held back by the window: 64 packets, 256 once the peer has answered; never all 1250.
  let sent = -1;
  await eventually(() => {
    if (x.counters.txPackets > 64 && x.counters.txPackets === sent) return true;
    sent = x.counters.txPackets;
    return undefined;
  });
  assert(!done && sent < 600, `${sent} packets without a reader`);
  let got = 0;
  while (got < 20_000_000) got += (await y.read({ timeoutMs: 60_000 })).length;
  await write;
  assert(done);
});

flowTest(
  "data and best: a long message is read in pieces, a piece that fills the buffer is marked",
  ({ pair }) => {
    for (const qos of [QOS.data, QOS.best]) {
      const [x, y] = pair({ ...qos, ber: 1 });
      const into = new Uint8Array(40);
      const read = () => y.readSync(into, { timeoutMs: 60_000 });
      x.writeSync(new Uint8Array(100));
      x.writeSync(new Uint8Array(80));
      x.writeSync(new Uint8Array(1));
      assertEquals([read(), read(), read()], [40, 40, 20]);
      assertEquals([read(), read(), read()], [40, 40, 0]);
      assertEquals(read(), 1);
    }
  },
);

flowTest(
  "data: send and receive time-outs and non-blocking flags act on a closed window",
  ({ pair }) => {
    const [x, y] = pair();
    const message = new Uint8Array(10);
    let n;
    do n = x.writeSync(message, NOW); while (n === 10);
    assertEquals(n, -Errno.EAGAIN);
    assertEquals(x.writeSync(message, { timeoutMs: 20 }), -Errno.ETIMEDOUT);
    x.sndTimeoutMs = 10;
    assertEquals(x.writeSync(message), -Errno.ETIMEDOUT);
    assertEquals(x.readSync(message, { timeoutMs: 20 }), -Errno.ETIMEDOUT);
    while (y.readSync(message, { timeoutMs: 100 }) >= 0) { /* all of them */ }
    assertEquals(x.writeSync(message, { timeoutMs: 60_000 }), 10);
  },
);

flowTest(
  "data: an exhausted pool delays messages and acknowledgements, and loses none",
  ({ irmd, pair }) => {
    const [x, y] = pair();
    const message = Uint8Array.of(1, 2, 3);
    const into = new Uint8Array(10);
    assertEquals(x.writeSync(message), 3);
    const held: number[] = [];
    const exhaust = () => {
      for (let off; (off = irmd.pool.alloc(3)) > 0;) held.push(off);
    };
    exhaust();
    assert(held.length > 100);
    assertEquals(y.readSync(into, { timeoutMs: 60_000 }), 3);
    exhaust(); // the block of that message
    const before = x.frctStats!.sndSeqno;
    assertEquals(x.writeSync(message, NOW), -Errno.EAGAIN);
    assertEquals(x.writeSync(message, { timeoutMs: 20 }), -Errno.ETIMEDOUT);
    assertEquals(x.frctStats!.sndSeqno, before);
    for (const off of held) irmd.pool.remove(off);
    for (let i = 0; i < 100; i++) {
      assertEquals(x.writeSync(Uint8Array.of(i), { timeoutMs: 60_000 }), 1);
      assertEquals([y.readSync(into, { timeoutMs: 60_000 }), into[0]], [1, i]);
    }
  },
);

flowTest("data: a full ring costs a retransmission, not a message", async ({ irmd, pair }) => {
  const [x, y] = pair();
  // Packets that nobody takes: keepalives fill the peer's ring.
  const ring = Rbuff.open(irmd.instance, y.info.nPid, y.id);
  let isFull = false;
  for (let i = 0; !isFull; i++) {
    const off = irmd.pool.alloc(i % 2 === 0 ? 0 : 600); // of two classes: one has fewer blocks than a ring has room
    assert(off > 0 && irmd.pool.truncate(off, 0) === 0);
    isFull = ring.write(off) !== 0;
    if (isFull) irmd.pool.remove(off);
  }
  const full = ring.queued();
  ring.close();
  assertEquals(x.writeSync(Uint8Array.of(9)), 1);
  const into = new Uint8Array(10);
  const got = await eventually(() => {
    x.readSync(into, NOW);
    const n = y.readSync(into, NOW);
    return n > 0 ? [n, into[0]] : undefined;
  });
  assertEquals(got, [1, 9]);
  assert(full > 1000, `${full} packets in the ring`);
});
