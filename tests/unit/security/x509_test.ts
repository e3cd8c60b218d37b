// Certificate paths: what failed in trials (tests/vectors/x509.json), and the rules one by one.

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import fc from "fast-check";
import { PeerCertificate } from "../../../security/certificate.ts";
import { parsePem } from "../../../security/pem.ts";
import { TrustStore } from "../../../security/trust.ts";
import { parseX509 } from "../../../security/x509/parse.ts";

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
  const store = await TrustStore.of(readAll([...v.trusted, ...v.untrusted]), revoked);
  const found = await store.verify(leaf, v.at ? Date.parse(v.at) : Date.now());
  if (!found.ok) return "reject";
  const named = found.commonNameAllowed ? leaf : leaf.withoutCommonName();
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
  assert(good.length > 40);
  for (const der of good) {
    assert(typeof parseX509(der.subarray(0, der.length - 1)) === "string");
    assert(typeof parseX509(Uint8Array.of(...der, 0)) === "string");
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
