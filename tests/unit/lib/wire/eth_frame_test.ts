// Bounds of the Ethernet headers and of the management layouts; the captures are in shim_vectors_test.ts.

import { assert, assertEquals } from "@std/assert";
import * as frame from "../../../../lib/wire/eth_frame.ts";
import { dixMgmt, llcMgmt } from "../../../../lib/wire/eth_mgmt.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";
import { QOS_ZERO } from "../../../../lib/qos.ts";
import * as udp from "../../../../lib/wire/udp_mgmt.ts";

const { EthReason } = frame;
const out = { deid: 0, seid: 0, start: 0, end: 0 };
const MAC_A = Uint8Array.of(2, 0, 0, 0, 0, 10);
const MAC_B = Uint8Array.of(2, 0, 0, 0, 0, 11);

function dix(length: number, payload: number): Uint8Array {
  const b = new Uint8Array(frame.DIX_HEADER_BYTES + payload);
  frame.encodeDix(MAC_A, MAC_B, 0xa000, 0x1234, length, b, 0);
  return b;
}

function llc(payload: number, pad = 0): Uint8Array {
  const b = new Uint8Array(frame.LLC_HEADER_BYTES + payload + pad);
  frame.encodeLlc(MAC_A, MAC_B, 4, 2, payload, b, 0);
  return b;
}

Deno.test("parseDix() refuses a frame of 17 bytes and a length one beyond the frame", () => {
  assertEquals(frame.parseDix(dix(0, 0), 0, 17, 0xa000, out), EthReason.short);
  assertEquals(frame.parseDix(dix(11, 10), 0, 28, 0xa000, out), EthReason.length);
  assertEquals(frame.parseDix(dix(10, 10), 0, 28, 0xa000, out), 0);
  assertEquals([out.start, out.end, out.deid], [18, 28, 0x1234]);
});

Deno.test("parseDix() ignores padding and refuses another ethertype", () => {
  assertEquals(frame.parseDix(dix(0, 42), 0, 60, 0xa000, out), 0);
  assertEquals(out.end - out.start, 0);
  assertEquals(frame.parseDix(dix(0, 42), 0, 60, 0xa001, out), EthReason.type);
});

Deno.test("parseLlc() refuses lengths below 3, beyond the frame and in the range of ethertypes", () => {
  const b = llc(10);
  assertEquals(frame.parseLlc(b, 0, b.length, out), 0);
  assertEquals([out.deid, out.seid, out.end - out.start], [4, 2, 10]);
  for (
    const [length, want] of [[2, EthReason.length], [14, EthReason.length], [0x600, EthReason.type]]
  ) {
    b[12] = length! >> 8;
    b[13] = length!;
    assertEquals(frame.parseLlc(b, 0, b.length, out), want!);
  }
});

Deno.test("parseLlc() refuses another control field and frames of 16 bytes", () => {
  const b = llc(0);
  assertEquals(frame.parseLlc(b, 0, 16, out), EthReason.short);
  b[16] = 0x13;
  assertEquals(frame.parseLlc(b, 0, 17, out), EthReason.control);
});

Deno.test("parseLlc() takes an empty payload in a padded frame", () => {
  const b = llc(0, 43);
  assertEquals(frame.parseLlc(b, 0, b.length, out), 0);
  assertEquals(out.end, out.start);
});

Deno.test("reverseBits() is its own inverse and maps the SAPs as captured", () => {
  for (let i = 0; i < 256; i++) assertEquals(frame.reverseBits(frame.reverseBits(i)), i);
  assertEquals([1, 2, 3, 4, 63].map(frame.reverseBits), [0x80, 0x40, 0xc0, 0x20, 0xfc]);
});

for (const [codec, fixed] of [[dixMgmt, 39], [llcMgmt, 37], [udp.udpMgmt, 47]] as const) {
  Deno.test(`${codec.name} parse() refuses one byte less than the fixed part and a hash cut short`, () => {
    const hash = new Uint8Array(16).fill(7);
    const b = new Uint8Array(fixed + 16);
    const data = new Uint8Array(0);
    codec.encode({ kind: "flow_req", requesterEid: 5, qos: QOS_ZERO, hash, data }, b, 0);
    assert(isWireError(codec.parse(b.subarray(0, fixed - 1), 16)));
    assert(isWireError(codec.parse(b.subarray(0, fixed + 15), 16)));
    assert(!isWireError(codec.parse(b, 16)));
  });

  Deno.test(`${codec.name} encode() writes nothing when there is no room`, () => {
    const b = new Uint8Array(fixed).fill(0xa5);
    const reply = { requesterEid: 2, responderEid: 3, response: -1, data: Uint8Array.of(1) };
    assert(isWireError(codec.encode({ kind: "flow_reply", ...reply }, b, 0)));
    assert(b.every((x) => x === 0xa5));
  });
}

Deno.test("udp encode() refuses more than the 2048 bytes that a C peer can take", () => {
  const reply = { kind: "flow_reply", requesterEid: 2, responderEid: 3, response: 0 } as const;
  const into = new Uint8Array(4096);
  assertEquals(udp.encode({ ...reply, data: new Uint8Array(2001) }, into, 0), 2048);
  assert(isWireError(udp.encode({ ...reply, data: new Uint8Array(2002) }, into, 0)));
});
