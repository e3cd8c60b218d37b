/**
 * The built binary: how the portable form unpacks and starts in every surrounding, what its launcher
 * refuses, the compiled form with a stand-in runtime, the links, and what `ouro` answers itself.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { run, RunningProcess, type RunOptions } from "../support/process.ts";
import { until } from "../support/deadline.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const BINARY = Deno.env.get("OURO_BINARY") ?? join(ROOT, "dist/ouro");
const isPortable = await Deno.open(BINARY).then(async (file) => {
  using f = file;
  const head = new Uint8Array(2);
  await f.read(head);
  return new TextDecoder().decode(head) === "#!";
}, () => false);
const isRoot = Deno.uid() === 0;
/** Whether file systems can be mounted in a namespace of a test. */
const canMount = isRoot && await run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
  .then(({ code }) => code === 0, () => false);
const NOBODY = 65534;
/** Uids that no account has. */
const FREE_UID = 61_000 + Deno.pid % 1000;

class Scratch implements AsyncDisposable {
  private constructor(readonly dir: string) {}
  static async make(): Promise<Scratch> {
    return new Scratch(await Deno.makeTempDir({ prefix: "ouro-build-" }));
  }
  path(name: string): string {
    return join(this.dir, name);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await new Deno.Command("chmod", { args: ["-R", "u+rwX", this.dir] }).output();
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** Runs the binary with an environment of its own. */
async function start(env: Record<string, string>, words: string[], options: RunOptions = {}) {
  return await run([BINARY, ...words], { ...options, clearEnv: true, env });
}

function names(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map((entry) => entry.name).sort();
}

interface PortableTest {
  name: string;
  fn: () => Promise<void>;
  needsRoot?: boolean;
  needsMount?: boolean;
}

function portable({ name, fn, needsRoot = false, needsMount = false }: PortableTest): void {
  const ignore = !isPortable || (needsRoot && !isRoot) || (needsMount && !canMount);
  Deno.test({ name: `portable: ${name}`, fn, ignore });
}

portable({
  name: "the first start unpacks into OURO_CACHE, the next ones use that",
  fn: async () => {
    await using scratch = await Scratch.make();
    const cache = scratch.path("cache");
    const first = await start({ OURO_CACHE: cache }, ["--version"]);
    assertEquals([first.code, first.err], [0, ""]);
    assertMatch(first.out, /^ouro \d+\.\d+\.\d+\n$/);
    const unpacked = names(cache).filter((name) => name !== "deno" && name !== ".lock");
    assertEquals(unpacked.map((name) => name.split("-")[0]), ["program", "runtime"]);
    const inode = (await Deno.stat(join(cache, unpacked[1]!))).ino;
    assertEquals((await start({ OURO_CACHE: cache }, ["--version"])).code, 0);
    assertEquals((await Deno.stat(join(cache, unpacked[1]!))).ino, inode);
    assertEquals((await Deno.stat(cache)).mode! & 0o777, 0o700);
  },
});

portable({
  name: "it starts with an empty environment",
  fn: async () => {
    const result = await start({}, ["--version", "-v"]);
    assertEquals([result.code, result.err], [0, ""]);
    assertStringIncludes(result.out, "form: portable\n");
    assertStringIncludes(result.out, `file: ${await Deno.realPath(BINARY)}\n`);
  },
});

/** A user of its own for a test, with a home and a copy of the binary within reach. */
class OtherUser implements AsyncDisposable {
  private constructor(readonly uid: number, readonly scratch: Scratch) {}

  static async make(uid: number): Promise<OtherUser> {
    const scratch = await Scratch.make();
    await Deno.chmod(scratch.dir, 0o755);
    await Deno.copyFile(BINARY, scratch.path("ouro"));
    await Deno.chmod(scratch.path("ouro"), 0o755);
    await Deno.mkdir(scratch.path("home"));
    await Deno.chown(scratch.path("home"), uid, uid);
    return new OtherUser(uid, scratch);
  }

  get home(): string {
    return this.scratch.path("home");
  }

  async start(env: Record<string, string>, cwd = "/") {
    const { uid } = this;
    const options = { uid, gid: uid, clearEnv: true, env, cwd };
    return await run([this.scratch.path("ouro"), "--version", "-v"], options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const dir of [`/var/tmp/ouro-${this.uid}`, `/tmp/ouro-${this.uid}`]) {
      await Deno.remove(dir, { recursive: true }).catch(() => {});
    }
    await this.scratch[Symbol.asyncDispose]();
  }
}

portable({
  name: "XDG_CACHE_HOME goes before HOME; a relative one is not used",
  needsRoot: true,
  fn: async () => {
    await using user = await OtherUser.make(FREE_UID);
    await Deno.mkdir(join(user.home, "xdg"));
    await Deno.chown(join(user.home, "xdg"), user.uid, user.uid);
    const env = { HOME: user.home, XDG_CACHE_HOME: join(user.home, "xdg") };
    assertEquals((await user.start(env)).code, 0);
    assertEquals(names(user.home), ["xdg"]);
    assertEquals((await user.start({ ...env, XDG_CACHE_HOME: "xdg" }, user.home)).code, 0);
    assertEquals(names(user.home), [".cache", "xdg"]);
    assertEquals(names(join(user.home, ".cache/ouro")).includes("deno"), true);
  },
});

portable({
  name: "another user's HOME, a read-only one and none lead to a directory of that user",
  needsRoot: true,
  fn: async () => {
    await using user = await OtherUser.make(FREE_UID + 1);
    await Deno.chmod(user.home, 0o500);
    const homes: Record<string, string>[] = [
      { HOME: "/root" },
      { HOME: user.home },
      { HOME: "/nonexistent" },
      {},
    ];
    for (const env of homes) {
      const result = await user.start(env);
      assertEquals([result.code, result.err], [0, ""], env.HOME);
      const runtime = /^runtime: (.*)$/m.exec(result.out)![1]!;
      const { uid, mode } = await Deno.stat(join(runtime, "../.."));
      assertEquals([uid, mode! & 0o777], [user.uid, 0o700]);
      assertEquals(names(user.home), []);
    }
  },
});

portable({
  name: "a cache directory that is a link, a file or below one is refused in one line",
  fn: async () => {
    await using scratch = await Scratch.make();
    await Deno.mkdir(scratch.path("mine"));
    await Deno.symlink(scratch.path("mine"), scratch.path("link"));
    await Deno.writeTextFile(scratch.path("file"), "");
    for (const name of ["link", "file", "file/below"]) {
      const result = await start({ OURO_CACHE: scratch.path(name) }, ["--version"]);
      assertEquals([result.code, result.out], [1, ""], name);
      assertMatch(result.err, /^ouro: cannot unpack into OURO_CACHE=.*\n$/);
    }
    assertEquals(names(scratch.path("mine")), []);
  },
});

portable({
  name: "a cache directory of another user is left alone for one of the own",
  needsRoot: true,
  fn: async () => {
    await using user = await OtherUser.make(FREE_UID + 2);
    // Filled by root, and well filled.
    const cache = user.scratch.path("cache");
    assertEquals((await start({ OURO_CACHE: cache }, ["--version"])).code, 0);
    const before = names(cache);
    for (const mode of [0o700, 0o777]) {
      await Deno.chmod(cache, mode);
      const result = await user.start({ OURO_CACHE: cache, HOME: user.home });
      assertEquals([result.code, result.err], [0, ""]);
      assertStringIncludes(result.out, `runtime: ${user.home}/.cache/ouro/`);
    }
    // And the other way: root does not run what a user prepared.
    await Deno.chown(cache, NOBODY, NOBODY);
    const result = await start({ OURO_CACHE: cache, HOME: user.home }, ["--version", "-v"]);
    assertEquals([result.code, result.err], [0, ""]);
    assert(!result.out.includes(`runtime: ${cache}`));
    assert(!result.out.includes(`runtime: ${user.home}`));
    assertEquals(names(cache), before);
  },
});

portable({
  name: "10 first starts at once all work and leave one copy",
  fn: async () => {
    await using scratch = await Scratch.make();
    const cache = scratch.path("cache");
    const results = await Promise.all(
      Array.from({ length: 10 }, () => start({ OURO_CACHE: cache }, ["--version"])),
    );
    for (const result of results) assertEquals([result.code, result.err], [0, ""]);
    assertEquals(
      names(cache).map((name) => name.split("-")[0]),
      [".lock", "deno", "program", "runtime"],
    );
  },
});

portable({
  name:
    "first starts at once in PID namespaces of their own, where all have one pid, share a cache",
  needsRoot: true,
  fn: async () => {
    await using scratch = await Scratch.make();
    const cache = scratch.path("cache");
    const argv = ["unshare", "-p", "-f", "--mount-proc", BINARY, "--version"];
    const env = { OURO_CACHE: cache, PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
    const results = await Promise.all(
      Array.from({ length: 4 }, () => new RunningProcess(argv, { clearEnv: true, env }).wait()),
    );
    for (const result of results) assertEquals([result.code, result.err], [0, ""]);
    assertEquals(names(cache).filter((name) => name.startsWith(".new")), []);
  },
});

portable({
  name: "a start killed while it unpacks leaves nothing that disturbs the next",
  fn: async () => {
    await using scratch = await Scratch.make();
    for (const stage of [/^\.new\./, /^runtime-/, /^program-/]) {
      const cache = scratch.path(`cache${stage.source.length}`);
      const process = new RunningProcess(["setsid", BINARY, "--version"], {
        clearEnv: true,
        env: { OURO_CACHE: cache, PATH: "/usr/bin:/bin" },
      });
      await until(`${stage} in the cache`, () => {
        if (process.ended) return true;
        try {
          return names(cache).some((name) => stage.test(name));
        } catch {
          return false;
        }
      });
      // The whole group: launcher, tail, gzip and tar.
      await run(["sh", "-c", `kill -9 -- -${process.pid}`]);
      await process.wait();
      const result = await start({ OURO_CACHE: cache }, ["--version"]);
      assertEquals([result.code, result.err], [0, ""]);
      assertEquals(names(cache).filter((name) => name.startsWith(".new")), []);
    }
  },
});

portable({
  name: "what was damaged or opened to others is put right at the next start",
  fn: async () => {
    await using scratch = await Scratch.make();
    const cache = scratch.path("cache");
    await start({ OURO_CACHE: cache }, ["--version"]);
    const runtime = join(cache, names(cache).find((name) => name.startsWith("runtime-"))!);
    const program = join(cache, names(cache).find((name) => name.startsWith("program-"))!);
    const damages: Record<string, () => Promise<void>> = {
      "truncated runtime": async () => {
        await Deno.chmod(join(runtime, "deno"), 0o700);
        await Deno.truncate(join(runtime, "deno"), 1000);
      },
      "program file missing": () => Deno.remove(join(program, "main.js")),
      "program file grown": async () => {
        await Deno.chmod(join(program, "main.js"), 0o600);
        await Deno.writeTextFile(join(program, "main.js"), "\n", { append: true });
      },
      "file writable for others": () => Deno.chmod(join(program, "main.js"), 0o666),
      "directory open to others": () => Deno.chmod(cache, 0o755),
    };
    for (const [what, damage] of Object.entries(damages)) {
      await damage();
      const result = await start({ OURO_CACHE: cache }, ["--version"]);
      assertEquals([result.code, result.err], [0, ""], what);
      assertEquals((await Deno.stat(cache)).mode! & 0o777, 0o700, what);
      assertEquals((await Deno.stat(join(program, "main.js"))).mode! & 0o777, 0o400, what);
    }
  },
});

portable({
  name: "a full disk is told in one line",
  needsMount: true,
  fn: async () => {
    await using scratch = await Scratch.make();
    const script = `mount -t tmpfs -o size=20m tmpfs ${scratch.dir} && ` +
      `OURO_CACHE=${scratch.dir}/cache ${BINARY} --version; echo "exit $?"; ls -A -I .lock ${scratch.dir}/cache`;
    const result = await run(["unshare", "-m", "sh", "-c", script]);
    assertMatch(result.err, /^ouro: cannot unpack into OURO_CACHE=.*150 MB free.*\n$/);
    assertEquals(result.out, "exit 1\n");
  },
});

portable({
  name: "a directory mounted noexec is told in one line",
  needsMount: true,
  fn: async () => {
    await using scratch = await Scratch.make();
    const script = `mount -t tmpfs -o noexec tmpfs ${scratch.dir} && ` +
      `OURO_CACHE=${scratch.dir}/cache ${BINARY} --version; echo "exit $?"`;
    const result = await run(["unshare", "-m", "sh", "-c", script]);
    assertMatch(result.err, /^ouro: cannot unpack into OURO_CACHE=.*noexec.*\n$/);
    assertEquals(result.out, "exit 1\n");
  },
});

portable({
  name: "a name from outside and the user's DENO_DIR do not get in the way",
  fn: async () => {
    await using scratch = await Scratch.make();
    await Deno.symlink(BINARY, scratch.path("irm"));
    const env = { OURO_ARGV0: "oping", DENO_DIR: scratch.path("deno"), OURO_DENO_DIR: "x" };
    const result = await run([scratch.path("irm"), "help"], { env });
    assertStringIncludes(result.out, "Usage: irm");
    assertEquals(names(scratch.dir), ["irm"]);
  },
});

Deno.test("a link behaves as the program it is named after", async () => {
  await using scratch = await Scratch.make();
  for (const [name, text] of [["irm", "Usage: irm"], ["oping", "Usage: oping"]]) {
    await Deno.symlink(BINARY, scratch.path(name!));
    const result = await run([scratch.path(name!), name === "irm" ? "help" : "--help"]);
    assertEquals([result.code, result.err], [0, ""]);
    assertStringIncludes(result.out, text!);
    // Through PATH and from another directory, too.
    const byPath = await run(["sh", "-c", `${name} ${name === "irm" ? "help" : "--help"}`], {
      env: { PATH: `${scratch.dir}:/usr/bin:/bin` },
      cwd: "/",
    });
    assertEquals(byPath.out, result.out);
    const relative = await run(["sh", "-c", `./${name} ${name === "irm" ? "help" : "--help"}`], {
      cwd: scratch.dir,
    });
    assertEquals(relative.out, result.out);
  }
});

Deno.test("words reach the program as they are", async () => {
  const word = "a b\n'$HOME' \"*\" \\";
  const result = await run([BINARY, "oping", "-n", "", "-d", `5${word}`]);
  assertEquals(result.out, `Unknown time unit: ${word}.\n`);
  assertEquals(result.code, 1);
});

Deno.test("ouro answers --help, --version, help, completion and nonsense", async () => {
  const answers: [string[], number, RegExp, RegExp][] = [
    [["--help"], 0, /^Usage: ouro COMMAND/, /^$/],
    [["--version"], 0, /^ouro \d+\.\d+\.\d+\n$/, /^$/],
    [["--version", "-v"], 0, /^form: (portable|compiled|source)$/m, /^$/],
    [["help", "oping"], 0, /--percentiles/, /^$/],
    [["help", "irm"], 0, /^Usage: irm/, /^$/],
    [["help", "nonsense"], 2, /^$/, /^ouro: "nonsense" is not a command, try "ouro --help"\n$/],
    [["nonsense"], 2, /^$/, /^ouro: "nonsense" is not a command, try "ouro --help"\n$/],
    [["\x1b[31m\n"], 2, /^$/, /^ouro: "\\x1b\[31m\\x0a" is not a command, try "ouro --help"\n$/],
    [["constructor"], 2, /^$/, /is not a command/],
    [[], 2, /^$/, /^Usage: ouro COMMAND/],
    [["completion"], 2, /^$/, /^ouro completion: .*\n$/],
    [["completion", "tcsh"], 2, /^$/, /^ouro completion: .*\n$/],
  ];
  for (const [words, code, out, err] of answers) {
    const result = await run([BINARY, ...words]);
    assertEquals(result.code, code, words.join(" "));
    assertMatch(result.out, out);
    assertMatch(result.err, err);
  }
});

Deno.test("ouro into a closed pipe ends quietly", async () => {
  const line = `${BINARY} --help | true; ${BINARY} completion fish | head -n 1`;
  const result = await run(["sh", "-c", line]);
  assertEquals(result.err, "");
});

Deno.test("completion scripts are good shell", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { out } = await run([BINARY, "completion", shell]);
    assert(out.length > 500, shell);
    const checker = await run(["sh", "-c", `command -v ${shell}`]);
    if (checker.code !== 0) continue;
    const checked = await run([shell, "-n"], { input: out });
    assertEquals([checked.code, checked.err], [0, ""], shell);
  }
});

Deno.test("scripts/install makes links that work, pages, completion and units", async () => {
  await using scratch = await Scratch.make();
  const env = { DESTDIR: scratch.dir, PREFIX: "/usr", BINARY };
  const installed = await run([join(ROOT, "scripts/install")], { env });
  assertEquals([installed.code, installed.err], [0, ""]);
  const help = await run([scratch.path("usr/bin/oping"), "--help"]);
  assertStringIncludes(help.out, "Usage: oping");
  const irm = await run([scratch.path("usr/sbin/irm"), "help"]);
  assertStringIncludes(irm.out, "Usage: irm");
  const ipcp = await run([scratch.path("usr/sbin/ipcpd-eth-llc")]);
  assertStringIncludes(ipcp.err, "ipcpd-eth-llc: only an IRMd starts it");
  const links = await run([BINARY, "--links"]);
  for (const line of links.out.trim().split("\n")) {
    assert((await Deno.lstat(scratch.path(`usr/${line.replace(" ", "/")}`))).isSymlink, line);
  }
  for (const page of ["man1/ouro.1", "man1/oping.1", "man8/irm.8", "man8/ouro-pki.8"]) {
    const text = await Deno.readTextFile(scratch.path(`usr/share/man/${page}`));
    assertStringIncludes(text, ".SH SYNOPSIS");
  }
  assertStringIncludes(
    await Deno.readTextFile(scratch.path("usr/lib/systemd/system/ouroboros.service")),
    "ExecStart=/usr/sbin/irmd --stdout --config",
  );
  assertStringIncludes(
    await Deno.readTextFile(scratch.path("usr/lib/sysusers.d/ouroboros.conf")),
    "g ouroboros",
  );
});

/** Everything below a directory, but for directories that only lead to something. */
function everything(dir: string): string[] {
  return [...Deno.readDirSync(dir)].flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory ? [path, ...everything(path)] : [path];
  });
}

Deno.test("scripts/install --uninstall leaves nothing of its own and all of others'", async () => {
  await using scratch = await Scratch.make();
  const env = { DESTDIR: scratch.dir, PREFIX: "/usr", BINARY };
  const script = join(ROOT, "scripts/install");
  assertEquals((await run([script], { env })).code, 0);
  assert(everything(scratch.dir).length > 20);
  // Again over itself, then away.
  assertEquals((await run([script], { env })).code, 0);
  const gone = await run([script, "--uninstall"], { env });
  assertEquals([gone.code, gone.err], [0, ""]);
  assertEquals(everything(scratch.dir), []);
  // A program of somebody else is neither overwritten nor removed.
  await Deno.mkdir(scratch.path("usr/bin"), { recursive: true });
  await Deno.writeTextFile(scratch.path("usr/bin/operf"), "somebody else's");
  const refused = await run([script], { env });
  assertEquals(refused.code, 1);
  assertMatch(refused.err, /^install: .*operf is there already.*\n$/);
  assertEquals((await run([script, "--uninstall"], { env })).code, 0);
  assertEquals(
    everything(scratch.dir),
    [scratch.path("usr"), scratch.path("usr/bin")].concat(
      scratch.path("usr/bin/operf"),
    ),
  );
});

Deno.test(
  "scripts/install gives all to read under any umask, and takes no cache from under what runs",
  {
    ignore: Deno.uid() !== 0,
  },
  async () => {
    await using scratch = await Scratch.make();
    const env = { PREFIX: scratch.path("local"), UNITDIR: "", BINARY, HOME: scratch.dir };
    const cache = scratch.path(".cache/ouro");
    // The caches of the system are those of other tests, too: it has its own.
    const own =
      'mount -t tmpfs x /var/cache && mount -t tmpfs x /var/tmp && umask 077 && exec "$@"';
    const words = ["unshare", "-m", "sh", "-c", own, "sh", join(ROOT, "scripts/install")];
    const install = (...more: string[]) => run([...words, ...more], { env });
    assertEquals((await install()).code, 0);
    for (const path of [scratch.path("local"), ...everything(scratch.path("local"))]) {
      const { mode, isDirectory } = await Deno.stat(path);
      const all = isDirectory ? 0o055 : 0o044;
      assertEquals(mode! & all, all, path);
    }
    await Deno.mkdir(`${cache}/runtime-x`, { recursive: true });
    await Deno.copyFile("/bin/sleep", `${cache}/runtime-x/deno`);
    const running = new Deno.Command(`${cache}/runtime-x/deno`, { args: ["600"] }).spawn();
    try {
      const left = await install("--uninstall");
      assertEquals([left.code, left.err], [0, ""]);
      assertStringIncludes(left.out, `left ${cache}: programs run from it`);
    } finally {
      running.kill("SIGKILL");
      await running.status;
    }
    assertEquals((await Deno.stat(`${cache}/runtime-x/deno`)).isFile, true);
    assertEquals((await install()).code, 0);
    assertEquals((await install("--uninstall")).code, 0);
    assertEquals(everything(scratch.dir), [scratch.path(".cache")]);
  },
);

Deno.test("the compiled form: flags, files and workers are in it", async () => {
  await using scratch = await Scratch.make();
  const out = scratch.path("ouro");
  const built = await run(
    [Deno.execPath(), "run", "-A", join(ROOT, "scripts/build/main.ts"), "--form", "compiled"]
      .concat("--out", out),
    { env: { DENORT_BIN: Deno.execPath() }, deadlineMs: 900_000 },
  );
  assertEquals(built.code, 0, built.out + built.err);
  const text = new TextDecoder("latin1").decode(await Deno.readFile(out));
  // What `deno compile` writes for its runtime: the program's files and the start parameters.
  const at = text.lastIndexOf('"entrypoint_key":');
  assert(at > 0, "no start parameters in the file");
  const metadata = text.slice(Math.max(0, at - 4000), at + 1000);
  assertStringIncludes(metadata, '"entrypoint_key":"main.js"');
  assertStringIncludes(metadata, "--max-semi-space-size");
  for (const right of ["env", "ffi", "net", "read", "run", "sys", "write"]) {
    assertStringIncludes(metadata, `"allow_${right}":[],"deny_${right}":null`);
  }
  assertStringIncludes(metadata, '"prompt":false');
  const workers: string[] = [];
  for (const [, name] of text.matchAll(/"n":"(\w+_worker\.js)"/g)) workers.push(name!);
  assert(workers.length > 0, "no worker among the files");
  // Every worker that the program starts is one of the files.
  for (const [, path] of text.matchAll(/new URL\("([^"]*_worker\.\w+)", import\.meta\.url\)/g)) {
    assert(workers.includes(path!.slice(path!.lastIndexOf("/") + 1)), path);
  }
  assertEquals((await Deno.stat(out)).mode! & 0o777, 0o755);
});

Deno.test("where the runtime cannot be had, --form compiled says so and makes nothing", async () => {
  await using scratch = await Scratch.make();
  const built = await run(
    [Deno.execPath(), "run", "-A", join(ROOT, "scripts/build/main.ts"), "--form", "compiled"]
      .concat("--out", scratch.path("ouro")),
    { env: { DENORT_BIN: scratch.path("nothing") }, deadlineMs: 900_000 },
  );
  assertEquals(built.code, 1);
  assertMatch(built.out, /^deno compile: .*\n$/);
  assertEquals(names(scratch.dir), []);
});
