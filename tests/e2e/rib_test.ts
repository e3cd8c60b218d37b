// The RIB as a file system, live: what root's IPCPs show below PREFIX/tmp/ouroboros, and that nothing hangs or stays.

import { assertEquals, assertMatch } from "@std/assert";
import { until } from "../support/deadline.ts";
import { run } from "../support/process.ts";
import { TestNode } from "../support/node.ts";
import { first, joins, Loopback, pinged, pingServer } from "../support/unicast_layer.ts";

const ignore = Deno.uid() !== 0 || !exists("/dev/fuse");

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

async function node(): Promise<TestNode> {
  const made = await TestNode.start({ env: { OURO_RIB: "on" } });
  await Deno.chmod(made.prefix, 0o755); // for other users
  return made;
}

/** Reads a file of the RIB by a process of its own, so that a test that hangs fails. */
async function cat(path: string): Promise<string> {
  const r = await run(["cat", path]);
  return `${r.out}${r.err}`;
}

/** What IPCPs have mounted; the daemon's own is apart. */
function mounts(prefix: string): string[] {
  const all = Deno.readTextFileSync("/proc/mounts").split("\n").filter((l) => l.includes(prefix));
  return all.filter((l) => !l.includes("/proc."));
}

Deno.test({
  name: "IPCPs show what they are: before and after bootstrap, unicast with its components",
  ignore,
  async fn() {
    await using n = await node();
    const dir = `${n.prefix}/tmp/ouroboros`;
    await n.must("irm", "ipcp", "create", "type", "unicast", "name", "u1");
    await until("a mount", () => mounts(n.prefix).length === 1);
    assertMatch(
      mounts(n.prefix)[0]!,
      /^rib .* fuse ro,nosuid,nodev,.*default_permissions,allow_other /,
    );
    assertEquals(await cat(`${dir}/u1/info/_state`), "bug\n");
    assertEquals(await cat(`${dir}/u1/info/_layer`), "(null)\n");
    await n.must("irm", "ipcp", "bootstrap", "type", "unicast", "name", "u1", "layer", "net");
    await n.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "here");
    assertEquals(await cat(`${dir}/u1/info/_state`), "operational\n");
    assertEquals(await cat(`${dir}/u1/info/_layer`), "net\n");
    assertEquals(await cat(`${dir}/l1/info/_type`), "local\n");
    assertMatch(await cat(`${dir}/u1/dht/stats`), /^DHT: [0-9a-f]{16}\n {2}Created: .* \(UTC\)\n/);
    assertEquals(await cat(`${dir}/u1/dht/database`), "  No entries.");
    // Any user lists and reads everything, and nobody dies of it.
    const all = await run(["ls", "-lR", dir], { uid: 65534, gid: 65534 });
    assertEquals([all.code, all.err], [0, ""]);
    assertMatch(all.out, /-rw-r--r-- 1 root root +12 .* _state/);
    assertMatch(all.out, /flow-allocator/);
    const words = await run(["sh", "-c", `cat ${dir}/*/*/*`], { uid: 65534, gid: 65534 });
    assertEquals([words.code, words.err], [0, ""]);
    // There is nothing but what is listed, and nothing can be written.
    assertMatch(await cat(`${dir}/u1/info/other`), /No such file/);
    assertMatch((await run(["rm", `${dir}/u1/info/_state`])).err, /Read-only file system/);
    assertEquals(await cat(`${dir}/u1/info/_state`), "operational\n");
    await n.must("irm", "ipcp", "destroy", "name", "l1");
    await until("its directory goes", () => !exists(`${dir}/l1`));
    await n.stopIrmd();
    assertEquals(mounts(n.prefix), []);
    assertEquals(exists(dir), false);
  },
});

Deno.test({
  name: "the IRMd shows what it knows; --rib is the switch",
  ignore,
  async fn() {
    await using n = await TestNode.start({ args: ["--rib", "on"] });
    const dir = `${n.prefix}/tmp/ouroboros/proc.${n.irmd!.pid}`;
    await until("it is mounted", () => exists(`${dir}/info/stats`));
    assertMatch(await cat(`${dir}/info/stats`), /^IPCPs: +0\nNames: +0\n/);
    await n.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "here");
    await n.must("irm", "name", "create", "some.name");
    const pid = (await n.admin().listIpcps())[0]!.pid;
    assertMatch(
      await cat(`${dir}/ipcp/${pid}`),
      /^Name: +l1\nType: +local\nState: +bootstrapped\nLayer: +here\n$/,
    );
    assertMatch(await cat(`${dir}/name/some.name`), /^Bound processes: +0\n/);
    assertMatch(await cat(`${dir}/info/stats`), /^IPCPs: +1\nNames: +1\n/);
    // The IPCPs hear of the switch too.
    assertEquals(await cat(`${n.prefix}/tmp/ouroboros/l1/info/_type`), "local\n");
    await n.stopIrmd();
    assertEquals(exists(dir), false);
  },
});

Deno.test({
  name: "counters of a unicast IPCP are true: endpoints by cube, flows above",
  ignore,
  async fn() {
    await using lab = await Loopback.make([["net.a"], ["net.b"]], undefined, ["--rib", "on"]);
    const [a, b] = lab.nodes as [TestNode, TestNode];
    await first(a, "net.a", "net", "wire");
    await joins(b, "net.b", "net", "wire", "net.a");
    await pingServer(a, "ping.a", "net");
    await pinged(b, "ping.a");
    const dir = `${b.prefix}/tmp/ouroboros/net.b`;
    const transfer = [...Deno.readDirSync(dir)].find((e) => e.name.startsWith("dt."))!.name;
    const file = [...Deno.readDirSync(`${dir}/${transfer}`)].find((e) => !/^[01]$/.test(e.name))!;
    /** Packets sent in a cube to the neighbour. */
    const sent = async (cube: number) => {
      const text = await cat(`${dir}/${transfer}/${file.name}`);
      const counts = text.slice(text.indexOf(`Qos cube ${`${cube}`.padStart(3)}:`));
      return Number(/ sent \(packets\): +(\d+)/.exec(counts)![1]);
    };
    assertEquals(await sent(1), 0);
    const client = b.spawn(["oping", "-n", "ping.a", "-i", "20", "-q", "video"]);
    await client.waitForLine(/seq=10/);
    const flow = [...Deno.readDirSync(`${dir}/flow-allocator`)][0]!.name;
    const text = await cat(`${dir}/flow-allocator/${flow}`);
    assertMatch(text, /^Flow established at: +\d{4}-.* \(UTC\)\nRemote address: +\d+\n/);
    assertMatch(text, /\nCongestion avoidance algorithm: +Multi-bit ECN\n/);
    const of = (label: string) =>
      Number(new RegExp(`${label} \\(packets\\): +(\\d+)`).exec(text)![1]);
    for (const label of ["Sent", "Received"]) assertEquals(of(label) >= 10, true, text);
    assertEquals(of("Send failed"), 0);
    await client.stop("SIGINT");
    // Video goes in a cube of its own, at both ends.
    assertEquals(await sent(1) >= 10, true);
    assertEquals(await sent(2), 0);
  },
});

Deno.test({
  name: "a Data Transfer connection goes below in the cube that it was asked for",
  ignore,
  async fn() {
    await using lab = await Loopback.make([["low.a"], ["low.b"]], undefined, ["--rib", "on"]);
    const [a, b] = lab.nodes as [TestNode, TestNode];
    await first(a, "low.a", "low", "wire");
    await joins(b, "low.b", "low", "wire", "low.a");
    await first(a, "high.a", "high", "low.a");
    const dir = `${b.prefix}/tmp/ouroboros/low.b`;
    /** Packets that low.b sent to its neighbour in a cube. */
    const sent = async (cube: number) => {
      const transfer = (await Array.fromAsync(Deno.readDir(dir))).find((e) =>
        e.name.startsWith("dt.")
      )!.name;
      const file = (await Array.fromAsync(Deno.readDir(`${dir}/${transfer}`))).find((e) =>
        !/^[01]$/.test(e.name)
      )!;
      const text = await cat(`${dir}/${transfer}/${file.name}`);
      const counts = text.slice(text.indexOf(`Qos cube ${`${cube}`.padStart(3)}:`));
      return Number(/ sent \(packets\): +(\d+)/.exec(counts)![1]);
    };
    for (const name of ["high.a", "high", "high.b"]) await b.must("irm", "name", "create", name);
    const who = ["name", "high.b", "dst", "high.a"];
    await b.must("irm", "ipcp", "enroll", "type", "unicast", ...who, "autobind");
    await b.must("irm", "name", "reg", "high.b", "ipcp", "low.b");
    await b.must("irm", "ipcp", "connect", ...who, "component", "mgmt");
    assertEquals([await sent(1), await sent(2)], [0, 0]);
    await pingServer(a, "ping.a", "high");
    // What the flows above want is a matter of the layer above: below all goes in the cube of the connection.
    for (const [qos, cube] of [["voice", 2], ["video", 1]] as const) {
      const before = await sent(cube);
      await b.must("irm", "ipcp", "connect", ...who, "component", "dt", "qos", qos);
      await pinged(b, "ping.a", 3, ["-q", "data", "-s", "5000"]);
      assertEquals(await sent(cube) - before >= 3, true, qos);
      await b.must("irm", "ipcp", "disconnect", ...who, "component", "dt");
    }
  },
});

Deno.test({
  name: "an IPCP that is killed leaves no mount",
  ignore,
  async fn() {
    await using n = await node();
    const dir = `${n.prefix}/tmp/ouroboros`;
    await n.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "here");
    const admin = n.admin();
    const pid = (await admin.listIpcps())[0]!.pid;
    assertEquals(await cat(`${dir}/l1/info/_type`), "local\n");
    Deno.kill(pid, "SIGKILL");
    await until("the mount goes", () => mounts(n.prefix).length === 0 && !exists(`${dir}/l1`));
  },
});

Deno.test({
  name: "a name that leads out of the directory mounts nothing; off is off",
  ignore,
  async fn() {
    await using n = await node();
    await n.run(["irm", "ipcp", "create", "type", "local", "name", "../x"]);
    assertEquals(mounts(n.prefix), []);
    await using off = await TestNode.start({ env: { OURO_RIB: "off" } });
    await off.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "here");
    assertEquals(mounts(off.prefix), []);
  },
});
