// deno-lint-ignore-file camelcase -- the vectors have these names
/**
 * Key exchange fields beyond the vectors: what a receiver tolerates and what it refuses (spec 40 §3),
 * lattice keys, static keys in every form of file.
 */

import { p256 } from "@noble/curves/nist.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { assertEquals } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { kexByWord, KEXES } from "../../../lib/wire/oap_ids.ts";
import { bigintBytes, integer, oid, Tag, tlv } from "../../../security/der.ts";
import { ffdhePrime } from "../../../security/kex/ffdhe.ts";
import { encapsulate, generatePair } from "../../../security/kex/pair.ts";
import { concat, encodePublic, isReduced, KEM_SIZES, peerKey } from "../../../security/kex/spki.ts";
import {
  staticKeyFromPem,
  staticKeyFromRaw,
  staticPublicFromPem,
  staticPublicFromRaw,
} from "../../../security/kex/static.ts";
import { encodePem } from "../../../security/pem.ts";
import { ensure } from "../../support/security_dir.ts";

function spki(algorithm: Uint8Array[], key: Uint8Array): Uint8Array<ArrayBuffer> {
  return tlv(
    Tag.sequence,
    tlv(Tag.sequence, ...algorithm),
    tlv(Tag.bitString, new Uint8Array(1), key),
  );
}

function raw(bytes: Uint8Array): { word: string; raw: string } | string {
  const key = peerKey(bytes, false);
  return typeof key === "string" ? key : { word: key.kex.word, raw: key.raw.toHex() };
}

const EC = oid("1.2.840.10045.2.1");
const P256 = oid("1.2.840.10045.3.1.7");
const POINT = p256.Point.BASE.multiply(7n);

Deno.test("wire forms have the sizes of spec 40 §3 and §15, and are recognised", async () => {
  const sizes: Record<string, number> = {
    ffdhe2048: 553,
    prime256v1: 91,
    X25519: 44,
    ffdhe3072: 809,
    secp384r1: 120,
    ffdhe4096: 1065,
    X448: 68,
    secp521r1: 158,
    "ML-KEM-512": 822,
    "ML-KEM-768": 1206,
    "ML-KEM-1024": 1590,
    X25519MLKEM768: 1216,
    X448MLKEM1024: 1624,
  };
  for (const kex of KEXES) {
    const pair = await generatePair(kex);
    const missing = sizes[kex.word]! - pair.wire.length;
    // INTEGERs of DH have no octets of zeros in front; with a shorter length, more than four are missing once in 2^24 keys.
    const most = kex.word.startsWith("ffdhe") ? 4 : 0;
    ensure(missing >= 0 && missing <= most, `${kex.word}: ${pair.wire.length}`);
    const key = peerKey(pair.wire, kex.family === "hybrid");
    ensure(typeof key !== "string", `${kex.word}: ${key}`);
    assertEquals(key.kex.word, kex.word);
    assertEquals(encodePublic(key.kex, key.raw), pair.wire);
    if (kex.word === "ML-KEM-768") {
      const prefix = "308204b2300b0609608648016503040402038204a100";
      assertEquals(pair.wire.slice(0, 22).toHex(), prefix);
    }
  }
});

Deno.test("hybrids are the lattice part, then the curve's, in key, ciphertext and secret", async () => {
  const pair = await generatePair(kexByWord("X25519MLKEM768"));
  const lattice = kexByWord("ML-KEM-768");
  const curve = kexByWord("X25519");
  const mine = await generatePair(curve);
  const kem = await encapsulate({ kex: lattice, raw: pair.wire.slice(0, 1184) });
  ensure(kem);
  const dh = await mine.derive({ kex: curve, raw: pair.wire.slice(1184) });
  ensure(dh);
  const ciphertext = concat(kem.ciphertext, mine.wire.subarray(-32));
  const secret = await pair.decapsulate(ciphertext);
  assertEquals(secret?.bytes, concat(kem.secret.bytes, dh.bytes));
});

Deno.test("EC keys: compressed points and explicit parameters of the same curve are the same key", () => {
  const plain = spki([EC, P256], POINT.toBytes(false));
  const expected = { word: "prime256v1", raw: POINT.toHex(false) };
  assertEquals(raw(plain), expected);
  assertEquals(raw(spki([EC, P256], POINT.toBytes(true))), expected);
  assertEquals(raw(concat(plain, new Uint8Array(5))), expected);
  const c = p256.Point.CURVE();
  const explicit = (b: bigint) =>
    tlv(
      Tag.sequence,
      integer(new Uint8Array([1])),
      tlv(Tag.sequence, oid("1.2.840.10045.1.1"), integer(bigintBytes(c.p, 32))),
      tlv(
        Tag.sequence,
        tlv(Tag.octetString, bigintBytes(c.a, 32)),
        tlv(Tag.octetString, bigintBytes(b, 32)),
      ),
      tlv(Tag.octetString, p256.Point.BASE.toBytes(false)),
      integer(bigintBytes(c.n, 32)),
      integer(new Uint8Array([1])),
    );
  assertEquals(raw(spki([EC, explicit(c.b)], POINT.toBytes(false))), expected);
  assertEquals(raw(spki([EC, explicit(c.b + 1n)], POINT.toBytes(false))), "unsupported");
});

Deno.test("keys that are refused: off the curve, other types, other groups, damaged", async () => {
  const off = POINT.toBytes(false).slice();
  off[64]! ^= 1;
  assertEquals(raw(spki([EC, P256], off)), "malformed");
  assertEquals(raw(spki([EC], off)), "malformed");
  assertEquals(raw(new Uint8Array(40)), "malformed");
  assertEquals(raw(new Uint8Array(0)), "malformed");
  const x9_42 = spki([oid("1.2.840.10046.2.1")], integer(new Uint8Array([5])));
  assertEquals(raw(x9_42), "unsupported");
  for (const [type, options] of [["rsa", { modulusLength: 1024 }], ["ed25519", {}]] as const) {
    const { publicKey } = generateKeyPairSync(type as "rsa", options as { modulusLength: number });
    const der = publicKey.export({ format: "der", type: "spki" });
    assertEquals(raw(new Uint8Array(der)), "unsupported", type);
  }
  const dh = (p: bigint, g: number, y: bigint) =>
    spki(
      [
        oid("1.2.840.113549.1.3.1"),
        tlv(Tag.sequence, integer(bigintBytes(p)), integer(new Uint8Array([g]))),
      ],
      integer(bigintBytes(y)),
    );
  const p = ffdhePrime("ffdhe2048");
  assertEquals(raw(dh(p, 2, 9n)), { word: "ffdhe2048", raw: "09" });
  assertEquals(raw(dh(p, 5, 9n)), "unsupported");
  assertEquals(raw(dh(p + 2n, 2, 9n)), "unsupported");

  const own = await generatePair(kexByWord("ffdhe2048"));
  for (const y of [0n, 1n, p - 1n, p, p + 1n]) {
    const peer = peerKey(dh(p, 2, y), false);
    ensure(typeof peer !== "string");
    assertEquals(await own.derive(peer), undefined, `y = ${y < 2n ? y : "near p"}`);
  }
  const x = await generatePair(kexByWord("X25519"));
  const zero = peerKey(encodePublic(kexByWord("X25519"), new Uint8Array(32)), false);
  ensure(typeof zero !== "string");
  assertEquals(await x.derive(zero), undefined);
  const x448 = await generatePair(kexByWord("X448"));
  assertEquals(await x448.derive(zero), undefined, "another group");
});

Deno.test("lattice keys whose coefficients are not reduced are refused", async () => {
  const pair = await generatePair(kexByWord("ML-KEM-768"));
  const bad = pair.wire.slice();
  bad.fill(0xff, 22, 25);
  assertEquals(raw(bad), "malformed");
  assertEquals(isReduced(new Uint8Array(1184), 1184), true);
  const edge = new Uint8Array(1184);
  edge.set([0x00, 0x0d, 0x00]); // First coefficient 3328 = 0xd00.
  assertEquals(isReduced(edge, 1184), true);
  edge.set([0x01, 0x0d, 0x00]);
  assertEquals(isReduced(edge, 1184), false);
  edge.set([0x00, 0x10, 0xd0]); // Second coefficient 0xd01.
  assertEquals(isReduced(edge, 1184), false);
});

Deno.test("ciphertexts of another length give no secret", async () => {
  for (const word of ["ML-KEM-512", "X25519MLKEM768", "X448MLKEM1024"] as const) {
    const pair = await generatePair(kexByWord(word));
    const n = KEM_SIZES[word]!.ciphertextBytes;
    for (const bytes of [0, n - 1, n + 1]) {
      assertEquals(await pair.decapsulate(new Uint8Array(bytes)), undefined);
    }
  }
});

Deno.test("static ML-KEM keys: seed, expanded and both forms of PKCS#8 are the same key", async () => {
  const seed = crypto.getRandomValues(new Uint8Array(64));
  const { secretKey, publicKey } = ml_kem768.keygen(seed);
  const seedForm = tlv(0x80, seed);
  const expandedForm = tlv(Tag.octetString, secretKey);
  const bothForm = tlv(Tag.sequence, tlv(Tag.octetString, seed), expandedForm);
  const kex = kexByWord("ML-KEM-768");
  const publicText = encodePem("PUBLIC KEY", encodePublic(kex, publicKey));
  const peer = staticPublicFromPem(publicText);
  ensure(peer);
  for (const form of [seedForm, expandedForm, bothForm]) {
    const pkcs8 = tlv(
      Tag.sequence,
      tlv(Tag.integer, new Uint8Array(1)),
      tlv(Tag.sequence, oid("2.16.840.1.101.3.4.4.2")),
      tlv(Tag.octetString, form),
    );
    const key = staticKeyFromPem(encodePem("PRIVATE KEY", pkcs8));
    ensure(key);
    assertEquals(key.publicWire, encodePublic(kex, publicKey));
    const made = await encapsulate(peer);
    ensure(made);
    assertEquals((await key.decapsulate(made.ciphertext))?.bytes, made.secret.bytes);
  }
  assertEquals(staticKeyFromPem("nothing"), undefined);
  assertEquals(staticPublicFromPem(publicText.replace("A", "B")) === undefined, true);
});

Deno.test("static hybrid keys: other lengths and damaged keys are refused", async () => {
  assertEquals(await staticKeyFromRaw(new Uint8Array(2431)), undefined);
  assertEquals(await staticKeyFromRaw(new Uint8Array(2432).fill(0xff)), undefined);
  assertEquals(staticPublicFromRaw(new Uint8Array(1215)), undefined);
  assertEquals(staticPublicFromRaw(new Uint8Array(1120)), undefined, "that is a ciphertext");
  assertEquals(staticPublicFromRaw(new Uint8Array(1216).fill(0xff)), undefined);
});
