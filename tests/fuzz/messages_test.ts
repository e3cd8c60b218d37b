// Hostile bytes for every protobuf decoder: random ones, and valid messages with bits flipped, bytes inserted,
// removed and cut. Nothing may throw, loop, or look outside the window it was given.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  decodeIpcpMsg,
  decodeIrmMsg,
  encodeIpcpMsg,
  encodeIrmMsg,
} from "../../lib/irm/messages.ts";
import { decodeCepMsg } from "../../lib/wire/cep_msg.ts";
import { decodeEnrollAck, decodeEnrollReq, decodeEnrollResp } from "../../lib/wire/enroll_msg.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { arbIpcpMsg, arbIrmMsg } from "../unit/lib/irm/arbitrary.ts";
import { fuzzRuns } from "../support/seed.ts";

const DECODERS = {
  decodeIrmMsg,
  decodeIpcpMsg,
  decodeCepMsg,
  decodeEnrollReq,
  decodeEnrollResp,
  decodeEnrollAck,
};

const numRuns = fuzzRuns(400);

function survives(b: Uint8Array): void {
  for (const [name, decode] of Object.entries(DECODERS)) {
    const m = decode(b);
    if (isWireError(m)) assert(m.toString().length < 300, name);
  }
}

Deno.test("decoders survive random bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), survives), { numRuns });
});

const arbBytes = fc.oneof(arbIrmMsg.map(encodeIrmMsg), arbIpcpMsg.map(encodeIpcpMsg));
const arbEdit = fc.record({
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  how: fc.constantFrom("flip", "insert", "remove", "cut", "double"),
  value: fc.nat(255),
});

function edit(b: Uint8Array, e: { at: number; how: string; value: number }): Uint8Array {
  const at = Math.floor(e.at * b.length);
  switch (e.how) {
    case "flip": {
      const out = b.slice();
      out[at] = out[at]! ^ (1 << (e.value & 7));
      return out;
    }
    case "insert":
      return Uint8Array.from([...b.subarray(0, at), e.value, ...b.subarray(at)]);
    case "remove":
      return Uint8Array.from([...b.subarray(0, at), ...b.subarray(at + 1)]);
    case "double":
      return Uint8Array.from([...b, ...b.subarray(at)]);
    default:
      return b.slice(0, at);
  }
}

Deno.test("decoders survive mutated messages", () => {
  fc.assert(
    fc.property(arbBytes, fc.array(arbEdit, { minLength: 1, maxLength: 5 }), (b, edits) => {
      survives(edits.reduce((x, e) => x.length === 0 ? x : edit(x, e), b));
    }),
    { numRuns },
  );
});

Deno.test("what a decoder accepts, it encodes and reads back the same", () => {
  fc.assert(
    fc.property(arbIrmMsg.map(encodeIrmMsg), fc.array(arbEdit, { maxLength: 2 }), (b, edits) => {
      const m = decodeIrmMsg(edits.reduce((x, e) => x.length === 0 ? x : edit(x, e), b));
      if (!isWireError(m)) assertEquals(decodeIrmMsg(encodeIrmMsg(m)), m);
    }),
    { numRuns },
  );
});

Deno.test("decodeIrmMsg() gives the same answer whatever surrounds its window", () => {
  fc.assert(
    fc.property(arbBytes, arbEdit, fc.nat(9), (b, e, pad) => {
      const bytes = edit(b, e);
      const answers = [0x00, 0x80, 0xff].map((fill) => {
        const room = new Uint8Array(bytes.length + 2 * pad).fill(fill);
        room.set(bytes, pad);
        return decodeIrmMsg(room.subarray(pad, pad + bytes.length));
      });
      assertEquals(answers[1], answers[0]);
      assertEquals(answers[2], answers[0]);
    }),
    { numRuns },
  );
});

Deno.test("decoders refuse deep nesting, huge lengths and endless varints quickly", () => {
  survives(new Uint8Array(10240).fill(0x80));
  survives(new Uint8Array(10240).fill(0xff));
  survives(new Uint8Array(10240).fill(0x2b)); // start of a group, again and again
  survives(Uint8Array.fromHex("08142affffffff0f"));
  survives(Uint8Array.fromHex("08142affffffff07"));
  survives(Uint8Array.fromHex("08144affffffffffffffffffff01"));
  // 5000 nested length-delimited fields of number 5
  const deep: number[] = [];
  for (let i = 0; i < 5000; i++) deep.push(0x2a, 0x7f);
  survives(Uint8Array.from(deep));
});
