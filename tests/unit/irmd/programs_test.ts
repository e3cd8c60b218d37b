/** What is proved here: which program a bound word starts, and who may inherit the names of a program. */

import { assertEquals } from "@std/assert";
import type { Daemon } from "../../../irmd/daemon.ts";
import { programArgv } from "../../../irmd/children.ts";
import { isCopy, mayInherit } from "../../../irmd/effects.ts";
import type { ProcRecord, ProgRecord } from "../../../irmd/registry/mod.ts";
import { selfCommand } from "../../../lib/self.ts";

Deno.test("programArgv() starts what is there as it is, our own programs from this one", () => {
  assertEquals(programArgv(["/bin/sh", "-c", "x"]), ["/bin/sh", "-c", "x"]);
  assertEquals(programArgv(["/no/such/thing", "-l"]), ["/no/such/thing", "-l"]);
  const own = [...selfCommand("oping"), "-l"];
  assertEquals(programArgv(["oping", "-l"]), own);
  assertEquals(programArgv(["/no/such/oping", "-l"]), own);
});

Deno.test("mayInherit(): a user's process must run the very file, an administrator is believed", async () => {
  const dir = Deno.makeTempDirSync();
  const d = { ownUid: 0 } as Daemon;
  const proc = (pid: number, uid: number): ProcRecord => ({
    pid,
    prog: "p",
    uid,
    gid: uid,
    flowUid: uid,
    names: new Set(),
    accepts: [],
  });
  const prog = (path: string): ProgRecord => ({ prog: "p", path, names: new Set() });
  const script = `${dir}/p`;
  Deno.writeTextFileSync(script, "#!/bin/sh\nread x\n");
  Deno.chmodSync(script, 0o755);
  Deno.symlinkSync("/bin/cat", `${dir}/cat-link`);
  const start = (file: string) =>
    new Deno.Command(file, { stdin: "piped", stdout: "null" }).spawn();
  const children = [start("/bin/cat"), start(script)];
  const [cat, sh] = children.map((c) => c.pid) as [number, number];
  try {
    // The interpreter has taken over when it names the script.
    while (!Deno.readTextFileSync(`/proc/${sh}/cmdline`).includes(script)) {
      await new Promise((done) => setTimeout(done, 1));
    }
    const user = 4242;
    assertEquals(mayInherit(d, proc(cat, user), prog("/bin/cat")), true);
    assertEquals(mayInherit(d, proc(cat, user), prog(`${dir}/cat-link`)), true);
    assertEquals(mayInherit(d, proc(cat, user), prog("/bin/sh")), false);
    assertEquals(mayInherit(d, proc(cat, user), prog("/no/such")), false);
    // Its interpreter is whoever was started with the words of one.
    assertEquals(mayInherit(d, proc(sh, user), prog(script)), false);
    assertEquals(mayInherit(d, proc(sh, user), prog(`${dir}/other`)), false);
    assertEquals(mayInherit(d, proc(cat, 0), prog("/no/such")), true);
    assertEquals(mayInherit(d, proc(0x7fffffff, user), prog("/bin/cat")), false);
  } finally {
    for (const c of children) {
      await c.stdin.close();
      await c.status;
    }
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("isCopy(): what the portable form unpacked for another user is the same program", () => {
  const dir = Deno.makeTempDirSync();
  const file = (path: string, text: string) => {
    Deno.mkdirSync(`${dir}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    Deno.writeTextFileSync(`${dir}/${path}`, text);
    return `${dir}/${path}`;
  };
  try {
    const own = file("root/program-542423ea2b32155c/main.js", "12345");
    assertEquals(isCopy(file("user/program-542423ea2b32155c/main.js", "12345"), own), true);
    assertEquals(isCopy(file("evil/program-542423ea2b32155c/main.js", "123456"), own), false);
    assertEquals(isCopy(file("user/program-ad3ba0e387250a19/main.js", "12345"), own), false);
    assertEquals(isCopy(`${dir}/none/program-542423ea2b32155c/main.js`, own), false);
    const deno = file("a/bin/deno", "1");
    assertEquals(isCopy(file("b/bin/deno", "1"), deno), false, "not the portable form");
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
