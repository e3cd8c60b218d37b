/**
 * Files of the security directory: never less security than was configured (spec 40 §18.4, 21, 22),
 * and changes are seen without a restart.
 */

import { assertEquals } from "@std/assert";
import { check } from "../../../pki/check.ts";
import { init, leaf } from "../../../pki/make.ts";
import { isOapFailure } from "../../../security/oap/mod.ts";
import type { NameSecurity } from "../../../security/oap/mod.ts";
import { checkPathsReadableBy } from "../../../security/path_access.ts";
import { nameRefusal } from "../../../security/files.ts";
import { DEFAULTS, ensure, KeptLog, pkiOptions, SecDir } from "../../support/security_dir.ts";

const NAME = "svc";

async function pki(sec: SecDir): Promise<void> {
  const o = pkiOptions(sec.dir);
  await init(o);
  await leaf(o, "server", NAME, NAME);
  await leaf(o, "client", NAME, "alice");
}

/** Both sides of one name refuse for `part`, each with its code. */
async function bothRefuse(
  sec: SecDir,
  code: number,
  part: string,
  name = NAME,
  paths: NameSecurity = DEFAULTS,
): Promise<KeptLog> {
  const log = new KeptLog();
  const service = sec.service(log);
  const request = await new SecDirless().request();
  const served = await service.serve(paths, name, request);
  ensure(isOapFailure(served), "the server did not refuse");
  assertEquals(served.code, code);
  ensure(served.reason.includes(part), `"${served.reason}" does not say "${part}"`);
  const session = await service.prepare(paths, name);
  ensure(isOapFailure(session), "the client did not refuse");
  assertEquals(session.code, -9);
  ensure(session.reason.includes(part), `"${session.reason}" does not say "${part}"`);
  return log;
}

/** A plain request from a host without security files. */
class SecDirless {
  async request(): Promise<Uint8Array> {
    using sec = new SecDir();
    const session = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
    ensure(!isOapFailure(session));
    return session.request;
  }
}

Deno.test("credentials: half of a pair refuses the flow, with the path", async () => {
  for (const lost of ["key.pem", "crt.pem"]) {
    using sec = new SecDir();
    await pki(sec);
    for (const side of ["server", "client"]) {
      await Deno.remove(`${sec.dir}/${side}/${NAME}/${lost}`);
    }
    const log = await bothRefuse(sec, -1009, `${lost}: does not exist`);
    ensure(log.has(`(EE): Failed to load ${sec.dir}/server/${NAME}/${lost} for ${NAME}.`));
    ensure(log.has(`(EE): Failed to load security keys for ${NAME}.`));
  }
});

Deno.test("several certificates or keys in a file: the first is used, and that is said", async () => {
  using sec = new SecDir();
  await pki(sec);
  const log = new KeptLog();
  for (const file of ["crt.pem", "key.pem"]) {
    const text = await Deno.readTextFile(`${sec.dir}/client/${NAME}/${file}`);
    sec.write(`client/${NAME}/${file}`, text + text);
  }
  const session = await sec.service(log).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session));
  ensure(log.has("crt.pem: of its 2 certificates the first alone is used and sent"));
  ensure(log.has("key.pem: of its 2 private keys the first alone is used."));
  const { text } = await check(sec.dir, NAME);
  ensure(/warn client svc: .*of its 2 private keys/.test(text), text);
});

Deno.test("private keys that others can use are refused, with mode and remedy", async () => {
  for (const mode of [0o604, 0o640, 0o660, 0o644, 0o602]) {
    using sec = new SecDir();
    await pki(sec);
    for (const side of ["server", "client"]) {
      await Deno.chmod(`${sec.dir}/${side}/${NAME}/key.pem`, mode);
    }
    await bothRefuse(sec, -1009, `mode 0${mode.toString(8)}`);
  }
});

Deno.test("private keys of another user are refused", async () => {
  if (Deno.uid() !== 0) return; // Only root can give a file away.
  using sec = new SecDir();
  await pki(sec);
  for (const side of ["server", "client"]) {
    await Deno.chown(`${sec.dir}/${side}/${NAME}/key.pem`, 12345, 12345);
  }
  await bothRefuse(sec, -1009, "belongs to uid 12345");
});

Deno.test("enc.conf that is a directory, a dangling link or bad refuses the flow", async () => {
  const spoil: [string, (path: string) => void, string][] = [
    ["directory", (p) => Deno.mkdirSync(p, { recursive: true }), "not a regular file"],
    ["link", (p) => Deno.symlinkSync("/nonexistent/enc.conf", p), "link to a file that does not"],
    ["bad word", (p) => Deno.writeTextFileSync(p, "kex=foo\n"), 'line 1: bad value of kex: "foo"'],
    ["bad policy", (p) => Deno.writeTextFileSync(p, "none\nrequire-auth=maybe\n"), "require-auth"],
    ["huge", (p) => Deno.writeFileSync(p, new Uint8Array(2 << 20)), "too large"],
  ];
  for (const [what, make, part] of spoil) {
    using sec = new SecDir();
    for (const side of ["server", "client"]) {
      await Deno.mkdir(`${sec.dir}/${side}/${NAME}`, { recursive: true });
      make(`${sec.dir}/${side}/${NAME}/enc.conf`);
    }
    const log = await bothRefuse(sec, -1008, part);
    ensure(log.has(`(WW): Failed to load ${sec.dir}/server/${NAME}/enc.conf for ${NAME}.`), what);
    ensure(log.has(`(EE): Failed to load KEX config for ${NAME}.`), what);
  }
});

Deno.test("credentials: DER, encrypted keys, empty files and public keys are refused", async () => {
  const spoil: [string, string, string][] = [
    ["crt.pem", "", "no PEM certificate"],
    [
      "crt.pem",
      "-----BEGIN TRUSTED CERTIFICATE-----\nAAAA\n-----END TRUSTED CERTIFICATE-----\n",
      "no PEM",
    ],
    [
      "key.pem",
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
      "encrypted",
    ],
    [
      "key.pem",
      "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
      "no PEM private key",
    ],
    ["key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"],
  ];
  for (const [file, contents, part] of spoil) {
    using sec = new SecDir();
    await pki(sec);
    for (const side of ["server", "client"]) sec.write(`${side}/${NAME}/${file}`, contents);
    await bothRefuse(sec, -1009, part);
  }
});

Deno.test("paths that were asked for and are gone refuse the flow", async () => {
  using sec = new SecDir();
  const gone = `${sec.dir}/gone`;
  const nowhere = { enc: "", crt: "", key: "" };
  const crt = { ...nowhere, crt: gone };
  const enc = { ...nowhere, enc: gone };
  await bothRefuse(sec, -1009, "gone: does not exist", NAME, {
    ...DEFAULTS,
    server: crt,
    client: crt,
  });
  await bothRefuse(sec, -1008, "gone: does not exist", NAME, {
    ...DEFAULTS,
    server: enc,
    client: enc,
  });
});

Deno.test("paths that were asked for are used: sencpath and cencpath have effect", async () => {
  using sec = new SecDir();
  const enc = sec.write("elsewhere/my.conf", "kex=X448\n");
  const paths = { enc, crt: "", key: "" };
  const log = new KeptLog();
  const service = sec.service(log);
  const session = await service.prepare({ ...DEFAULTS, client: paths }, NAME);
  ensure(!isOapFailure(session));
  assertEquals(session.request.length, 36 + 68);
  const served = await service.serve({ ...DEFAULTS, server: paths }, NAME, session.request);
  ensure(!isOapFailure(served) && served.cipherNid === 901);
});

Deno.test("names that would leave the directory are refused", async () => {
  using sec = new SecDir();
  for (const name of ["../svc", "a/b", "..", ".", "", "a\0b"]) {
    ensure(nameRefusal(name) !== undefined, name);
    await bothRefuse(sec, -1009, "name", name);
  }
  for (const name of ["a..b", "...", "ns=1", "é", "-x"]) assertEquals(nameRefusal(name), undefined);
});

Deno.test("enc.cfg is accepted with a warning, enc.conf goes before it", async () => {
  using sec = new SecDir();
  sec.write(`client/${NAME}/enc.cfg`, "");
  const log = new KeptLog();
  const service = sec.service(log);
  const session = await service.prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session) && session.request.length === 36 + 91);
  ensure(log.has(`(WW): Using ${sec.dir}/client/${NAME}/enc.cfg for ${NAME}: rename it`));
  sec.write(`client/${NAME}/enc.conf`, "none\n");
  const plain = await service.prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(plain) && plain.request.length === 36);
});

Deno.test("files are read again when they change, one service for all", async () => {
  using sec = new SecDir();
  const service = sec.service(new KeptLog());
  const length = async () => {
    const session = await service.prepare(DEFAULTS, NAME);
    return isOapFailure(session) ? session.reason : session.request.length;
  };
  assertEquals(await length(), 36);
  const path = sec.write(`client/${NAME}/enc.conf`, "kex=X25519\n");
  assertEquals(await length(), 36 + 44);
  // Same size, a moment later.
  sec.write(`client/${NAME}/enc.conf`, "kex=X448  \n");
  assertEquals(await length(), 36 + 68);
  // Old enough to be remembered, then replaced by a rename with an older time.
  await Deno.utime(path, 1000, 1000);
  assertEquals(await length(), 36 + 68);
  const other = sec.write("other", "kex=X25519\n");
  await Deno.utime(other, 1000, 1000);
  await Deno.rename(other, path);
  assertEquals(await length(), 36 + 44);
  await Deno.remove(path);
  assertEquals(await length(), 36);
});

Deno.test("the trust store is read again when it changes, and gone when it is damaged", async () => {
  using sec = new SecDir();
  await pki(sec);
  const request = async () => {
    const session = await sec.service(new KeptLog()).prepare(DEFAULTS, NAME);
    ensure(!isOapFailure(session));
    return session.request;
  };
  const root = `${sec.dir}/cacert/root.pem`;
  ensure(!isOapFailure(await sec.service(new KeptLog()).serve(DEFAULTS, NAME, await request())));
  await Deno.rename(root, `${sec.dir}/root.away`);
  const without = await sec.service(new KeptLog()).serve(DEFAULTS, NAME, await request());
  ensure(isOapFailure(without) && without.reason.includes("is a trusted root"));
  sec.write("cacert/README", "not a certificate");
  const log = new KeptLog();
  const failed = await sec.service(log).start();
  ensure(isOapFailure(failed) && failed.reason.includes("README"));
  ensure(log.has(`(EE): Failed to load certificate from ${sec.dir}/cacert/README.`));
  ensure(log.has("(EE): Failed to load CA certificates."));
  const damaged = await sec.service(new KeptLog()).serve(DEFAULTS, NAME, await request());
  ensure(isOapFailure(damaged) && damaged.reason.includes("cannot be loaded"));
});

Deno.test("start() accepts missing directories and refuses odd entries (spec 40 §13.2)", async () => {
  using sec = new SecDir();
  assertEquals(await sec.service(new KeptLog()).start(), undefined);
  await Deno.mkdir(`${sec.dir}/untrusted/sub`, { recursive: true });
  ensure(isOapFailure(await sec.service(new KeptLog()).start()));
  await Deno.remove(`${sec.dir}/untrusted/sub`);
  await Deno.symlink("/nonexistent", `${sec.dir}/untrusted/dangling`);
  assertEquals(await sec.service(new KeptLog()).start(), undefined);
  sec.write("cacert", "a file");
  const log = new KeptLog();
  ensure(isOapFailure(await sec.service(log).start()));
  ensure(log.has("cacert is not a directory."));
});

Deno.test("checkPathsReadableBy() lets a caller name only what it can read itself", () => {
  using sec = new SecDir();
  Deno.chmodSync(sec.dir, 0o755);
  const open = sec.write("open/key.pem", "x", 0o644);
  const mine = sec.write("open/mine.pem", "x", 0o600);
  const group = sec.write("open/group.pem", "x", 0o640);
  const hidden = sec.write("hidden/key.pem", "x", 0o644);
  Deno.chmodSync(`${sec.dir}/hidden`, 0o700);
  Deno.symlinkSync(mine, `${sec.dir}/open/link.pem`);
  const link = `${sec.dir}/open/link.pem`;
  const uid = 54321;
  assertEquals(checkPathsReadableBy(["", open], uid, [uid]), undefined);
  for (
    const path of [mine, group, hidden, link, `${sec.dir}/open`, `${sec.dir}/absent`, "key.pem"]
  ) {
    ensure(checkPathsReadableBy([open, path], uid, [uid])?.includes(path), path);
  }
  assertEquals(checkPathsReadableBy([mine, hidden, `${sec.dir}/absent`], 0, [0]), undefined);
  const gid = Deno.statSync(group).gid!;
  assertEquals(checkPathsReadableBy([group], uid, [uid, gid]), undefined);
  // The owner's bits count for the owner, even when others have more.
  const odd = sec.write("open/odd.pem", "x", 0o044);
  const owner = Deno.statSync(odd).uid!;
  if (owner !== 0) ensure(checkPathsReadableBy([odd], owner, [gid]));
});

Deno.test("paths of a user are used only while that user can read them", async () => {
  if (Deno.uid() !== 0) return; // Only root can play another user.
  using sec = new SecDir();
  await pki(sec);
  await Deno.chmod(sec.dir, 0o755);
  const uid = 54321;
  const given = (file: string) => {
    const path = sec.write(
      `theirs/${file}`,
      Deno.readTextFileSync(`${sec.dir}/server/${NAME}/${file}`),
    );
    Deno.chownSync(path, uid, uid);
    return path;
  };
  const [crt, key] = [given("crt.pem"), given("key.pem")];
  const server = { enc: "", crt, key };
  const paths = { ...DEFAULTS, server, owner: { uid, gids: [uid] } };
  const serve = async () => {
    const request = await new SecDirless().request();
    return await sec.service(new KeptLog()).serve(paths, NAME, request);
  };
  ensure(!isOapFailure(await serve()), "their own key is good");
  // The swap: a link to the key of another, which root could read for them.
  await Deno.remove(key);
  await Deno.symlink(`${sec.dir}/server/${NAME}/key.pem`, key);
  const got = await serve();
  ensure(isOapFailure(got) && got.code === -1009);
  ensure(got.reason.includes(`cannot be read by uid ${uid}`), got.reason);
});
