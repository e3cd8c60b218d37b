/** The message of oping: layout, boundaries, hostile bytes. The prototype's bytes: vectors_test.ts of oping. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  describe,
  encode,
  LENGTH,
  makeReply,
  type OpingMsg,
  parse,
  TYPE_REPLY,
  typeOf,
} from "../../../../lib/wire/oping_msg.ts";

const empty = (): OpingMsg => ({ type: 9, id: 9, stampNs: 9 });

Deno.test("encode() puts type and id in network order, the stamp in host order", () => {
  const b = new Uint8Array(LENGTH);
  encode(b, 0, { type: 1, id: 0x01020304, stampNs: 3e9 + 5 });
  assertEquals([...b.subarray(0, 8)], [0, 0, 0, 1, 1, 2, 3, 4]);
  assertEquals([...b.subarray(8)], [3, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
});

Deno.test("encode() writes nothing when there is room for 23 bytes", () => {
  const b = new Uint8Array(LENGTH).fill(0xa5);
  assertEquals(encode(b, 1, { type: 0, id: 0, stampNs: 0 }), -1);
  assertEquals(b, new Uint8Array(LENGTH).fill(0xa5));
});

Deno.test("parse() refuses 23 bytes and takes 24 and 25", () => {
  const b = new Uint8Array(64);
  const out = empty();
  assertEquals(parse(b, 10, 33, out), -1);
  assertEquals(out, empty());
  assertEquals(parse(b, 10, 34, out), 0);
  assertEquals(parse(b, 10, 35, out), 0);
});

Deno.test("typeOf() needs 4 bytes", () => {
  assertEquals(typeOf(new Uint8Array([0, 0, 0]), 0, 3), -1);
  assertEquals(typeOf(new Uint8Array([0xff, 0, 0, 1]), 0, 4), 0xff000001);
});

Deno.test("makeReply() changes the type alone", () => {
  const b = new Uint8Array(30).fill(0xa5);
  makeReply(b, 2);
  assertEquals(typeOf(b, 2, 30), TYPE_REPLY);
  assertEquals(b.subarray(6), new Uint8Array(24).fill(0xa5));
  assertEquals(b.subarray(0, 2), new Uint8Array(2).fill(0xa5));
});

Deno.test("parse(encode(x)) is x, and bytes around it stay", () => {
  const message = fc.record({
    type: fc.integer({ min: 0, max: 0xffffffff }),
    id: fc.integer({ min: 0, max: 0xffffffff }),
    stampNs: fc.maxSafeNat(),
  });
  fc.assert(fc.property(message, fc.integer({ min: 0, max: 40 }), (msg, at) => {
    const b = new Uint8Array(at + LENGTH + 3).fill(0xa5);
    assertEquals(encode(b, at, msg), LENGTH);
    const out = empty();
    assertEquals(parse(b, at, b.length, out), 0);
    assertEquals(out, msg);
    assertEquals(b.subarray(0, at).every((x) => x === 0xa5), true);
    assertEquals(b.subarray(at + LENGTH).every((x) => x === 0xa5), true);
  }));
});

Deno.test("parse() and describe() take any bytes, and look inside their window alone", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
    const alone = empty();
    const result = parse(bytes, 0, bytes.length, alone);
    const padded = new Uint8Array(bytes.length + 20).fill(0x5a);
    padded.set(bytes, 7);
    const inside = empty();
    assertEquals(parse(padded, 7, 7 + bytes.length, inside), result);
    assertEquals(inside, alone);
    assertEquals(describe(padded, 7, 7 + bytes.length), describe(bytes));
    assertEquals(describe(bytes).includes("\n"), false);
  }));
});
