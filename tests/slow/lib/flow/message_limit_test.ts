// deno-lint-ignore-file camelcase -- the vectors have these names
// How long a message may be: the arithmetic, and flows of every QoS, cipher and CRC over a layer that tells its
// limit, where the packet of the longest message must be exactly what the layer carries.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { Errno, OuroError } from "../../../../lib/errno.ts";
import { partsOf } from "../../../../lib/flow/flow.ts";
import { messageLimit, pieceBytes } from "../../../../lib/flow/message_limit.ts";
import { instanceOf } from "../../../../lib/instance.ts";
import type { SduLimits } from "../../../../lib/irm/messages.ts";
import { Flow, type OuroProcess, Packet, QOS, type QosSpec } from "../../../../lib/mod.ts";
import { Rbuff } from "../../../../lib/shm/rbuff.ts";
import { CIPHERS } from "../../../../lib/wire/oap_ids.ts";
import { FakeIrmd } from "../../../support/memory_irmd.ts";
import { removeShm } from "../../../support/shm.ts";

const BLOCK = 1048260;
const NOW = { nonblock: true };

Deno.test("messageLimit() is the block's unless the layer carries less beside what the flow adds", () => {
  assertEquals(messageLimit(BLOCK, 60, {}), BLOCK);
  assertEquals(messageLimit(BLOCK, 60, { sduBytesWhole: 100 }), BLOCK);
  assertEquals(messageLimit(BLOCK, 0, { sduBytesMax: 1496 }), 1496);
  assertEquals(messageLimit(BLOCK, 60, { sduBytesMax: 1496 }), 1436);
  assertEquals(messageLimit(261828, 60, { sduBytesMax: 0xffffffff }), 261828);
  assertEquals(messageLimit(BLOCK, 60, { sduBytesMax: 60 }), 0);
  assertEquals(messageLimit(BLOCK, 60, { sduBytesMax: 1 }), 0);
});

Deno.test("pieceBytes() follows the layer, below what is fragmented and what blocks there are many of", () => {
  const of = (sdu: SduLimits, overhead = 60, direct = false) =>
    pieceBytes(messageLimit(BLOCK, overhead, sdu), overhead, sdu, direct);
  assertEquals(of({}), 1340); // A layer that doesn't tell.
  assertEquals(of({}, 60, true), 16000);
  assertEquals(of({ sduBytesMax: 1496 }), 1436);
  assertEquals(of({ sduBytesMax: 8996 }), 8936);
  assertEquals(of({ sduBytesMax: 8976, sduBytesWhole: 1468 }), 1408);
  assertEquals(of({ sduBytesMax: BLOCK }), 16000);
  assertEquals(of({ sduBytesMax: 20 }), 1); // Never 0: the write says that it doesn't fit.
  assertEquals(of({ sduBytesMax: 900, sduBytesWhole: 30 }), 1);
});

/** What each QoS is granted as; `ber` 0 is a CRC. */
const KINDS: Record<string, { qos: QosSpec; frct: number; crc: number }> = {
  raw: { qos: { ...QOS.raw, ber: 1 }, frct: 0, crc: 0 },
  raw_no_errors: { qos: QOS.raw_no_errors, frct: 0, crc: 4 },
};
for (const word of ["best", "video", "voice", "data"] as const) {
  KINDS[word] = { qos: { ...QOS[word], ber: 1 }, frct: 12, crc: 0 };
  KINDS[`${word} with CRC`] = { qos: QOS[word], frct: 12, crc: 4 };
}
const SUITES = [{ word: "no cipher", nid: 0, ivBytes: 0, tagBytes: 0 }, ...CIPHERS];

interface Fixture {
  irmd: FakeIrmd;
  a: OuroProcess;
  pair(qos: QosSpec, sdu: SduLimits): [Flow, Flow];
  /** The layer below the flow says that it carries packets of so many bytes now. */
  carries(flow: Flow, bytes: number): void;
  /** Bytes of the packets in the receive ring of `flow`, which stay there. */
  queued(flow: Flow): number[];
}

async function onNode(use: (f: Fixture) => void | Promise<void>): Promise<void> {
  const instance = instanceOf(`/tmp/ouro-limit-test-${crypto.randomUUID()}`);
  try {
    using irmd = new FakeIrmd(instance);
    const [a, b] = [irmd.open(), irmd.open()];
    await use({
      irmd,
      a,
      pair(qos, sdu) {
        irmd.tamper = (m) => ({ ...m, flowInfo: { ...m.flowInfo!, mpl: 100, ...sdu } });
        return irmd.pair(a, b, qos, { crc: true });
      },
      carries(flow, bytes) {
        using ring = Rbuff.open(instance, flow.info.n1Pid, flow.id);
        ring.setPacketBytesMax(bytes);
      },
      queued(flow) {
        const ring = Rbuff.open(instance, flow.info.nPid, flow.id);
        const got: number[] = [];
        const offs: number[] = [];
        for (let off; (off = ring.read()) > 0;) {
          offs.push(off);
          got.push(irmd.pool.inspect(off));
        }
        for (const off of offs) assertEquals(ring.write(off), 0);
        ring.close();
        return got;
      },
    });
    a!.close();
    b!.close();
    assertEquals(irmd.blocksInUse(), 0, "blocks left");
  } finally {
    removeShm(instance);
  }
}

function flowTest(name: string, use: (f: Fixture) => void | Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn: () => onNode(use) });
}

for (const [word, { qos, frct, crc }] of Object.entries(KINDS)) {
  flowTest(
    `${word}: the longest message fills the layer's packet, with every cipher`,
    async (f) => {
      for (const { word: cipher, nid, ivBytes, tagBytes } of SUITES) {
        f.irmd.cipherNid = nid;
        const [x, y] = f.pair(qos, { sduBytesMax: 1496 });
        const most = 1496 - frct - crc - ivBytes - tagBytes;
        assertEquals([x.messageBytesMax, y.messageBytesMax], [most, most], cipher);
        assertEquals(x.streamBytes, most);
        const sent = Uint8Array.from({ length: most }, (_, i) => i * 7);
        assertEquals(x.writeSync(sent), most);
        assertEquals(f.queued(y), [1496], cipher);
        assertEquals(await y.read({ timeoutMs: 60_000 }), sent, cipher);
        const more = new Uint8Array(most + 1);
        assertEquals(x.writeSync(more), -Errno.EMSGSIZE);
        const error = await assertRejects(() => x.write(more), OuroError);
        assertEquals(error.code, -Errno.EMSGSIZE);
        assertEquals(
          error.message,
          `Cannot write ${most + 1} bytes (a message of this flow holds at most ${most}): ` +
            "-90: message too long",
        );
        assertEquals(f.queued(y), []);
        await Promise.all([x.dealloc(), y.dealloc()]);
      }
    },
  );
}

flowTest("packets in place are held to the limit, too, and their blocks are given back", (f) => {
  for (const kind of ["raw", "data"]) {
    const [x] = f.pair(KINDS[kind]!.qos, { sduBytesMax: 600 });
    using packet = new Packet();
    const most = x.messageBytesMax;
    assertEquals(x.reserve(packet, most + 1), -Errno.EMSGSIZE);
    assertEquals(x.reserve(packet, most), 0);
    packet.length = most + 1; // Beyond what was reserved.
    assertEquals(x.commit(packet), -Errno.EMSGSIZE);
    assertEquals(x.reserve(packet, most), 0);
    assertEquals(x.commit(packet), most);
    const off = f.irmd.pool.alloc(most + 1);
    assert(off > 0);
    assertEquals(partsOf(x).inPlace.giveBlock(off), -Errno.EMSGSIZE);
    assertEquals(x.counters.txDropped, 0);
  }
});

flowTest(
  "a layer that carries less than a flow adds: every message is refused, streams fail",
  async (f) => {
    f.irmd.cipherNid = 901;
    const [x] = f.pair(KINDS["data"]!.qos, { sduBytesMax: 40 });
    assertEquals([x.messageBytesMax, x.streamBytes], [0, 1]);
    assertEquals(x.writeSync(Uint8Array.of(1)), -Errno.EMSGSIZE);
    const writer = x.writable.getWriter();
    const error = await assertRejects(() => writer.write(new Uint8Array(3)), OuroError);
    assertEquals(error.code, -Errno.EMSGSIZE);
    writer.closed.catch(() => {});
  },
);

flowTest("an attached thread keeps to the limit of the flow", (f) => {
  const [x, y] = f.pair(KINDS["raw"]!.qos, { sduBytesMax: 100 });
  const attached = Flow.attach(f.a, structuredClone(x.share()));
  assertEquals(attached.messageBytesMax, 100);
  assertEquals(attached.writeSync(new Uint8Array(101)), -Errno.EMSGSIZE);
  assertEquals(attached.writeSync(new Uint8Array(100)), 100);
  assertEquals(y.readSync(new Uint8Array(200), NOW), 100);
  attached.detach();
});

flowTest(
  "without a word of the layer the block is the limit, and streams keep to 1400 bytes",
  (f) => {
    const [x] = f.pair(KINDS["data with CRC"]!.qos, {});
    assertEquals([x.messageBytesMax, x.streamBytes], [BLOCK, 1384]);
    const [y] = f.pair(KINDS["raw"]!.qos, { sduBytesMax: 0 });
    assertEquals([y.messageBytesMax, y.streamBytes], [BLOCK, 1400]);
  },
);

for (const [word, { qos, frct, crc }] of Object.entries(KINDS)) {
  flowTest(
    `${word}: when the layer carries less, the next message hears of it, and when it carries more again`,
    async (f) => {
      const [x, y] = f.pair(qos, { sduBytesMax: 1496 });
      const adds = frct + crc;
      const refuses = async (bytes: number, tail: string) => {
        assertEquals(x.writeSync(new Uint8Array(bytes)), -Errno.EMSGSIZE);
        const { code, message } = await assertRejects(
          () => x.write(new Uint8Array(bytes)),
          OuroError,
        );
        const most = bytes - 1;
        const text = `Cannot write ${bytes} bytes (a message of this flow holds at most ${most}): `;
        assertEquals([code, message.startsWith(text)], [-Errno.EMSGSIZE, true], message);
        assertEquals(message.endsWith(tail), true, message);
      };
      const passes = async (bytes: number) => {
        assertEquals([x.messageBytesMax, x.streamBytes], [bytes, bytes]);
        assertEquals(x.writeSync(new Uint8Array(bytes)), bytes);
        assertEquals((await y.read({ timeoutMs: 60_000 })).length, bytes);
      };
      f.carries(x, 596);
      await refuses(596 - adds + 1, "the layer carries less than when the flow began");
      await passes(596 - adds);
      f.carries(x, 900);
      await passes(900 - adds);
      // Never more than at the beginning, whatever is said.
      f.carries(x, 0xffffffff);
      await refuses(1496 - adds + 1, "message too long");
      await passes(1496 - adds);
      f.carries(x, 20);
      assertEquals(x.messageBytesMax, 20 - adds);
      f.carries(x, 1);
      assertEquals([x.messageBytesMax, x.streamBytes], [Math.max(0, 1 - adds), 1]);
      f.carries(x, 0);
      await passes(1496 - adds);
      await Promise.all([x.dealloc(), y.dealloc()]);
    },
  );
}

flowTest("a stream goes on in shorter pieces when the layer carries less", async (f) => {
  const [x, y] = f.pair(KINDS["data"]!.qos, { sduBytesMax: 1012 });
  const writer = x.writable.getWriter();
  await writer.write(new Uint8Array(1500));
  f.carries(x, 212);
  await writer.write(new Uint8Array(300));
  const sizes: number[] = [];
  for (let i = 0; i < 4; i++) sizes.push((await y.read({ timeoutMs: 60_000 })).length);
  assertEquals(sizes, [1000, 500, 200, 100]);
  writer.releaseLock();
  await Promise.all([x.dealloc(), y.dealloc()]);
});

flowTest("a layer that told nothing at the beginning and tells a size later is believed", (f) => {
  const [x] = f.pair(KINDS["raw"]!.qos, {});
  assertEquals([x.messageBytesMax, x.streamBytes], [BLOCK, 1400]);
  f.carries(x, 700);
  assertEquals([x.messageBytesMax, x.streamBytes], [700, 700]);
});
