/**
 * Whole allocations between two of our own services: every key exchange in both KEM modes, data in
 * both directions, policy, and what each end is told on a refusal. Every key type and digest:
 * tests/slow/security. Agreement with the prototype is proved by the vectors and by tests/interop.
 */

import { assertEquals } from "@std/assert";
import { CIPHERS, KEXES } from "../../../../lib/wire/oap_ids.ts";
import { init, leaf, type MakeOptions, staticKem } from "../../../../pki/make.ts";
import { isOapFailure } from "../../../../security/oap/mod.ts";
import { DEFAULTS, ensure, KeptLog, pkiOptions, SecDir } from "../../../support/security_dir.ts";
import { agreed, allocate, NAME, refused } from "../../../support/oap_allocation.ts";

for (const kex of KEXES) {
  Deno.test(`${kex.word}: both ends get one key`, async () => {
    using sec = new SecDir();
    sec.write(`client/${NAME}/enc.conf`, `kex=${kex.word}\n`);
    sec.write(`server/${NAME}/enc.conf`, `kex=${kex.word}\nkdf=sha512\n`);
    const o = await allocate(sec);
    assertEquals(agreed(o).completed.key?.length, 32);
    ensure(o.clientLog.has(`Negotiated ${kex.word} + aes-256-gcm.`));
    ensure(o.serverLog.has(`Negotiated ${kex.word} + aes-256-gcm.`));
  });
}

for (const kex of KEXES.filter((k) => k.family === "mlkem" || k.family === "hybrid")) {
  Deno.test(`${kex.word}: the client encapsulates to the server's static key`, async () => {
    using sec = new SecDir();
    const o = pkiOptions(sec.dir, { kex: kex.word });
    await staticKem(o, NAME);
    sec.write(`client/${NAME}/enc.conf`, `kex=${kex.word}\nkem_mode=client\nkdf=sha3-512\n`);
    // Which KEM the server names does not matter, the key file decides (spec 40 §15).
    sec.write(`server/${NAME}/enc.conf`, `kex=ML-KEM-512\n`);
    agreed(await allocate(sec));

    sec.write(`server/${NAME}/enc.conf`, `kex=ML-KEM-512\nrefuse-client-encap=yes\n`);
    refused(await allocate(sec), -1008, "refuse-client-encap");
    sec.write(`server/${NAME}/enc.conf`, `kex=X25519\n`);
    refused(await allocate(sec), -1008, "derive");
    await Deno.remove(`${sec.dir}/server/${NAME}/enc.conf`);
    refused(await allocate(sec), -1008, "without KEM");
  });
}

Deno.test("client-encap: a lost or readable static key refuses, with the prototype's line", async () => {
  using sec = new SecDir();
  await staticKem(pkiOptions(sec.dir, { kex: "ML-KEM-768" }), NAME);
  sec.write(`client/${NAME}/enc.conf`, `kex=ML-KEM-768\nkem_mode=client\n`);
  sec.write(`server/${NAME}/enc.conf`, `kex=ML-KEM-768\n`);
  const path = `${sec.dir}/server/${NAME}/kex.key.pem`;
  await Deno.chmod(path, 0o644);
  const o = await allocate(sec);
  refused(o, -1008, "decapsulate");
  ensure(o.serverLog.has(`Failed to load pem keypair from ${path}.`));
  ensure(o.serverLog.has("mode 0644"));

  const log = new KeptLog();
  await Deno.remove(`${sec.dir}/client/${NAME}/kex.srv.pub.pem`);
  const session = await sec.service(log).prepare(DEFAULTS, NAME);
  ensure(isOapFailure(session) && session.code === -9);
  ensure(log.has("] Failed to load server KEM pk."));
});

for (const cipher of CIPHERS) {
  Deno.test(`${cipher.word}: is agreed on, the stronger of both sides`, async () => {
    using sec = new SecDir();
    sec.write(`client/${NAME}/enc.conf`, `kex=X25519\ncipher=aes-128-ctr\n`);
    sec.write(`server/${NAME}/enc.conf`, `kex=X25519\ncipher=${cipher.word}\n`);
    assertEquals(agreed(await allocate(sec)).accepted.cipherNid, cipher.nid);
    sec.write(`client/${NAME}/enc.conf`, `kex=X25519\ncipher=${cipher.word}\n`);
    sec.write(`server/${NAME}/enc.conf`, `kex=X25519\ncipher=aes-128-ctr\n`);
    assertEquals(agreed(await allocate(sec)).accepted.cipherNid, cipher.nid);
  });
}

async function authenticated(sec: SecDir): Promise<MakeOptions> {
  const o = pkiOptions(sec.dir);
  await init(o);
  await leaf(o, "server", NAME, NAME);
  return o;
}

Deno.test("require-auth: the server refuses a client without certificate, and takes one with", async () => {
  using sec = new SecDir();
  const o = await authenticated(sec);
  sec.write(`server/${NAME}/enc.conf`, "require-auth=yes\nnone\n");
  refused(await allocate(sec), -1009, "require-auth");
  await leaf(o, "client", NAME, "alice");
  agreed(await allocate(sec));
});

Deno.test("require-auth: the client refuses a stripped certificate (spec 40 §18.5)", async () => {
  using sec = new SecDir();
  sec.write(`client/${NAME}/enc.conf`, "kex=X25519\nrequire-auth=yes\n");
  refused(await allocate(sec), -1008, "require-auth");
});

Deno.test("allow-peer: only the listed names of the CA's certificates get in (spec 40 §18.6)", async () => {
  using sec = new SecDir();
  const o = await authenticated(sec);
  sec.write(`server/${NAME}/enc.conf`, "allow-peer = bob, carol\nnone\n");
  refused(await allocate(sec), -1009, "require-auth");
  await leaf(o, "client", NAME, "alice");
  const out = await allocate(sec);
  refused(out, -1009, "'alice' is not in allow-peer");
  await leaf({ ...o, force: true }, "client", NAME, "carol");
  agreed(await allocate(sec));
});

Deno.test("min-kex: refuses weaker key exchanges than the server's own would", async () => {
  using sec = new SecDir();
  sec.write(`server/${NAME}/enc.conf`, "min-kex=ML-KEM-768\nkex=X25519\n");
  sec.write(`client/${NAME}/enc.conf`, "kex=X448\n");
  refused(await allocate(sec), -1008, "Client KEX X448 too weak.");
  sec.write(`client/${NAME}/enc.conf`, "kex=X25519MLKEM768\n");
  agreed(await allocate(sec));
  await Deno.remove(`${sec.dir}/client/${NAME}/enc.conf`);
  refused(await allocate(sec), -1008, "KEX requested without info.");
  // Beside none it would let plain flows be: refused with the reason.
  sec.write(`server/${NAME}/enc.conf`, "min-kex=ML-KEM-768\nnone\n");
  refused(await allocate(sec), -1008, "min-kex (line 1) contradicts none");
});

Deno.test("allow-kex: what a server does not list is refused before anything is computed", async () => {
  using sec = new SecDir();
  sec.write(`server/${NAME}/enc.conf`, "kex=X25519\nallow-kex=ML-KEM-768 X448\n");
  for (const [kex, taken] of [["X25519", true], ["X448", true], ["ffdhe4096", false]] as const) {
    sec.write(`client/${NAME}/enc.conf`, `kex=${kex}\n`);
    const out = await allocate(sec);
    if (taken) agreed(out);
    else refused(out, -1008, `Client KEX ${kex} is not in allow-kex.`);
  }
});

Deno.test("a group that is too weak is refused before its point is decoded", async () => {
  using sec = new SecDir();
  sec.write(`server/${NAME}/enc.conf`, "kex=X448\n");
  sec.write(`client/${NAME}/enc.conf`, "kex=secp384r1\n");
  const session = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session));
  const off = session.request.slice();
  off[off.length - 1]! ^= 1; // The point is not on the curve any more.
  const got = await sec.service(new KeptLog()).serve(DEFAULTS, NAME, off);
  ensure(isOapFailure(got));
  assertEquals(got.reason, "Client KEX secp384r1 too weak.");
});

Deno.test("the signature is checked before a path is searched", async () => {
  using ca = new SecDir(), sec = new SecDir();
  const o = pkiOptions(ca.dir);
  await init(o);
  await leaf(o, "client", NAME, "alice");
  const session = await ca.service(new KeptLog()).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session));
  const log = new KeptLog();
  const server = sec.service(log); // Trusts nobody.
  ensure(isOapFailure(await server.serve(DEFAULTS, NAME, session.request)));
  ensure(log.has("Failed to verify peer with CA store."));
  const forged = session.request.slice();
  forged[forged.length - 1]! ^= 1;
  log.lines.length = 0;
  ensure(isOapFailure(await server.serve(DEFAULTS, NAME, forged)));
  ensure(log.has("Failed to verify signature.") && !log.has("CA store"));
});

Deno.test("refuse-encryption: a server's none can mean no", async () => {
  using sec = new SecDir();
  sec.write(`server/${NAME}/enc.conf`, "none\nrefuse-encryption=yes\n");
  sec.write(`client/${NAME}/enc.conf`, "");
  refused(await allocate(sec), -1008, "refuse-encryption");
});

Deno.test("refuse-ctr: neither side has to take ciphers without integrity (spec 40 §18.17)", async () => {
  using sec = new SecDir();
  sec.write(`client/${NAME}/enc.conf`, "kex=X25519\ncipher=aes-256-ctr\n");
  const warned = await allocate(sec);
  agreed(warned);
  ensure(warned.clientLog.has("aes-256-ctr has no integrity"));
  sec.write(`server/${NAME}/enc.conf`, "kex=X25519\ncipher=aes-128-gcm\nrefuse-ctr=yes\n");
  const whole = await allocate(sec);
  agreed(whole);
  assertEquals(whole.clientLog.has("has no integrity"), false);
  sec.write(`server/${NAME}/enc.conf`, "none\nrefuse-ctr=yes\n");
  refused(await allocate(sec), -1008, "refuse-ctr (line 2) contradicts none");
});

Deno.test("strict-crt: key usage, key size, digest and subjectAltName count", async () => {
  using sec = new SecDir();
  const o = await authenticated(sec);
  // A client's certificate does not play the server, strict or not.
  await leaf({ ...o, force: true }, "client", NAME, NAME);
  for (const file of ["crt.pem", "key.pem"]) {
    await Deno.copyFile(`${sec.dir}/client/${NAME}/${file}`, `${sec.dir}/server/${NAME}/${file}`);
  }
  refused(await allocate(sec), -1008, "it is for clients alone");
  sec.write(`client/${NAME}/enc.conf`, "strict-crt=yes\nkex=X25519\n");
  refused(await allocate(sec), -1008, "it is for clients alone");
});

Deno.test("replays: also in a race, only one of two equal signed requests is served", async () => {
  using sec = new SecDir();
  const o = await authenticated(sec);
  await leaf(o, "client", NAME, "alice");
  const session = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session));
  const server = sec.service(new KeptLog());
  const both = await Promise.all([
    server.serve(DEFAULTS, NAME, session.request),
    server.serve(DEFAULTS, NAME, session.request),
  ]);
  assertEquals(both.filter(isOapFailure).map((f) => f.code), [-1009]);
});

Deno.test("restart: requests from before the start are refused (spec 40 §18.12)", async () => {
  using sec = new SecDir();
  const session = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session));
  const log = new KeptLog();
  const startedNs = BigInt(Date.now() + 50) * 1_000_000n;
  const got = await sec.service(log, { startedNs }).serve(DEFAULTS, NAME, session.request);
  ensure(isOapFailure(got) && got.code === -1009);
  ensure(log.has("OAP header from before the start of this IRMd."));
});

Deno.test("key mismatch: certificate and key that are no pair fail at the peer", async () => {
  using sec = new SecDir();
  const o = await authenticated(sec);
  const key = await Deno.readFile(`${sec.dir}/server/${NAME}/key.pem`);
  await leaf({ ...o, force: true }, "server", NAME, NAME);
  await Deno.writeFile(`${sec.dir}/server/${NAME}/key.pem`, key);
  const out = await allocate(sec);
  refused(out, -1008, "signature is wrong");
  ensure(out.clientLog.has("Failed to verify signature."));
});
