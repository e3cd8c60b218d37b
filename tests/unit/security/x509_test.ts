// Certificate paths: what failed in trials (tests/vectors/x509.json), and the rules one by one.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import fc from "fast-check";
import { generateKeyPairSync } from "node:crypto";
import { PeerCertificate } from "../../../security/certificate.ts";
import { contents, integer, readTlv, Tag, tlv } from "../../../security/der.ts";
import { parsePem } from "../../../security/pem.ts";
import { TrustStore } from "../../../security/trust.ts";
import { parseX509, type X509 } from "../../../security/x509/parse.ts";
import { findPath } from "../../../security/x509/path.ts";
import * as make from "../../support/certificates.ts";

interface Case {
  readonly kind: string;
  readonly name: string;
  readonly verdict: "accept" | "reject" | "reject-name" | "may";
  readonly peer: string;
  readonly at?: string | null;
  readonly trusted: readonly string[];
  readonly untrusted: readonly string[];
  readonly leaf: string;
  readonly twin?: string;
}

const path = fromFileUrl(new URL("../../vectors/x509.json", import.meta.url));
const cases: readonly Case[] = JSON.parse(Deno.readTextFileSync(path)).cases;

function readAll(pems: readonly string[]): PeerCertificate[] {
  // What cannot be read is not trusted.
  return pems.map((p) => PeerCertificate.readPem(p)).filter((c) => typeof c !== "string");
}

async function verdictOf(v: Case, revoked: readonly PeerCertificate[] = []): Promise<string> {
  const leaf = PeerCertificate.readPem(v.leaf);
  if (typeof leaf === "string") return "reject";
  const store = new TrustStore(readAll([...v.trusted, ...v.untrusted]), revoked);
  const found = await store.verify(leaf, v.at ? Date.parse(v.at) : Date.now());
  if (!found.ok) return "reject";
  const named = leaf.without(found.excludedNames);
  return v.peer === "" || named.isFor(v.peer, false) ? "accept" : "reject-name";
}

const WALK: Record<string, (v: Case) => Promise<void>> = {
  async path(v) {
    const got = await verdictOf(v);
    if (v.verdict === "accept") assertEquals(got, "accept");
    else assert(got !== "accept", `accepted: ${v.name}`);
  },
  async suite(v) {
    const got = await verdictOf(v);
    if (v.verdict !== "may") assertEquals(got === "accept", v.verdict === "accept");
  },
  async revocation(v) {
    assertEquals(await verdictOf(v), "accept");
    for (const revoked of [v.leaf, v.twin!]) {
      for (const shown of [v.leaf, v.twin!]) {
        const marks = readAll([revoked]);
        // A twin that is not even read revokes nothing, and is refused itself.
        if (marks.length === 0) continue;
        assertEquals(await verdictOf({ ...v, leaf: shown }, marks), "reject");
      }
    }
  },
  async mutant(v) {
    assertEquals(await verdictOf(v), "reject");
  },
};

Deno.test("vectors x509.json: every case by its kind", async (t) => {
  assert(cases.length > 0);
  for (const v of cases) {
    await t.step(v.name, async () => {
      const walk = WALK[v.kind];
      if (walk === undefined) throw new Error(`unknown kind: ${v.kind}`);
      await walk(v);
    });
  }
});

Deno.test("parseX509: never throws on damaged bytes, and takes no other form of the outer frame", () => {
  const whole = cases.filter((v) => v.kind === "path").map((v) => parsePem(v.leaf)[0]!.bytes);
  const good = whole.filter((der) => typeof parseX509(der) !== "string");
  assert(good.length > 0);
  for (const der of good) {
    assert(typeof parseX509(der.subarray(0, der.length - 1)) === "string");
    assert(typeof parseX509(Uint8Array.of(...der, 0)) === "string");
    const longer = tlv(Tag.sequence, contents(readTlv(der)!), integer(Uint8Array.of(1)));
    assertEquals(parseX509(longer), "something follows its signature");
    // The same certificate with a longer form of its outermost length.
    const long = Uint8Array.of(
      0x30,
      0x83,
      0,
      (der.length - 4) >> 8,
      der.length - 4,
      ...der.subarray(4),
    );
    if (der[1] === 0x82) assert(typeof parseX509(long) === "string");
  }
  const arb = fc.tuple(fc.nat(good.length - 1), fc.nat(), fc.nat(255), fc.nat());
  fc.assert(
    fc.property(arb, ([i, at, byte, cut]) => {
      const der = good[i]!.slice();
      der[at % der.length] = byte;
      parseX509(der);
      parseX509(der.subarray(0, cut % der.length));
    }),
    { numRuns: 2000 },
  );
});

const ed = () => generateKeyPairSync("ed25519");
const DAY_MS = 86_400_000;

/** A CA or leaf that says no more than it must. */
function plain(name: string, issuer: string, key: make.Pair, signer: make.Pair, ca: boolean): X509 {
  const made = parseX509(make.certificate({
    serial: Uint8Array.of(1),
    issuer: make.dn(`CN=${issuer}`),
    subject: make.dn(`CN=${name}`),
    notBefore: make.timeOf(Date.now() - DAY_MS),
    notAfter: make.timeOf(Date.now() + DAY_MS),
    key,
    extensions: ca ? [make.basicConstraints(true)] : [],
    signer,
    signature: "ed25519",
  }));
  if (typeof made === "string") throw new Error(made);
  return made;
}

Deno.test("findPath: signatures are counted by what they cost, and a chain of five is always checked", async () => {
  const key = ed();
  const leaf = plain("leaf", "CA", key, key, false);
  const stock = Array.from({ length: 100 }, () => plain("CA", "CA", ed(), ed(), true));
  for (const [cost, most] of [[0.1, 48], [1, 24], [12, 5]] as const) {
    let asked = 0;
    const signatures = { check: () => Promise.resolve(++asked < 0), cost: () => cost };
    const found = await findPath(leaf, stock, Date.now(), signatures);
    assertMatch(found.ok ? "accepted" : found.reason, /its paths are too many to try/);
    assertEquals(asked, most);
  }
});

Deno.test("findPath: a store's own signatures are checked only where a path meets a root", async () => {
  const root = ed();
  const key = ed();
  const others = Array.from({ length: 50 }, (_, i) => plain(`R${i}`, `R${i}`, key, key, true));
  const stock = [...others, plain("Root", "Root", root, root, true)];
  let asked = 0;
  const signatures = { check: () => Promise.resolve(++asked > 0), cost: () => 1 };
  const found = await findPath(
    plain("leaf", "Root", key, root, false),
    stock,
    Date.now(),
    signatures,
  );
  assert(found.ok);
  assertEquals(asked, 2);
});

Deno.test("TrustStore: the reason names what is not supported, and tells no lie of roots", async () => {
  const weak = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const key = ed();
  // The same key with the identifier of P-192.
  const p192 = Uint8Array.fromHex("2a8648ce3d030101");
  const odd = (place: number) => (fields: Uint8Array<ArrayBuffer>[]) =>
    fields.with(place, ((spki) => (spki.set(p192, 15), spki))(fields[place]!.slice()));
  const shape = {
    serial: Uint8Array.of(1),
    notBefore: make.timeOf(Date.now() - DAY_MS),
    notAfter: make.timeOf(Date.now() + DAY_MS),
    extensions: [make.basicConstraints(true)],
  };
  const read = (der: Uint8Array) => {
    const c = PeerCertificate.read(der);
    if (typeof c === "string") throw new Error(c);
    return c;
  };
  const CA = make.dn("CN=CA");
  const TOP = make.dn("CN=Top");
  const leaf = read(make.certificate({
    ...shape,
    issuer: CA,
    subject: make.dn("CN=leaf"),
    key,
    extensions: [],
    signer: key,
    signature: "ed25519",
  }));
  const made = (issuer: Uint8Array, pair: make.Pair, more: Partial<make.Shape>) =>
    read(make.certificate({
      ...shape,
      issuer,
      subject: CA,
      key: pair,
      signer: key,
      signature: "ed25519",
      ...more,
    }));
  const reasonOf = async (...certificates: PeerCertificate[]) => {
    const verdict = await new TrustStore(certificates).verify(leaf, Date.now());
    return verdict.ok ? "accepted" : verdict.reason;
  };
  assertMatch(await reasonOf(), /^no trusted root certificate is installed$/);
  assertMatch(
    await reasonOf(made(TOP, key, {})),
    /^none of the 1 certificates installed is a trusted root/,
  );
  assertMatch(
    await reasonOf(made(CA, weak, { fields: odd(6) })),
    /not supported \(EC prime192v1\)/,
  );
  const damaged = made(CA, key, { signer: ed() });
  assertMatch(await reasonOf(damaged), /"CA" is no root: its own signature is wrong/);
  assertEquals(await reasonOf(made(CA, key, {})), "accepted");
});
