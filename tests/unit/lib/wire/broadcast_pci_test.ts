// The header of packets between our own members of a broadcast layer: bytes, bounds, round trips, garbage.

import { assertEquals, assertInstanceOf, assertMatch } from "@std/assert";
import fc from "fast-check";
import { describe, encode, FAREWELL, LENGTH, parse } from "../../../../lib/wire/broadcast_pci.ts";
import { WireError } from "../../../../lib/wire/mod.ts";

const none = () => ({ originHi: 0, originLo: 0, seq: 0 });
const word = fc.nat(0xffffffff);

Deno.test("encode() writes origin and number big endian, and nothing else", () => {
  const u8 = new Uint8Array(14).fill(0xa5);
  const pci = { originHi: 0x80000001, originLo: 0xfffffffe, seq: 0x01020304 };
  assertEquals(encode(pci, u8, 1), LENGTH);
  assertEquals(u8.toHex(), "a5" + "80000001fffffffe01020304" + "a5");
});

Deno.test("encode() has no room in 11 bytes, and writes none of them", () => {
  const u8 = new Uint8Array(11).fill(0xa5);
  assertInstanceOf(encode(none(), u8, 0), WireError);
  assertEquals(u8.toHex(), "a5".repeat(11));
});

Deno.test("parse() reads what encode() wrote, wherever it stands", () => {
  fc.assert(fc.property(word, word, word, fc.nat(20), fc.nat(20), (hi, lo, seq, at, behind) => {
    const u8 = new Uint8Array(at + LENGTH + behind);
    const pci = { originHi: hi, originLo: lo, seq };
    encode(pci, u8, at);
    const out = none();
    assertEquals(parse(u8, at, u8.length, out), undefined);
    assertEquals(out, pci);
  }));
});

Deno.test("parse() refuses less than a header, and an end beyond the buffer", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 11 }), (u8) => {
    assertInstanceOf(parse(u8, 0, u8.length, none()), WireError);
    assertInstanceOf(parse(u8, 0, 100, none()), WireError);
  }));
});

Deno.test("describe() says what a packet is, garbage included", () => {
  const u8 = new Uint8Array(15);
  encode({ originHi: 1, originLo: 2, seq: 7 }, u8, 0);
  assertEquals(describe(u8), "broadcast: packet 7 of 0000000100000002, 3 bytes");
  encode({ originHi: 0, originLo: 0, seq: FAREWELL }, u8, 0);
  assertEquals(describe(u8), "broadcast: farewell");
  fc.assert(fc.property(fc.uint8Array(), (any) => assertMatch(describe(any), /^broadcast: /)));
});
