/** What is proved here: files and directories that set security count only when nobody else may write them. */

import { assertEquals, assertMatch } from "@std/assert";
import { isFileRefusal, SecurityFiles } from "../../../security/files.ts";
import { TrustFiles } from "../../../security/trust_files.ts";
import { othersMayWrite } from "../../../security/writable.ts";
import { Logger, nullSink } from "../../../lib/log.ts";

const log = new Logger(nullSink, "test");
const ROOT = Deno.uid() === 0;

Deno.test("othersMayWrite(): the owner, others, a foreign group; root, who runs it and who may are fine", () => {
  const own = { uid: Deno.uid(), gid: Deno.gid() };
  const cases: [number, number | null, number, RegExp | undefined][] = [
    [0o644, own.gid, own.uid ?? 0, undefined],
    [0o664, own.gid, own.uid ?? 0, undefined],
    [0o664, 4711, 0, /can be changed by others \(mode 0664: chmod go-w \/x\)/],
    [0o646, 0, 0, /mode 0646/],
    [0o600, 0, 4711, /belongs to uid 4711/],
    [0o600, 0, 4712, undefined],
  ];
  for (const [mode, gid, uid, expected] of cases) {
    const got = othersMayWrite("/x", { mode, gid, uid }, 4712);
    if (expected === undefined) assertEquals(got, undefined);
    else assertMatch(got!, expected);
  }
});

Deno.test("a policy that others may write, take away or put there is refused, with the remedy", async () => {
  const prefix = await Deno.makeTempDir();
  const dir = `${prefix}/security/server/n`;
  const enc = `${dir}/enc.conf`;
  try {
    await Deno.mkdir(dir, { recursive: true });
    await Deno.writeTextFile(enc, "kex = X25519\n", { mode: 0o644 });
    const files = new SecurityFiles(`${prefix}/security`, log);
    const why = async (): Promise<string | undefined> => {
      const f = files.locate("server", "n", { enc: "", crt: "", key: "" }, "");
      if (isFileRefusal(f)) return f.reason;
      const conf = await files.encConf(f, "n");
      return isFileRefusal(conf) ? conf.reason : undefined;
    };
    assertEquals(await why(), undefined);
    for (const path of [enc, dir, `${prefix}/security/server`, `${prefix}/security`, prefix]) {
      const mode = (await Deno.stat(path)).mode! & 0o777;
      await Deno.chmod(path, mode | 0o002);
      assertMatch((await why())!, /can be changed by others/, path);
      await Deno.chmod(path, mode);
    }
    // Nothing is there, and others could say what will be.
    await Deno.remove(enc);
    await Deno.chmod(dir, 0o777);
    assertMatch((await why())!, /can be changed by others/);
    await Deno.remove(dir);
    await Deno.chmod(`${prefix}/security/server`, 0o777);
    assertMatch((await why())!, /can be changed by others/);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});

Deno.test("a file that was asked for counts only where nobody else can put another in its place", async () => {
  const dir = await Deno.makeTempDir();
  const enc = `${dir}/enc.conf`;
  try {
    await Deno.writeTextFile(enc, "kex = X25519\n", { mode: 0o644 });
    const files = new SecurityFiles(`${dir}/node/etc/security`, log);
    const locate = () => files.locate("server", "n", { enc, crt: "", key: "" }, "");
    assertEquals(isFileRefusal(locate()), false);
    await Deno.chmod(dir, 0o777);
    const refused = locate();
    assertMatch(isFileRefusal(refused) ? refused.reason : "", /can be changed by others/);
    // As in /tmp, nobody removes what is another's.
    await Deno.chmod(dir, 0o1777);
    assertEquals(isFileRefusal(locate()), !ROOT);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test({
  name: "a trust store that others may write is none, from the moment on that they may",
  ignore: !ROOT,
  fn() {
    const prefix = Deno.makeTempDirSync();
    const cacert = `${prefix}/security/cacert`;
    try {
      Deno.mkdirSync(cacert, { recursive: true });
      const trust = new TrustFiles(`${prefix}/security`, log);
      assertEquals(trust.load(), undefined);
      Deno.chmodSync(cacert, 0o777);
      assertMatch(String(trust.current()), /can be changed by others/);
      Deno.chmodSync(cacert, 0o755);
      assertEquals(typeof trust.current(), "object");
      Deno.chownSync(`${prefix}/security`, 65534, 65534);
      assertMatch(String(trust.current()), /belongs to uid 65534/);
    } finally {
      Deno.removeSync(prefix, { recursive: true });
    }
  },
});
