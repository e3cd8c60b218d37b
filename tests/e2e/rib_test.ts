// The RIB as a file system, live: what root's IPCPs show below PREFIX/tmp/ouroboros, and that nothing hangs or stays.

import { assertEquals, assertMatch } from "@std/assert";
import { until } from "../support/deadline.ts";
import { run } from "../support/process.ts";
import { type RunningProcess, TestNode } from "../support/node.ts";
import { peerArgv } from "../support/peer.ts";
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

/** The numbers of a file, by label. */
function numbers(text: string): Record<string, number> {
  const lines = text.trimEnd().split("\n").map((l) => l.split(/: +/) as [string, string]);
  return Object.fromEntries(lines.map(([label, value]) => [label, Number(value)]));
}

Deno.test({
  name:
    "programs of any user show their flows with FRCT, as they are, and nobody can lie about another's",
  ignore,
  async fn() {
    await using n = await node();
    const dir = `${n.prefix}/tmp/ouroboros`;
    const server = n.spawnArgv(peerArgv("serve", "frct"));
    await server.waitForLine(/^ready/m);
    await n.must("irm", "name", "create", "frct");
    await n.must("irm", "bind", "process", `${server.pid}`, "name", "frct");
    await n.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "here");
    await n.must("irm", "name", "reg", "frct", "layer", "here");
    const raw = n.spawnArgv(peerArgv("hold", "frct", "1"));
    await raw.waitForLine(/^flow/m);
    const [mine, other] = [0, 65534].map((uid) =>
      n.spawnArgv(peerArgv("hold", "frct", "5", "data"), { env: { OURO_TEST_UID: `${uid}` } })
    ) as [RunningProcess, RunningProcess];
    const holders: readonly [RunningProcess, number][] = [[mine, 0], [other, 65534]];
    const of = new Map<RunningProcess, string>();
    for (const [holder, uid] of holders) {
      const id = (await holder.waitForLine(/^flow (\d+)/m))[1]!;
      const at = `${dir}/proc.${holder.pid}`;
      await until("it is shown", () => exists(`${at}/64/frct`));
      assertEquals(Deno.statSync(`${at}/64/frct`).uid, uid);
      const first = await cat(`${at}/64/frct`);
      assertEquals(first.length, 1188, first);
      // What was written last is told within 0.1 s, also by a program that does nothing more.
      await until("all is acknowledged", () => {
        const now = numbers(Deno.readTextFileSync(`${at}/64/frct`));
        const left = now["Sender left window edge"]!;
        return left === now["Sender current sequence number"] && now["Smoothed rtt (ns)"]! > 0;
      });
      of.set(holder, id);
    }
    // Both ends say the same. The server read five messages of each, and sent each of them back.
    const served = `${dir}/proc.${server.pid}`;
    const fds = [...Deno.readDirSync(served)].map((e) => e.name).sort();
    assertEquals(fds.length, 2, "the raw flow is not among them");
    const clients = holders.map(([holder]) =>
      numbers(Deno.readTextFileSync(`${dir}/proc.${holder.pid}/64/frct`))
    );
    const ends = fds.map((fd) => numbers(Deno.readTextFileSync(`${served}/${fd}/frct`)));
    const label = "Sender current sequence number";
    assertEquals(
      ends.map((e) => e["Receiver left window edge"]).sort(),
      clients.map((c) => c[label]).sort(),
    );
    const ages = async () =>
      numbers(await cat(`${dir}/proc.${mine.pid}/64/frct`))["Sender inactive (ns)"]!;
    const age = await ages();
    assertEquals(age > 0 && await ages() > age, true);
    // Any user lists all of it.
    const all = await run(["sh", "-c", `ls -lR ${dir} && cat ${dir}/*/*/frct`], {
      uid: 65534,
      gid: 65534,
    });
    assertEquals([all.code, all.err], [0, ""]);
    // A program that says what it likes: of flows that are not its own nothing is shown, and no number is no number.
    const file = `/dev/shm${n.instance.shmBase}.frct.${other.pid}`;
    assertEquals(Deno.statSync(file).uid, 65534);
    const lies = new Uint8Array(256 * 4096);
    for (let id = 0; id < 4096; id++) {
      const slot = new DataView(lies.buffer, 256 * id, 256);
      slot.setInt32(0, id, true);
      slot.setInt32(4, id === Number(of.get(other)) ? -7 : id, true);
      for (let i = 16; i < 240; i += 8) slot.setFloat64(i, [NaN, Infinity, -1, 1e300][i >> 3 & 3]!);
    }
    Deno.writeFileSync(file, lies);
    const lied = [...Deno.readDirSync(`${dir}/proc.${other.pid}`)].map((e) => e.name);
    assertEquals(lied, [`${4096 + Number(of.get(other))}`]);
    const shown = await cat(`${dir}/proc.${other.pid}/${lied[0]}/frct`);
    assertEquals(shown.length, 1188, shown);
    assertEquals(Object.values(numbers(shown)).every((v) => v >= 0), true, shown);
    for (const spoil of [() => Deno.truncateSync(file, 3), () => Deno.removeSync(file)]) {
      spoil();
      assertEquals([...Deno.readDirSync(`${dir}/proc.${other.pid}`)], []);
    }
    Deno.mkdirSync(file);
    assertEquals([...Deno.readDirSync(`${dir}/proc.${other.pid}`)], []);
    assertMatch(await cat(`${dir}/proc.${mine.pid}/64/frct`), /^Maximum packet lifetime/);
    const programs = [mine, other, raw, server];
    for (const p of programs) await p.stop("SIGKILL");
    await until("they are gone", () => {
      const left = [...Deno.readDirSync(dir)].map((e) => e.name);
      return !programs.some((p) => left.includes(`proc.${p.pid}`)) &&
        !n.sharedMemory().some((name) => name.includes(".frct."));
    });
    await n.stopIrmd();
    assertEquals(exists(dir), false);
  },
});
