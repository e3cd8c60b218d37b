/**
 * Signatures as suites for implementers try them: other encodings, numbers out of range, keys of low order, paddings that
 * are nearly right. Every library that checks them here says the same: no.
 */

import { assert, assertEquals } from "@std/assert";
import { brainpoolP256r1 } from "@noble/curves/misc.js";
import { p256, p384, p521 } from "@noble/curves/nist.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { ml_dsa44, ml_dsa65, ml_dsa87 } from "@noble/post-quantum/ml-dsa.js";
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { bigintBytes, integer, oid, Tag, tlv } from "../../../security/der.ts";
import { pqOid } from "../../../security/key_kind.ts";
import type { PssParams } from "../../../security/pss_params.ts";
import { VerifyKey } from "../../../security/signature.ts";
import { SigningKey } from "../../../security/signing_key.ts";

type Bytes = Uint8Array<ArrayBuffer>;
const DATA = new TextEncoder().encode("what is signed");
const hash = (word: string): Bytes => new Uint8Array(createHash(word).update(DATA).digest());
const seq = (...parts: Uint8Array[]): Bytes => tlv(Tag.sequence, ...parts.map((p) => p.slice()));

function keyOf(spki: Uint8Array): VerifyKey {
  const key = VerifyKey.of(spki);
  if (key === undefined) throw new Error("no key");
  return key;
}

const spkiOf = (key: KeyObject): Bytes =>
  new Uint8Array(key.export({ format: "der", type: "spki" }));

/** The contents of an INTEGER, as DER or padded. */
const int = (n: bigint): Bytes =>
  n === 0n ? tlv(Tag.integer, new Uint8Array(1)) : integer(bigintBytes(n));

// ECDSA.

const CURVES = [
  { word: "P-256", id: "1.2.840.10045.3.1.7", curve: p256, digest: "sha256" },
  { word: "P-384", id: "1.3.132.0.34", curve: p384, digest: "sha384" },
  { word: "P-521, the runtime's", id: "1.3.132.0.35", curve: p521, digest: "sha512" },
  { word: "P-521, WebCrypto's", id: "1.3.132.0.35", curve: p521, digest: "sha256" },
  { word: "P-521, the library's", id: "1.3.132.0.35", curve: p521, digest: "sha3-256" },
  { word: "secp256k1", id: "1.3.132.0.10", curve: secp256k1, digest: "sha256" },
  { word: "brainpoolP256r1", id: "1.3.36.3.3.2.8.1.1.7", curve: brainpoolP256r1, digest: "sha256" },
] as const;

Deno.test("ECDSA: one encoding of a signature, numbers from 1 to n - 1 alone", async (t) => {
  for (const { word, id, curve, digest } of CURVES) {
    await t.step(word, async () => {
      const secret = curve.utils.randomSecretKey();
      const spki = (compressed: boolean) =>
        seq(
          seq(oid("1.2.840.10045.2.1"), oid(id)),
          tlv(Tag.bitString, new Uint8Array(1), curve.getPublicKey(secret, compressed).slice()),
        );
      const compact = curve.sign(hash(digest), secret, {
        prehash: false,
        lowS: false,
        format: "compact",
      });
      const half = compact.length / 2;
      const r = BigInt("0x" + compact.slice(0, half).toHex());
      const s = BigInt("0x" + compact.slice(half).toHex());
      const { n, p } = curve.Point.CURVE();
      const key = keyOf(spki(false));
      const good = seq(int(r), int(s));
      const accepts = (signature: Bytes, k = key) =>
        k.verifyDigest(digest, undefined, DATA, signature);
      assert(await accepts(good));
      assert(await accepts(good, keyOf(spki(true))), "with a compressed point");
      assert(await accepts(seq(int(r), int(n - s))), "the other of the two good ones");
      const long = good[1] === 0x81;
      const body = good.slice(long ? 3 : 2);
      const bad: Record<string, Bytes> = {
        "r = 0": seq(int(0n), int(s)),
        "s = 0": seq(int(r), int(0n)),
        "both 0": seq(int(0n), int(0n)),
        "r = n": seq(int(n), int(s)),
        "s = n": seq(int(r), int(n)),
        "r + n": seq(int(r + n), int(s)),
        "s + n": seq(int(r), int(s + n)),
        "r = p": seq(int(p), int(s)),
        "r = 1, s = 1": seq(int(1n), int(1n)),
        "s - n": seq(int(r), tlv(Tag.integer, bigintBytes((1n << BigInt(8 * half + 8)) + s - n))),
        "r padded": seq(tlv(Tag.integer, new Uint8Array(1), int(r).slice(2)), int(s)),
        "s padded": seq(int(r), tlv(Tag.integer, new Uint8Array(1), int(s).slice(2))),
        "length too long a form": Uint8Array.of(0x30, 0x82, 0, body.length, ...body),
        "length of no end": Uint8Array.of(0x30, 0x80, ...body, 0, 0),
        "a byte behind": Uint8Array.of(...good, 0),
        "a byte behind, inside": seq(body, new Uint8Array(1)),
        "a third number": seq(int(r), int(s), int(1n)),
        "one number": seq(int(r)),
        "a set": Uint8Array.of(0x31, ...good.slice(1)),
        "cut": good.slice(0, -1),
        "plain": compact.slice(),
        "nothing": new Uint8Array(0),
        "numbers of another type": seq(tlv(0x0a, int(r).slice(2)), int(s)),
        "exchanged": seq(int(s), int(r)),
      };
      for (const [what, signature] of Object.entries(bad)) {
        assertEquals(await accepts(signature), false, what);
      }
      const off = spki(false);
      off[off.length - 1]! ^= 1;
      const offKey = VerifyKey.of(off);
      assert(offKey === undefined || !await accepts(good, offKey), "a key off its curve");
    });
  }
});

// EdDSA.

Deno.test("EdDSA: S below the order, no keys of low order, no other bits", async (t) => {
  const orders = {
    ed25519: (1n << 252n) + 27742317777372353535851937790883648493n,
    ed448: (1n << 446n) - 13818066809895115352007386748515426880336692474882178609894547503885n,
  };
  for (const type of ["ed25519", "ed448"] as const) {
    await t.step(type, async () => {
      const pair = generateKeyPairSync(type as "ed25519");
      const key = keyOf(spkiOf(pair.publicKey));
      const good = new Uint8Array(sign(null, DATA, pair.privateKey));
      const accepts = (s: Uint8Array, k = key) => k.verify(0, DATA, s);
      assert(await accepts(good));
      const half = type === "ed25519" ? 32 : 57;
      const S = BigInt("0x" + good.slice(half).reverse().toHex());
      const withS = (n: bigint) => {
        const bytes = Uint8Array.fromHex(n.toString(16).padStart(2 * half, "0")).reverse();
        return Uint8Array.of(...good.slice(0, half), ...bytes.slice(0, half));
      };
      const bad: Record<string, Uint8Array> = {
        "S + L": withS(S + orders[type]),
        "S + 2 L": withS(S + 2n * orders[type]),
        "S = 0": withS(0n),
        "S = L": withS(orders[type]),
        "cut": good.slice(0, -1),
        "a byte behind": Uint8Array.of(...good, 0),
        "R of the neutral element": Uint8Array.of(
          1,
          ...new Uint8Array(half - 1),
          ...good.slice(half),
        ),
        "all zero": new Uint8Array(2 * half),
        "all ones": new Uint8Array(2 * half).fill(0xff),
      };
      for (const [what, s] of Object.entries(bad)) assertEquals(await accepts(s), false, what);
      for (let bit = 0; bit < 16 * half; bit += 5) {
        const flipped = good.with(bit >> 3, good[bit >> 3]! ^ (1 << (bit & 7)));
        assertEquals(await accepts(flipped), false, `bit ${bit}`);
      }
      // All bits of the halves' last bytes.
      for (let bit = 0; bit < 8; bit++) {
        for (const at of [half - 1, 2 * half - 1]) {
          assertEquals(
            await accepts(good.with(at, good[at]! ^ (1 << bit))),
            false,
            `bit ${bit} of byte ${at}`,
          );
        }
      }
      // A key that is the neutral element would take R = S B of any message.
      const spki = spkiOf(pair.publicKey);
      spki.set(Uint8Array.of(1, ...new Uint8Array(half - 1)), spki.length - half);
      const low = VerifyKey.of(spki);
      const zero = Uint8Array.of(1, ...new Uint8Array(2 * half - 1));
      assert(low === undefined || !await accepts(zero, low), "a key of low order");
    });
  }
});

Deno.test("ML-DSA: signatures of another length or with a changed bit are none, with every parameter set", async () => {
  for (
    const [name, ml] of [["ML-DSA-44", ml_dsa44], ["ML-DSA-65", ml_dsa65], [
      "ML-DSA-87",
      ml_dsa87,
    ]] as const
  ) {
    const seed = crypto.getRandomValues(new Uint8Array(32));
    const { publicKey, secretKey } = ml.keygen(seed);
    const key = keyOf(
      seq(seq(oid(pqOid(name)!)), tlv(Tag.bitString, new Uint8Array(1), publicKey.slice())),
    );
    const good = ml.sign(DATA, secretKey);
    assert(await key.verify(0, DATA, good));
    const bad = [
      good.slice(1),
      good.slice(0, -1),
      Uint8Array.of(...good, 0),
      new Uint8Array(good.length),
    ];
    // Challenge, responses and hints; the last bytes count the hints.
    for (let at = 0; at < good.length; at += 97) bad.push(good.with(at, good[at]! ^ 4));
    for (let k = 1; k <= 4; k++) bad.push(good.with(-k, 0xff), good.with(-k, good.at(-k)! + 1));
    for (const s of bad) {
      assertEquals(await key.verify(0, DATA, s), false);
      assertEquals(safely(() => ml.verify(s, DATA, publicKey)), false);
    }
  }
});

function safely(f: () => boolean): boolean {
  try {
    return f();
  } catch {
    return false;
  }
}

// RSA.

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const jwk = rsa.privateKey.export({ format: "jwk" });
const number = (s: string) =>
  BigInt("0x" + Uint8Array.fromBase64(s, { alphabet: "base64url" }).toHex());
const N = number(jwk.n!);

/** The signature that opens to a block. */
function closed(block: Uint8Array): Bytes {
  let result = 1n;
  const base = BigInt("0x" + block.toHex());
  for (const bit of number(jwk.d!).toString(2)) {
    result = result * result % N;
    if (bit === "1") result = result * base % N;
  }
  return Uint8Array.fromHex(result.toString(16).padStart(512, "0"));
}

Deno.test("RSA PKCS#1 v1.5: the one block, and nothing nearly it", async () => {
  const key = keyOf(spkiOf(rsa.publicKey));
  const info = Uint8Array.fromHex(
    "3031300d060960864801650304020105000420" + hash("sha256").toHex(),
  );
  const block = (t: Uint8Array, type = 1, fill = 0xff, more: Uint8Array = new Uint8Array(0)) => {
    const b = new Uint8Array(256).fill(fill);
    b[0] = 0;
    b[1] = type;
    const at = 256 - t.length - more.length;
    b[at - 1] = 0;
    b.set(t, at);
    b.set(more, at + t.length);
    return b;
  };
  const accepts = (s: Uint8Array) => key.verifyDigest("sha256", undefined, DATA, s);
  const good = closed(block(info));
  assert(await accepts(good));
  const bare = Uint8Array.fromHex(
    "302f300b0609608648016503040201" + "0420" + hash("sha256").toHex(),
  );
  const bad: Record<string, Uint8Array> = {
    "no NULL": closed(block(bare)),
    "the digest alone": closed(block(hash("sha256"))),
    "another digest's name": closed(block(Uint8Array.from(info, (b, i) => i === 14 ? 2 : b))),
    "block type 2": closed(block(info, 2)),
    "block type 0": closed(block(info, 0, 0)),
    "filled with 00": closed(block(info, 1, 0)),
    "filled with fe": closed(block(info, 1, 0xfe)),
    "something behind": closed(block(info, 1, 0xff, new Uint8Array(8))),
    "short filling": closed(
      Uint8Array.of(
        0,
        1,
        ...new Uint8Array(8).fill(0xff),
        0,
        ...info,
        ...new Uint8Array(256 - 11 - info.length),
      ),
    ),
    "long form of a length": closed(block(Uint8Array.of(0x30, 0x81, ...info.slice(1)))),
    "a byte before": Uint8Array.of(0, ...good),
    "a byte behind": Uint8Array.of(...good, 0),
    "cut": good.slice(0, -1),
    "0": new Uint8Array(256),
    "1": new Uint8Array(256).with(255, 1),
    "n - 1": Uint8Array.fromHex((N - 1n).toString(16)),
    "n": Uint8Array.fromHex(N.toString(16)),
    "nothing": new Uint8Array(0),
  };
  const more = BigInt("0x" + good.toHex()) + N;
  if (more < 1n << 2048n) bad["s + n"] = Uint8Array.fromHex(more.toString(16).padStart(512, "0"));
  for (const [what, s] of Object.entries(bad)) assertEquals(await accepts(s), false, what);
  assertEquals(await key.verifyDigest("sha384", undefined, DATA, good), false, "another digest");
});

function mask(seed: Uint8Array, length: number, digest: string): Uint8Array {
  const out: number[] = [];
  for (let i = 0; out.length < length; i++) {
    out.push(...createHash(digest).update(seed).update(Uint8Array.of(0, 0, 0, i)).digest());
  }
  return Uint8Array.from(out.slice(0, length));
}

interface Pss {
  readonly salt?: number;
  readonly digest?: string;
  readonly maskDigest?: string;
  readonly trailer?: number;
  readonly one?: number;
  readonly before?: number;
}

/** A PSS signature with whatever is asked for. */
function pss(
  { salt = 32, digest = "sha256", maskDigest = digest, trailer = 0xbc, one = 1, before = 0 }: Pss,
): Bytes {
  const random = crypto.getRandomValues(new Uint8Array(salt));
  const h = createHash(digest).update(new Uint8Array(8)).update(hash(digest)).update(random)
    .digest();
  const db = new Uint8Array(256 - h.length - 1).fill(before);
  db[0] = 0;
  db[db.length - salt - 1] = one;
  db.set(random, db.length - salt);
  const pad = mask(h, db.length, maskDigest);
  const masked = db.map((b, i) => b ^ pad[i]!);
  masked[0]! &= 0x7f;
  return closed(Uint8Array.of(...masked, ...h, trailer));
}

Deno.test("RSA-PSS: salt, digests and padding as said, within the limits of the key", async () => {
  const pssKey = (limits?: { digest: "sha256"; salt: number }) => {
    const spki = spkiOf(rsa.publicKey);
    const sha256 = seq(oid("2.16.840.1.101.3.4.2.1"), tlv(0x05));
    const params = limits === undefined ? [] : [seq(
      tlv(0xa0, sha256),
      tlv(0xa1, seq(oid("1.2.840.113549.1.1.8"), sha256)),
      tlv(0xa2, tlv(Tag.integer, Uint8Array.of(limits.salt))),
    )];
    const bits = spki.slice(spki.length - 275);
    return keyOf(seq(seq(oid("1.2.840.113549.1.1.10"), ...params), bits));
  };
  const free = pssKey();
  const limited = pssKey({ digest: "sha256", salt: 32 });
  const plain = keyOf(spkiOf(rsa.publicKey));
  const said = (p: Partial<PssParams>) => ({
    digest: "sha256",
    maskDigest: "sha256",
    saltBytes: 32,
    ...p,
  });
  const accepts = (key: VerifyKey, s: Uint8Array, p: Partial<PssParams> = {}) =>
    key.verifyDigest(p.digest ?? "sha256", said(p), DATA, s);
  for (const key of [free, limited, plain]) assert(await accepts(key, pss({})));
  const bad: Record<string, Uint8Array> = {
    "trailer bb": pss({ trailer: 0xbb }),
    "trailer 33cc's": pss({ trailer: 0xcc }),
    "no 01 before the salt": pss({ one: 0 }),
    "02 before the salt": pss({ one: 2 }),
    "padding of ones": pss({ before: 1 }),
    "a salt of 31": pss({ salt: 31 }),
    "a salt of 33": pss({ salt: 33 }),
    "no salt": pss({ salt: 0 }),
    "another mask": pss({ maskDigest: "sha1" }),
    "another digest": pss({ digest: "sha384", salt: 32 }),
    "0": new Uint8Array(256),
    "n": Uint8Array.fromHex(N.toString(16)),
    "cut": pss({}).slice(1),
  };
  for (const [what, s] of Object.entries(bad)) {
    for (const key of [free, limited, plain]) assertEquals(await accepts(key, s), false, what);
  }
  // Of the key's own: digest and mask are those, and the salt is not shorter.
  const sha384 = { digest: "sha384", maskDigest: "sha384" };
  assert(await accepts(free, pss({ digest: "sha384" }), sha384));
  assertEquals(await accepts(limited, pss({ digest: "sha384" }), sha384), false);
  assert(await accepts(free, pss({ salt: 20 }), { saltBytes: 20 }));
  assertEquals(await accepts(limited, pss({ salt: 20 }), { saltBytes: 20 }), false);
  assert(await accepts(limited, pss({ salt: 48 }), { saltBytes: 48 }));
  assertEquals(await accepts(limited, pss({ maskDigest: "sha1" }), { maskDigest: "sha1" }), false);
  // In OAP the key decides.
  assert(await limited.verify(0, DATA, pss({})));
  assertEquals(await limited.verify(0, DATA, pss({ salt: 20 })), false);
  assertEquals(await limited.verify(673, DATA, pss({ digest: "sha384" })), false);
  assert(await free.verify(0, DATA, pss({ salt: 20 })));
  // A key for PSS alone makes no other signatures.
  const v15 = new Uint8Array(sign("sha256", DATA, rsa.privateKey));
  assertEquals(await free.verifyDigest("sha256", undefined, DATA, v15), false);
});

Deno.test("RSA-PSS: a key with limits signs within them", async () => {
  const program = new Deno.Command("openssl", {
    args: [
      ...[
        "genpkey",
        "-algorithm",
        "RSA-PSS",
        "-outform",
        "DER",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
      ],
      ...["-pkeyopt", "rsa_pss_keygen_md:sha512", "-pkeyopt", "rsa_pss_keygen_saltlen:20"],
      ...["-pkeyopt", "rsa_pss_keygen_mgf1_md:sha512"],
    ],
    stderr: "null",
  });
  const { code, stdout } = await program.output().catch(() => ({
    code: 1,
    stdout: new Uint8Array(),
  }));
  if (code !== 0) return; // Without the program there is nobody to make one.
  const key = await SigningKey.fromDer("PRIVATE KEY", stdout.slice());
  if (typeof key === "string") throw new Error(key);
  assertEquals(await key.sign(672, DATA), undefined); // SHA-256
  const signature = await key.sign(0, DATA);
  if (signature === undefined) throw new Error("it does not sign");
  const dir = await Deno.makeTempDir();
  try {
    const at = (name: string) => `${dir}/${name}`;
    await Deno.writeFile(at("key"), stdout);
    await Deno.writeFile(at("data"), DATA);
    await Deno.writeFile(at("sig"), signature);
    const run = (...args: string[]) => new Deno.Command("openssl", { args }).outputSync();
    assertEquals(
      run(
        "pkey",
        "-inform",
        "DER",
        "-in",
        at("key"),
        "-pubout",
        "-outform",
        "DER",
        "-out",
        at("pub"),
      ).code,
      0,
    );
    assertEquals(
      run(
        "dgst",
        "-sha512",
        "-keyform",
        "DER",
        "-verify",
        at("pub"),
        "-signature",
        at("sig"),
        at("data"),
      ).code,
      0,
    );
    const theirs = keyOf(await Deno.readFile(at("pub")));
    assert(await theirs.verify(0, DATA, signature));
    run("dgst", "-sha512", "-keyform", "DER", "-sign", at("key"), "-out", at("sig"), at("data"));
    assert(await theirs.verify(0, DATA, await Deno.readFile(at("sig"))));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
