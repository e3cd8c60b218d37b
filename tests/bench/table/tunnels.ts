/** Rows of the table in which flows carry the traffic of other programs: a TCP bridge and `ovpn`, each beside the same without flows. */

import { ouro, type RunningProcess } from "../../support/node.ts";
import { script } from "../../support/process.ts";
import { type Host, NAME, onTwoNodes, type Place } from "./hosts.ts";
import { type Extent, type Part, roundsOf, type Row } from "./rows.ts";

/** How long traffic is measured, s. */
const SECONDS = 3;
/** What the own client sends where there is no iperf3: chunks of so many bytes. */
const CHUNK_BYTES = 65536;
const CHUNKS = 4000;
const DEADLINE_MS = 60_000;
const PORTS = { server: 5301, in: 5302, between: 5303 };
const TUNNEL = { a: "10.82.0.1", b: "10.82.0.2", mask: "255.255.255.0" };
const relay = (...words: string[]) => script("tests/bench/table/relay.ts", ...words);
const peer = (...words: string[]) => script("tests/bench/table/peer.ts", ...words);

const hasIperf = new Deno.Command("sh", { args: ["-c", "command -v iperf3"], stdout: "null" })
  .outputSync().success;
/** What sends and measures. */
const SENDER = hasIperf ? "iperf3" : "a client of our own";

async function start(host: Host, argv: string[], sign = /ready/): Promise<RunningProcess> {
  const running = host.node.spawnArgv(host.inside(argv));
  await running.waitForLine(sign);
  return running;
}

/** Mbit/s from a to `address` and `port`, where a server at b answers. */
async function throughput({ a, b }: Place, address: string, port: number): Promise<number> {
  const listen = String(PORTS.server);
  if (!hasIperf) {
    const server = await start(b, peer("serve", "chunks", `tcp:0.0.0.0:${listen}`, "1"));
    const where = `tcp:${address}:${port}`;
    const words = ["chunks", where, String(CHUNK_BYTES), String(CHUNKS)];
    await a.node.spawnArgv(a.inside(peer(...words))).wait(DEADLINE_MS);
    const { out } = await server.wait(DEADLINE_MS);
    return JSON.parse(out.trim().split("\n").at(-1)!).rate * 8 / 1e6;
  }
  const server = await start(b, ["iperf3", "-s", "-1", "--forceflush", "-p", listen], /listening/);
  try {
    const words = ["-c", address, "-p", String(port), "-t", String(SECONDS), "-J"];
    const { out, err } = await a.node.spawnArgv(a.inside(["iperf3", ...words])).wait(DEADLINE_MS);
    const { end, error } = JSON.parse(out);
    if (error !== undefined) throw new Error(`iperf3: ${error}${err}`);
    return end.sum_received.bits_per_second / 1e6;
  } finally {
    server.kill("SIGKILL");
    await server.status;
  }
}

/** Runs `use` while the processes that `make` starts carry. */
async function carried(
  make: (started: RunningProcess[]) => Promise<void>,
  use: () => Promise<number>,
): Promise<number> {
  const started: RunningProcess[] = [];
  try {
    await make(started);
    return await use();
  } finally {
    for (const p of started) p.kill("SIGKILL");
    for (const p of started) await p.status;
  }
}

async function bind({ node }: Host, pid: number): Promise<void> {
  await node.must("irm", "bind", "process", String(pid), "name", NAME);
}

function overBridge(place: Place, over: "flow" | "tcp"): Promise<number> {
  const { a, b, address } = place;
  const where = over === "flow" ? `flow:${NAME}` : `tcp:${address}:${PORTS.between}`;
  return carried(async (started) => {
    const out = await start(b, relay("out", where, String(PORTS.server)));
    started.push(out);
    if (over === "flow") await bind(b, out.pid);
    started.push(await start(a, relay("in", String(PORTS.in), where)));
  }, () => throughput(place, "127.0.0.1", PORTS.in));
}

function overOvpn(place: Place): Promise<number> {
  const { a, b } = place;
  const device = /Tunnel device name/;
  return carried(async (started) => {
    const words = ["-m", TUNNEL.mask, "-i"];
    const server = await start(b, ouro("ovpn", ...words, TUNNEL.b), /Waiting/);
    started.push(server);
    await bind(b, server.pid);
    started.push(await start(a, ouro("ovpn", "-n", NAME, ...words, TUNNEL.a), device));
    await server.waitForLine(device);
  }, () => throughput(place, TUNNEL.b, PORTS.server));
}

function overUdp(place: Place): Promise<number> {
  const { a, b } = place;
  const at = { a: `${place.ownAddress}:${PORTS.between}`, b: `${place.address}:${PORTS.between}` };
  return carried(async (started) => {
    started.push(await start(b, relay("tun", TUNNEL.b, at.b, at.a)));
    started.push(await start(a, relay("tun", TUNNEL.a, at.a, at.b)));
  }, () => throughput(place, TUNNEL.b, PORTS.server));
}

/** Rounds in turns, over one layer. */
function inTurns(
  row: { what: string; goal: string; peer: string },
  ours: (place: Place) => Promise<number>,
  theirs: (place: Place) => Promise<number>,
): Part {
  return async ({ rounds }: Extent): Promise<Row[]> => {
    const values: [number, number][] = [];
    await onTwoNodes({ type: "udp4", mtu: 1500 }, async (place) => {
      for (let i = 0; i < rounds; i++) values.push([await theirs(place), await ours(place)]);
    });
    return [{
      what: row.what,
      unit: "Mbit/s",
      goal: row.goal,
      ours: roundsOf(values.map(([, o]) => o)),
      peer: { name: row.peer, ...roundsOf(values.map(([t]) => t)) },
      ratio: roundsOf(values.map(([t, o]) => o / t)).median,
    }];
  };
}

/** See the head of this file. */
export const tunnelParts: Readonly<Record<string, Part>> = {
  bridge: inTurns(
    {
      what: `${SENDER} over a bridge of TCP and flows, udp4`,
      goal: "≥ 0.6",
      peer: "bridge of TCP and TCP, plain Deno",
    },
    (place) => overBridge(place, "flow"),
    (place) => overBridge(place, "tcp"),
  ),
  ovpn: inTurns(
    {
      what: `${SENDER} through \`ovpn\`, udp4`,
      goal: "≥ 0.5, or 3000 Mbit/s",
      peer: "TUN device over UDP, plain Deno",
    },
    overOvpn,
    overUdp,
  ),
};
