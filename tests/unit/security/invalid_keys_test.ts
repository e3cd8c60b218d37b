/**
 * Keys and ciphertexts of key exchange as suites for implementers try them: numbers out of range, points of low order or
 * off their curve, parameters that are nearly right, lattice keys that are not reduced.
 */

import { assert, assertEquals } from "@std/assert";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { kexByWord } from "../../../lib/wire/oap_ids.ts";
import { bigintBytes, integer, oid, Tag, tlv } from "../../../security/der.ts";
import { ffdhePrime } from "../../../security/kex/ffdhe.ts";
import { encapsulate, generatePair } from "../../../security/kex/pair.ts";
import { peerKey } from "../../../security/kex/spki.ts";

type Bytes = Uint8Array<ArrayBuffer>;
const seq = (...parts: Uint8Array[]): Bytes => tlv(Tag.sequence, ...parts.map((p) => p.slice()));

/** The contents of an INTEGER, as DER or padded. */
const int = (n: bigint): Bytes =>
  n === 0n ? tlv(Tag.integer, new Uint8Array(1)) : integer(bigintBytes(n));

const P25519 = (1n << 255n) - 19n;
const LOW_25519 = [
  0n,
  1n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  P25519 - 1n,
  P25519,
  P25519 + 1n,
];
const P448 = (1n << 448n) - (1n << 224n) - 1n;

const little = (n: bigint, bytes: number): Bytes =>
  Uint8Array.fromHex(n.toString(16).padStart(2 * bytes, "0")).reverse();

/** A public key as it travels. */
function field(id: string, raw: Uint8Array): Uint8Array {
  return seq(seq(oid(id)), tlv(Tag.bitString, new Uint8Array(1), raw.slice()));
}

Deno.test("X25519 and X448: points of low order give no secret, in hybrids neither", async () => {
  const cases = [
    ["X25519", "1.3.101.110", LOW_25519.map((n) => little(n, 32))],
    ["X25519", "1.3.101.110", LOW_25519.map((n) => little(n + (1n << 255n), 32))],
    ["X448", "1.3.101.111", [0n, 1n, P448 - 1n, P448, P448 + 1n].map((n) => little(n, 56))],
  ] as const;
  for (const [word, id, points] of cases) {
    const own = await generatePair(kexByWord(word));
    for (const point of points) {
      const peer = peerKey(field(id, point), false);
      if (typeof peer === "string") continue;
      assertEquals(await own.derive(peer), undefined, `${word} ${point.toHex()}`);
    }
  }
  for (const word of ["X25519MLKEM768", "X448MLKEM1024"] as const) {
    const own = await generatePair(kexByWord(word));
    const dhBytes = word === "X25519MLKEM768" ? 32 : 56;
    const wire = own.wire.slice();
    wire.fill(0, wire.length - dhBytes);
    const peer = peerKey(wire, true);
    assert(
      typeof peer === "string" || await encapsulate(peer) === undefined,
      `${word}: to a zero key`,
    );
    const whole = peerKey(own.wire, true);
    if (typeof whole === "string") throw new Error(whole);
    const made = await encapsulate(whole);
    const ciphertext = made!.ciphertext.slice();
    ciphertext.fill(0, ciphertext.length - dhBytes);
    assertEquals(await own.decapsulate(ciphertext), undefined, `${word}: from a zero key`);
  }
});

Deno.test("X25519: other encodings of a number are that number", async () => {
  const own = await generatePair(kexByWord("X25519"));
  const secretOf = async (n: bigint) => {
    const peer = peerKey(field("1.3.101.110", little(n, 32)), false);
    if (typeof peer === "string") return peer;
    using secret = await own.derive(peer);
    return secret?.bytes.toHex();
  };
  assertEquals(await secretOf(9n + (1n << 255n)), await secretOf(9n));
  assertEquals(await secretOf(2n + P25519), await secretOf(2n));
});

Deno.test("ECDH: a shared secret of zero is one; keys off the curve and other curves are none", async () => {
  for (
    const [word, id, curve] of [
      ["prime256v1", "1.2.840.10045.3.1.7", p256],
      ["secp384r1", "1.3.132.0.34", p384],
      ["secp521r1", "1.3.132.0.35", p521],
    ] as const
  ) {
    const { Fp } = curve.Point;
    const { b, p, n, a, Gx, Gy } = curve.Point.CURVE();
    const bytes = Fp.BYTES;
    const wide = (x: bigint): Bytes => Uint8Array.fromHex(x.toString(16).padStart(2 * bytes, "0"));
    const EC = oid("1.2.840.10045.2.1");
    const of = (params: Uint8Array, point: Uint8Array) =>
      peerKey(seq(seq(EC, params), tlv(Tag.bitString, new Uint8Array(1), point.slice())), false);
    const G = Uint8Array.of(4, ...wide(Gx), ...wide(Gy));
    const explicit = (
      over: { cofactor?: Uint8Array[]; base?: Uint8Array; n?: bigint; b?: bigint },
    ) =>
      seq(
        tlv(Tag.integer, Uint8Array.of(1)),
        seq(oid("1.2.840.10045.1.1"), int(p)),
        seq(tlv(Tag.octetString, wide(a)), tlv(Tag.octetString, wide(over.b ?? b))),
        tlv(Tag.octetString, (over.base ?? G).slice()),
        int(over.n ?? n),
        ...(over.cofactor ?? [int(1n)]),
      );
    assert(typeof of(oid(id), G) !== "string");
    assert(typeof of(explicit({}), G) !== "string");
    const bad: Record<string, ReturnType<typeof of>> = {
      "no cofactor": of(explicit({ cofactor: [] }), G),
      "cofactor -1": of(explicit({ cofactor: [tlv(Tag.integer, Uint8Array.of(0xff))] }), G),
      "cofactor 0": of(explicit({ cofactor: [int(0n)] }), G),
      "cofactor 2": of(explicit({ cofactor: [int(2n)] }), G),
      "cofactor n": of(explicit({ cofactor: [int(n)] }), G),
      "another generator": of(
        explicit({ base: Uint8Array.of(4, ...wide(Gx), ...wide(p - Gy)) }),
        G,
      ),
      "another order": of(explicit({ n: n - 2n }), G),
      "another b": of(explicit({ b: b + 1n }), G),
      "the point at infinity": of(oid(id), new Uint8Array(1)),
      "zeros": of(oid(id), Uint8Array.of(4, ...new Uint8Array(2 * bytes))),
      "off the curve": of(oid(id), Uint8Array.of(4, ...wide(Gx), ...wide(Gy - 1n))),
      "a coordinate of p": of(oid(id), Uint8Array.of(4, ...wide(p), ...wide(Gy))),
      "cut": of(oid(id), G.slice(0, -1)),
      "longer": of(oid(id), Uint8Array.of(...G, 0)),
      "no x for a compressed one": of(oid(id), Uint8Array.of(5, ...wide(Gx))),
      "another curve": of(oid(id === "1.3.132.0.34" ? "1.3.132.0.35" : "1.3.132.0.34"), G),
    };
    for (const [what, got] of Object.entries(bad)) {
      assertEquals(typeof got, "string", `${word}: ${what}`);
    }
    // A point with x = 0, if the curve has one; a pair whose private key is 1 shares just x with it.
    let y: bigint;
    try {
      y = Fp.sqrt(b);
    } catch {
      continue;
    }
    const zero = of(oid(id), Uint8Array.of(4, ...wide(0n), ...wide(y)));
    if (typeof zero === "string") throw new Error(`${word}: ${zero}`);
    const own = await generatePair(kexByWord(word));
    using secret = await own.derive(zero);
    assert(secret !== undefined, word);
  }
});

Deno.test("finite-field groups: 0, 1, p - 1 and what is beyond give no secret", async () => {
  const kex = kexByWord("ffdhe2048");
  const own = await generatePair(kex);
  const p = ffdhePrime("ffdhe2048");
  for (const y of [0n, 1n, p - 1n, p, p + 1n, p + 2n, 2n * p]) {
    assertEquals(await own.derive({ kex, raw: bigintBytes(y) }), undefined, `${y}`.slice(0, 20));
  }
});

Deno.test("ML-KEM: keys that are not reduced or of another length are none, other ciphertexts give other secrets", async () => {
  for (const word of ["ML-KEM-512", "ML-KEM-768", "ML-KEM-1024"] as const) {
    const kex = kexByWord(word);
    const own = await generatePair(kex);
    const peer = peerKey(own.wire, false);
    if (typeof peer === "string") throw new Error(peer);
    for (const at of [0, 3 * 100, peer.raw.length - 32 - 3]) {
      for (const coefficient of [3329, 4095]) {
        const odd = own.wire.slice();
        const from = odd.length - peer.raw.length + at;
        odd[from] = coefficient & 0xff;
        odd[from + 1] = (odd[from + 1]! & 0xf0) | (coefficient >> 8);
        assertEquals(peerKey(odd, false), "malformed", `${word} ${at} ${coefficient}`);
      }
    }
    for (const raw of [peer.raw.slice(1), Uint8Array.of(...peer.raw, 0), new Uint8Array(0)]) {
      assertEquals(await encapsulate({ kex, raw }), undefined);
    }
    const made = (await encapsulate(peer))!;
    using good = await own.decapsulate(made.ciphertext);
    assertEquals(good?.bytes, made.secret.bytes);
    using other = await own.decapsulate(made.ciphertext.with(9, made.ciphertext[9]! ^ 1));
    assert(other !== undefined && other.bytes.toHex() !== made.secret.bytes.toHex());
    for (
      const c of [made.ciphertext.slice(1), Uint8Array.of(...made.ciphertext, 0), new Uint8Array(0)]
    ) {
      assertEquals(await own.decapsulate(c), undefined);
    }
  }
});
