/** `ouro pki` over the years of a CA: requests, renewal, revocation, passphrases; checked with openssl. */

import { assert, assertEquals } from "@std/assert";
import { check } from "../../../pki/check.ts";
import { loadCa, readCertificate } from "../../../pki/ca.ts";
import { readRequest } from "../../../pki/csr.ts";
import { PkiError } from "../../../pki/files.ts";
import { list, revoke, unrevoke } from "../../../pki/inventory.ts";
import { KEY_TYPES } from "../../../pki/key_types.ts";
import { main } from "../../../pki/main.ts";
import { init, leaf, type MakeOptions } from "../../../pki/make.ts";
import { renew, request, signRequest } from "../../../pki/renew.ts";
import { PeerCertificate } from "../../../security/certificate.ts";
import { onePem } from "../../../security/pem.ts";
import { TrustFiles } from "../../../security/trust_files.ts";
import { KeptLog, pkiOptions, SecDir } from "../../support/security_dir.ts";

const options = (sec: SecDir, over: Partial<MakeOptions> = {}) => pkiOptions(sec.dir, over);

async function refusal(made: () => Promise<unknown> | unknown): Promise<string> {
  try {
    await made();
  } catch (e) {
    if (e instanceof PkiError) return e.message;
    throw e;
  }
  throw new Error("was not refused");
}

async function openssl(...args: string[]): Promise<{ ok: boolean; said: string }> {
  const command = new Deno.Command("openssl", { args, stdout: "piped", stderr: "piped" });
  const { success, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  return { ok: success, said: text.decode(stdout) + text.decode(stderr) };
}

const isHere = await openssl("version").then((r) => r.ok, () => false);

/** What `openssl verify -x509_strict` says of a leaf of the directory. */
async function strict(sec: SecDir, path: string): Promise<void> {
  if (!isHere) return;
  const got = await openssl(
    ...["verify", "-x509_strict", "-CAfile", `${sec.dir}/cacert/root.pem`],
    ...["-untrusted", `${sec.dir}/untrusted/intermediate.pem`, `${sec.dir}/${path}`],
  );
  assert(got.ok, got.said);
}

async function trusted(sec: SecDir, path: string): Promise<string> {
  const store = new TrustFiles(sec.dir, new KeptLog().logger).current();
  if (typeof store === "string") return store;
  const verdict = await store.verify(readCertificate(`${sec.dir}/${path}`), Date.now());
  return verdict.ok ? "ok" : verdict.reason;
}

const view = (sec: SecDir, path: string) => readCertificate(`${sec.dir}/${path}`).view;

Deno.test({
  name: "openssl is here and takes what these tests make (skipped: nothing below asks it)",
  ignore: !isHere,
  async fn() {
    using sec = new SecDir();
    await init(options(sec));
    await leaf(options(sec), "server", "svc", "svc");
    await strict(sec, "server/svc/crt.pem");
  },
});

Deno.test("renew: leaf, intermediate and root keep key and name; what they signed stays good", async () => {
  using sec = new SecDir();
  await init(options(sec, { days: 200 }));
  await leaf(options(sec, { days: 20 }), "server", "svc", "svc");
  const [root, im, crt] = ["cacert/root.pem", "untrusted/intermediate.pem", "server/svc/crt.pem"];
  const before = [root, im, crt].map((p) => view(sec, p!));
  const oldIm = await Deno.readTextFile(`${sec.dir}/${im}`);
  for (const what of ["root", "intermediate"] as const) {
    await renew(options(sec), what);
    assertEquals(await trusted(sec, crt!), "ok", what);
    await strict(sec, crt!);
  }
  await renew(options(sec), "server", "svc");
  await strict(sec, crt!);
  const after = [root, im, crt].map((p) => view(sec, p!));
  before.forEach((b, i) => {
    const a = after[i]!;
    assertEquals([a.spki, a.subject.canonical], [b.spki, b.subject.canonical]);
    assert(a.notAfterMs > b.notAfterMs && a.serial.toHex() !== b.serial.toHex());
  });
  // A host that has only the old intermediate still takes the new leaf.
  sec.write(im!, oldIm, 0o644);
  assertEquals(await trusted(sec, crt!), "ok");
  await strict(sec, crt!);
});

Deno.test("nothing outlives its issuer, and the report says so", async () => {
  using sec = new SecDir();
  await init(options(sec, { days: 10 }));
  const report = await leaf(options(sec), "client", "svc", "alice");
  const end = view(sec, "client/svc/crt.pem").notAfterMs;
  assertEquals(end <= view(sec, "untrusted/intermediate.pem").notAfterMs, true);
  assert(report.text.includes("note: valid until"), report.text);
  await strict(sec, "client/svc/crt.pem");
});

Deno.test("check and list warn of what ends within 30 days, issuers included", async () => {
  using sec = new SecDir();
  await init(options(sec, { days: 29 }));
  await leaf(options(sec, { days: 5 }), "server", "svc", "svc");
  const report = await check(sec.dir, undefined);
  assertEquals(report.ok, true, report.text);
  assert(report.text.includes("warn server svc: the certificate expires in 4 days"), report.text);
  assert(
    report.text.includes('its issuer\'s certificate "test intermediate" expires in 28 days'),
    report.text,
  );
  assert((await list(options(sec))).text.includes("(server/svc/crt.pem) expires in 4 days"));
});

for (const keyType of KEY_TYPES.filter((t) => !/slh|rsa[34]/.test(t))) {
  Deno.test(`${keyType}: a request is made where the key lives and signed elsewhere`, async () => {
    using ca = new SecDir();
    using host = new SecDir();
    await init(options(ca));
    const o = options(host, { keyType, altNames: ["svc.example"] });
    await request(o, "server", "svc", "svc");
    const csr = `${host.dir}/server/svc/csr.pem`;
    if (isHere && !/ml-dsa/.test(keyType)) {
      const seen = await openssl("req", "-in", csr, "-noout", "-verify", "-text");
      assert(seen.ok && seen.said.includes("DNS:svc, DNS:svc.example"), seen.said);
    }
    await signRequest(options(ca), "server", csr, undefined);
    for (const d of ["cacert", "untrusted"]) {
      await Deno.mkdir(`${host.dir}/${d}`);
      for await (const e of Deno.readDir(`${ca.dir}/${d}`)) {
        await Deno.copyFile(`${ca.dir}/${d}/${e.name}`, `${host.dir}/${d}/${e.name}`);
      }
    }
    const report = await check(host.dir, "svc");
    assert(report.text.includes("ok   server svc: authenticates as svc"), report.text);
    if (!/ml-dsa/.test(keyType)) await strict(host, "server/svc/crt.pem");
    const made = readCertificate(`${host.dir}/server/svc/crt.pem`);
    assertEquals(made.altNames, ["svc", "svc.example"]);
    // Whoever does not have the key gets no certificate for it.
    const der = onePem(await Deno.readTextFile(csr), "CERTIFICATE REQUEST") as Uint8Array;
    for (const at of [40, der.length - 3]) {
      const forged = der.slice();
      forged[at]! ^= 1;
      assertEquals(typeof await readRequest(forged), "string");
    }
  });
}

Deno.test("a request of openssl is signed; damaged files are refused with the reason", async () => {
  using ca = new SecDir();
  await init(options(ca));
  const bad = ca.write(
    "bad.pem",
    "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
  );
  assert((await refusal(() => signRequest(options(ca), "client", bad, undefined)))
    .includes("no certificate request"));
  if (!isHere) return;
  const path = `${ca.dir}/o.csr`;
  const got = await openssl(
    ...["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", `${ca.dir}/o.key`],
    ...["-out", path, "-subj", "/O=They/CN=bob", "-addext", "subjectAltName=DNS:bob,DNS:b.example"],
  );
  assert(got.ok, got.said);
  await signRequest(options(ca), "client", path, `${ca.dir}/client/bob.pem`);
  await strict(ca, "client/bob.pem");
  assertEquals(readCertificate(`${ca.dir}/client/bob.pem`).altNames, ["bob", "b.example"]);
  assert((await refusal(() => signRequest(options(ca), "client", path, `${ca.dir}/client/bob.pem`)))
    .includes("exists"));
});

Deno.test("revoke and unrevoke by side and name, file, serial number and peer's name", async () => {
  using sec = new SecDir();
  await init(options(sec));
  await leaf(options(sec), "client", "svc", "alice");
  const path = "client/svc/crt.pem";
  const serial = view(sec, path).serial.toHex();
  const ways: string[][] = [
    ["client", "svc"],
    [`${sec.dir}/${path}`],
    [serial],
    [serial.toUpperCase().replace(/..(?=.)/g, "$&:")],
    ["alice"],
  ];
  for (const way of ways) {
    revoke(options(sec), ...way);
    assertEquals(await trusted(sec, path), "it is revoked", way.join(" "));
    assert((await list(options(sec))).text.includes("revoked"));
    unrevoke(options(sec), ...way);
    assertEquals(await trusted(sec, path), "ok", way.join(" "));
  }
  assert((await refusal(() => revoke(options(sec), "mallory"))).includes("no file, serial number"));
  assert((await refusal(() => unrevoke(options(sec), "alice"))).includes("no file, serial number"));
  // One that went to another host is found by what was kept of it.
  await Deno.remove(`${sec.dir}/client/svc`, { recursive: true });
  revoke(options(sec), serial);
  const kept = PeerCertificate.readPem(await Deno.readTextFile(`${sec.dir}/revoked/${serial}.pem`));
  assert(typeof kept !== "string" && kept.commonName === "alice");
});

Deno.test("passphrase: the CAs' keys are useless without it, openssl opens them with it", async () => {
  using sec = new SecDir();
  const passphrase = "correct horse";
  await init(options(sec, { passphrase }));
  const key = `${sec.dir}/private/intermediate.key.pem`;
  assert((await Deno.readTextFile(key)).startsWith("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
  assert(
    (await refusal(() => leaf(options(sec), "server", "a", "a"))).includes("--passphrase-file"),
  );
  assert((await refusal(() => leaf(options(sec, { passphrase: "x" }), "server", "a", "a")))
    .includes("the passphrase is wrong"));
  await leaf(options(sec, { passphrase }), "server", "a", "a");
  await strict(sec, "server/a/crt.pem");
  if (!isHere) return;
  const open = await openssl(
    "pkey",
    "-in",
    key,
    "-passin",
    `pass:${passphrase}`,
    "-out",
    `${key}.open`,
  );
  assert(open.ok, open.said);
  for (const more of [[], ["-v2", "aes128"], ["-v2prf", "hmacWithSHA512"]]) {
    const back = await openssl(
      ...["pkcs8", "-topk8", "-in", `${key}.open`, "-passout", "pass:two", "-out", key, ...more],
    );
    assert(back.ok, back.said);
    await loadCa({ securityDir: sec.dir, passphrase: "two" }, "intermediate");
  }
});

Deno.test("true words: where the CA's key is, whose key it is, what init --force breaks", async () => {
  using sec = new SecDir();
  assert((await refusal(() => renew(options(sec), "root"))).includes("there is no CA"));
  await init(options(sec));
  await leaf(options(sec), "server", "svc", "svc");
  await Deno.rename(`${sec.dir}/private`, `${sec.dir}/safe`);
  const why = await refusal(() => leaf(options(sec), "server", "a", "a"));
  assert(
    why.includes("private/intermediate.key.pem is not here") && why.includes("--private"),
    why,
  );
  await leaf(options(sec, { privateDir: `${sec.dir}/safe` }), "server", "a", "a");
  await Deno.copyFile(`${sec.dir}/safe/root.key.pem`, `${sec.dir}/safe/intermediate.key.pem`);
  assert(
    (await refusal(() => leaf(options(sec, { privateDir: `${sec.dir}/safe` }), "server", "b", "b")))
      .includes("is not the key of"),
  );
  const report = await init(options(sec, { force: true }));
  assert(report.text.includes("no peer with the new root trusts these"), report.text);
  assert(report.text.includes("server/svc/crt.pem"), report.text);
});

Deno.test("main() takes the words of an administrator", async () => {
  using sec = new SecDir();
  const at = ["--security", sec.dir];
  const pass = sec.write("pass", "word\n");
  const run = (...words: string[]) => main([...words, ...at]);
  assertEquals(await run("init", "--passphrase-file", pass), 0);
  assertEquals(await run("server", "svc", "--alt", "a.example,b.example"), 1, "no passphrase");
  const p = ["--passphrase-file", pass];
  assertEquals(await run("server", "svc", "--alt", "a.example,b.example", ...p), 0);
  assertEquals(readCertificate(`${sec.dir}/server/svc/crt.pem`).altNames.length, 3);
  assertEquals(await run("request", "client", "svc", "--as", "bob"), 0);
  assertEquals(await run("sign", "client", `${sec.dir}/client/svc/csr.pem`, ...p), 0);
  assertEquals(await run("check"), 0);
  assertEquals(await run("renew", "client", "svc", ...p), 0);
  assertEquals(await run("renew", "intermediate", ...p), 0);
  assertEquals(await run("list", "--json"), 0);
  assertEquals(await run("revoke", "bob"), 0);
  assertEquals(await run("check"), 1);
  assertEquals(await run("unrevoke", "bob"), 0);
  assertEquals(await run("check"), 0);
  for (
    const words of [
      ["renew"],
      ["renew", "server"],
      ["renew", "root", "x"],
      ["request", "client", "svc"],
      ["sign", "x"],
      ["revoke"],
      ["revoke", "a", "b"],
      ["list", "x"],
      ["server", "x", "--out", "y"],
      ["request", "server", "x", "--as", "y"],
    ]
  ) assertEquals(await run(...words), 2, words.join(" "));
});
