/** The formats and the node of a unicast layer against any bytes: nothing throws, what is read can be written again. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Dht } from "../../ipcp/unicast/dht/dht.ts";
import { UnicastNode } from "../../ipcp/unicast/node.ts";
import { QOS } from "../../lib/qos.ts";
import * as dhtMsg from "../../lib/wire/dht_msg.ts";
import * as dtPci from "../../lib/wire/dt_pci.ts";
import * as faMsg from "../../lib/wire/fa_msg.ts";
import * as linkState from "../../lib/wire/link_state.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { defaultSettings } from "../../sim/layer.ts";
import { Prng } from "../../sim/prng.ts";
import { fuzzRuns } from "../support/seed.ts";

const u32 = fc.nat({ max: 0xffffffff });
const byte = fc.nat({ max: 255 });
const any = fc.uint8Array({ maxLength: 300 });
const eid = fc.record({ hi: u32, lo: u32 });

Deno.test("DT PCI: round trip for every legal size", () => {
  fc.assert(fc.property(
    fc.integer({ min: dtPci.ADDR_BYTES_MIN, max: dtPci.ADDR_BYTES_MAX }),
    fc.integer({ min: dtPci.EID_BYTES_MIN, max: dtPci.EID_BYTES_MAX }),
    fc.record({ dst: u32, cube: byte, ttl: byte, ecn: byte, eidHi: u32, eidLo: u32 }),
    fc.nat({ max: 9 }),
    (addrBytes, eidBytes, pci, at) => {
      const layout = dtPci.dtPciLayout(addrBytes, eidBytes);
      const b = new Uint8Array(at + layout.headerBytes);
      assertEquals(dtPci.encode(pci, b, at, layout), layout.headerBytes);
      const back = dtPci.emptyDtPci();
      assertEquals(dtPci.parse(b, at, b.length, layout, back), 0);
      const low = (n: number, bytes: number) => bytes >= 4 ? n : n % 2 ** (8 * Math.max(0, bytes));
      const dst = low(pci.dst, addrBytes);
      const [eidLo, eidHi] = [low(pci.eidLo, eidBytes), low(pci.eidHi, eidBytes - 4)];
      assertEquals(back, { ...pci, dst, eidHi, eidLo });
    },
  ));
});

Deno.test("flow allocator messages: round trip", () => {
  const qos = { ...QOS.video };
  const data = fc.uint8Array({ maxLength: 200 });
  const message = fc.oneof(
    fc.record({
      kind: fc.constant("request" as const),
      srcAddr: fc.integer({ min: 1, max: 0xffffffff }),
      srcEid: eid,
      qos: fc.constant(qos),
      hash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
      data,
    }),
    fc.record({ kind: fc.constant("update" as const), dstEid: eid, ece: fc.nat({ max: 8191 }) }),
    fc.record({ kind: fc.constant("dealloc" as const), dstEid: eid, srcEid: eid }),
    fc.record({
      kind: fc.constant("why" as const),
      dstEid: eid,
      cause: fc.string({ maxLength: 80 }),
    }),
  );
  fc.assert(fc.property(message, (m) => {
    const b = faMsg.encode(m);
    if (isWireError(b)) throw new Error(`refused: ${b}`);
    const back = faMsg.parse(b, 32);
    // What no node may believe is refused; the rest comes back as it was.
    if (!isWireError(back)) {
      assertEquals(back.kind, m.kind);
      const again = faMsg.encode(back);
      assertEquals(again, b);
    }
    for (let n = 0; n < faMsg.LENGTH; n++) assert(isWireError(faMsg.parse(b.slice(0, n), 32)));
  }));
});

Deno.test("link-state updates: round trip, withdrawn or not", () => {
  const address = fc.integer({ min: 1, max: 0xffffffff });
  const seqno = fc.maxSafeNat();
  fc.assert(fc.property(address, address, seqno, fc.boolean(), (src, dst, seqno, withdrawn) => {
    fc.pre(src !== dst);
    const b = new Uint8Array(linkState.LENGTH);
    linkState.encode({ src, dst, seqno, withdrawn }, b);
    assertEquals(linkState.parse(b), { src, dst, seqno, withdrawn });
  }));
});

Deno.test("parsers of unicast take any bytes, and describe them", () => {
  fc.assert(fc.property(any, (b) => {
    faMsg.parse(b, 32);
    linkState.parse(b);
    dhtMsg.parse(b, 32);
    dtPci.parse(b, 0, b.length, dtPci.FLAT_LAYOUT, dtPci.emptyDtPci());
    for (const m of [faMsg, linkState, dhtMsg, dtPci]) assert(m.describe(b).length > 0);
  }));
});

function makeNode(): UnicastNode {
  const random = new Prng(5);
  const settings = defaultSettings();
  const u = () => random.u32();
  const self = 0x11111111;
  const directory = new Dht(
    0,
    { id: new Uint8Array(32).fill(7), addr: self },
    settings.dht,
    1e9,
    u,
  );
  const node = new UnicastNode(0, { settings, self, directory, random: u });
  node.managementUp(0, 0x22222222, 3);
  node.transferUp(0, 0x22222222, 4);
  node.register(0, new Uint8Array(32).fill(1));
  return node;
}

Deno.test("a node takes any bytes at any component, in any order, and stays bounded", () => {
  const turn = fc.record({
    at: fc.constantFrom("management", "flows", "directory"),
    bytes: fc.oneof(
      any,
      // Almost right: a message of the right length.
      fc.uint8Array({ minLength: 61, maxLength: 93 }),
      fc.uint8Array({ minLength: 24, maxLength: 24 }),
    ),
    afterUs: fc.nat({ max: 5_000_000 }),
  });
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 60 }), (turns) => {
      const node = makeNode();
      let nowUs = 1;
      let effects = 0;
      for (const { at, bytes, afterUs } of turns) {
        nowUs += afterUs;
        if (at === "management") node.onManagement(nowUs, 3, bytes);
        else node.onComponent(nowUs, at === "flows" ? 0 : 1, bytes);
        for (let i = 0; i < 100 && node.deadlineUs() <= nowUs; i++) node.onTimer(nowUs);
        while (node.poll() !== undefined) assert(++effects < 20_000, "a storm of effects");
      }
      assert(node.flows.size <= turns.length);
    }),
    { numRuns: fuzzRuns(200) },
  );
});
