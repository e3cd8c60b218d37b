/**
 * Every odd shape of a certificate at every place of a chain, against the `openssl` program: root, CA and leaf each with
 * one thing that suites of X.509 try (extensions that are missing, doubled, critical, empty or damaged; names, times,
 * serial numbers and encodings). Where the verdicts differ, docs/security.md has the reason.
 */

import { assert, assertEquals } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { sha1 } from "@noble/hashes/legacy.js";
import { PeerCertificate } from "../../security/certificate.ts";
import { oid, Tag, tlv } from "../../security/der.ts";
import { TrustStore } from "../../security/trust.ts";
import * as make from "../support/certificates.ts";
import { hasOpenssl, openssl } from "../support/openssl_verify.ts";

const AT_MS = Date.UTC(2030, 5, 1);
const DAY_MS = 86_400_000;

type Bytes = Uint8Array<ArrayBuffer>;
const keys = {
  root: generateKeyPairSync("ec", { namedCurve: "prime256v1" }),
  ca: generateKeyPairSync("ec", { namedCurve: "prime256v1" }),
  leaf: generateKeyPairSync("ec", { namedCurve: "prime256v1" }),
};
type Place = keyof typeof keys;
const ISSUER = { root: "root", ca: "root", leaf: "ca" } as const;
type Names = Readonly<Record<Place, Bytes>>;
/** Names of the n-th chain: all chains are in one store. */
const namesOf = (n: number): Names => ({
  root: make.dn("O=o7s", `CN=Root ${n}`),
  ca: make.dn("O=o7s", `CN=CA ${n}`),
  leaf: make.dn("O=o7s", "CN=a.example.com"),
});

const keyId = (place: Place) =>
  sha1(new Uint8Array(keys[place].publicKey.export({ format: "der", type: "spki" })));
const bytes = (...b: number[]): Bytes => Uint8Array.of(...b);
const hex = (s: string): Bytes => Uint8Array.fromHex(s);
const text = (s: string): Bytes => new TextEncoder().encode(s);
const NULL = tlv(0x05);
const seq = (...parts: Uint8Array[]) => tlv(Tag.sequence, ...parts.map((p) => p.slice()));
const raw = (id: string, value: Uint8Array, critical = false) =>
  make.extension(id, value, critical);

/** Extensions by name, so that one can be taken away or put in another's place. */
type Extensions = Record<string, Bytes>;

function usual(place: Place): Extensions {
  const isCa = place !== "leaf";
  return {
    basic: make.basicConstraints(isCa),
    usage: make.keyUsage(isCa ? 0x06 : 0x80),
    subjectKey: make.subjectKeyId(keyId(place)),
    ...(place === "root" ? {} : { authorityKey: make.authorityKeyId(keyId(ISSUER[place])) }),
    ...(isCa ? {} : { alt: make.altNames(["dns:a.example.com"]) }),
  };
}

/** What an odd shape changes. */
interface Change {
  /** Extensions put in or replaced; undefined takes one away. */
  readonly extensions?: Record<string, Bytes | undefined>;
  readonly shape?: Partial<make.Shape>;
}

const ext = (extensions: Record<string, Bytes | undefined>): Change => ({ extensions });
const shape = (s: Partial<make.Shape>): Change => ({ shape: s });
const replaced = (at: number, by: Bytes) => (fields: Bytes[]) => fields.with(at, by);

const DNS = "2.5.29.17";
const NC = "2.5.29.30";
const EKU = "2.5.29.37";
const AKI = "2.5.29.35";
const SKI = "2.5.29.14";
const BC = "2.5.29.19";
const KU = "2.5.29.15";
const utf8 = (type: string, tag: number, value: Uint8Array) =>
  tlv(0x31, seq(oid(type), tlv(tag, value.slice())));
const CN = "2.5.4.3";

/** Odd shapes by name. */
const SHAPES: Readonly<Record<string, (place: Place, names: Names, n: number) => Change>> = {
  "as usual": () => ({}),
  // Basic constraints.
  "no basic constraints": () => ext({ basic: undefined }),
  "no basic constraints, no key usage": () => ext({ basic: undefined, usage: undefined }),
  "no extensions at all": () =>
    ext({
      basic: undefined,
      usage: undefined,
      subjectKey: undefined,
      authorityKey: undefined,
      alt: undefined,
    }),
  "basic constraints not critical": (p) =>
    ext({ basic: make.basicConstraints(p !== "leaf", undefined, false) }),
  "basic constraints the other way": (p) => ext({ basic: make.basicConstraints(p === "leaf") }),
  "a CA with usage of a CA": () =>
    ext({ basic: make.basicConstraints(true), usage: make.keyUsage(0x06) }),
  "path length 0": () => ext({ basic: make.basicConstraints(true, 0) }),
  "path length 1": () => ext({ basic: make.basicConstraints(true, 1) }),
  "path length without CA": () => ext({ basic: make.basicConstraints(false, 3) }),
  "path length negative": () => ext({ basic: raw(BC, seq(hex("0101ff"), hex("0201ff")), true) }),
  "path length huge": () =>
    ext({ basic: raw(BC, seq(hex("0101ff"), hex("02050100000000")), true) }),
  "path length padded": () => ext({ basic: raw(BC, seq(hex("0101ff"), hex("02020001")), true) }),
  "basic constraints: CA as 01": () => ext({ basic: raw(BC, seq(hex("010101")), true) }),
  "basic constraints: CA FALSE written out": () =>
    ext({ basic: raw(BC, seq(hex("010100")), true) }),
  "basic constraints: more behind": () =>
    ext({ basic: raw(BC, seq(hex("0101ff"), hex("020100"), NULL), true) }),
  "basic constraints: bytes behind": () =>
    ext({ basic: raw(BC, Uint8Array.of(...seq(hex("0101ff")), 0, 0), true) }),
  "basic constraints: no sequence": () => ext({ basic: raw(BC, hex("0101ff"), true) }),
  "basic constraints: empty octets": () => ext({ basic: raw(BC, bytes(), true) }),
  // Key usage.
  "no key usage": () => ext({ usage: undefined }),
  "key usage not critical": (p) => ext({ usage: make.keyUsage(p === "leaf" ? 0x80 : 0x06, false) }),
  "key usage: signs certificates": () => ext({ usage: make.keyUsage(0x04) }),
  "key usage: signatures only": () => ext({ usage: make.keyUsage(0x80) }),
  "key usage: CRLs only": () => ext({ usage: make.keyUsage(0x02) }),
  "key usage: none": () => ext({ usage: raw(KU, hex("03020700"), true) }),
  "key usage: empty": () => ext({ usage: raw(KU, hex("030100"), true) }),
  "key usage: all nine bits": () => ext({ usage: raw(KU, hex("030307ff80"), true) }),
  "key usage: three bytes": () => ext({ usage: raw(KU, hex("030400ff8000"), true) }),
  "key usage: unused bits that are set": () => ext({ usage: raw(KU, hex("030207ff"), true) }),
  "key usage: nine unused bits": () => ext({ usage: raw(KU, hex("03020906"), true) }),
  "key usage: an integer": () => ext({ usage: raw(KU, hex("020106"), true) }),
  // Extended key usage.
  "purposes: server": () => ext({ purposes: make.purposes(["1.3.6.1.5.5.7.3.1"]) }),
  "purposes: client, critical": () => ext({ purposes: make.purposes(["1.3.6.1.5.5.7.3.2"], true) }),
  "purposes: any": () => ext({ purposes: make.purposes(["2.5.29.37.0"]) }),
  "purposes: mail": () => ext({ purposes: make.purposes(["1.3.6.1.5.5.7.3.4"]) }),
  "purposes: unknown, critical": () => ext({ purposes: make.purposes(["1.2.3.4.5"], true) }),
  "purposes: none": () => ext({ purposes: make.purposes([]) }),
  "purposes: damaged": () => ext({ purposes: raw(EKU, seq(hex("0601")), false) }),
  // Key identifiers.
  "no subject key identifier": () => ext({ subjectKey: undefined }),
  "no authority key identifier": () => ext({ authorityKey: undefined }),
  "no key identifiers": () => ext({ subjectKey: undefined, authorityKey: undefined }),
  "subject key identifier critical": (p) => ext({ subjectKey: raw(SKI, tlv(4, keyId(p)), true) }),
  "subject key identifier of another": () => ext({ subjectKey: make.subjectKeyId(bytes(1, 2, 3)) }),
  "subject key identifier empty": () => ext({ subjectKey: make.subjectKeyId(bytes()) }),
  "subject key identifier damaged": () => ext({ subjectKey: raw(SKI, hex("0405aa")) }),
  "authority key identifier critical": (p) =>
    ext({ authorityKey: raw(AKI, seq(tlv(0x80, keyId(ISSUER[p]))), true) }),
  "authority key identifier of another": () =>
    ext({ authorityKey: make.authorityKeyId(bytes(9, 9, 9)) }),
  "authority key identifier empty": () => ext({ authorityKey: make.authorityKeyId(undefined) }),
  "authority by issuer and serial": (p, names) =>
    ext({
      authorityKey: make.authorityKeyId(keyId(ISSUER[p]), {
        name: names.root,
        serial: SERIAL[ISSUER[p]],
      }),
    }),
  "authority by issuer and serial alone": (p, names) =>
    ext({
      authorityKey: make.authorityKeyId(undefined, { name: names.root, serial: SERIAL[ISSUER[p]] }),
    }),
  "authority by another serial": (p, names) =>
    ext({
      authorityKey: make.authorityKeyId(keyId(ISSUER[p]), { name: names.root, serial: bytes(77) }),
    }),
  "authority by another issuer": (p, names) =>
    ext({
      authorityKey: make.authorityKeyId(keyId(ISSUER[p]), {
        name: names.leaf,
        serial: SERIAL[ISSUER[p]],
      }),
    }),
  "authority by a DNS name": (p) =>
    ext({
      authorityKey: raw(
        AKI,
        seq(tlv(0x80, keyId(ISSUER[p])), tlv(0xa1, make.generalName("dns:x")), tlv(0x82, bytes(5))),
      ),
    }),
  "authority with an unknown field": (p) =>
    ext({ authorityKey: raw(AKI, seq(tlv(0x80, keyId(ISSUER[p])), tlv(0x83, bytes(1)))) }),
  // Alternative names.
  "no alternative names": () => ext({ alt: undefined }),
  "alternative names critical": () => ext({ alt: make.altNames(["dns:a.example.com"], true) }),
  "alternative names: none": () => ext({ alt: make.altNames([]) }),
  "alternative names: no sequence": () => ext({ alt: raw(DNS, hex("0c0161")) }),
  "alternative names: damaged": () => ext({ alt: raw(DNS, hex("30058203616263ff")) }),
  "alternative names: unknown form": () => ext({ alt: raw(DNS, seq(tlv(0x8a, text("x")))) }),
  "alternative names: empty DNS name": () => ext({ alt: make.altNames(["dns:"]) }),
  "alternative names: UTF-8": () => ext({ alt: raw(DNS, seq(tlv(0x82, text("☺.example.com")))) }),
  "alternative names: NUL": () =>
    ext({ alt: raw(DNS, seq(tlv(0x82, text("a.example.com\0.evil.org")))) }),
  "alternative names: address of 3 bytes": () => ext({ alt: make.altNames(["ip:0a0102"]) }),
  "alternative names: wildcards": () =>
    ext({ alt: make.altNames(["dns:*", "dns:*.example.com", "dns:a*.b.c"]) }),
  "alternative names: every form": () =>
    ext({
      alt: make.altNames([
        "dns:a",
        "mail:a@b",
        "uri:http://a/",
        "ip:0a000001",
        "dir:CN=x",
        "rid:1.2.3",
        "other:x",
      ]),
    }),
  "alternative names with an empty subject": (p) =>
    p === "leaf"
      ? { extensions: { alt: make.altNames(["dns:a.example.com"]) }, shape: { subject: seq() } }
      : {},
  // Names.
  "empty subject": (p) => p === "leaf" ? shape({ subject: seq() }) : {},
  "subject in printable string": (p) =>
    p === "leaf" ? shape({ subject: seq(utf8(CN, 0x13, text("a.example.com"))) }) : {},
  "subject in T61": (p) =>
    p === "leaf" ? shape({ subject: seq(utf8(CN, 0x14, hex("61e92e62"))) }) : {},
  "subject in BMP": (p) =>
    p === "leaf" ? shape({ subject: seq(utf8(CN, 0x1e, hex("0061002e0062"))) }) : {},
  "subject in BMP, odd": (p) =>
    p === "leaf" ? shape({ subject: seq(utf8(CN, 0x1e, hex("006100"))) }) : {},
  "subject in UTF-8 that is none": (p) =>
    p === "leaf" ? shape({ subject: seq(utf8(CN, 0x0c, hex("c328"))) }) : {},
  "subject is an integer": (p) =>
    p === "leaf" ? shape({ subject: seq(utf8(CN, 0x02, bytes(5))) }) : {},
  "subject with an empty set": (p) => p === "leaf" ? shape({ subject: seq(tlv(0x31)) }) : {},
  "subject with NUL": (p) =>
    p === "leaf" ? shape({ subject: seq(utf8(CN, 0x0c, text("a\0b"))) }) : {},
  "issuer in other letters and spaces": (p, _names, n) =>
    p === "leaf"
      ? shape({
        issuer: seq(utf8("2.5.4.10", 0x13, text(" O7S")), utf8(CN, 0x13, text(`ca  ${n} `))),
      })
      : {},
  "issuer empty": (p) => p === "leaf" ? shape({ issuer: seq() }) : {},
  // Name constraints.
  ...Object.fromEntries(([
    ["permitted", ["dns:example.com"], []],
    ["permitted elsewhere", ["dns:evil.org"], []],
    ["permitted with a dot", ["dns:.example.com"], []],
    ["permitted with a star", ["dns:*.example.com"], []],
    ["permitted, of no name", ["dns:"], []],
    ["excluded", [], ["dns:example.com"]],
    ["excluded elsewhere", [], ["dns:evil.org"]],
    ["excluded, of no name", [], ["dns:"]],
    ["permitted and excluded", ["dns:example.com"], ["dns:a.example.com"]],
    ["permitted mail", ["mail:example.com"], []],
    ["permitted address", ["ip:0a000000ff000000"], []],
    ["excluded address", [], ["ip:0a000000ff000000"]],
    ["address of 5 bytes", [], ["ip:0a000000ff"]],
    ["address without prefix", ["ip:0a000000ff00ff00"], []],
    ["permitted directory", ["dir:O=o7s"], []],
    ["permitted directory elsewhere", ["dir:O=Bad"], []],
    ["excluded directory", [], ["dir:O=o7s"]],
    ["excluded other name", [], ["other:x"]],
    ["permitted registered id", ["rid:1.2.3"], []],
    ["permitted URI", ["uri:example.com"], []],
  ] as [string, string[], string[]][]).flatMap(([what, permitted, excluded]) => [
    [`constraints: ${what}`, () => ext({ names: make.nameConstraints(permitted, excluded) })],
    [
      `constraints, not critical: ${what}`,
      () => ext({ names: make.nameConstraints(permitted, excluded, false) }),
    ],
  ])),
  "constraints: none": () => ext({ names: raw(NC, seq(), true) }),
  "constraints: empty lists": () => ext({ names: raw(NC, seq(tlv(0xa0), tlv(0xa1)), true) }),
  "constraints: damaged": () => ext({ names: raw(NC, hex("3003a00561"), true) }),
  "constraints: NULL": () => ext({ names: raw(NC, NULL, true) }),
  "constraints: minimum 0 written out": () =>
    ext({
      names: raw(
        NC,
        seq(tlv(0xa0, seq(make.generalName("dns:example.com"), tlv(0x80, bytes(0))))),
        true,
      ),
    }),
  "constraints: minimum 1": () =>
    ext({
      names: raw(
        NC,
        seq(tlv(0xa0, seq(make.generalName("dns:example.com"), tlv(0x80, bytes(1))))),
        true,
      ),
    }),
  "constraints: maximum": () =>
    ext({
      names: raw(
        NC,
        seq(tlv(0xa0, seq(make.generalName("dns:example.com"), tlv(0x81, bytes(3))))),
        true,
      ),
    }),
  // Others.
  "policies": () => ext({ policies: raw("2.5.29.32", seq(seq(oid("1.2.3.4"))), true) }),
  "policy constraints": () => ext({ policies: raw("2.5.29.36", seq(tlv(0x80, bytes(0))), true) }),
  "policy constraints, not critical": () =>
    ext({ policies: raw("2.5.29.36", seq(tlv(0x80, bytes(0)))) }),
  "policies damaged": () => ext({ policies: raw("2.5.29.32", hex("3005ff"), true) }),
  "inhibit any policy": () => ext({ policies: raw("2.5.29.54", hex("020100"), true) }),
  "distribution points": () => ext({ crl: raw("2.5.29.31", seq(), true) }),
  "unknown critical": () => ext({ unknown: raw("1.2.3.4.5", NULL, true) }),
  "unknown": () => ext({ unknown: raw("1.2.3.4.5", hex("ffff")) }),
  "authority information critical": () => ext({ aia: raw("1.3.6.1.5.5.7.1.1", seq(), true) }),
  "authority information damaged": () => ext({ aia: raw("1.3.6.1.5.5.7.1.1", hex("300bff")) }),
  "proxy": () =>
    ext({ proxy: raw("1.3.6.1.5.5.7.1.14", seq(seq(oid("1.3.6.1.5.5.7.21.1"))), true) }),
  "Netscape's type": () => ext({ netscape: raw("2.16.840.1.113730.1.1", hex("03020780")) }),
  "Netscape's type, of a mail CA": () =>
    ext({ netscape: raw("2.16.840.1.113730.1.1", hex("03020102")) }),
  "an extension twice": (p) => ext({ again: usual(p).basic }),
  "an unknown extension twice": () => ext({ a: raw("1.2.3.4.5", NULL), b: raw("1.2.3.4.5", NULL) }),
  "extension: critical FALSE written out": () =>
    ext({ unknown: seq(oid("1.2.3.4.5"), hex("010100"), tlv(4, NULL)) }),
  "extension: critical as 01": () =>
    ext({ unknown: seq(oid("1.2.3.4.5"), hex("010101"), tlv(4, NULL)) }),
  "extension without value": () => ext({ unknown: seq(oid("1.2.3.4.5")) }),
  // Serial numbers.
  "serial 0": () => shape({ serial: bytes(0) }),
  "serial negative": () => shape({ serial: bytes(0xff) }),
  "serial of 21 bytes": () => shape({ serial: new Uint8Array(21).fill(1) }),
  "serial padded": () => shape({ serial: bytes(0, 1) }),
  "serial empty": () => shape({ serial: bytes() }),
  // Times.
  ...Object.fromEntries(([
    ["ends in this second", make.timeOf(AT_MS)],
    ["ended a second ago", make.timeOf(AT_MS - 1000)],
    ["ends in a second", make.timeOf(AT_MS + 1000)],
    ["ends in general time before 2050", make.time(0x18, "20310101000000Z")],
    ["ends in the year 9999", make.time(0x18, "99991231235959Z")],
    ["ends in UTC time without seconds", make.time(0x17, "3101010000Z")],
    ["ends with fractions", make.time(0x18, "20310101000000.5Z")],
    ["ends in a zone", make.time(0x17, "310101000000+0100")],
    ["ends in month 13", make.time(0x17, "311301000000Z")],
    ["ends on 30 February", make.time(0x17, "310230000000Z")],
    ["ends at a leap second", make.time(0x17, "311231235960Z")],
    ["ends without zone", make.time(0x18, "20310101000000")],
    ["ends in a string", make.time(0x17, "never")],
  ] as [string, Bytes][]).map(([what, notAfter]) => [what, () => shape({ notAfter })])),
  "begins in this second": () => shape({ notBefore: make.timeOf(AT_MS) }),
  "begins in a second": () => shape({ notBefore: make.timeOf(AT_MS + 1000) }),
  "begins in 1950": () => shape({ notBefore: make.time(0x17, "500101000000Z") }),
  "begins in general time in 1900": () => shape({ notBefore: make.time(0x18, "19000101000000Z") }),
  // Versions and fields.
  "version 1 with extensions": () => shape({ version: 1 }),
  "version 1": () => ({
    extensions: {
      basic: undefined,
      usage: undefined,
      subjectKey: undefined,
      authorityKey: undefined,
      alt: undefined,
    },
    shape: { version: 1 },
  }),
  "version 2 with extensions": () => shape({ version: 2 }),
  "version 1 written out": () => ({
    extensions: {
      basic: undefined,
      usage: undefined,
      subjectKey: undefined,
      authorityKey: undefined,
      alt: undefined,
    },
    shape: { fields: replaced(0, tlv(0xa0, hex("020100"))) },
  }),
  "version 4": () => shape({ fields: replaced(0, tlv(0xa0, hex("020103"))) }),
  "version 3 padded": () => shape({ fields: replaced(0, tlv(0xa0, hex("02020002"))) }),
  "unique identifiers": () =>
    shape({ fields: (f) => f.toSpliced(7, 0, tlv(0x81, bytes(0, 1)), tlv(0x82, bytes(0, 1))) }),
  "an unknown field": () => shape({ fields: (f) => [...f, tlv(0xa4, NULL)] }),
  "extensions twice": () => shape({ fields: (f) => [...f, f.at(-1)!] }),
  "extensions empty": () => shape({ fields: (f) => f.with(-1, tlv(0xa3, seq())) }),
  // Algorithms.
  "another algorithm outside": () => shape({ outer: "ecdsa-sha384" }),
  "SHA-1": () => shape({ signature: "ecdsa-sha1" }),
  "algorithm with NULL": () => shape(twice(seq(oid("1.2.840.10045.4.3.2"), NULL))),
  "algorithm with parameters": () => shape(twice(seq(oid("1.2.840.10045.4.3.2"), hex("0c0161")))),
  "algorithm NULL outside alone": () =>
    shape({ parts: (p) => p.with(1, seq(oid("1.2.840.10045.4.3.2"), NULL)) }),
  "algorithm unknown": () => shape(twice(seq(oid("1.2.3.4.5")))),
  "algorithm of RSA": () => shape(twice(seq(oid("1.2.840.113549.1.1.11"), NULL))),
  // Signatures and the frame.
  "signature: unused bits": () => shape({ parts: (p) => p.with(2, signatureOf(p, (s) => s, 1)) }),
  "signature: a byte behind": () =>
    shape({ parts: (p) => p.with(2, signatureOf(p, (s) => Uint8Array.of(...s, 0))) }),
  "signature: long form of length": () =>
    shape({
      parts: (p) => p.with(2, signatureOf(p, (s) => Uint8Array.of(0x30, 0x81, ...s.subarray(1)))),
    }),
  "signature: a zero before r": () =>
    shape({
      parts: (p) =>
        p.with(
          2,
          signatureOf(p, (s) => Uint8Array.of(0x30, s[1]! + 1, 2, s[3]! + 1, 0, ...s.subarray(4))),
        ),
    }),
  "signature: empty": () => shape({ parts: (p) => p.with(2, signatureOf(p, () => bytes())) }),
  "signature: zeros": () =>
    shape({ parts: (p) => p.with(2, signatureOf(p, () => hex("3006020100020100"))) }),
  "signature: wrong": () =>
    shape({ parts: (p) => p.with(2, signatureOf(p, (s) => s.with(-1, s.at(-1)! ^ 1))) }),
  "something behind the signature": () => shape({ parts: (p) => [...p, NULL] }),
  "no signature": () => shape({ parts: (p) => p.slice(0, 2) }),
};

function twice(algorithm: Bytes): Partial<make.Shape> {
  return { fields: replaced(2, algorithm), parts: (p) => p.with(1, algorithm) };
}

function signatureOf(parts: Bytes[], change: (s: Bytes) => Uint8Array, unused = 0): Bytes {
  const bits = parts[2]!;
  return tlv(Tag.bitString, Uint8Array.of(unused, ...change(bits.subarray(3).slice())));
}

const SERIAL: Record<Place, Bytes> = { root: bytes(1), ca: bytes(2), leaf: bytes(3) };

function made(place: Place, names: Names, change: Change): Bytes {
  const extensions = { ...usual(place), ...change.extensions };
  return make.certificate({
    serial: SERIAL[place],
    issuer: names[ISSUER[place]],
    subject: names[place],
    notBefore: make.timeOf(AT_MS - DAY_MS),
    notAfter: make.timeOf(AT_MS + DAY_MS),
    key: keys[place],
    extensions: Object.values(extensions).filter((e) => e !== undefined),
    signer: keys[ISSUER[place]],
    signature: "ecdsa-sha256",
    ...change.shape,
  });
}

/** What ours says: `undefined` is good, else the reason. */
async function ours(chain: Readonly<Record<Place, Bytes>>): Promise<string | undefined> {
  const store: PeerCertificate[] = [];
  for (const der of [chain.root, chain.ca]) {
    const c = PeerCertificate.read(der);
    if (typeof c === "string") return c;
    store.push(c);
  }
  const leaf = PeerCertificate.read(chain.leaf);
  if (typeof leaf === "string") return leaf;
  const verdict = await new TrustStore(store).verify(leaf, AT_MS);
  return verdict.ok ? undefined : verdict.reason;
}

/** Reasons of ours where OpenSSL accepts; docs/security.md has each. */
const STRICTER: readonly RegExp[] = [
  /it limits a path and is no CA/,
  /a BOOLEAN is not 00 or ff/,
  /extension [0-9.]+ cannot be read/,
  /keyUsage cannot be read/,
  /may not sign certificates that authenticate \(extended key usage\)/,
  /subjectAltName is empty/,
  /an alternative name is not ASCII/,
  /a relative name is empty/,
  /extension [0-9.]+ is there twice/,
  /it has extensions and is of version [12]/,
  /its version is unknown/,
  /is a CA certificate signed with a digest that is broken/,
  /the signature algorithm outside is not the one inside/,
  /the signature has unused bits/,
  /"Root \d+" is no root: its own signature is wrong/,
];

Deno.test({
  name: "odd certificates at every place of a chain: as openssl verify says",
  ignore: !hasOpenssl(),
  async fn() {
    const dir = Deno.makeTempDirSync({ prefix: "ouro-shapes-" });
    const wrong: string[] = [];
    const counts = { accepted: 0, refused: 0, stricter: 0 };
    try {
      const all = Object.entries(SHAPES).flatMap(([what, change]) =>
        (["root", "ca", "leaf"] as const).map((place) => ({ what, change, place }))
      ).map(({ what, change, place }, n) => {
        const names = namesOf(n);
        const odd = made(place, names, change(place, names, n));
        const usual = {
          root: made("root", names, {}),
          ca: made("ca", names, {}),
          leaf: made("leaf", names, {}),
        };
        return { at: `${what} (${place})`, place, odd, chain: { ...usual, [place]: odd } };
      });
      // One that the program cannot read spoils a whole store of its: such chains are bad.
      const read = await openssl(dir, AT_MS, [all[0]!.chain.root], [], all.map((c) => c.odd));
      const isUnread = (i: number) => read[i] === "refused: unreadable";
      const readable = all.filter((_, i) => !isUnread(i));
      const said = await openssl(
        dir,
        AT_MS,
        readable.map((c) => c.chain.root),
        readable.map((c) => c.chain.ca),
        readable.map((c) => c.chain.leaf),
      );
      const theirs = new Map(readable.map((c, i) => [c.at, said[i]]));
      for (const { at, chain } of all) {
        const reason = await ours(chain);
        const their = theirs.has(at) ? theirs.get(at) : "it cannot be read";
        if (reason === undefined) counts.accepted++;
        else counts.refused++;
        if (reason === undefined && their !== undefined) {
          wrong.push(`${at}: accepted; openssl: ${their}`);
        }
        if (reason === undefined || their !== undefined) continue;
        if (STRICTER.some((re) => re.test(reason))) counts.stricter++;
        else wrong.push(`${at}: refused (${reason}); openssl accepts`);
      }
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
    assertEquals(wrong, []);
    assert(counts.accepted > 100 && counts.refused > 100, JSON.stringify(counts));
  },
});
