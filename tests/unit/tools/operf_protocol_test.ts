// deno-lint-ignore-file camelcase -- the vectors have these names
/** Packets of operf: configuration and numbers by the vectors, our additions, hostile bytes. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  Counter,
  encodeConfig,
  encodeEnd,
  encodeGreeting,
  encodeJson,
  isEnd,
  isGreeting,
  parseConfig,
  parseNumbers,
  parseSeqno,
  TestType,
} from "../../../tools/operf/protocol.ts";
import { toolCases } from "./vectors.ts";

for (const one of toolCases().get("pkt")!) {
  if (!one.name.startsWith("pkt.operf")) continue;
  Deno.test(`${one.name} is understood and made`, () => {
    const bytes = Uint8Array.fromHex(one.hex);
    // A configuration is one word; data is that packet of the run that its number says.
    if (bytes.length === 4) {
      const argv = one.input.argv ?? [];
      const type = argv[argv.indexOf("-t") + 1] === "bi" ? TestType.BI : TestType.UNI;
      assertEquals(parseConfig(bytes), type);
      assertEquals(encodeConfig(type), bytes);
    } else {
      const packet = new Uint8Array(bytes.length);
      new DataView(packet.buffer).setUint32(0, parseSeqno(bytes)!, true);
      assertEquals(packet, bytes);
    }
  });
}

Deno.test("parseConfig() and parseSeqno() refuse three bytes", () => {
  assertEquals(parseConfig(new Uint8Array(3)), undefined);
  assertEquals(parseSeqno(new Uint8Array(3)), undefined);
  assertEquals(parseConfig(Uint8Array.of(1, 0, 0, 0, 9)), 1);
});

Deno.test("markers of ours are taken for nothing else", () => {
  assertEquals(isGreeting(encodeGreeting()), true);
  assertEquals(isGreeting(encodeGreeting().subarray(0, 4)), false);
  assertEquals(isEnd(encodeEnd()), true);
  assertEquals(isEnd(new Uint8Array(8)), false);
  assertEquals(isEnd(new Uint8Array(9).fill(0xff)), false);
});

Deno.test("parseNumbers() gives what encodeJson() wrote and refuses the rest", () => {
  const report = { received: 3, bytes: 12, elapsed_us: 9, out_of_order: 1 };
  const keys = ["received", "bytes", "elapsed_us", "out_of_order"] as const;
  assertEquals(parseNumbers(encodeJson(report), keys), report);
  for (const bad of ["", "null", "[]", '{"received":-1}', '{"received":"1"}', "{", "1"]) {
    assertEquals(parseNumbers(new TextEncoder().encode(bad), ["received"]), undefined, bad);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
    parseNumbers(bytes, ["size"]);
  }));
});

Deno.test("Counter counts packets, bytes, time and disorder", () => {
  const counter = new Counter();
  for (const [seqno, nowUs] of [[0, 100], [2, 200], [1, 300], [3, 400]] as const) {
    const packet = new Uint8Array(64);
    new DataView(packet.buffer).setUint32(0, seqno, true);
    counter.onPacket(packet, nowUs);
  }
  assertEquals(counter.report(), { received: 4, bytes: 256, elapsed_us: 300, out_of_order: 1 });
});
