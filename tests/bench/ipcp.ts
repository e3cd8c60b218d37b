/**
 * The bench of the IPCPs: round trips and streams over each of them beside the kernel's own path in the same run,
 * idle CPU, start-up and memory. Prints ratios and goals; asserts nothing.
 *
 *     deno run -A tests/bench/ipcp.ts [local] [udp4] [eth-dix] [stream] [idle] [prototype]
 *
 * Needs root for the namespaces. With `OURO_BINARY` the nodes run the built program; with `OURO_PROTOTYPE` the C
 * prototype is measured over the same kind of link. `deno bundle` makes the peers readable for other users.
 */

import { fromFileUrl } from "@std/path";
import { md5Hex } from "../support/ipcp_pair.ts";
import { NetLab } from "../support/netns.ts";
import { canRunPrototype } from "../interop/c_host.ts";
import { type Figures, line, reported } from "./figures.ts";
import { opingRoundTrip } from "./oping.ts";
import { ouro, RunningProcess, TestNode } from "../support/node.ts";

const DEADLINE_MS = Number(Deno.env.get("BENCH_DEADLINE_MS") ?? 120_000);
const PINGS = Number(Deno.env.get("BENCH_PINGS") ?? 20_000);
const IP = { a: "10.80.0.1", b: "10.80.0.2" };

const us = (f: Figures) => `${f.median.toFixed(1)} µs`;
const against = (f: Figures, yard: Figures, goal: string) =>
  `best ${f.best.toFixed(1)}; ${(f.median / yard.median).toFixed(2)} of it (goal: ${goal})`;

/** A user who is nobody in particular. */
const NOBODY = 65534;

/** The runtime where every user can run it: where it is, or a copy in `dir`. */
async function denoForAll(dir: string): Promise<string> {
  const own = Deno.execPath();
  try {
    const tried = new RunningProcess([own, "--version"], {
      uid: NOBODY,
      gid: NOBODY,
      env: { HOME: dir },
    });
    if ((await tried.wait()).code === 0) return own;
  } catch {
    // It lies in a directory that others may not enter.
  }
  await Deno.copyFile(own, `${dir}/deno`);
  await Deno.chmod(`${dir}/deno`, 0o755);
  return `${dir}/deno`;
}

/** Peers as single files that every user may read, and the command that runs one. */
class Peers implements AsyncDisposable {
  private constructor(readonly dir: string, readonly deno: string) {}
  static async make(): Promise<Peers> {
    const dir = await Deno.makeTempDir({ prefix: "ouro-bench-" });
    await Deno.chmod(dir, 0o777);
    for (const name of ["ipcp_peer", "udp_peer", "unix_peer"]) {
      const path = fromFileUrl(new URL(`./${name}.ts`, import.meta.url));
      const out = await new Deno.Command(Deno.execPath(), {
        args: ["bundle", "--quiet", "--platform", "deno", "--output", `${dir}/${name}.js`, path],
      }).output();
      if (!out.success) throw new Error(new TextDecoder().decode(out.stderr));
      await Deno.chmod(`${dir}/${name}.js`, 0o644);
    }
    return new Peers(dir, await denoForAll(dir));
  }
  argv(name: string, ...words: (string | number)[]): string[] {
    const flags = ["run", "-A", "--no-prompt", "--quiet", "--no-config", "--no-lock"];
    return [this.deno, ...flags, `${this.dir}/${name}.js`, ...words.map(String)];
  }
  env(uid: number): Record<string, string> {
    return { DENO_DIR: `${this.dir}/cache-${uid}`, HOME: this.dir };
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

async function figures(...processes: RunningProcess[]): Promise<Figures> {
  const results = await Promise.all(processes.map((p) => p.wait(DEADLINE_MS)));
  for (const r of results) {
    const found = reported<Figures>(r.out);
    if (found !== undefined) return found;
  }
  throw new Error(results.map((r) => `${r.code}: ${r.out}${r.err}`).join("\n"));
}

/** A flow from a process on `a` to one on `b`. */
async function flow(
  peers: Peers,
  a: { node: TestNode; uid?: number },
  b: { node: TestNode; uid?: number; layer: string },
  mode: string,
  count: number,
  bytes: number,
): Promise<Figures> {
  const name = "bench";
  for (const node of new Set([a.node, b.node])) await node.run(["irm", "name", "create", name]);
  const as = (uid?: number) => {
    return uid === undefined ? {} : { uid, gid: uid, env: peers.env(uid) };
  };
  const server = b.node.spawnArgv(peers.argv("ipcp_peer", "server", mode, count, bytes), as(b.uid));
  await server.waitForLine(/ready/);
  await b.node.must("irm", "bind", "process", `${server.pid}`, "name", name);
  await b.node.must("irm", "name", "register", name, "layer", b.layer);
  const words = ["client", mode, count, bytes, name];
  const client = a.node.spawnArgv(peers.argv("ipcp_peer", ...words), as(a.uid));
  try {
    return await figures(client);
  } finally {
    server.kill("SIGKILL");
    await server.status;
  }
}

async function unixRoundTrip(peers: Peers): Promise<Figures> {
  const path = `${peers.dir}/bench.sock`;
  await using server = new RunningProcess(peers.argv("unix_peer", "server", path, PINGS, 64));
  await server.waitForLine(/ready/);
  await using client = new RunningProcess(peers.argv("unix_peer", "client", path, PINGS, 64));
  return await figures(client);
}

async function localPart(peers: Peers): Promise<void> {
  await using node = await TestNode.start({ args: ["--no-direct"] });
  await Deno.chmod(node.prefix, 0o755);
  const boot = ["type", "local", "name", "l", "layer", "loc"];
  await node.must("irm", "ipcp", "bootstrap", ...boot);
  const unix = await unixRoundTrip(peers);
  line("UNIX socket, 64 B round trip", us(unix), `best ${unix.best.toFixed(1)}`);
  const same = await flow(peers, { node }, { node, layer: "loc" }, "block", PINGS, 64);
  line("local, root to root", us(same), against(same, unix, "-"));
  const [u, v] = [{ node, uid: NOBODY }, { node, uid: 65533, layer: "loc" }];
  const two = await flow(peers, u, v, "block", PINGS, 64);
  line("local, two users", us(two), against(two, unix, "at most 1.5"));
}

interface Link {
  net: NetLab;
  ns: { a: string; b: string };
  a: TestNode;
  b: TestNode;
}

async function withLink(use: (l: Link) => Promise<void>): Promise<void> {
  await using net = new NetLab();
  const ns = { a: await net.namespace("a"), b: await net.namespace("b") };
  await net.link(
    { ns: ns.a, dev: "vetha", addr: `${IP.a}/24` },
    { ns: ns.b, dev: "vethb", addr: `${IP.b}/24` },
  );
  const nodes: TestNode[] = [];
  try {
    for (const n of [ns.a, ns.b]) {
      const node = await TestNode.start({ idle: true });
      nodes.push(node);
      node.irmd = node.spawnArgv(net.inside(n, ouro("irmd", "--stdout")));
      await node.irmd.waitForLine(/daemon started/);
      await Deno.mkdir(`${node.prefix}/etc`, { recursive: true });
      await Deno.writeTextFile(`${node.prefix}/etc/hosts`, `${IP.b} ${md5Hex("bench")}\n`);
    }
    await use({ net, ns, a: nodes[0]!, b: nodes[1]! });
  } finally {
    for (const node of nodes) await node[Symbol.asyncDispose]();
  }
}

async function udpYardstick(peers: Peers, l: Link, mode: string, n: number, size: number) {
  const words = (role: string, own: string, peer: string) =>
    peers.argv("udp_peer", role, mode, n, size, own, peer);
  await using server = new RunningProcess(l.net.inside(l.ns.b, words("server", IP.b, IP.a)));
  await server.waitForLine(/ready/);
  await using client = new RunningProcess(l.net.inside(l.ns.a, words("client", IP.a, IP.b)));
  return await figures(client, server);
}

async function bootstrap(l: Link, type: "udp4" | "eth-dix"): Promise<void> {
  for (const [node, side] of [[l.a, "a"], [l.b, "b"]] as const) {
    const lower = type === "udp4" ? ["ip", IP[side]] : ["dev", `veth${side}`];
    const words = ["type", type, "name", type, "layer", type, ...lower];
    await node.must("irm", "ipcp", "bootstrap", ...words);
  }
}

async function linkPart(peers: Peers, type: "udp4" | "eth-dix", goal: string): Promise<void> {
  await withLink(async (l) => {
    await bootstrap(l, type);
    const plain = await udpYardstick(peers, l, "block", PINGS, 64);
    line("plain UDP over veth, 64 B round trip", us(plain), `best ${plain.best.toFixed(1)}`);
    const b = { node: l.b, layer: type };
    const ours = await flow(peers, { node: l.a }, b, "block", PINGS, 64);
    line(`${type} over veth`, us(ours), against(ours, plain, goal));
  });
}

/** One request after the other, and one a millisecond, where every hop has gone to sleep. */
const PACES = [["ping-pong", "-f", "-c", "20000"], ["1 a ms", "-c", "2000", "-i", "1"]] as const;

async function prototypePart(): Promise<void> {
  for (const type of ["eth-dix", "udp4"] as const) {
    if (!canRunPrototype) {
      line(`oping over ${type}, C and ours`, "skipped", "OURO_PROTOTYPE is not set");
      continue;
    }
    for (const [words, ...pace] of PACES) {
      const c = await opingRoundTrip(type, "c", pace);
      const ours = await opingRoundTrip(type, "ouro", pace);
      line(`C oping over C ${type}, ${words}, median`, `${c.toFixed(1)} µs`);
      const note = `${(ours / c).toFixed(2)} of it (goal: at most 1)`;
      line(`our oping over our ${type}, ${words}`, `${ours.toFixed(1)} µs`, note);
    }
  }
}

async function streamPart(peers: Peers): Promise<void> {
  await withLink(async (l) => {
    await bootstrap(l, "udp4");
    const gbit = (f: Figures) => `${(f.median * 1400 * 8 / 1e9).toFixed(2)} Gbit/s`;
    const plain = await udpYardstick(peers, l, "oneway", 600_000, 1400);
    line("plain UDP mmsg over veth, 1400 B one way", gbit(plain));
    const ours = await stream(peers, l);
    const share = (ours.median / plain.median * 100).toFixed(0);
    line("udp4 over veth, 1400 B one way", gbit(ours), `${share} % (goal: 1 Gbit/s or 70 %)`);
  });
}

/** The server counts what arrives for some seconds; the client sends until it is stopped. */
async function stream(peers: Peers, l: Link): Promise<Figures> {
  for (const node of [l.a, l.b]) await node.run(["irm", "name", "create", "bench"]);
  const words = ["server", "oneway", 0, 1400];
  const server = l.b.spawnArgv(peers.argv("ipcp_peer", ...words));
  await server.waitForLine(/ready/);
  await l.b.must("irm", "bind", "process", `${server.pid}`, "name", "bench");
  await l.b.must("irm", "name", "register", "bench", "layer", "udp4");
  const client = l.a.spawnArgv(
    peers.argv("ipcp_peer", "client", "oneway", 0, 1400, "bench"),
  );
  const f = await figures(server).finally(() => client.kill("SIGKILL"));
  await client.status;
  return f;
}

/** CPU time of a process and its threads, ms. */
function cpuMs(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function idlePart(): Promise<void> {
  await withLink(async (l) => {
    await l.a.must("irm", "ipcp", "list");
    for (const type of ["udp4", "eth-dix"] as const) {
      const start = performance.now();
      const lower = type === "udp4" ? ["ip", IP.a] : ["dev", "vetha"];
      const words = ["type", type, "name", type, "layer", type, ...lower];
      await l.a.must("irm", "ipcp", "bootstrap", ...words);
      const took = performance.now() - start;
      line(`${type}: irm creates and bootstraps`, `${took.toFixed(0)} ms`, "(goal: below 400)");
    }
    await l.a.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l", "layer", "loc");
    const list = await l.a.must("irm", "ipcp", "list");
    await new Promise((done) => setTimeout(done, 1000));
    const rows = list.matchAll(/(\d+) \|\s+(\S+) \|\s+(?:local|udp4|eth-dix) /g);
    const pids = [...rows].map((m) => [Number(m[1]), m[2]!]);
    const before = pids.map(([pid]) => cpuMs(pid as number));
    await new Promise((done) => setTimeout(done, 5000));
    pids.forEach(([pid, name], i) => {
      const used = (cpuMs(pid as number) - before[i]!) / 50;
      const rss = Deno.readTextFileSync(`/proc/${pid}/status`).match(/VmRSS:\s+(\d+)/)![1]!;
      const mb = (Number(rss) / 1024).toFixed(0);
      line(`${name}: idle CPU, memory`, `${used.toFixed(1)} %`, `${mb} MB (goal: 0.0, below 110)`);
    });
  });
}

const parts = Deno.args.length > 0
  ? Deno.args
  : ["local", "udp4", "eth-dix", "stream", "idle", "prototype"];
await using peers = await Peers.make();
for (const part of parts) {
  if (part === "local") await localPart(peers);
  else if (part === "udp4") await linkPart(peers, "udp4", "at most 1.6");
  else if (part === "eth-dix") await linkPart(peers, "eth-dix", "at most 1.3");
  else if (part === "stream") await streamPart(peers);
  else if (part === "idle") await idlePart();
  else if (part === "prototype") await prototypePart();
  else throw new Error(`Cannot bench ${part}: there is no such part`);
}
