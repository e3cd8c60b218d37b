// What users of the library expect of it: order of writes, wrong arguments, ends of each half, what a log shows, turns of
// the event loop, flows beyond the table. Over real shared memory with the IRMd's double.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Errno,
  Flow,
  FlowEvent,
  FlowFlag,
  FlowSet,
  OuroError,
  type OuroProcess,
  Packet,
  QOS,
  type QosName,
} from "../../../../lib/mod.ts";
import { Buffer } from "node:buffer";
import { partsOf } from "../../../../lib/flow/flow.ts";
import { partsOfProcess } from "../../../../lib/flow/process.ts";
import { eventLoopTurn } from "../../../../lib/flow/turns.ts";
import { IrmCode } from "../../../../lib/codes.ts";
import { instanceOf } from "../../../../lib/instance.ts";
import { FDS_MAX } from "../../../../lib/limits.ts";
import { FakeIrmd } from "../../../support/memory_irmd.ts";
import { removeShm } from "../../../support/shm.ts";

interface Fixture {
  irmd: FakeIrmd;
  a: OuroProcess;
  b: OuroProcess;
  pair(qos: QosName): [Flow, Flow];
}

function libraryTest(name: string, use: (f: Fixture) => void | Promise<void>): void {
  const fn = async () => {
    const instance = instanceOf(`/tmp/ouro-library-test-${crypto.randomUUID()}`);
    try {
      using irmd = new FakeIrmd(instance);
      const [a, b] = [irmd.open(), irmd.open()];
      await use({ irmd, a, b, pair: (qos) => irmd.pair(a, b, QOS[qos]) });
      a.close();
      b.close();
      assertEquals(irmd.blocksInUse(), 0, "blocks left");
    } finally {
      removeShm(instance);
    }
  };
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn });
}

const LONG = { timeoutMs: 20_000 };

for (const qos of ["raw", "data"] as const) {
  libraryTest(`writes without await keep their order (${qos})`, async ({ pair }) => {
    const [x, y] = pair(qos);
    const count = 3000; // more than window and ring take
    const writes: Promise<number>[] = [];
    for (let i = 0; i < count; i++) {
      writes.push(x.write(new Uint8Array(new Uint16Array([i]).buffer)));
    }
    for (let i = 0; i < count; i++) {
      const m = await y.read(LONG);
      assertEquals(m[0]! + 256 * m[1]!, i);
    }
    assertEquals((await Promise.all(writes)).length, count);
  });
}

libraryTest(
  "a write that is aborted while it waits lets the others go on in order",
  async ({ pair }) => {
    const [x, y] = pair("data");
    const stop = new AbortController();
    const sent: Promise<number | string>[] = [];
    for (let i = 0; i < 400; i++) {
      const options = i === 350 ? { signal: stop.signal } : {};
      sent.push(x.write(Uint8Array.of(i & 255, i >> 8), options).catch((e) => String(e)));
    }
    stop.abort("enough");
    const got: number[] = [];
    while (got.length < 399) {
      const m = await y.read(LONG);
      got.push(m[0]! + 256 * m[1]!);
    }
    assertEquals(await sent[350], "enough");
    assertEquals(got, Array.from({ length: 400 }, (_, i) => i).filter((i) => i !== 350));
  },
);

/** A Uint8Array whose buffer was moved away, and one that lies beyond the end of its buffer. */
function unusable(): [Uint8Array, Uint8Array] {
  const moved = new Uint8Array(4);
  structuredClone(moved, { transfer: [moved.buffer] });
  const buffer = new ArrayBuffer(8, { maxByteLength: 8 });
  const beyond = new Uint8Array(buffer, 4, 4);
  buffer.resize(2);
  return [moved, beyond];
}

const WRONG_BUFFERS: readonly unknown[] = [
  new Uint16Array(4),
  new Int8Array(4),
  new Uint8ClampedArray(4),
  new ArrayBuffer(4),
  new SharedArrayBuffer(4),
  new DataView(new ArrayBuffer(4)),
  [1, 2, 3],
  "x",
  "a longer text than a message holds".repeat(50_000),
  7,
  null,
];

libraryTest(
  "an array whose buffer is gone is refused, and is no message of no bytes",
  async ({ pair }) => {
    for (const qos of ["raw", "data"] as const) {
      const [x] = pair(qos);
      for (const bytes of unusable()) {
        assertEquals(x.writeSync(bytes), -Errno.EINVAL);
        assertEquals((await assertRejects(() => x.write(bytes), OuroError)).code, -Errno.EINVAL);
      }
      assertEquals(x.counters.txPackets, 0);
      using packet = new Packet();
      for (const len of [-1, 1.5, NaN]) assertEquals(x.reserve(packet, len), -Errno.EINVAL);
    }
  },
);

libraryTest("every kind of Uint8Array is taken: of a pool, shared, growing", async ({ pair }) => {
  const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(5);
  const growing = new Uint8Array(new ArrayBuffer(3, { maxByteLength: 9 })).fill(5);
  for (const qos of ["raw", "data"] as const) {
    const [x, y] = pair(qos);
    for (const bytes of [Buffer.from([5, 5, 5]), shared, growing]) {
      await x.write(bytes as Uint8Array<ArrayBuffer>);
      assertEquals(await y.read(LONG), Uint8Array.of(5, 5, 5));
      await x.write(Uint8Array.of(7, 7, 7));
      assertEquals(await y.read(bytes.slice() as Uint8Array<ArrayBuffer>, LONG), 3);
      assertEquals(y.readSync(bytes as Uint8Array<ArrayBuffer>, { nonblock: true }), -Errno.EAGAIN);
    }
    await x.write(Uint8Array.of(9, 9, 9));
    assertEquals(await y.read(shared as unknown as Uint8Array<ArrayBuffer>, LONG), 3);
    assertEquals([...shared], [9, 9, 9]);
    shared.fill(5);
  }
});

libraryTest("a time that is none has passed, and is refused with await", async ({ pair }) => {
  const [x] = pair("raw");
  assertEquals(x.readSync(new Uint8Array(1), { timeoutMs: NaN }), -Errno.ETIMEDOUT);
  const error = await assertRejects(() => x.read({ timeoutMs: NaN }), OuroError);
  assertEquals(error.code, -Errno.EINVAL);
  assertEquals(x.readSync(new Uint8Array(1), { timeoutMs: -1 }), -Errno.ETIMEDOUT);
});

libraryTest("what is not a Uint8Array is refused, by code and by name", async ({ pair }) => {
  const [x, y] = pair("data");
  for (
    const wrong of WRONG_BUFFERS
  ) {
    const bytes = wrong as unknown as Uint8Array<ArrayBuffer>;
    assertEquals(x.writeSync(bytes), -Errno.EINVAL);
    assertEquals(y.readSync(bytes), -Errno.EINVAL);
    const error = await assertRejects(() => x.write(bytes), OuroError, "Uint8Array");
    assertEquals(error.code, -Errno.EINVAL);
    const unread = await assertRejects(() => y.read(bytes), OuroError, "Uint8Array");
    assertEquals(unread.code, -Errno.EINVAL);
    const batch = await assertRejects(() => x.writeBatch([bytes]), OuroError, "Uint8Array");
    assertEquals(batch.code, -Errno.EINVAL);
  }
  for (const wrong of WRONG_BUFFERS) {
    const writer = pair("data")[0].writable.getWriter();
    const error = await assertRejects(() => writer.write(wrong as Uint8Array), OuroError);
    assertEquals(error.code, -Errno.EINVAL);
    await writer.closed.catch(() => {});
  }
  assertEquals(x.counters.txPackets, 0);
});

libraryTest("an echo with buffers of the message's length falls never behind", ({ pair }) => {
  for (const qos of ["raw", "data"] as const) {
    const [x, y] = pair(qos);
    const into = new Uint8Array(64);
    for (let i = 0; i < 6; i++) {
      assertEquals(x.writeSync(new Uint8Array(64)), 64);
      assertEquals(y.readSync(into, LONG), 64);
    }
    assertEquals(y.rxQueued, 0);
  }
});

libraryTest(
  "pieces of a longer message end with a 0 when the last fills the buffer",
  ({ pair }) => {
    for (const qos of ["raw", "data"] as const) {
      const [x, y] = pair(qos);
      x.writeSync(new Uint8Array(8));
      x.writeSync(new Uint8Array(4));
      const into = new Uint8Array(4);
      assertEquals([0, 0, 0, 0].map(() => y.readSync(into, LONG)), [4, 4, 0, 4], qos);
    }
  },
);

libraryTest(
  "closeWrite() ends one half: reads give a code, the other half goes on",
  async ({ pair }) => {
    const [x, y] = pair("data");
    await x.write(Uint8Array.of(1));
    await x.closeWrite();
    assertEquals(x.writeSync(Uint8Array.of(2)), -Errno.EPIPE);
    assertEquals(await y.read(LONG), Uint8Array.of(1));
    for (let i = 0; i < 2; i++) {
      const error = await assertRejects(() => y.read(LONG), OuroError);
      assertEquals(error.code, -Errno.ENODATA);
      assertEquals(y.readSync(new Uint8Array(1)), -Errno.ENODATA);
    }
    assert(!y.hasMessage());
    await y.write(Uint8Array.of(3));
    assertEquals(await x.read(LONG), Uint8Array.of(3));
    await x.closeWrite(); // again: nothing happens
  },
);

libraryTest(
  "messages of no bytes are delivered where FRCT is, each as a message",
  async ({ pair }) => {
    for (const qos of ["data", "best"] as const) {
      const [x, y] = pair(qos);
      const sent = [0, 3, 0, 0, 1];
      for (const n of sent) assertEquals(await x.write(new Uint8Array(n)), n);
      const got = [(await y.read(LONG)).length, (await y.read(LONG)).length];
      got.push(await y.read(new Uint8Array(9), LONG), y.readSync(new Uint8Array(9), LONG));
      got.push((await y.readBatch(9, LONG))[0]!.length);
      assertEquals(x.writeSync(new Uint8Array(0)), 0);
      assert(y.hasMessage());
      assertEquals([...got, y.readSync(new Uint8Array(0), LONG)], [...sent, 0], qos);
      assertEquals(y.readSync(new Uint8Array(9), { nonblock: true }), -Errno.EAGAIN);
      using packet = new Packet();
      assertEquals(x.reserve(packet, 0), 0);
      assertEquals(x.commit(packet), 0);
      assertEquals(y.receive(packet, LONG), 0);
    }
  },
);

libraryTest("a message of no bytes is no end, and none follows the end", async ({ pair }) => {
  const [x, y] = pair("data");
  const ended = y.read(LONG).then((m) => m.length);
  await x.write(new Uint8Array(0));
  assertEquals(await ended, 0);
  // Nobody reads just now: what came before the end is read before it.
  for (const n of [0, 1, 0]) await x.write(new Uint8Array(n));
  const closed = x.closeWrite();
  const late = await assertRejects(() => x.write(new Uint8Array(0)), OuroError);
  assertEquals(late.code, -Errno.EPIPE);
  const chunks: number[] = [];
  for await (const m of y.readable) chunks.push(m.length);
  assertEquals(chunks, [1], "a byte stream has no empty chunks");
  await closed;
});

libraryTest(
  "a raw flow refuses a message of no bytes; in a blocking call it is a sign of life, as in C",
  async ({ pair }) => {
    const [x, y] = pair("raw");
    const none = new Uint8Array(0);
    for (const write of [() => x.write(none), () => x.writeBatch([none])]) {
      const refused = await assertRejects(
        write,
        OuroError,
        "a raw flow carries no message of 0 bytes",
      );
      assertEquals(refused.code, -Errno.EINVAL);
    }
    assertEquals(x.writeSync(none), 0);
    // A byte stream has no empty chunks.
    const writer = x.writable.getWriter();
    await writer.write(none);
    writer.releaseLock();
    await x.write(Uint8Array.of(1));
    assertEquals(await y.read(LONG), Uint8Array.of(1));
  },
);

libraryTest("reads that wait are served in the order of their calls", async ({ pair }) => {
  for (const qos of ["raw", "data"] as const) {
    const [x, y] = pair(qos);
    const stop = new AbortController();
    const order: string[] = [];
    const reads = ["a", "b", "c", "d"].map((who) =>
      y.read(who === "b" ? { signal: stop.signal } : LONG).then(
        (m) => order.push(`${who}${m[0]}`),
        (e) => order.push(`${who} ${e}`),
      )
    );
    stop.abort("left");
    for (const k of [1, 2, 3]) await x.write(Uint8Array.of(k));
    // Asked for while the others wait: it gets what comes behind theirs.
    const late = y.read(LONG);
    await x.write(Uint8Array.of(4));
    await Promise.all(reads);
    assertEquals(order, ["b left", "a1", "c2", "d3"], qos);
    assertEquals(await late, Uint8Array.of(4));
  }
});

libraryTest("closeWrite() is refused where nothing is retransmitted", async ({ pair }) => {
  for (const qos of ["raw", "best"] as const) {
    const [x] = pair(qos);
    assertEquals((await assertRejects(() => x.closeWrite(), OuroError)).code, -Errno.ENOTSUP);
  }
});

libraryTest(
  "readable goes on after a break, and serves readers with their own buffer",
  async ({ pair }) => {
    const [x, y] = pair("data");
    for (let i = 1; i <= 3; i++) await x.write(Uint8Array.of(i, i));
    for await (const m of y.readable) {
      assertEquals(m, Uint8Array.of(1, 1));
      break;
    }
    for await (const m of y.readable) {
      assertEquals(m, Uint8Array.of(2, 2));
      break;
    }
    const reader = y.readable.getReader({ mode: "byob" });
    const { value } = await reader.read(new Uint8Array(8));
    assertEquals(value, Uint8Array.of(3, 3));
    const ended = reader.read(new Uint8Array(8));
    await x.closeWrite();
    assertEquals((await ended).done, true);
  },
);

libraryTest(
  "readableBytes joins what is there, goes on after a break, and ends",
  async ({ pair }) => {
    for (const qos of ["data", "best", "raw"] as const) {
      const [x, y] = pair(qos);
      // Lengths of messages; the long one does not fit beside others.
      const lengths = [1, 1000, 7, 70_000, ...Array.from({ length: 40 }, (_, i) => 1 + 17 * i)];
      const sent = lengths.map((n, i) => new Uint8Array(n).fill(i));
      assertEquals(await x.writeBatch(sent), sent.length);
      const chunks: Uint8Array[] = [];
      const bytes = () => chunks.reduce((sum, c) => sum + c.length, 0);
      const whole = lengths.reduce((a, b) => a + b);
      while (bytes() < whole) {
        for await (const chunk of y.readableBytes) {
          chunks.push(chunk);
          break;
        }
      }
      assertEquals(Buffer.concat(chunks), Buffer.concat(sent), qos);
      assert(chunks.length <= 4, `${qos}: ${chunks.map((c) => c.length)}`);
      const ended = Array.fromAsync(y.readableBytes);
      await x.write(Uint8Array.of(8, 9));
      if (qos === "data") await x.closeWrite();
      else await x.dealloc();
      assertEquals(await ended, [Uint8Array.of(8, 9)], qos);
    }
  },
);

libraryTest(
  "readableBytes joins so many messages at most, whatever their length",
  async ({ pair }) => {
    const [x, y] = pair("raw");
    let sent = 0;
    while (x.writeSync(Uint8Array.of(7), { nonblock: true }) > 0) sent += 1;
    assert(sent > 513, `${sent} sent`);
    const { value } = await y.readableBytes.getReader().read();
    assertEquals(value!.length, 513);
  },
);

libraryTest("readableBytes loses no message where reads take whole ones only", async ({ pair }) => {
  for (const qos of ["raw", "data"] as const) {
    const [x, y] = pair(qos);
    y.flags |= FlowFlag.RNoPart;
    // The layer carries less from this end.
    partsOf(y).core.rings.tx.setPacketBytesMax(1000);
    for (const n of [1, 70_000, 2]) await x.write(new Uint8Array(n).fill(n));
    const all = Array.fromAsync(y.readableBytes);
    if (qos === "data") await x.closeWrite();
    else await x.dealloc();
    assertEquals((await all).map((chunk) => chunk.length), [1, 70_000, 2], qos);
  }
});

libraryTest(
  "a message that came before the flow was closed here is a chunk by itself",
  async ({ pair }) => {
    for (const qos of ["raw", "data"] as const) {
      const [x, y] = pair(qos);
      await x.write(Uint8Array.of(1));
      await x.write(Uint8Array.of(2));
      const { asyncReader } = partsOf(y);
      const first = asyncReader.takeNow()!;
      y[Symbol.dispose]();
      assertEquals(asyncReader.withMore(first), Uint8Array.of(1));
    }
  },
);

libraryTest(
  "readableBytes that is cancelled while it waits for its turn takes nothing more",
  async ({ pair }) => {
    const [x, y] = pair("raw");
    for (let k = 0; k < 200; k++) await x.write(Uint8Array.of(k));
    // The next one lets the event loop have its turn.
    for (let k = 0; k < 127; k++) assertEquals(await y.read(), Uint8Array.of(k));
    const reader = y.readableBytes.getReader();
    const pending = reader.read();
    // Streams pull a few microtasks later, before any turn.
    for (let k = 0; k < 10; k++) await undefined;
    await reader.cancel();
    assertEquals((await pending).done, true);
    for (let turns = 0; turns < 3; turns++) await eventLoopTurn();
    assertEquals(await y.read({ timeoutMs: 0 }), Uint8Array.of(128));
  },
);

libraryTest("readableBytes gives a reader's buffer what it holds", async ({ pair }) => {
  const [x, y] = pair("data");
  for (const n of [3, 4, 5]) await x.write(new Uint8Array(n).fill(n));
  const reader = y.readableBytes.getReader({ mode: "byob" });
  const got = [];
  for (const room of [8, 2, 9]) got.push((await reader.read(new Uint8Array(room))).value!.length);
  assertEquals(got, [8, 2, 2]);
});

libraryTest(
  "read(into), readBatch() and writeBatch() move messages with fewer promises",
  async ({ pair }) => {
    const [x, y] = pair("data");
    assertEquals(await x.writeBatch([Uint8Array.of(1), Uint8Array.of(2, 2), Uint8Array.of(3)]), 3);
    const into = new Uint8Array(10);
    assertEquals(await y.read(into, LONG), 1);
    const got: number[] = [];
    while (got.length < 2) got.push(...(await y.readBatch(5, LONG)).map((m) => m.length));
    assertEquals(got, [2, 1]);
  },
);

libraryTest("a flow in a log is short, and does not touch its memory", ({ a, pair }) => {
  const [x] = pair("data");
  const text = JSON.stringify({ flow: x, process: a });
  assert(text.length < 600 && text.includes(`"id":${x.id}`), text);
  const { info, qos } = JSON.parse(JSON.stringify({ info: x.info, qos: x.qos, all: QOS }));
  assertEquals([info.id, info.qos.loss, qos], [x.id, 0, x.toJSON().qos]);
  using set = new FlowSet(a);
  for (const value of [x, a, set]) assert(Deno.inspect(value).length < 600, Deno.inspect(value));
});

libraryTest(
  "FlowSet.next() leaves the event loop its turns while a member is unread",
  async ({ b, pair }) => {
    const [x, y] = pair("data");
    using set = new FlowSet(b);
    set.add(y);
    await x.write(Uint8Array.of(1));
    let ticked = false;
    setTimeout(() => ticked = true, 0);
    for (let n = 0; !ticked; n++) {
      assert(n < 100_000, "no timer has run");
      const events = await set.next();
      assertEquals(events.map((e) => e.events), [FlowEvent.PKT]);
    }
    const error = await assertRejects(() => set.next(AbortSignal.abort(new Error("over"))), Error);
    assertEquals(error.message, "over");
  },
);

libraryTest("closed resolves when either side ends the flow", async ({ pair }) => {
  const [x, y] = pair("raw");
  const ended = Promise.all([x.closed, y.closed]);
  x.deallocSync();
  await ended;
  assert(!y.isClosed && y.hasEnded());
  const [p] = pair("data");
  p.deallocSync({ lingerMs: 0 });
  await p.closed;
});

libraryTest(
  "a flow beyond the table is given back with -EMFILE, and listen() goes on",
  async ({ irmd, a, b }) => {
    const stop = new AbortController();
    const heard: Flow[] = [];
    let full = true;
    // The table is full: as if 4032 flows were open.
    const { table } = partsOfProcess(b);
    const freeFd = table.freeFd.bind(table);
    table.freeFd = () => full ? -Errno.EMFILE : freeFd();
    const listening = (async () => {
      for await (const flow of Flow.listen({ process: b, signal: stop.signal })) heard.push(flow);
    })();
    const surplus = await Flow.alloc(a, "peer");
    while (irmd.deallocs.size === 0) await new Promise((r) => setTimeout(r, 1));
    await surplus.closed; // it hears at once that nobody has it
    assert(surplus.hasEnded());
    const asked = irmd.log.length;
    const none = await assertRejects(() => Flow.alloc(b, "peer"), OuroError, "descriptors");
    assertEquals([none.code, irmd.log.length], [-Errno.EMFILE, asked]);
    full = false;
    const accepts = () => irmd.log.at(-1)!.code === IrmCode.IRM_FLOW_ACCEPT;
    while (!accepts()) await new Promise((r) => setTimeout(r, 1));
    const flow = await Flow.alloc(a, "peer");
    while (heard.length === 0) await new Promise((r) => setTimeout(r, 1));
    stop.abort();
    await listening;
    assertEquals(heard[0]!.id, flow.id);
    surplus.deallocSync();
    assert(FDS_MAX > 4000);
  },
);

libraryTest(
  "keepaliveMs asks for signs of life, and refuses what is no time",
  async ({ irmd, a, b }) => {
    const accepting = Flow.accept(b);
    await Flow.alloc(a, "peer", { qos: "data", keepaliveMs: 5000 });
    await accepting;
    assertEquals(irmd.log.findLast((m) => m.dst === "peer")!.flowInfo!.qos.timeout, 5000);
    for (const keepaliveMs of [-1, 1.5, NaN, 2 ** 32]) {
      const error = await assertRejects(() => Flow.alloc(a, "peer", { keepaliveMs }), OuroError);
      assertEquals(error.code, -Errno.EINVAL);
    }
  },
);

libraryTest(
  "what cannot be a name or a QoS is refused before anybody is asked",
  async ({ a, irmd }) => {
    const asked = irmd.log.length;
    const names: unknown[] = [5, undefined, null, {}, "", "a\0b", "x".repeat(256), "é".repeat(128)];
    for (const name of names) {
      const error = await assertRejects(
        () => Flow.alloc(a, name as string),
        OuroError,
        "the name ",
      );
      assertEquals(error.code, -Errno.EINVAL);
      assertThrows(() => Flow.allocSync(a, name as string), OuroError, "the name ");
      await assertRejects(() => Flow.join(name as string, { process: a }), OuroError, "the name ");
    }
    const { loss: _, ...part } = QOS.data;
    const wrong: unknown[] = [{}, part, 7, { ...QOS.raw, delay: -1 }, { ...QOS.raw, loss: 1.5 }];
    for (const qos of [...wrong, { ...QOS.raw, timeout: 2 ** 32 }, { ...QOS.raw, ber: "1" }]) {
      const options = { qos: qos as typeof QOS.raw };
      const error = await assertRejects(
        () => Flow.alloc(a, "peer", options),
        OuroError,
        "qos has ",
      );
      assertEquals(error.code, -Errno.EINVAL);
    }
    assertEquals(irmd.log.length, asked);
  },
);

libraryTest(
  "a wait that is nobody's any more ends: of a set that is closed, of an iterator that is thrown at",
  async ({ b }) => {
    const set = new FlowSet(b);
    const waiting = assertRejects(() => set.next(), OuroError);
    set.close();
    assertEquals((await waiting).code, -Errno.EBADF);
    assertEquals((await assertRejects(() => set.next(), OuroError)).code, -Errno.EBADF);
    for (const flows of [Flow.listen({ process: b }), Flow.requests({ process: b })]) {
      const next = flows.next();
      await assertRejects(() => flows.throw(new Error("enough")), Error, "enough");
      assertEquals((await next).done, true);
    }
  },
);

libraryTest(
  "a flow says its name, its layer and its peer, as far as they are told",
  async ({ irmd, a, b }) => {
    const peer = {
      name: "c.example",
      fingerprint: new Uint8Array(32).fill(9),
      how: "EC prime256v1",
    };
    irmd.tamper = (reply) => ({ ...reply, name: "svc", layer: "lay", peer });
    const accepting = Flow.accept(b);
    const x = await Flow.alloc(a, "svc");
    const y = await accepting;
    assertEquals([x.name, x.remoteName, x.localName, x.layer], ["svc", "svc", undefined, "lay"]);
    assertEquals([y.name, y.remoteName, y.localName, y.layer], ["svc", "c.example", "svc", "lay"]);
    assertEquals(y.peer, peer);
    assertEquals(JSON.parse(JSON.stringify(y)).name, "svc");
    const attached = Flow.attach(b, structuredClone(y.share()));
    assertEquals([attached.name, attached.layer, attached.peer], ["svc", "lay", peer]);
    attached.detach();
    // An IRMd of the prototype says none of it: nothing is made up.
    irmd.tamper = (reply) => reply;
    const plain = Flow.accept(b);
    const z = await Flow.alloc(a, "svc");
    const w = await plain;
    assertEquals([z.name, z.layer, z.peer], ["svc", undefined, undefined]);
    assertEquals([w.name, w.localName, w.remoteName, w.layer], [
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  },
);

libraryTest("structuredClone() keeps the code and the cause of an error", () => {
  const detail = { stage: "query", process: "ipcpd-udp4 n1", cause: "nobody there" };
  for (const error of [new OuroError(-1007, "Cannot x", detail), new OuroError(11, "Cannot y")]) {
    const copy = structuredClone(error);
    assertEquals((copy.cause as { code: number }).code, error.code);
    const again = OuroError.from(copy)!;
    assert(again instanceof OuroError);
    assertEquals([again.code, again.message, again.detail], [
      error.code,
      error.message,
      error.detail,
    ]);
    assertEquals(OuroError.from(error), error);
  }
  assertEquals(OuroError.from(new Error("x", { cause: { code: "EIO" } })), undefined);
  assertEquals(OuroError.from(structuredClone(new TypeError("x"))), undefined);
  assertEquals(OuroError.from({ code: -5 }), undefined);
});
