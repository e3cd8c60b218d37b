/**
 * `ouro pki`: layout, modes, nothing overwritten, clear refusals.
 * Chains of what it makes, by key type: tests/slow/pki.
 */

import { assert, assertEquals } from "@std/assert";
import { main } from "../../../pki/main.ts";
import { check } from "../../../pki/check.ts";
import { init, leaf, type MakeOptions } from "../../../pki/make.ts";
import { PkiError } from "../../../pki/files.ts";
import { list } from "../../../pki/inventory.ts";
import { encodePem } from "../../../security/pem.ts";
import { pkiOptions, SecDir } from "../../support/security_dir.ts";

const options = (sec: SecDir, over: Partial<MakeOptions> = {}) => pkiOptions(sec.dir, over);

async function refusal(made: () => Promise<unknown>): Promise<string> {
  try {
    await made();
  } catch (e) {
    if (e instanceof PkiError) return e.message;
    throw e;
  }
  throw new Error("was not refused");
}

const mode = (path: string) => (Deno.statSync(path).mode! & 0o777).toString(8);

Deno.test("init, server, client: files where the IRMd looks, keys 0600, settings as asked", async () => {
  using sec = new SecDir();
  await init(options(sec));
  await leaf(options(sec, { encrypt: true, kex: "X448" }), "server", "svc", "svc");
  await leaf(options(sec, { requireAuth: true }), "client", "svc", "alice");
  assertEquals(mode(`${sec.dir}/private`), "700");
  for (
    const key of [
      "private/root.key.pem",
      "private/intermediate.key.pem",
      "server/svc/key.pem",
      "client/svc/key.pem",
    ]
  ) assertEquals(mode(`${sec.dir}/${key}`), "600");
  const read = (p: string) => Deno.readTextFileSync(`${sec.dir}/${p}`);
  assert(read("server/svc/enc.conf").includes("kex = X448\ncipher = aes-256-gcm\n"));
  assert(/require-auth = yes\nnone\n$/.test(read("client/svc/enc.conf")));
  const report = await check(sec.dir, undefined);
  assertEquals(report.ok, true, report.text);
  assert(report.text.includes("ok   server svc: authenticates as svc until"));
  assert(report.text.includes("ok   client svc: authenticates as alice until"));
});

Deno.test("nothing is overwritten without force, and then not a part of it", async () => {
  using sec = new SecDir();
  await init(options(sec));
  await leaf(options(sec), "server", "svc", "svc");
  const before = await Deno.readTextFile(`${sec.dir}/server/svc/key.pem`);
  await Deno.remove(`${sec.dir}/server/svc/crt.pem`);
  const why = await refusal(() => leaf(options(sec), "server", "svc", "svc"));
  assert(why.includes("key.pem exists") && why.includes("--force"));
  assertEquals((await Array.fromAsync(Deno.readDir(`${sec.dir}/server/svc`))).map((e) => e.name), [
    "key.pem",
  ]);
  assertEquals(await Deno.readTextFile(`${sec.dir}/server/svc/key.pem`), before);
  await leaf(options(sec, { force: true }), "server", "svc", "svc");
  assert(await Deno.readTextFile(`${sec.dir}/server/svc/key.pem`) !== before);
  assert((await refusal(() => init(options(sec)))).includes("exists"));
});

Deno.test("refusals: no CA yet, names that leave the directory, Ed25519 beside enc.conf", async () => {
  using sec = new SecDir();
  assert((await refusal(() => leaf(options(sec), "server", "a", "a"))).includes("ouro pki init"));
  await init(options(sec));
  assert((await refusal(() => leaf(options(sec), "server", "../a", "../a"))).includes("leave"));
  assert((await refusal(() => leaf(options(sec), "client", "a", "x/y"))).includes("leave"));
  const ed = options(sec, { keyType: "ed25519", encrypt: true });
  assert((await refusal(() => leaf(ed, "server", "a", "a"))).includes("enc.conf"));
});

Deno.test("check: finds another pair's key, a readable key, another name, a bad enc.conf", async () => {
  using sec = new SecDir();
  await init(options(sec));
  for (const name of ["a", "b"]) await leaf(options(sec), "server", name, name);
  const copy = (file: string) =>
    Deno.copyFileSync(`${sec.dir}/server/b/${file}`, `${sec.dir}/server/a/${file}`);
  const found = async (part: string) => {
    const report = await check(sec.dir, undefined);
    assertEquals(report.ok, false);
    assert(report.text.includes(part), report.text);
  };
  copy("key.pem");
  await found("FAIL server a: certificate and key are not a pair");
  copy("crt.pem");
  await found('FAIL server a: the certificate is for "b"');
  await Deno.chmod(`${sec.dir}/server/a/key.pem`, 0o644);
  await found("mode 0644");
  sec.write("server/b/enc.conf", "kex=nothing\n");
  await found('bad value of kex: "nothing"');
});

Deno.test("check: lists lines that the prototype passes over, fails where a policy would be lost", async () => {
  using sec = new SecDir();
  await init(options(sec));
  const path = sec.write("client/srv/enc.conf", "none\nfoo = bar\n");
  const listed = await check(sec.dir, "srv");
  assertEquals(listed.ok, true, listed.text);
  assert(listed.text.includes(`warn client srv: ${path}: line 2: unknown key "foo"`), listed.text);
  sec.write("client/srv/enc.conf", "none\nrequire_auth = yes\n");
  const lost = await check(sec.dir, "srv");
  assertEquals(lost.ok, false);
  assert(lost.text.includes("FAIL client srv") && lost.text.includes("line 2"), lost.text);
});

Deno.test("init --force does not make keys without passphrase out of keys with one", async () => {
  using sec = new SecDir();
  await init(options(sec));
  sec.write("private/root.key.pem", encodePem("ENCRYPTED PRIVATE KEY", new Uint8Array(60)));
  const before = await Deno.readTextFile(`${sec.dir}/cacert/root.pem`);
  const why = await refusal(() => init(options(sec, { force: true })));
  assert(why.includes("root.key.pem has a passphrase") && why.includes("--passphrase-file"), why);
  assertEquals(await Deno.readTextFile(`${sec.dir}/cacert/root.pem`), before);
});

Deno.test("list says that a certificate is not trusted rather than that it ends soon", async () => {
  using sec = new SecDir();
  await init(options(sec));
  await leaf(options(sec, { days: 9 }), "server", "svc", "svc");
  assert(/svc\/crt.pem\) expires in/.test((await list(options(sec))).text));
  await init(options(sec, { force: true }));
  assert(/svc\/crt.pem\) not trusted/.test((await list(options(sec))).text));
});

Deno.test("main() understands its words or says what it does not understand", async () => {
  using sec = new SecDir();
  const at = ["--security", sec.dir];
  assertEquals(await main(["init", ...at, "--json"]), 0);
  assertEquals(await main(["server", "svc", ...at, "--kex", "ML-KEM-768"]), 0);
  assertEquals(await main(["client", "svc", "--as", "bob", ...at]), 0);
  assertEquals(await main(["kem", "svc", "--kex", "X448MLKEM1024", ...at]), 0);
  assertEquals(await main(["show", `${sec.dir}/server/svc/crt.pem`]), 0);
  assertEquals(await main(["check", ...at]), 0);
  assertEquals(await main(["server", "svc", ...at]), 1, "exists");
  for (
    const words of [
      [],
      ["nothing"],
      ["server"],
      ["client", "svc"],
      ["init", "x"],
      ["server", "svc", "more"],
      ["server", "svc", "--as", "x"],
      ["init", "--key", "dsa"],
      ["init", "--days", "0"],
      ["init", "--days", "x"],
      ["init", "--days", "0x10"],
      ["init", "--days", "1e2"],
      ["init", "--days", " 9"],
      ["init", "--days", ""],
      ["server", "svc", "--kex", "P-256"],
      ["server", "svc", "--cipher", "des"],
      ["init", "--bogus"],
      // What would be passed over, or mean something else.
      ["init", "--require-auth"],
      ["request", "server", "svc", "--encrypt"],
      ["server", "svc", "--name", "other.example"],
      ["server", "svc", "--alt", "a.example", "--alt", "b.example"],
      ["server", "svc", "--alt", ""],
      ["check", "--trust", "elsewhere"],
    ]
  ) assertEquals(await main([...words, ...at]), 2, words.join(" "));
  // A name or serial number of digits is a word.
  assertEquals(await main(["server", "007", ...at]), 0);
  assert((await Deno.stat(`${sec.dir}/server/007/crt.pem`)).isFile);
});
