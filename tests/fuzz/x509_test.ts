/**
 * Random certificate paths against the `openssl` program: CA trees with renewals, cross-signing, constraints, expiry,
 * broken links and odd encodings. What we accept, `openssl verify` accepts, at least when it is given our path alone
 * (it does not turn back from a path that leads nowhere); what it accepts, we accept but for the reasons that
 * docs/security.md lists. Seeded: OURO_FUZZ_SEED chooses other cases.
 */

import { assert } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { PeerCertificate } from "../../security/certificate.ts";
import { sha1 } from "@noble/hashes/legacy.js";
import { TrustStore } from "../../security/trust.ts";
import { sameBytes } from "../../security/x509/parse.ts";
import { isSelfIssued, keyIdsFit } from "../../security/x509/path.ts";
import { Prng } from "../../sim/prng.ts";
import * as make from "../support/certificates.ts";
import { hasOpenssl, openssl, pem } from "../support/openssl_verify.ts";
import { fuzzRuns } from "../support/seed.ts";

/** The moment at which everything is verified. */
const AT_MS = Date.UTC(2030, 5, 1);
const DAY_MS = 86_400_000;
const LEAVES = 12;

/** Reasons of ours for which OpenSSL accepts; each is in the section "What openssl verify says" of docs/security.md. */
const STRICTER: readonly RegExp[] = [
  /subjectAltName is empty/,
  /it limits a path and is no CA/,
  /is a CA certificate signed with a digest that is broken/,
  /may not sign certificates that authenticate \(extended key usage\)/,
  /it has extensions and is of version 1/,
];

class Random extends Prng {
  some<T>(list: readonly T[], most: number): T[] {
    return Array.from({ length: 1 + this.below(most) }, () => this.pick(list));
  }
}

const ec = () => generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const KEYS: readonly { pair: make.Pair; words: make.SignatureWord[] }[] = [
  ...Array.from({ length: 6 }, () => ({
    pair: ec(),
    words: ["ecdsa-sha256", "ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha1"] as make.SignatureWord[],
  })),
  {
    pair: generateKeyPairSync("rsa", { modulusLength: 2048 }),
    words: ["rsa-sha256", "rsa-sha256", "rsa-sha1"],
  },
  { pair: generateKeyPairSync("ed25519"), words: ["ed25519"] },
];

function keyIdOf(pair: make.Pair): Uint8Array {
  return sha1(new Uint8Array(pair.publicKey.export({ format: "der", type: "spki" })));
}

const NAMES = [
  "dns:a.example.com",
  "dns:example.com",
  "dns:A.Example.COM",
  "dns:*.example.com",
  "dns:aexample.com",
  "dns:b.evil.org",
  "dns:xn--bcher-kva.example.com",
  "dns:a_b.example.com",
  "dns:a.example.com.",
  "dns:.example.com",
  "dns:",
  "mail:bob@example.com",
  "mail:bob@EXAMPLE.com",
  "mail:alice@a.example.com",
  'mail:"x@y"@example.com',
  "mail:nobody",
  "mail:@example.com",
  "uri:https://a.example.com/x",
  "uri:https://example.com:80",
  "uri:https://u@example.com/",
  "uri:https://[::1]/",
  "uri:urn:foo:bar",
  "ip:0a010203",
  "ip:0b000001",
  "ip:20010db8000000000000000000000001",
  "ip:0a0102",
  "dir:O=Good/CN=x",
  "dir:O=good",
  "dir:O=Bad",
  "rid:1.2.3",
  "other:x",
];
const BASES = [
  "dns:example.com",
  "dns:.example.com",
  "dns:com",
  "dns:",
  "dns:a.example.com",
  "dns:evil.org",
  "dns:EXAMPLE.COM",
  "mail:example.com",
  "mail:.example.com",
  "mail:bob@example.com",
  "mail:Bob@example.com",
  "mail:@example.com",
  "mail:",
  "uri:example.com",
  "uri:.example.com",
  "uri:",
  "ip:0a000000ff000000",
  "ip:0a010200ffff0f00",
  "ip:20010db8000000000000000000000000ffffffff000000000000000000000000",
  "ip:0a000000ff0000",
  "dir:O=Good",
  "dir:O=GOOD",
  "dir:O=o7s",
  "dir:CN=leaf",
  "rid:1.2.3",
  "other:x",
];
const COMMON_NAMES = [
  "leaf",
  "alice",
  "a.example.com",
  "example.com",
  "b.evil.org",
  "A.EXAMPLE.COM",
  "a.example.com ",
  "10.1.2.3",
  "*.example.com",
  "a b.example.com",
  "bücher.example.com",
  "a..example.com",
  "-a.example.com",
  "a.example.com\u0000.evil.org",
];
const EKUS = {
  server: "1.3.6.1.5.5.7.3.1",
  client: "1.3.6.1.5.5.7.3.2",
  code: "1.3.6.1.5.5.7.3.3",
  any: "2.5.29.37.0",
};

interface Made {
  readonly der: Uint8Array<ArrayBuffer>;
  readonly name: number;
  readonly key: number;
  readonly serial: Uint8Array;
  readonly selfSigned: boolean;
}

/** A serial number; the openssl program does not read a whole store with one that is not in DER. */
function serialOf(r: Random, odd: boolean): Uint8Array {
  const roll = r.below(60);
  if (roll === 0) return Uint8Array.of(0);
  if (roll === 1) return Uint8Array.of(0xff);
  if (roll === 2 && odd) return Uint8Array.of(0x00, 0x01);
  if (roll === 3) return Uint8Array.from({ length: 21 }, (_, i) => i + 1);
  return Uint8Array.from({ length: 8 }, (_, i) => i === 0 ? r.below(127) + 1 : r.below(256));
}

function validity(r: Random): { notBefore: Uint8Array; notAfter: Uint8Array } {
  const ok = { notBefore: make.timeOf(AT_MS - DAY_MS), notAfter: make.timeOf(AT_MS + DAY_MS) };
  switch (r.below(70)) {
    case 0:
      return { ...ok, notAfter: make.timeOf(AT_MS - 1000) };
    case 1:
      return { ...ok, notBefore: make.timeOf(AT_MS + 1000) };
    case 2:
      return { notBefore: make.timeOf(AT_MS), notAfter: make.timeOf(AT_MS) };
    case 3:
      return { ...ok, notAfter: make.time(0x18, "99991231235959Z") };
    case 4:
      return { ...ok, notBefore: make.time(0x17, "500101000000Z") };
    case 5:
      return { ...ok, notAfter: make.time(0x18, "20310101000000Z") };
    case 6:
      return { ...ok, notAfter: make.time(0x17, "3101010000Z") };
    case 7:
      return { ...ok, notAfter: make.time(0x18, "20310101000000.5Z") };
    case 8:
      return { ...ok, notAfter: make.time(0x17, "310101000000+0100") };
    case 9:
      return { ...ok, notAfter: make.time(0x17, "310230000000Z") };
    default:
      return ok;
  }
}

const caName = (i: number) => make.dn("O=o7s", `CN=CA ${i}`);

/** A certificate of a CA, mostly good. */
function makeCa(r: Random, name: number, key: number, issuer: { name: number; key: number }): Made {
  const e: Uint8Array[] = [];
  const bc = r.below(30);
  if (bc === 0) e.push(make.basicConstraints(false));
  else if (bc === 1) e.push(make.basicConstraints(true, r.below(2), false));
  else if (bc > 2) e.push(make.basicConstraints(true, r.chance(0.2) ? r.below(3) : undefined));
  const ku = r.below(30);
  if (ku < 10) e.push(make.keyUsage(0x06));
  else if (ku === 10) e.push(make.keyUsage(0x80));
  else if (ku === 11) e.push(make.keyUsage(0x84, false));
  if (r.chance(0.6)) e.push(make.subjectKeyId(keyIdOf(KEYS[key]!.pair)));
  if (r.chance(0.4)) {
    const wrong = r.chance(0.06);
    e.push(make.authorityKeyId(keyIdOf(KEYS[wrong ? r.below(KEYS.length) : issuer.key]!.pair)));
  }
  if (r.chance(0.12)) {
    e.push(make.nameConstraints(
      r.chance(0.6) ? r.some(BASES, 2) : [],
      r.chance(0.6) ? r.some(BASES, 2) : [],
      r.chance(0.8),
    ));
  }
  if (r.chance(0.06)) e.push(make.purposes(r.some(Object.values(EKUS), 2), r.chance(0.3)));
  if (r.chance(0.03)) e.push(make.extension("1.2.3.4.5", Uint8Array.of(5, 0), r.chance(0.5)));
  if (r.chance(0.01) && e.length > 0) e.push(e[0]!);
  if (r.chance(0.03)) e.push(make.altNames(r.some(NAMES, 2)));
  const selfSigned = name === issuer.name && key === issuer.key;
  const v1 = r.chance(0.02);
  const wrongSigner = !selfSigned && r.chance(0.04);
  const signer = KEYS[wrongSigner ? r.below(KEYS.length) : issuer.key]!;
  const serial = serialOf(r, false);
  const der = make.certificate({
    ...(v1 ? { version: 1 } : {}),
    serial,
    issuer: caName(issuer.name),
    subject: caName(name),
    ...validity(r),
    key: KEYS[key]!.pair,
    extensions: v1 && r.chance(0.8) ? [] : e,
    signer: signer.pair,
    signature: r.pick(signer.words),
  });
  return { der, name, key, serial, selfSigned };
}

function makeLeaf(r: Random, issuer: Made): Uint8Array<ArrayBuffer> {
  const e: Uint8Array[] = [];
  if (r.chance(0.1)) e.push(make.basicConstraints(r.chance(0.2), r.chance(0.1) ? 0 : undefined));
  if (r.chance(0.3)) e.push(make.keyUsage(r.pick([0x80, 0xa0, 0x20, 0x04])));
  if (r.chance(0.5)) e.push(make.altNames(r.some(NAMES, 3), r.chance(0.1)));
  else if (r.chance(0.02)) e.push(make.altNames([]));
  if (r.chance(0.2)) e.push(make.purposes(r.some(Object.values(EKUS), 2), r.chance(0.2)));
  if (r.chance(0.4)) {
    const roll = r.below(20);
    const id = keyIdOf(KEYS[roll === 0 ? r.below(KEYS.length) : issuer.key]!.pair);
    const by = { name: caName(issuer.name), serial: issuer.serial };
    e.push(roll === 1 ? make.authorityKeyId(id, by) : make.authorityKeyId(id));
  }
  if (r.chance(0.03)) e.push(make.extension("1.2.3.4.5", Uint8Array.of(1), r.chance(0.5)));
  if (r.chance(0.01) && e.length > 0) e.push(e[0]!);
  if (r.chance(0.01)) e.push(make.nameConstraints(["dns:com"], []));
  const attributes = [
    ...(r.chance(0.5) ? [r.pick(["O=Good", "O=Bad", "O=o7s"])] : []),
    ...(r.chance(0.9) ? [`CN=${r.pick(COMMON_NAMES)}`] : []),
    ...(r.chance(0.03) ? [`CN=${r.pick(COMMON_NAMES)}`] : []),
    ...(r.chance(0.1) ? [`E=${r.pick(["bob@example.com", "eve@evil.org", "odd"])}`] : []),
  ];
  const wrongSigner = r.chance(0.03);
  const signer = KEYS[wrongSigner ? r.below(KEYS.length) : issuer.key]!;
  const version = r.below(60) === 0 ? 1 : 3;
  return make.certificate({
    version,
    serial: serialOf(r, true),
    issuer: caName(issuer.name),
    subject: make.dn(...attributes),
    ...validity(r),
    key: KEYS[r.below(KEYS.length)]!.pair,
    extensions: version === 1 ? [] : e,
    signer: signer.pair,
    signature: r.pick(signer.words),
    ...(r.chance(0.01) ? { outer: "ecdsa-sha384" as const } : {}),
  });
}

interface World {
  readonly trusted: readonly Made[];
  readonly untrusted: readonly Made[];
  readonly leaves: readonly Uint8Array<ArrayBuffer>[];
}

function makeWorld(r: Random): World {
  const trusted: Made[] = [];
  const untrusted: Made[] = [];
  const cas = 2 + r.below(4);
  const keyOf = Array.from({ length: cas }, () => r.below(KEYS.length));
  for (let i = 0; i < cas; i++) {
    const own = { name: i, key: keyOf[i]! };
    if (i === 0 || r.chance(0.25)) trusted.push(makeCa(r, own.name, own.key, own));
    // Renewed roots beside the old ones, some not installed.
    if (r.chance(0.1)) trusted.push(makeCa(r, own.name, own.key, own));
    if (i > 0) {
      for (let n = 1 + r.below(2); n > 0; n--) {
        const by = r.below(i);
        const made = makeCa(r, own.name, own.key, { name: by, key: keyOf[by]! });
        untrusted.push(made);
      }
    }
    // Cross-signed by one that comes later: a loop.
    if (r.chance(0.25)) {
      const by = r.below(cas);
      const key = r.chance(0.2) ? r.below(KEYS.length) : own.key;
      const made = makeCa(r, own.name, key, { name: by, key: keyOf[by]! });
      if (!made.selfSigned) untrusted.push(made);
    }
  }
  const issuers = [...trusted, ...untrusted];
  const leaves = Array.from(
    { length: LEAVES },
    () => makeLeaf(r, r.chance(0.7) ? issuers.at(-1 - r.below(2))! : r.pick(issuers)),
  );
  return { trusted, untrusted, leaves };
}

/** Paths of a leaf by names alone, leaf first, shorter ones first; no subject and key twice. */
function* pathsOf(world: World, leaf: PeerCertificate): Generator<PeerCertificate[]> {
  const stock = [...world.trusted, ...world.untrusted].map((m) => PeerCertificate.read(m.der))
    .filter((c) => typeof c !== "string");
  let paths = [[leaf]];
  for (let tried = 0; paths.length > 0 && tried < 500;) {
    const longer: PeerCertificate[][] = [];
    for (const path of paths) {
      const top = path.at(-1)!.view;
      if (path.length > 1 && isSelfIssued(top) && keyIdsFit(top, top)) yield path;
      tried++;
      for (const c of stock) {
        if (c.view.subject.canonical !== top.issuer.canonical) continue;
        const again = path.some(({ view }) =>
          view.subject.canonical === c.view.subject.canonical && sameBytes(view.spki, c.view.spki)
        );
        if (!again && path.length < 8) longer.push([...path, c]);
      }
    }
    paths = longer;
  }
}

/** Our reasons on the shortest paths that OpenSSL takes; with a longer one it might take another inside it. */
async function whyStricter(
  dir: string,
  world: World,
  der: Uint8Array,
  reason: string,
): Promise<string[]> {
  const leaf = PeerCertificate.read(der.slice());
  if (typeof leaf === "string") return [leaf];
  const reasons: string[] = [];
  let shortest = Infinity;
  for (const path of pathsOf(world, leaf)) {
    if (path.length > shortest) break;
    const ders = path.map((c) => c.der);
    const [theirs] = await openssl(dir, AT_MS, [ders.at(-1)!], ders.slice(1, -1), [der]);
    if (theirs !== undefined) continue;
    shortest = path.length;
    const ours = await (new TrustStore(path.slice(1))).verify(leaf, AT_MS);
    reasons.push(ours.ok ? "a path that is good alone is not found" : ours.reason);
  }
  return reasons.length === 0 ? [reason] : reasons;
}

Deno.test({
  name: "random certificate paths: as openssl verify says, both ways",
  ignore: !hasOpenssl(),
  async fn() {
    const seed = Number(Deno.env.get("OURO_FUZZ_SEED") ?? 1);
    const worlds = fuzzRuns(170);
    const r = new Random(seed);
    const dir = Deno.makeTempDirSync({ prefix: "ouro-x509-" });
    const counts = { accepted: 0, refused: 0, gaveUp: 0, stricter: 0 };
    const wrong: string[] = [];
    try {
      for (let w = 0; w < worlds; w++) {
        const world = makeWorld(r);
        const read = (made: readonly Made[]) =>
          made.map((m) => PeerCertificate.read(m.der)).filter((c) => typeof c !== "string");
        const store = new TrustStore([...read(world.trusted), ...read(world.untrusted)]);
        const trusted = world.trusted.map((m) => m.der);
        const untrusted = world.untrusted.map((m) => m.der);
        const theirs = await openssl(dir, AT_MS, trusted, untrusted, world.leaves);
        for (const [i, der] of world.leaves.entries()) {
          const leaf = PeerCertificate.read(der);
          const ours = typeof leaf === "string"
            ? { ok: false as const, reason: leaf }
            : await store.verify(leaf, AT_MS);
          const at = `seed ${seed} world ${w} leaf ${i}`;
          if (ours.ok && theirs[i] !== undefined) {
            const path = ours.path.map((c) => c.der);
            const anchor = path.length > 1 ? [path.at(-1)!] : trusted;
            const [again] = await openssl(dir, AT_MS, anchor, path.slice(1, -1), [der]);
            // It takes a self-issued certificate for a self-signed one, or a namesake for the issuer.
            const cas = ours.path.slice(1);
            const namesakes = new Set(cas.map((c) => c.subject.canonical)).size < cas.length ||
              cas.slice(0, -1).some(isSelfIssued);
            if (again === undefined || (namesakes && /error (7|19) /.test(again))) counts.gaveUp++;
            else wrong.push(`${at}: accepted; openssl: ${again}`);
          } else if (!ours.ok && theirs[i] === undefined) {
            const reasons = await whyStricter(dir, world, der, ours.reason);
            const unknown = reasons.find((reason) => !STRICTER.some((re) => re.test(reason)));
            if (unknown === undefined) counts.stricter++;
            else wrong.push(`${at}: refused (${unknown}); openssl accepts`);
          }
          if (ours.ok) counts.accepted++;
          else counts.refused++;
          if (Deno.env.has("OURO_FUZZ_KEEP") && wrong.at(-1)?.startsWith(at)) {
            const keep = `${Deno.env.get("OURO_FUZZ_KEEP")}/${seed}-${w}-${i}`;
            Deno.mkdirSync(keep, { recursive: true });
            Deno.writeTextFileSync(`${keep}/trusted.pem`, trusted.map(pem).join(""));
            Deno.writeTextFileSync(`${keep}/untrusted.pem`, untrusted.map(pem).join(""));
            Deno.writeTextFileSync(`${keep}/leaf.pem`, pem(der));
          }
        }
      }
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
    assert(wrong.length === 0, `${wrong.length} differ:\n${wrong.slice(0, 60).join("\n")}`);
    // The cases are of both kinds, or nothing was compared.
    const all = worlds * LEAVES;
    assert(counts.accepted > all / 20 && counts.refused > all / 20, JSON.stringify(counts));
  },
});
