/** What is proved here: which program a bound word starts, whom a binding is for, who may use keys. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { bindingOf } from "../../../irmd/binding_user.ts";
import { programArgv } from "../../../irmd/children.ts";
import type { Daemon } from "../../../irmd/daemon.ts";
import { keysRefused, securityOf } from "../../../irmd/flows.ts";
import { programVariables } from "../../../irmd/run_as.ts";
import { type BoundTo, type ProcRecord, Registry } from "../../../irmd/registry/mod.ts";
import { selfCommand } from "../../../lib/self.ts";

Deno.test("programArgv() starts what is there as it is, our own programs from this one", () => {
  assertEquals(programArgv(["/bin/sh", "-c", "x"], ["oping"]), ["/bin/sh", "-c", "x"]);
  assertEquals(programArgv(["/no/such/thing", "-l"], ["oping"]), ["/no/such/thing", "-l"]);
  const own = [...selfCommand("oping"), "-l"];
  assertEquals(programArgv(["oping", "-l"], ["oping"]), own);
  assertEquals(programArgv(["/no/such/oping", "-l"], ["oping"]), own);
});

Deno.test("programVariables(): the user's own, and none of our caches", () => {
  const ours = {
    PATH: "/bin",
    HOME: "/root",
    DENO_DIR: "/c",
    XDG_CACHE_HOME: "/x",
    OURO_CACHE: "/o",
  };
  assertEquals(programVariables(4_000_000, ours), { PATH: "/bin", HOME: "/" });
  const root = { PATH: "/bin", HOME: "/root", USER: "root", LOGNAME: "root" };
  assertEquals(programVariables(0, { ...ours, HOME: "/elsewhere" }), root);
});

const announce = (r: Registry, pid: number, uid: number, gids: number[] = []): ProcRecord => {
  r.announce({ pid, prog: "srv", uid, gid: uid, gids, flowUid: uid });
  return r.procs.get(pid)!;
};

Deno.test("a program's name goes to processes of its user alone, whatever a process says it is", () => {
  const cases: [BoundTo, boolean[]][] = [
    [{ kind: "user", uid: 0 }, [true, false, false]],
    [{ kind: "user", uid: 7 }, [false, true, false]],
    [{ kind: "group", gid: 50 }, [false, false, true]],
    [{ kind: "group", gid: 7 }, [false, true, false]],
    [{ kind: "any" }, [true, true, true]],
  ];
  for (const before of [true, false]) {
    for (const [to, expected] of cases) {
      const r = new Registry({ securityDir: "/s" });
      const start = () => [announce(r, 10, 0), announce(r, 11, 7), announce(r, 12, 8, [8, 50])];
      const early = before ? start() : [];
      r.bindProgram(["/bin/srv"], "n", { auto: false, to });
      const procs = before ? early : start();
      assertEquals(procs.map((p) => p.names.has("n")), expected, JSON.stringify(to));
    }
  }
});

Deno.test("bindingOf(): who makes it, or whom root names; a group member speaks for itself", () => {
  const d = { ownUid: 0 } as Daemon;
  const root = { uid: 0, gid: 0, gids: [0] };
  const member = { uid: 4002, gid: 4002, gids: [4002, 4001] };
  const own = { to: { kind: "user", uid: 4002 }, trusted: false, as: member };
  assertEquals(bindingOf(d, member, undefined), own as never);
  assertEquals(bindingOf(d, member, { user: "4002" }), own as never);
  assertStringIncludes(String(bindingOf(d, member, { user: "root" })), "itself only");
  assertStringIncludes(String(bindingOf(d, member, { user: "0" })), "itself only");
  assertEquals(bindingOf(d, member, { group: "4001" }), {
    to: { kind: "group", gid: 4001 },
    trusted: false,
    as: member,
  });
  assertStringIncludes(String(bindingOf(d, member, { group: "root" })), "own groups only");
  assertEquals(bindingOf(d, member, { any: 1 }), {
    to: { kind: "any" },
    trusted: false,
    as: member,
  });
  assertEquals(bindingOf(d, root, { user: "nobody" }), {
    to: { kind: "user", uid: 65534 },
    trusted: true,
    as: { uid: 65534, gid: 65534, gids: [65534] },
  });
  assertEquals(bindingOf(d, root, { user: "4000000" }), {
    to: { kind: "user", uid: 4_000_000 },
    trusted: true,
    as: undefined,
  });
  for (const no of [{ user: "no-such-user" }, { group: "no-such-group" }, { user: "4294967295" }]) {
    assertStringIncludes(String(bindingOf(d, root, no)), "there is no");
  }
  assertStringIncludes(String(bindingOf(d, root, { user: "root", any: 1 })), "one user, one group");
});

Deno.test("keysRefused(): root's key serves whom root's binding names and who can read it", () => {
  const dir = Deno.makeTempDirSync();
  try {
    Deno.chmodSync(dir, 0o755);
    const key = `${dir}/server/n/key.pem`;
    Deno.mkdirSync(`${dir}/server/n`, { recursive: true });
    Deno.writeTextFileSync(key, "secret", { mode: 0o600 });
    const r = new Registry({ securityDir: dir });
    const d = { ownUid: 0, registry: r } as Daemon;
    r.bindProgram(["/bin/srv"], "n", { auto: false, to: { kind: "any" }, trusted: true });
    const record = r.names.get("n")!;
    const [root, seven] = [announce(r, 10, 0), announce(r, 11, 7)];
    assertEquals(seven.names.has("n"), true);
    assertEquals(keysRefused(d, record, root, "server"), undefined);
    assertStringIncludes(keysRefused(d, record, seven, "server")!, "uid 7 may not use the keys");
    assertEquals(keysRefused(d, record, seven, "client"), undefined, "there is no client key");
    // Root names the user.
    r.bindProgram(["/bin/other"], "n", {
      auto: false,
      to: { kind: "user", uid: 7 },
      trusted: true,
    });
    assertEquals(keysRefused(d, record, seven, "server"), undefined);
    r.unbindProgram("other", "n");
    // A member of the group that administers the node does, which opens no keys.
    r.bindProgram(["/bin/mine"], "n", { auto: false, to: { kind: "user", uid: 7 } });
    assertStringIncludes(keysRefused(d, record, seven, "server")!, "may not use");
    // Or for this process alone.
    const eight = announce(r, 12, 8);
    r.unbindProcess(12, "n");
    r.bindProcess(12, "n", true);
    assertEquals(keysRefused(d, record, eight, "server"), undefined);
    r.unbindProcess(12, "n");
    assertStringIncludes(keysRefused(d, record, eight, "server")!, "may not use");
    Deno.chownSync(key, 7, 0);
    assertEquals(keysRefused(d, record, seven, "server"), undefined, "it can read the key anyway");
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("securityOf(): root's key speaks for root alone, also to a name that is not known here", () => {
  const dir = Deno.makeTempDirSync();
  try {
    Deno.chmodSync(dir, 0o755);
    Deno.mkdirSync(`${dir}/client/n`, { recursive: true });
    Deno.writeTextFileSync(`${dir}/client/n/key.pem`, "secret", { mode: 0o600 });
    const r = new Registry({ securityDir: dir });
    const d = { ownUid: 0, registry: r } as Daemon;
    const [root, seven] = [announce(r, 10, 0), announce(r, 11, 7)];
    for (const isKnown of [false, true]) {
      if (isKnown) r.createName({ name: "n", polLb: 0, skey: "", scrt: "", ckey: "", ccrt: "" });
      const isAnonymous = (client: ProcRecord, name = "n") =>
        securityOf(d, r.names.get(name), name, client).anonymousClient ?? false;
      assertEquals([isAnonymous(root), isAnonymous(seven)], [false, true]);
      assertEquals(isAnonymous(seven, "other"), false, "there is no key");
      for (const odd of ["a\0b", "../client/n", ""]) isAnonymous(seven, odd);
    }
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
