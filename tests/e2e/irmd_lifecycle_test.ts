/** What is proved here: start and end of the daemon, one a node, and what killed ones leave (spec 20 §14, §15). */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { instanceOf, ipcpSocketPath, irmSocketPath } from "../../lib/instance.ts";
import { pidAlive } from "../../lib/sys/process.ts";
import { flowInfoOf, IrmCode } from "../../lib/irm/messages.ts";
import { serverPeer } from "../support/peer.ts";
import { Puppet } from "../support/puppet.ts";
import { until } from "../support/deadline.ts";
import { nameInfo } from "../support/names.ts";
import { ouro, TestNode } from "../support/node.ts";
import { exists, RunningProcess } from "../support/process.ts";
import { movedAside } from "../support/shm.ts";

const ROOT = Deno.uid() === 0;

/** Root's cache of the runtime is closed to other users: they get one of their own. */
function ownCache(dir: string): Record<string, string> {
  return { HOME: dir, DENO_DIR: `${dir}/deno` };
}

for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
  Deno.test(`irmd ends on ${signal} with exit 0 and leaves nothing`, async () => {
    await using node = await TestNode.start();
    const socket = irmSocketPath(node.instance);
    const names = node.sharedMemory().map((n) => n.slice(n.indexOf(".") + 1)).sort();
    assertEquals(names, ["gspp", "lockfile"]);
    assert(exists(socket));
    node.irmd!.kill(signal);
    const { code, out } = await node.irmd!.wait();
    assertEquals(code, 0);
    assertMatch(out, /irmd\(II\): IRMd shutting down\.\.\./);
    assertMatch(out, /irmd\(II\): Ouroboros IPC Resource Manager daemon exited\. Bye\./);
    assertEquals(node.sharedMemory(), []);
    assertEquals(exists(socket), false);
  });
}

Deno.test("irmd writes lines as the prototype: colour, pid of five places, prefix, level", async () => {
  await using node = await TestNode.start();
  await node.must("irm", "name", "create", "n1");
  const pid = String(node.irmd!.pid).padStart(5, "0");
  await node.irmd!.waitForText(`==${pid}== irmd(II): Created new name: n1.\n`);
});

Deno.test("irmd --version, unknown words and a missing option value", async () => {
  await using node = await TestNode.start({ idle: true });
  assertEquals(await node.run(["irmd", "--version"]), {
    code: 0,
    out: "Ouroboros version 0.23.0\n",
    err: "",
  });
  const bad = await node.run(["irmd", "--bogus"]);
  const why = 'irmd: unknown word "--bogus"\n';
  assertEquals([bad.code, bad.out.split("\n", 1)[0], bad.err], [1, "Usage: irmd", why]);
});

Deno.test("irmd started twice: the second says so in one line and exits 1, the first serves on", async () => {
  await using node = await TestNode.start();
  const { code, out } = await node.run(["irmd", "--stdout"]);
  assertEquals(code, 1);
  assertMatch(
    out,
    new RegExp(`irmd\\(WW\\): IRMd already running \\(${node.irmd!.pid}\\), exiting\\.`),
  );
  assertEquals(out.trimEnd().split("\n").length, 1);
  assertEquals(await node.admin().listNames(), []);
});

Deno.test("irmd leaves the lock to one that was called by a link, whose command line is the runtime's", async () => {
  await using node = await TestNode.start({ idle: true });
  const path = `/dev/shm${node.instance.shmBase}.lockfile`;
  await using other = new RunningProcess(["/bin/sleep", "1000"], {
    env: { OURO_ARGV0: "/usr/local/sbin/irmd" },
  });
  await Deno.writeFile(path, new Uint8Array(new Int32Array([other.pid]).buffer));
  const { code, out } = await node.run(["irmd", "--stdout"]);
  assertEquals(code, 1);
  assertStringIncludes(out, `IRMd already running (${other.pid}), exiting.`);
  await Deno.remove(path);
});

Deno.test("irmd started after a killed one cleans up what that left, also the rings of running programs", async () => {
  await using node = await TestNode.start();
  await node.must("irm", "name", "create", "echo");
  await node.must("irm", "bind", "program", "/bin/echo", "name", "echo");
  const server = await serverPeer(node, "echo");
  const old = node.irmd!;
  old.kill("SIGKILL");
  await old.wait();
  const base = `/dev/shm${node.instance.shmBase}`;
  for (const left of ["pup.4242", "rbuff.4242.1", "set.4242"]) {
    await Deno.writeTextFile(`${base}.${left}`, "x");
  }
  await Deno.writeTextFile(ipcpSocketPath(node.instance, 4242424), "");
  // Not ours: an object whose name only begins alike stays.
  const foreign = `${base}.gspp.bak`;
  await Deno.writeTextFile(foreign, "x");
  await node.startIrmd();
  const { out } = node.irmd!;
  assertMatch(out, /irmd\(WW\): IRMd didn't properly shut down last time\./);
  assertMatch(out, /irmd\(WW\): Stale resources cleaned\./);
  assert(exists(foreign));
  await Deno.remove(foreign);
  const names = node.sharedMemory().map((n) => n.slice(n.indexOf(".") + 1)).sort();
  assertEquals(names, ["gspp", "lockfile"]);
  assertEquals(exists(ipcpSocketPath(node.instance, 4242424)), false);
  assertEquals(await node.admin().listNames(), []);
  assert(pidAlive(server.pid));
});

Deno.test("irmd takes a lock whose owner is another program by now", async () => {
  await using node = await TestNode.start({ idle: true });
  const path = `/dev/shm${node.instance.shmBase}.lockfile`;
  await using other = new RunningProcess(["/bin/sleep", "1000"]);
  await Deno.writeFile(path, new Uint8Array(new Int32Array([other.pid]).buffer));
  await node.startIrmd();
  assertMatch(node.irmd!.out, /didn't properly shut down/);
});

Deno.test("irmd with an IPCP: SIGTERM ends the IPCP first, nothing is left", async () => {
  await using node = await TestNode.start();
  await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "lay");
  const [ipcp] = await node.admin().listIpcps();
  assertEquals(ipcp?.layer, "lay");
  const { code } = (await node.stopIrmd())!;
  assertEquals(code, 0);
  assertEquals(pidAlive(ipcp!.pid), false);
  assertEquals(node.sharedMemory(), []);
});

Deno.test("irm ipcp create of an IPCP that ends while it starts says why", async () => {
  await using node = await TestNode.start({ idle: true });
  const bin = `${node.prefix}/bin`;
  await Deno.mkdir(bin);
  for (const [type, status] of [["udp4", 69], ["udp6", 3]]) {
    await Deno.writeTextFile(`${bin}/ipcpd-${type}`, `#!/bin/sh\nexit ${status}\n`, {
      mode: 0o755,
    });
  }
  await node.startIrmd("--ipcp-dir", bin);
  for (
    const [type, why] of [
      ["udp4", "this version has no IPCP of type udp4"],
      ["udp6", "it ended with status 3 while it started"],
      ["eth-dix", "no such file"],
    ] as const
  ) {
    const { code, err } = await node.run(["irm", "ipcp", "create", "name", "n", "type", type]);
    assertEquals(code, 1);
    assertMatch(err, /^Failed to create IPCP "n": -\d+: .*\n$/);
    assertStringIncludes(err, why);
  }
});

Deno.test("irmd started after a killed one ends the IPCPs that have lost theirs", async () => {
  await using node = await TestNode.start();
  await node.must("irm", "ipcp", "create", "type", "local", "name", "l1");
  const [ipcp] = await node.admin().listIpcps();
  node.irmd!.kill("SIGKILL");
  await node.irmd!.wait();
  await node.startIrmd();
  await until("end of the orphan", () => !pidAlive(ipcp!.pid));
  assertEquals(await node.admin().listIpcps(), []);
});

Deno.test("irmd --config makes what the file says; a wrong file ends the start with line and exit 1", async () => {
  const config = [
    "[name.n1]",
    'lb = "round-robin"',
    'prog = ["/bin/true"]',
    "[local.l1]",
    'bootstrap = "lay"',
    'reg = ["n2"]',
  ].join("\n");
  await using node = await TestNode.start({ config });
  await until("registration", () => /Registered n2 with IPCP/.test(node.irmd!.out));
  assertEquals((await node.admin().listNames()).map((n) => [n.name, n.polLb]), [["n2", 1], [
    "n1",
    0,
  ]]);
  assertEquals((await node.admin().listIpcps()).map((i) => [i.name, i.layer]), [["l1", "lay"]]);
  await node.stopIrmd();
  const path = `${node.prefix}/bad.conf`;
  await Deno.writeTextFile(path, "[nonsense]\n");
  const bad = await node.run(["irmd", "--stdout", "--config", path]);
  assertEquals(bad.code, 1);
  assertMatch(bad.out, /Unknown toplevel key: nonsense\. .*:1\)/);
  assertMatch(bad.out, /Failed to load config file\./);
  assertEquals(node.sharedMemory(), []);
});

Deno.test("irmd --config whose IPCP cannot be bootstrapped: exit 1, nothing is left", async () => {
  await using node = await TestNode.start({ idle: true });
  const path = `${node.prefix}/bad.conf`;
  await Deno.writeTextFile(path, '[eth-dix.e1]\nbootstrap = "lay"\ndev = "no-such-dev"\n');
  const bad = await node.run(["irmd", "--stdout", "--config", path]);
  assertEquals(bad.code, 1);
  assertMatch(bad.out, /Failed to bootstrap e1/);
  assertEquals(node.sharedMemory(), []);
});

Deno.test({
  name: "irmd on a /dev/shm too small for the pool: one clear line, exit 1, nothing is left",
  ignore: !ROOT,
  async fn() {
    await using node = await TestNode.start({ idle: true });
    const script =
      'mount -t tmpfs -o size=8m none /dev/shm && "$@"; code=$?; ls -A /dev/shm; exit $code';
    const argv = ["unshare", "-m", "sh", "-c", script, "sh", ...ouro("irmd", "--stdout")];
    const { code, out, err } = await node.spawnArgv(argv).wait();
    assertEquals(code, 1, out + err);
    const errors = out.split("\n").filter((l) => l.includes("(EE)"));
    assertEquals(errors.length, 2);
    assertStringIncludes(errors[0]!, "Failed to create GSPP.");
    assertStringIncludes(errors[1]!, "/dev/shm is too small: the packet pool needs 33 MiB");
    assertEquals(out.trimEnd().split("\n").at(-1)!.includes("(EE)"), true, "left in /dev/shm");
  },
});

Deno.test({
  name: "irmd without root: refused for the system's node, a node of its own with a prefix",
  ignore: !ROOT,
  async fn() {
    const uid = 65534;
    const prefix = await Deno.makeTempDir({ prefix: "ouro-test-" });
    Deno.chownSync(prefix, uid, uid);
    const env = ownCache(prefix);
    try {
      await using system = new RunningProcess(ouro("irmd", "--stdout"), { uid, gid: uid, env });
      const refused = await system.wait();
      assertEquals([refused.code, refused.out], [
        1,
        "IPC Resource Manager must be run as root.\n",
      ]);
      await using own = new RunningProcess(ouro("irmd", "--stdout", "--prefix", prefix), {
        uid,
        gid: uid,
        env,
      });
      await own.waitForLine(/daemon started/);
      assertEquals(Deno.statSync(`/dev/shm${instanceOf(prefix).shmBase}.gspp`).uid, uid);
      assertEquals(Deno.statSync(irmSocketPath(instanceOf(prefix))).mode! & 0o777, 0o600);
      assertEquals((await own.stop()).code, 0);
    } finally {
      Deno.removeSync(prefix, { recursive: true });
    }
  },
});

Deno.test({
  name: "irmd that meets a left-over of another user it may not remove says whose it is",
  ignore: !ROOT,
  async fn() {
    const uid = 65534;
    const prefix = await Deno.makeTempDir({ prefix: "ouro-test-" });
    Deno.chownSync(prefix, uid, uid);
    const left = `/dev/shm${instanceOf(prefix).shmBase}.gspp`;
    Deno.writeTextFileSync(left, "");
    try {
      await using own = new RunningProcess(ouro("irmd", "--stdout", "--prefix", prefix), {
        uid,
        gid: uid,
        env: ownCache(prefix),
      });
      const { code, out } = await own.wait();
      assertEquals(code, 1);
      assertStringIncludes(out, `Cannot remove the left-over ${left} of uid 0`);
      assertEquals(exists(left.replace(/gspp$/, "lockfile")), false, "its own lock");
    } finally {
      Deno.removeSync(left);
      Deno.removeSync(prefix, { recursive: true });
    }
  },
});

Deno.test({
  name:
    "a second irmd of a node, in a PID namespace of its own, leaves the first alone; so does its number",
  ignore: !ROOT,
  async fn() {
    await using node = await TestNode.start();
    await node.admin().createName(nameInfo("n1"));
    const there = ["unshare", "-p", "-f", "--kill-child=KILL", ...ouro("irmd", "--stdout")];
    await using second = node.spawnArgv(there);
    const { code, out } = await second.wait();
    assertEquals(code, 1);
    assertStringIncludes(out, `IRMd already running (${node.irmd!.pid}), exiting.`);
    assertEquals((await node.admin().listNames()).map((n) => n.name), ["n1"]);
  },
});

Deno.test({
  name:
    "names in /dev/shm that another user squats on, with directories: the node goes on, and starts again",
  ignore: !ROOT,
  async fn() {
    await using node = await TestNode.start();
    Deno.chmodSync(node.prefix, 0o755);
    const base = `/dev/shm${node.instance.shmBase}`;
    const squatted: (number | null)[] = [];
    const squat = (name: string) => {
      Deno.mkdirSync(`${base}.${name}/below`, { recursive: true });
      squatted.push(Deno.lstatSync(`${base}.${name}`).ino);
      for (const path of [`${base}.${name}/below`, `${base}.${name}`]) {
        Deno.chownSync(path, 65534, 65534);
      }
    };
    const server = await Puppet.announced(node, "server");
    await node.admin().createName(nameInfo("n1"));
    await node.admin().bindProcess(server.pid, "n1");
    for (let id = 1; id < 8; id++) squat(`rbuff.${server.pid}.${id}`);
    const idle = await Puppet.start(node);
    squat(`set.${idle.pid}`);
    squat("pup.4711");
    assertEquals(
      (await idle.irm({ code: IrmCode.IRM_PROC_ANNOUNCE, pid: idle.pid, prog: "c" }))!.result,
      0,
    );
    const of4711 = await Puppet.announced(node, "c", 4711);
    assertEquals(Deno.statSync(`${base}.pup.4711`).isFile, true);
    await of4711.kill();
    const accept = server.irm({
      code: IrmCode.IRM_FLOW_ACCEPT,
      flowInfo: flowInfoOf({ nPid: server.pid }),
    });
    const flow = await idle.irm({
      code: IrmCode.IRM_FLOW_ALLOC,
      flowInfo: flowInfoOf({ nPid: idle.pid }),
      dst: "n1",
    });
    assertEquals([flow!.result, (await accept)!.result], [0, 0]);
    squat("set.1");
    await node.irmd!.stop("SIGKILL");
    squat("pup.4712");
    node.irmd = node.spawn(["irmd", "--stdout"]);
    await node.irmd.waitForLine(/daemon started/);
    for (const path of squatted.map(movedAside)) {
      if (path !== undefined) Deno.removeSync(path, { recursive: true });
    }
  },
});

Deno.test({
  name: "irmd as the first process of a PID namespace reaps the orphans that are handed to it",
  ignore: !ROOT,
  async fn() {
    await using node = await TestNode.start({ idle: true });
    // A child of ours that ends beside them is still known by its status.
    const leaky = `${node.prefix}/leaky`;
    Deno.writeTextFileSync(leaky, "#!/bin/sh\n(sleep 0.1 &)\n(true &)\nexit 3\n");
    Deno.chmodSync(leaky, 0o755);
    const space = ["unshare", "-p", "-f", "--mount-proc", "--kill-child=KILL"];
    node.irmd = node.spawnArgv([...space, ...ouro("irmd", "--stdout")]);
    await node.irmd.waitForLine(/daemon started/);
    const inner = Number(
      Deno.readTextFileSync(`/proc/${node.irmd.pid}/task/${node.irmd.pid}/children`).trim(),
    );
    const inside = (script: string) =>
      node.spawnArgv(["nsenter", "-t", String(inner), "-p", "-m", "sh", "-c", script]).wait();
    await inside("for i in 1 2 3 4 5; do (sleep 0.1 & true & true); done");
    await node.admin().bindProgram([leaky], "l", true);
    const words = ouro("oping", "-n", "l", "-c", "1").map((w) => `'${w}'`).join(" ");
    assertStringIncludes((await inside(words)).err, "ended with status 3 before it accepted");
    const left = () => Deno.readTextFileSync(`/proc/${inner}/task/${inner}/children`).trim() === "";
    await until("no orphan is left", left);
  },
});

Deno.test("irmd on SIGHUP reads its configuration again: what is new is made, the rest stays", async () => {
  await using node = await TestNode.start({ idle: true });
  const path = `${node.prefix}/irmd.conf`;
  const write = (text: string) => Deno.writeTextFileSync(path, text);
  write('[name.n1]\nprog = ["/bin/true"]\n');
  const irmd = node.irmd = node.spawn(["irmd", "--stdout", "--config", path]);
  await irmd.waitForLine(/Bound program \/bin\/true to name n1/);
  const names = async () => (await node.admin().listNames()).map((n) => n.name).sort();
  await node.admin().createName(nameInfo("by-hand"));

  write('[name.n1]\nprog = ["/bin/true"]\n[name.n2]\nprog = ["/bin/false"]\n');
  irmd.kill("SIGHUP");
  await irmd.waitForLine(/Configuration read again/);
  assertEquals(await names(), ["by-hand", "n1", "n2"]);

  write("[name.n3\n");
  irmd.kill("SIGHUP");
  await irmd.waitForLine(/Failed to load config file/);
  assertEquals(await names(), ["by-hand", "n1", "n2"]);
  irmd.kill("SIGTERM");
  assertEquals((await irmd.wait()).code, 0);
});

Deno.test("irmd without a configuration file goes on after SIGHUP", async () => {
  await using node = await TestNode.start();
  node.irmd!.kill("SIGHUP");
  await node.irmd!.waitForLine(/no configuration file to read again/);
  await node.admin().createName(nameInfo("n"));
});
