/** Rows of the table that have other peers than TCP: the prototype, the plain flow, the runtime's own function, or none. */

import { Buffer } from "node:buffer";
import { crc32 as zlibCrc32 } from "node:zlib";
import { crc32 } from "../../../lib/crc32.ts";
import { ouro } from "../../support/node.ts";
import { canMakeNetns } from "../../support/netns.ts";
import { canRunPrototype } from "../../interop/c_host.ts";
import { opingRoundTrip } from "../oping.ts";
import { onOneNode, onTwoNodes, runWork } from "./hosts.ts";
import { type Extent, type Part, roundsOf, type Row } from "./rows.ts";

/** Rounds of ours and of another, in turns. */
async function beside(
  what: { what: string; unit: string; goal: string; peer: string },
  rounds: number,
  theirs: () => Promise<number> | number,
  ours: () => Promise<number> | number,
): Promise<Row> {
  const values: [number, number][] = [];
  for (let i = 0; i < rounds; i++) values.push([await theirs(), await ours()]);
  return {
    what: what.what,
    unit: what.unit,
    goal: what.goal,
    ours: roundsOf(values.map(([, o]) => o)),
    peer: { name: what.peer, ...roundsOf(values.map(([t]) => t)) },
    ratio: roundsOf(values.map(([t, o]) => o / t)).median,
  };
}

async function pingPart({ rounds }: Extent): Promise<Row[]> {
  if (!canMakeNetns()) return [];
  const pace = ["-c", "1500", "-i", "1"];
  const rows: Row[] = [];
  for (const type of ["eth-dix", "udp4"] as const) {
    const what = {
      what: `one ping a millisecond over ${type}`,
      unit: "µs",
      goal: "≤ 1.0",
      peer: "prototype 0.23",
    };
    const ours = () => opingRoundTrip(type, "ouro", pace);
    if (canRunPrototype) {
      rows.push(await beside(what, rounds, () => opingRoundTrip(type, "c", pace), ours));
    }
  }
  return rows;
}

async function floodPart({ rounds }: Extent): Promise<Row[]> {
  const shares: number[] = [];
  const drops: number[] = [];
  await onTwoNodes({ type: "eth-dix", mtu: 1500 }, async (place) => {
    for (let i = 0; i < rounds; i++) {
      const [f] = await runWork(place, "flow:raw", "flood", 1000, [4000]);
      shares.push(Number(f!.share) * 100);
      drops.push(Number(f!.dropped));
    }
  });
  return [{
    what: "raw flood over eth-dix: looks of a slow receiver (one in 50 µs) that find a message",
    unit: "%",
    goal: "≥ 80 %",
    ours: roundsOf(shares),
  }, {
    what: "the same: messages that the receiver's IPCP dropped, as the flow tells",
    unit: "",
    goal: "-",
    ours: roundsOf(drops),
  }];
}

/** Hundreds of busy round trips: enough for the runtime to have compiled what they use. */
const PAIRS = 2000;

/** Both names are served by the same program; one is configured for AES-256-GCM. */
async function cipherPart({ rounds }: Extent): Promise<Row[]> {
  const above: number[] = [];
  await onOneNode(async (place) => {
    const { node } = place.a;
    await node.must("pki", "init");
    const enc = ["--kex", "X25519", "--cipher", "aes-256-gcm"];
    await node.must("irm", "name", "create", "secret");
    await node.must("pki", "server", "secret", ...enc);
    await node.must("pki", "client", "secret", "--as", "bench", ...enc);
    for (let i = 0; i < rounds; i++) {
      const [plain] = await runWork(place, "flow:raw", "pairs", 64, [PAIRS]);
      const [secret] = await runWork(place, "flow:raw", "pairs", 64, [PAIRS], "secret");
      above.push(Number(secret!.us) - Number(plain!.us));
    }
  });
  return [{
    what: "AES-256-GCM above plain, 64 B busy round trip",
    unit: "µs",
    goal: "≤ 1.5",
    ours: roundsOf(above),
  }];
}

function nsPerCall(call: () => void): number {
  const start = performance.now();
  for (let i = 0; i < 20_000; i++) call();
  return (performance.now() - start) * 1e6 / 20_000;
}

async function crcPart({ rounds }: Extent): Promise<Row[]> {
  const bytes = new Uint8Array(1400).map((_, i) => i);
  const buffer = Buffer.from(bytes.buffer);
  const what = { what: "CRC32 of 1400 B", unit: "ns", goal: "≤ 1.1", peer: "node:zlib" };
  const theirs = () => nsPerCall(() => zlibCrc32(buffer));
  const ours = () => nsPerCall(() => crc32(bytes, 0, bytes.length));
  theirs(), ours();
  return [await beside(what, rounds, theirs, ours)];
}

async function startPart({ rounds }: Extent): Promise<Row[]> {
  const list: number[] = [];
  const reply: number[] = [];
  const form = ouro()[0]!.endsWith("deno") ? "from source" : "built";
  await onOneNode(async ({ a: { node } }) => {
    const server = node.spawn(["oping", "-l"]);
    await node.must("irm", "name", "create", "ping");
    await node.must("irm", "bind", "process", String(server.pid), "name", "ping");
    for (let i = 0; i < rounds * 4; i++) {
      let start = performance.now();
      await node.must("irm", "name", "list");
      list.push(performance.now() - start);
      start = performance.now();
      const ping = node.spawn(["oping", "-n", "ping", "-c", "1", "-i", "1"]);
      await ping.waitForLine(/time=/);
      reply.push(performance.now() - start);
      await ping.wait(20_000);
    }
  });
  return [
    { what: `\`irm name list\`, ${form}`, unit: "ms", goal: "≤ 30 ms", ours: roundsOf(list) },
    {
      what: `\`oping\`, start to first reply, ${form}`,
      unit: "ms",
      goal: "≤ 45 ms",
      ours: roundsOf(reply),
    },
  ];
}

export const moreParts: Readonly<Record<string, Part>> = {
  flood: floodPart,
  ping: pingPart,
  cipher: cipherPart,
  crc: crcPart,
  start: startPart,
};
