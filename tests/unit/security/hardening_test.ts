/**
 * Items of spec 40 §18 that have no home in the other security tests. Where the others are: 1
 * vectors (`server/kex-*`, `role-bit-*`); 4, 21, 22 files_test; 5, 6, 12, 17 handshake_test; 10 to 12
 * replay_cache_test; 18 tests/unit/lib/crypt; 3, 14, 16 tests of the IRMd.
 */

import { assertEquals } from "@std/assert";
import { Certificate } from "pkijs";
import { revoke } from "../../../pki/inventory.ts";
import { init, leaf } from "../../../pki/make.ts";
import { issue, signerOf } from "../../../pki/issue.ts";
import { generateKey } from "../../../pki/key_types.ts";
import { PeerCertificate } from "../../../security/certificate.ts";
import { integer, oid, Tag, tlv } from "../../../security/der.ts";
import { EncConfError, parseEncConf } from "../../../security/enc_conf.ts";
import { isOapFailure } from "../../../security/oap/mod.ts";
import { encodePem, parsePem } from "../../../security/pem.ts";
import { Secret } from "../../../security/secret.ts";
import { SigningKey } from "../../../security/signing_key.ts";
import { printable } from "../../../lib/printable.ts";
import { DEFAULTS, ensure, KeptLog, pkiOptions, SecDir } from "../../support/security_dir.ts";
import rsa512 from "./rsa512.json" with { type: "json" };

const NAME = "svc";

const options = (sec: SecDir) => pkiOptions(sec.dir, { force: true });

/** A server certificate of the directory's CA for any common name. */
async function certify(sec: SecDir, commonName: string): Promise<PeerCertificate> {
  const key = await generateKey("p256");
  const read = (p: string) => Deno.readTextFileSync(`${sec.dir}/${p}`);
  const block = parsePem(read("private/intermediate.key.pem"))[0]!;
  const signer = await SigningKey.fromDer(block.label, block.bytes);
  ensure(typeof signer !== "string");
  const der = await issue({
    purpose: "server",
    commonName,
    organization: "test",
    spki: key.spki,
    notBefore: new Date(Date.now() - 1000),
    notAfter: new Date(Date.now() + 3_600_000),
  }, {
    certificate: PeerCertificate.fromPem(read("untrusted/intermediate.pem"))!.der,
    key: signer,
  });
  sec.write(`server/${NAME}/crt.pem`, encodePem("CERTIFICATE", der));
  sec.write(`server/${NAME}/key.pem`, encodePem("PRIVATE KEY", key.pkcs8));
  ensure(await signerOf(key.pkcs8));
  return PeerCertificate.parse(der)!;
}

Deno.test("2: a common name of 600 bytes is just another name", async () => {
  using sec = new SecDir();
  await init(options(sec));
  const long = "x".repeat(600);
  assertEquals((await certify(sec, long)).commonName, long);
  const log = new KeptLog();
  const session = await sec.service(log).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session));
  const served = await sec.service(new KeptLog()).serve(DEFAULTS, NAME, session.request);
  ensure(!isOapFailure(served));
  const end = await session.complete(served.response);
  ensure(isOapFailure(end) && end.code === -1008);
  ensure(log.has(`Peer crt for '${long}' does not match '${NAME}'.`));
  assertEquals(end.reason, `it is not for "${NAME}": it has the name ${long}`);
});

Deno.test("names in certificates are shown without control characters", async () => {
  assertEquals(printable("a\nb\x1b[31m\u202e"), "a\\x0ab\\x1b[31m\\u{202e}");
  // Some readers of logs end a line there.
  assertEquals(printable("a\u2028b\u2029c\x85"), "a\\u{2028}b\\u{2029}c\\x85");
  using sec = new SecDir();
  await init(options(sec));
  await certify(sec, "svc\nirmd/oap(II): all is well");
  const log = new KeptLog();
  const session = await sec.service(log).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session));
  const served = await sec.service(new KeptLog()).serve(DEFAULTS, NAME, session.request);
  ensure(!isOapFailure(served));
  ensure(isOapFailure(await session.complete(served.response)));
  ensure(log.lines.every((l) => !l.includes("\n")));
});

Deno.test("4: a misspelt none, unknown keys and lines without effect are warned about", async () => {
  using sec = new SecDir();
  sec.write(`client/${NAME}/enc.conf`, "None\nnone # really\nkx=X25519\n# fine\n  # fine\n\n");
  const log = new KeptLog();
  const session = await sec.service(log).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session) && session.request.length > 36, "encryption stays on");
  const path = `${sec.dir}/client/${NAME}/enc.conf`;
  assertEquals(log.problems(), [
    `irmd/oap(WW): ${path}: line 1: "None" has no effect.`,
    `irmd/oap(WW): ${path}: line 2: "none # really" has no effect.`,
    `irmd/oap(WW): ${path}: line 3: unknown key "kx".`,
  ]);
});

Deno.test("4: policy behind a none line is not lost, a bad value of it is an error", () => {
  const parse = (text: string) => parseEncConf(new TextEncoder().encode(text));
  const good = parse("none\nrequire-auth = yes\nkex=nonsense\n");
  ensure(!(good instanceof EncConfError));
  assertEquals([good.conf.kexNid, good.conf.policy.requireAuth], [0, true]);
  const strong = parse("kex=X448\nmin-kex=X448\n");
  ensure(!(strong instanceof EncConfError));
  assertEquals(strong.conf.policy.minKexNid, 1035);
  for (const bad of ["require-auth=1", "allow-peer=", "min-kex=P-256", "strict-crt=on"]) {
    ensure(parse(`none\n${bad}\n`) instanceof EncConfError, bad);
  }
  const any = parse("allow-peer=*\n");
  ensure(!(any instanceof EncConfError));
  assertEquals([any.conf.policy.allowPeers, any.conf.policy.requireAuth], [undefined, true]);
});

Deno.test("20: secrets are wiped with their scope and never printed", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  {
    using secret = new Secret(bytes);
    assertEquals(
      `${secret} ${JSON.stringify(secret)} ${Deno.inspect(secret)}`.includes("1"),
      false,
    );
  }
  assertEquals(bytes, new Uint8Array(3));
});

Deno.test("23: an unknown issuer and a bad signature look the same to the peer", async () => {
  using ours = new SecDir();
  using theirs = new SecDir();
  await init(options(ours));
  await init(options(theirs));
  await leaf(options(theirs), "client", NAME, "mallory");
  await leaf(options(ours), "client", NAME, "alice");
  const request = async (sec: SecDir) => {
    const session = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
    ensure(!isOapFailure(session));
    return session.request.slice();
  };
  const forged = await request(ours);
  forged[forged.length - 1]! ^= 1;
  for (const bytes of [await request(theirs), forged]) {
    const got = await ours.service(new KeptLog()).serve(DEFAULTS, NAME, bytes);
    ensure(isOapFailure(got));
    assertEquals(got.code, -1009);
  }
});

Deno.test("19: a revoked certificate is refused at once, its CA's others are not", async () => {
  using sec = new SecDir();
  await init(options(sec));
  await leaf(options(sec), "client", NAME, "alice");
  const service = sec.service(new KeptLog());
  const serve = async () => {
    const session = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
    ensure(!isOapFailure(session));
    return await service.serve(DEFAULTS, NAME, session.request);
  };
  ensure(!isOapFailure(await serve()));
  ensure(revoke(options(sec), "client", NAME).ok);
  const got = await serve();
  ensure(isOapFailure(got) && got.code === -1009 && got.reason === "it is revoked");
  await leaf(options(sec), "client", NAME, "alice");
  ensure(!isOapFailure(await serve()), "a new certificate of the same name");
  // The intermediate: with it everything below it.
  await Deno.copyFile(`${sec.dir}/untrusted/intermediate.pem`, `${sec.dir}/revoked/im.pem`);
  ensure(isOapFailure(await serve()));
});

Deno.test("19: strict-crt refuses what the prototype takes: short keys, a CA as leaf", async () => {
  using sec = new SecDir();
  sec.certificate("cacert/root.pem", Uint8Array.fromHex(rsa512.root));
  sec.certificate("untrusted/im.pem", Uint8Array.fromHex(rsa512.intermediate));
  const serve = async (conf: string) => {
    sec.write("server/svc.vec/enc.conf", conf);
    const service = sec.service(new KeptLog(), { nowNs: () => BigInt(rsa512.now_ns) });
    return await service.serve(DEFAULTS, rsa512.name, Uint8Array.fromHex(rsa512.request));
  };
  ensure(!isOapFailure(await serve("none\n")));
  const got = await serve("none\nstrict-crt=yes\n");
  ensure(isOapFailure(got) && got.reason.includes("512 bits"), Deno.inspect(got));
  const root = PeerCertificate.parse(Uint8Array.fromHex(rsa512.root))!;
  assertEquals(root.strictReason("server"), "it is a CA certificate");
});

Deno.test("names: of two common names none counts, and one inside another attribute is none", async () => {
  const key = await generateKey("p256");
  const wanted = (commonName: string, organization: string) => ({
    purpose: "client" as const,
    commonName,
    organization,
    spki: key.spki,
    notBefore: new Date(0),
    notAfter: new Date(1),
  });
  const issuer = { certificate: undefined, key: await signerOf(key.pkcs8) };
  const tricky = PeerCertificate.parse(await issue(wanted("evil/x", "CN=svc"), issuer))!;
  assertEquals([tricky.isFor("svc", false), tricky.isFor("evil", false)], [false, false]);
  assertEquals(tricky.isFor("evil/x", false), true);
  const two = Certificate.fromBER(await issue(wanted("svc é", "o"), issuer));
  const again = two.subject.typesAndValues.find((t) => t.type === "2.5.4.3")!;
  two.subject.typesAndValues.push(again);
  two.subject.valueBeforeDecode = new ArrayBuffer(0);
  const der = new Uint8Array(two.toSchema(true).toBER());
  const parsed = PeerCertificate.parse(der)!;
  assertEquals([parsed.commonName, parsed.name], [undefined, "svc é"]);
  assertEquals(
    parsed.whyNotFor("svc é", false),
    'it is not for "svc é": it has no name that counts',
  );
  assertEquals(tricky.whyNotFor("evil/x", false), undefined);
});

Deno.test("a client's certificate does not play the server, nor a server's the client", async () => {
  using sec = new SecDir();
  await init(options(sec));
  const swap = async (made: "client" | "server", used: "client" | "server") => {
    await leaf(options(sec), made, NAME, NAME);
    await Deno.mkdir(`${sec.dir}/${used}/${NAME}`, { recursive: true });
    for (const file of ["crt.pem", "key.pem"]) {
      await Deno.rename(`${sec.dir}/${made}/${NAME}/${file}`, `${sec.dir}/${used}/${NAME}/${file}`);
    }
    const session = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
    ensure(!isOapFailure(session));
    const served = await sec.service(new KeptLog()).serve(DEFAULTS, NAME, session.request);
    const end = isOapFailure(served) ? served : await session.complete(served.response);
    await Deno.remove(`${sec.dir}/${used}/${NAME}`, { recursive: true });
    return end;
  };
  const server = await swap("client", "server");
  ensure(isOapFailure(server) && server.reason.includes("for clients alone"), Deno.inspect(server));
  const client = await swap("server", "client");
  ensure(isOapFailure(client) && client.reason.includes("for servers alone"), Deno.inspect(client));
});

Deno.test("a private key on a curve that the runtime lacks is refused by the name of the curve", async () => {
  const key = tlv(Tag.octetString, new Uint8Array(24).fill(1));
  const ecPrivateKey = tlv(Tag.sequence, integer(Uint8Array.of(1)), key);
  const ec = tlv(Tag.sequence, oid("1.2.840.10045.2.1"), oid("1.3.36.3.3.2.8.1.1.9"));
  const pkcs8 = tlv(
    Tag.sequence,
    integer(new Uint8Array(1)),
    ec,
    tlv(Tag.octetString, ecPrivateKey),
  );
  assertEquals(
    await SigningKey.fromDer("PRIVATE KEY", pkcs8),
    "its key type is not supported (EC brainpoolP320r1)",
  );
});
