/**
 * Hostile bytes against everything of OAP that a stranger can reach: the header, key exchange fields,
 * certificates, `enc.conf`, whole requests and responses. Nothing throws, nothing is read outside the
 * window, every answer is a value of the documented kind.
 */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { isWireError } from "../../lib/wire/mod.ts";
import { describe, encode, parse } from "../../lib/wire/oap_header.ts";
import { PeerCertificate } from "../../security/certificate.ts";
import { parseEncConf } from "../../security/enc_conf.ts";
import { encodePublic, peerKey } from "../../security/kex/spki.ts";
import { staticKeyFromPem, staticPublicFromRaw } from "../../security/kex/static.ts";
import { generatePair } from "../../security/kex/pair.ts";
import { isOapFailure } from "../../security/oap/mod.ts";
import { parsePem } from "../../security/pem.ts";
import { KEXES } from "../../lib/wire/oap_ids.ts";
import { DEFAULTS, ensure, KeptLog, SecDir } from "../support/security_dir.ts";
import { fuzzRuns } from "../support/seed.ts";

const vectors = JSON.parse(
  Deno.readTextFileSync(new URL("../vectors/oap.json", import.meta.url)),
) as { pki: Record<string, { crt_der: string }>; cases: { kind: string; hex: string }[] };

const seeds = vectors.cases.filter((c) => ["server", "client", "handshake"].includes(c.kind))
  .map((c) => Uint8Array.fromHex(c.hex)).filter((b) => b.length >= 36);

/** A good message with a few bytes changed, cut or grown. */
function damaged(from: Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const change = fc.tuple(fc.nat(), fc.nat(255));
  return fc.tuple(fc.nat(from.length - 1), fc.array(change, { maxLength: 4 }), fc.nat(80)).map(
    ([which, changes, cut]) => {
      const b = from[which]!.slice();
      for (const [at, value] of changes) b[at % b.length] = value;
      if (cut < 20) return b.subarray(0, Math.max(0, b.length - cut));
      if (cut < 30) return new Uint8Array([...b, ...b.subarray(0, cut)]);
      return b;
    },
  );
}

const RUNS = { numRuns: fuzzRuns(3000) };

Deno.test("OAP header: no throw, no look outside the window, round trip of what it accepts", () => {
  const any = fc.oneof(fc.uint8Array({ maxLength: 300 }), damaged(seeds));
  const hash = fc.constantFrom(0, 32, 48, 64);
  fc.assert(
    fc.property(any, hash, fc.nat(255), fc.nat(255), (bytes, hashBytes, left, right) => {
      const inside = (fill: number) => {
        const big = new Uint8Array(bytes.length + 64).fill(fill);
        big.set(bytes, 32);
        return parse(big, 32, 32 + bytes.length, hashBytes);
      };
      const a = inside(left);
      assertEquals(inside(right), a);
      describe(bytes);
      if (isWireError(a)) return;
      const out = new Uint8Array(bytes.length);
      const n = encode(a, out, 0);
      assertEquals(n, bytes.length);
      if (a.kex.length === 0) out[32] = bytes[32]!; // Flags without data are accepted, not written.
      assertEquals(out, bytes);
    }),
    RUNS,
  );
});

Deno.test("key exchange fields: any bytes give a key or a reason", async () => {
  const keys = await Promise.all(KEXES.map(async (k) => (await generatePair(k)).wire));
  const any = fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged(keys));
  fc.assert(
    fc.property(any, fc.boolean(), (bytes, raw) => {
      const key = peerKey(bytes, raw);
      if (typeof key === "string") return;
      if (!raw) ensure(encodePublic(key.kex, key.raw).length > 0);
      staticPublicFromRaw(bytes);
    }),
    { numRuns: fuzzRuns(1500) },
  );
});

Deno.test("certificates, PEM and enc.conf: any bytes give a value", () => {
  const crts = Object.values(vectors.pki).map((p) => Uint8Array.fromHex(p.crt_der));
  fc.assert(fc.property(damaged(crts), (der) => void PeerCertificate.parse(der)), {
    numRuns: fuzzRuns(800),
  });
  const lines = fc.array(
    fc.constantFrom(
      "-----BEGIN CERTIFICATE-----",
      "-----END CERTIFICATE-----",
      "-----BEGIN PRIVATE KEY-----",
      "-----END PRIVATE KEY-----",
      "MIIB",
      "kex=X25519",
      "none",
      "=",
      "allow-peer=a,b",
      "\0",
      "é",
      "x".repeat(300),
    ),
    { maxLength: 12 },
  ).map((l) => l.join("\n"));
  fc.assert(fc.property(lines, (text) => {
    parsePem(text);
    PeerCertificate.fromPem(text);
    staticKeyFromPem(text);
    parseEncConf(new TextEncoder().encode(text));
  }));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (b) => void parseEncConf(b)));
});

Deno.test("serve() and complete() answer any bytes with a failure of a documented code", async () => {
  using sec = new SecDir();
  for (const n of ["root", "im"]) {
    const dir = n === "root" ? "cacert" : "untrusted";
    sec.certificate(`${dir}/${n}.pem`, Uint8Array.fromHex(vectors.pki[n]!.crt_der));
  }
  sec.write("server/enc/enc.conf", "kex=prime256v1\n");
  sec.write("client/enc/enc.conf", "kex=X25519\n");
  const nowNs = () => 1780000000123456789n;
  const service = sec.service(new KeptLog(), { nowNs });
  await fc.assert(
    fc.asyncProperty(damaged(seeds), fc.constantFrom("plain", "enc"), async (bytes, name) => {
      const got = await service.serve(DEFAULTS, name, bytes);
      if (isOapFailure(got)) ensure(got.code === -1008 || got.code === -1009);
      const session = await service.prepare(DEFAULTS, name);
      ensure(!isOapFailure(session));
      const end = await session.complete(bytes);
      ensure(isOapFailure(end) && end.code === -1008);
    }),
    { numRuns: fuzzRuns(400) },
  );
});
