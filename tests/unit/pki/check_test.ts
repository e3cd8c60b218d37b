/** `ouro pki check` says what the IRMd would refuse, and warns of what nobody looks at. */

import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { generateKeyPairSync, sign } from "node:crypto";
import { check } from "../../../pki/check.ts";
import { PkiError } from "../../../pki/files.ts";
import { list, revoke, unrevoke } from "../../../pki/inventory.ts";
import { init, leaf } from "../../../pki/make.ts";
import { signRequest } from "../../../pki/renew.ts";
import { verify } from "../../../pki/verify.ts";
import { oid, Tag, tlv } from "../../../security/der.ts";
import { encodePem } from "../../../security/pem.ts";
import * as make from "../../support/certificates.ts";
import { pkiOptions, SecDir } from "../../support/security_dir.ts";

const DAY_MS = 86_400_000;
async function made(sec: SecDir): Promise<void> {
  const o = pkiOptions(sec.dir);
  await init(o);
  await leaf(o, "server", "a.srv", "a.srv");
}

Deno.test("pki check warns of files and directories that nobody looks at", async () => {
  using sec = new SecDir();
  await made(sec);
  assertEquals((await check(sec.dir, undefined)).text.includes("warn"), false);
  sec.write("server/a.srv/enc.conf.txt", "require-auth = yes");
  sec.write("revoke/a.pem", "");
  const { ok, text } = await check(sec.dir, undefined);
  assertEquals(ok, true);
  assertMatch(text, /warn trust store: nobody looks at .*\/revoke\n/);
  assertMatch(text, /warn server a\.srv: nobody looks at .*\/enc\.conf\.txt\n/);
  assertMatch((await check(sec.dir, "b.srv")).text, /server b\.srv: no files: its flows are plain/);
});

Deno.test("a directory of certificates that is a link to nothing refuses", async (t) => {
  for (const name of ["cacert", "untrusted", "revoked"]) {
    await t.step(name, async () => {
      using sec = new SecDir();
      await made(sec);
      await Deno.remove(`${sec.dir}/${name}`, { recursive: true }).catch(() => {});
      await Deno.symlink("/nonexistent", `${sec.dir}/${name}`);
      const { ok, text } = await check(sec.dir, undefined);
      assertEquals(ok, false);
      assertMatch(text, new RegExp(`FAIL trust store: .*/${name} is a link to nothing`));
    });
  }
});

Deno.test("pki check refuses what contradicts itself, and a key exchange that the client itself refuses", async () => {
  using sec = new SecDir();
  const said = async (side: string, text: string) => {
    sec.write(`${side}/a.srv/enc.conf`, text);
    return await check(sec.dir, undefined);
  };
  const against = await said("server", "none\nrefuse-ctr = yes\n");
  assertEquals(against.ok, false);
  assertMatch(
    against.text,
    /FAIL server a\.srv: .*\/enc\.conf: refuse-ctr \(line 2\) contradicts none \(line 1\)/,
  );
  const weak = "kex = X25519\nmin-kex = ML-KEM-768\n";
  assertEquals((await said("server", weak)).ok, true);
  const client = await said("client", weak);
  assertEquals(client.ok, false);
  assertMatch(client.text, /FAIL client a\.srv: .*X25519 too weak \(min-kex\)/);
});

Deno.test("a revoked issuer is named as such", async () => {
  using sec = new SecDir();
  await made(sec);
  for (const [dir, file] of [["cacert", "root.pem"], ["untrusted", "intermediate.pem"]]) {
    sec.write("revoked/x.pem", await Deno.readTextFile(`${sec.dir}/${dir}/${file}`));
    const leaf = `${sec.dir}/server/a.srv/crt.pem`;
    const { ok, text } = await verify({ leaf, securityDir: sec.dir, atMs: Date.now() });
    assertEquals(ok, false);
    assertMatch(text, /certificate ".*" is revoked/);
  }
});

Deno.test("pki check refuses a server's certificate for clients, and names that its CA may not give", async () => {
  const pairs = Array.from(
    { length: 2 },
    () => generateKeyPairSync("ec", { namedCurve: "prime256v1" }),
  );
  const [ca, key] = pairs as [typeof pairs[0], typeof pairs[0]];
  const shape = {
    serial: Uint8Array.of(1),
    issuer: make.dn("CN=CA"),
    notBefore: make.timeOf(Date.now() - DAY_MS),
    notAfter: make.timeOf(Date.now() + 60 * DAY_MS),
    signer: ca,
    signature: "ecdsa-sha256" as const,
  };
  const pem = (s: make.Shape) => encodePem("CERTIFICATE", make.certificate(s));
  const root = (constraints: Uint8Array[]) =>
    pem({
      ...shape,
      subject: make.dn("CN=CA"),
      key: ca,
      extensions: [make.basicConstraints(true), ...constraints],
    });
  const crt = (extensions: Uint8Array[]) =>
    pem({ ...shape, subject: make.dn("CN=a.srv"), key, extensions });
  const said = async (ca: string, own: string) => {
    using sec = new SecDir();
    sec.write("cacert/root.pem", ca);
    sec.write("server/a.srv/crt.pem", own);
    const pkcs8 = key.privateKey.export({ format: "pem", type: "pkcs8" }).toString();
    sec.write("server/a.srv/key.pem", pkcs8, 0o600);
    return (await check(sec.dir, undefined)).text;
  };
  assertMatch(await said(root([]), crt([])), /ok\s+server a\.srv/);
  const client = crt([make.purposes(["1.3.6.1.5.5.7.3.2"])]);
  assertMatch(await said(root([]), client), /FAIL server a\.srv: .*for clients alone/);
  const limits = [make.nameConstraints(["dns:example.com"], [])];
  const alt = crt([make.altNames(["dns:b.example.com"])]);
  assertMatch(await said(root(limits), alt), /FAIL server a\.srv: .*constraints exclude "a\.srv"/);
});

Deno.test("pki verify and list say what does not count", async () => {
  using sec = new SecDir();
  await made(sec);
  const crt = `${sec.dir}/server/a.srv/crt.pem`;
  const root = await Deno.readTextFile(`${sec.dir}/cacert/root.pem`);
  sec.write("two.pem", await Deno.readTextFile(crt) + root);
  sec.write(
    "untrusted/two.pem",
    await Deno.readTextFile(`${sec.dir}/untrusted/intermediate.pem`) + root,
  );
  const options = { leaf: `${sec.dir}/two.pem`, securityDir: sec.dir, atMs: Date.now() };
  const { ok, text } = await verify(options);
  assertEquals(ok, true);
  assertMatch(text, /warn .*two\.pem: of its 2 blocks the first certificate counts\n/);
  assertMatch(text, /warn .*untrusted\/two\.pem has 2 blocks; only the first certificate counts\n/);
  await init(pkiOptions(sec.dir, { force: true }));
  assertMatch((await list(pkiOptions(sec.dir))).text, /a\.srv\/crt\.pem\) not trusted: /);
});

Deno.test("pki revoke says what a CA takes with it, and what it could not look at", async () => {
  using sec = new SecDir();
  await made(sec);
  sec.write("issued/odd.pem", "odd");
  const { text } = revoke(pkiOptions(sec.dir), "test intermediate");
  assertMatch(text, /it is a CA: all that it issued is refused, too/);
  assertMatch(text, /warning: not looked at: .*issued\/odd\.pem/);
  assertThrows(() => unrevoke(pkiOptions(sec.dir), "a.srv"), PkiError, "in revoked/");
});

Deno.test("pki sign says what of a request is not in the certificate", async () => {
  const pair = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const alt = (n: number) =>
    make.altNames([...Array.from({ length: n }, (_, i) => `dns:n${i}.srv`), "ip:01020304"]);
  const csr = (...extensions: Uint8Array[]) => {
    const request = tlv(
      Tag.sequence,
      oid("1.2.840.113549.1.9.14"),
      tlv(0x31, tlv(Tag.sequence, ...extensions.map((e) => e.slice()))),
    );
    const info = tlv(
      Tag.sequence,
      tlv(Tag.integer, new Uint8Array(1)),
      make.dn("CN=a.srv"),
      new Uint8Array(pair.publicKey.export({ format: "der", type: "spki" })),
      tlv(0xa0, request),
    );
    const signature = new Uint8Array(sign("sha256", info, pair.privateKey));
    const algorithm = tlv(Tag.sequence, oid("1.2.840.10045.4.3.2"));
    return encodePem(
      "CERTIFICATE REQUEST",
      tlv(Tag.sequence, info, algorithm, tlv(Tag.bitString, new Uint8Array(1), signature)),
    );
  };
  using sec = new SecDir();
  await made(sec);
  const signed = async (request: string) => {
    const path = sec.write("a.csr", request);
    return (await signRequest(pkiOptions(sec.dir, { force: true }), "server", path, undefined))
      .text;
  };
  const text = await signed(csr(alt(2), make.basicConstraints(true)));
  assertMatch(text, /names: a\.srv, n0\.srv, n1\.srv\n/);
  assertMatch(text, /asked for and left out: a name of the form IP address\n/);
  assertMatch(text, /asked for and left out: extension 2\.5\.29\.19\n/);
  await assertRejects(() => signed(csr(alt(40))), PkiError, "more than 32");
});
