/** The OAP header alone; its bytes on the wire are proved by tests/unit/security/oap/vectors_test.ts. */

import { assertEquals, assertInstanceOf } from "@std/assert";
import fc from "fast-check";
import { WireError } from "../../../../lib/wire/mod.ts";
import {
  describe,
  describeLines,
  encode,
  encodedLength,
  LENGTH,
  type OapHeader,
  parse,
} from "../../../../lib/wire/oap_header.ts";
import {
  cipherRank,
  CIPHERS,
  digestRank,
  DIGESTS,
  KEXES,
  kexRank,
} from "../../../../lib/wire/oap_ids.ts";

const hex = (s: string) => Uint8Array.fromHex(s);
const PLAIN = "87b8f329370276a900112233445566771854f0a1b2c3d4e5" + "000000000000000000000000";

function header(over: Partial<OapHeader> = {}): OapHeader {
  const none = new Uint8Array(0);
  return {
    id: hex(PLAIN).slice(0, 16),
    timestampNs: 1_780_000_000_123_456_789n,
    cipherNid: 0,
    kdfNid: 0,
    digestNid: 0,
    crt: none,
    kex: none,
    raw: false,
    clientEncap: false,
    data: none,
    reqHash: none,
    signature: none,
    ...over,
  };
}

function good(b: Uint8Array, hashBytes = 0) {
  const h = parse(b, 0, b.length, hashBytes);
  if (h instanceof WireError) throw new Error(`${h}`);
  return h;
}

Deno.test("parse() refuses one byte less and one byte more than an unsigned header has", () => {
  const b = hex(PLAIN);
  assertEquals(good(b).crt.length, 0);
  assertInstanceOf(parse(b, 0, 35, 0), WireError);
  assertInstanceOf(parse(new Uint8Array([...b, 0]), 0, 37, 0), WireError);
  assertInstanceOf(parse(b, -1, 35, 0), WireError);
  assertInstanceOf(parse(b, 0, 37, 0), WireError);
  assertInstanceOf(parse(b, 0, 36, 1), WireError);
});

Deno.test("parse() knows the ids of the tables and no others", () => {
  for (const [at, known] of [[24, CIPHERS], [26, DIGESTS], [28, DIGESTS]] as const) {
    const b = hex(PLAIN);
    const v = new DataView(b.buffer);
    const accepted: number[] = [];
    for (let nid = 0; nid <= 0xffff; nid++) {
      v.setUint16(at, nid);
      if (!(parse(b, 0, b.length, 0) instanceof WireError)) accepted.push(nid);
    }
    assertEquals(accepted, [0, ...known.map((k) => k.nid)].sort((x, y) => x - y));
  }
});

Deno.test("ranks rise through each table, none is 0, unknown is -1", () => {
  assertEquals(CIPHERS.map((c) => cipherRank(c.nid)), [1, 2, 3, 4, 5, 6, 7]);
  assertEquals(DIGESTS.map((d) => digestRank(d.nid)), [1, 2, 3, 4, 5, 6, 7, 8]);
  assertEquals(KEXES.map((k) => kexRank(k.nid)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
  for (const rank of [cipherRank, digestRank, kexRank]) assertEquals([rank(0), rank(1)], [0, -1]);
});

Deno.test("encode() refuses fields that don't fit and writes nothing then", () => {
  const out = new Uint8Array(70000).fill(0xa5);
  const bad: Partial<OapHeader>[] = [
    { id: new Uint8Array(15) },
    { crt: new Uint8Array(65536) },
    { kex: new Uint8Array(16384) },
    { data: new Uint8Array(65536) },
    { signature: new Uint8Array(1) },
  ];
  for (const over of bad) assertInstanceOf(encode(header(over), out, 0), WireError);
  assertInstanceOf(encode(header(), out, out.length - LENGTH + 1), WireError);
  assertEquals(out.every((x) => x === 0xa5), true);
  assertEquals(encode(header(), out, out.length - LENGTH), LENGTH);
});

Deno.test("encode() sets the flags only beside key exchange data", () => {
  const out = new Uint8Array(40);
  encode(header({ raw: true, clientEncap: true }), out, 0);
  assertEquals(out[32], 0);
  encode(header({ raw: true, clientEncap: true, kex: new Uint8Array(2) }), out, 0);
  assertEquals(out[32], 0xc0);
});

Deno.test("describeLines() is the prototype's dump (spec 40 §17)", () => {
  const h = header({
    timestampNs: BigInt(Date.UTC(2026, 10, 23, 10, 31, 38)) * 1_000_000n,
    cipherNid: 901,
    kdfNid: 672,
    digestNid: 672,
    crt: new Uint8Array(483),
    kex: new Uint8Array(1120),
    clientEncap: true,
    reqHash: new Uint8Array(32),
    signature: new Uint8Array(71),
  });
  assertEquals(describeLines(h, "-->"), [
    "OAP_HDR [87b8f329370276a9 @ 2026-11-23 10:31:38 (UTC) ] -->",
    "  crt: [483 bytes]",
    "  Key Exchange Data: [1120 bytes] [Client encaps]",
    "  Cipher: aes-256-gcm",
    "  KDF: HKDF-sha256",
    "  Digest: sha256",
    "  Data: <none>",
    "  Req Hash: [32 bytes]",
    "  Signature: [71 bytes]",
  ]);
  assertEquals(
    describeLines(header({ kex: new Uint8Array(3), raw: true }), "<--")[2],
    "  Key Exchange Data: [3 bytes] [Server encaps]",
  );
});

Deno.test("parse(encode(x)) is x, and encode() touches only its own bytes", () => {
  const some = (maxLength: number) => fc.uint8Array({ maxLength });
  const nid = (t: readonly { nid: number }[]) => fc.constantFrom(0, ...t.map((x) => x.nid));
  fc.assert(fc.property(
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
    fc.bigInt(0n, 2n ** 64n - 1n),
    fc.tuple(nid(CIPHERS), nid(DIGESTS), nid(DIGESTS)),
    fc.tuple(some(90), some(90), some(40), some(70)),
    fc.tuple(fc.boolean(), fc.boolean()),
    fc.constantFrom(0, 32, 48, 64),
    (id, timestampNs, [cipherNid, kdfNid, digestNid], [crt, kex, data, sig], [raw, r], hash) => {
      const h = header({
        id,
        timestampNs,
        cipherNid,
        kdfNid,
        digestNid,
        crt,
        kex,
        raw: raw && kex.length > 0,
        clientEncap: r && kex.length > 0,
        data,
        reqHash: new Uint8Array(hash).fill(7),
        signature: crt.length > 0 ? sig : new Uint8Array(0),
      });
      const n = encodedLength(h);
      const out = new Uint8Array(n + 10).fill(0xa5);
      assertEquals(encode(h, out, 5), n);
      assertEquals([...out.subarray(0, 5), ...out.subarray(n + 5)], new Array(10).fill(0xa5));
      const { signed, ...back } = parse(out, 5, 5 + n, hash) as ReturnType<typeof good>;
      assertEquals(back, h);
      assertEquals(signed.length, n - h.signature.length);
    },
  ));
});

Deno.test("describe() is one line for anything", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (b) => {
    assertEquals(describe(b).includes("\n"), false);
  }));
  assertEquals(describe(hex(PLAIN)).startsWith("OAP_HDR [87b8f329370276a9 @"), true);
});
