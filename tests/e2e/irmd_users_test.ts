/**
 * What is proved here: group `ouroboros` on a daemon that sees its own user and group database (spec 10 §2.4, §11.1,
 * spec 20 §19.1). Users without privilege are in irmd_abuse_test.ts and irmd_crash_test.ts.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { BIND_AUTO, flowInfoOf, IrmCode, type IrmMsg, PolLb } from "../../lib/irm/messages.ts";
import { Puppet } from "../support/puppet.ts";
import { ouro, type RunningProcess, TestNode } from "../support/node.ts";
import { nameInfo } from "../support/names.ts";

const GROUP = 54321;
/** By the group's list, by primary group, by neither; and one the database does not know. */
const LISTED = 54001;
const PRIMARY = 54002;
const PLAIN = 54003;
const UNKNOWN = 54004;

const PASSWD = [
  "root:x:0:0::/root:/bin/sh",
  `listed:x:${LISTED}:${LISTED}::/:/bin/sh`,
  `primary:x:${PRIMARY}:${GROUP}::/:/bin/sh`,
  `plain:x:${PLAIN}:${PLAIN}::/:/bin/sh`,
  "",
].join("\n");
const GROUPS = ["root:x:0:", `ouroboros:x:${GROUP}:somebody,listed`, ""].join("\n");

/** Starts the IRMd of a node with the users and groups above. */
async function startWithUsers(node: TestNode): Promise<RunningProcess> {
  await Deno.chmod(node.prefix, 0o755);
  await Deno.writeTextFile(`${node.prefix}/passwd`, PASSWD);
  await Deno.writeTextFile(`${node.prefix}/group`, GROUPS);
  const mounts = ["passwd", "group"].map((f) => `mount --bind "$1/${f}" /etc/${f}`).join(" && ");
  const script = `${mounts} && shift && exec "$@"`;
  node.irmd = node.spawnArgv([
    ...["unshare", "-m", "sh", "-c", script, "sh", node.prefix],
    ...ouro("irmd", "--stdout"),
  ]);
  await node.irmd.waitForLine(/daemon started/);
  return node.irmd;
}

Deno.test({
  name: "name create: a key may be read through any group of the caller, and through no other",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using node = await TestNode.start({ idle: true });
    await startWithUsers(node);
    const keyOf = (gid: number, mode: number) => {
      const path = `${node.prefix}/key-${gid}-${mode.toString(8)}.pem`;
      Deno.writeTextFileSync(path, "");
      Deno.chownSync(path, 0, gid);
      Deno.chmodSync(path, mode);
      return path;
    };
    const EXTRA = [54777, 54778];
    const member = await Puppet.start(node, LISTED, LISTED, EXTRA);
    const without = await Puppet.start(node, LISTED);
    const create = async (p: Puppet, name: string, skey: string): Promise<number> => {
      const info = { ...nameInfo(name, PolLb.SPILLOVER), skey };
      const r = (await p.irm({ code: IrmCode.IRM_CREATE_NAME, nameInfo: info }))!;
      if (r.result !== 0) assertMatch(r.error!.cause, /cannot be read by uid 54001$/);
      return r.result!;
    };
    for (const gid of EXTRA) {
      assertEquals(await create(member, `with${gid}`, keyOf(gid, 0o640)), 0);
      assertEquals(await create(without, `without${gid}`, keyOf(gid, 0o640)), -1);
      assertEquals(await create(member, `bits${gid}`, keyOf(gid, 0o604)), -1);
    }
    assertEquals(await create(member, "primary", keyOf(LISTED, 0o640)), 0);
    assertEquals(await create(member, "other", keyOf(54779, 0o640)), -1);
    assertEquals(await create(member, "everybody", keyOf(54779, 0o644)), 0);
  },
});

Deno.test({
  name: "members of group ouroboros administer and share the global pool, others do not",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using node = await TestNode.start({ idle: true });
    const irmd = await startWithUsers(node);
    assertEquals(irmd.out.includes("group not found"), false);
    const gspp = Deno.statSync(`/dev/shm${node.instance.shmBase}.gspp`);
    assertEquals([gspp.uid, gspp.gid, gspp.mode! & 0o777], [0, GROUP, 0o660]);

    for (
      const [uid, privileged] of [
        [LISTED, true],
        [PRIMARY, true],
        [PLAIN, false],
        [UNKNOWN, false],
      ] as const
    ) {
      const p = await Puppet.announced(node, "prog", uid);
      const set = Deno.statSync(`/dev/shm${node.instance.shmBase}.set.${p.pid}`);
      assertEquals([set.uid, set.mode! & 0o777], privileged ? [0, 0o660] : [uid, 0o600]);
      const pups = node.sharedMemory().filter((n) => n.endsWith(`.pup.${uid}`));
      assertEquals(pups.length, privileged ? 0 : 1);
      const create: IrmMsg = {
        code: IrmCode.IRM_CREATE_NAME,
        nameInfo: nameInfo(`n${uid}`, PolLb.SPILLOVER),
      };
      const r = (await p.irm(create))!;
      assertEquals(r.result, privileged ? 0 : -1);
      if (!privileged) assertMatch(r.error!.cause, /may not administer/);
      await p.kill();
    }
  },
});

Deno.test({
  name:
    "a bound program runs as the user who bound it, away from the daemon; another's process gets no name of it",
  // From source the launcher of a user without a cache would ask the registry for the packages.
  ignore: Deno.uid() !== 0 || !Deno.env.get("OURO_BINARY"),
  async fn() {
    await using node = await TestNode.start({ idle: true });
    await startWithUsers(node);
    const dir = `${node.prefix}/ran`;
    Deno.mkdirSync(dir);
    Deno.chmodSync(dir, 0o777);
    const member = await Puppet.announced(node, "client", LISTED);
    const says =
      "{ id -u; id -g; id -G; umask; pwd; echo $HOME; ulimit -Sn; grep CapEff /proc/self/status; }";
    const bind = (name: string, boundFor?: IrmMsg["boundFor"]) =>
      member.irm({
        code: IrmCode.IRM_BIND_PROGRAM,
        name,
        exec: ["/bin/sh", "-c", `${says} > ${dir}/${name}; exit 7`, ""],
        opts: BIND_AUTO,
        boundFor,
      });
    assertMatch((await bind("pwn", { user: "root" }))!.error!.cause, /may bind for itself only/);
    assertEquals((await bind("own"))!.result, 0);
    const r = (await member.irm({
      code: IrmCode.IRM_FLOW_ALLOC,
      flowInfo: flowInfoOf({ nPid: member.pid }),
      dst: "own",
    }))!;
    assertMatch(r.error!.cause, /ended with status 7 before it accepted/);
    assertEquals(Deno.readTextFileSync(`${dir}/own`).trim().split("\n"), [
      ...[LISTED, LISTED, LISTED].map(String),
      ...["0022", "/", "/", "1024"],
      "CapEff:\t0000000000000000",
    ]);

    // The name is for that user's processes, not for whoever says it is the program.
    const names = async (uid: number) => {
      const p = await Puppet.announced(node, "sh", uid);
      const unbound = await member.irm({
        code: IrmCode.IRM_UNBIND_PROCESS,
        pid: p.pid,
        name: "own",
      });
      await p.kill();
      return unbound!.result === 0;
    };
    assertEquals([await names(LISTED), await names(PLAIN), await names(0)], [true, false, false]);
  },
});
