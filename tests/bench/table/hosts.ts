/**
 * Where the works of the table run: one node, or two in network namespaces joined by a veth pair; and how a pair of
 * peers is run there.
 */

import { md5Hex } from "../../support/ipcp_pair.ts";
import { NetLab } from "../../support/netns.ts";
import { ouro, TestNode } from "../../support/node.ts";
import { script } from "../../support/process.ts";
import type { Figures } from "./ends.ts";

const DEADLINE_MS = 300_000;
const IP = { a: "10.81.0.1", b: "10.81.0.2" };

/** One host: its node and how a command is run there. */
export interface Host {
  readonly node: TestNode;
  inside(argv: readonly string[]): string[];
}

/** A client's host, a server's, and the way between. */
export interface Place {
  readonly a: Host;
  readonly b: Host;
  /** Address of the server for TCP. */
  readonly address: string;
  /** Address of the client. */
  readonly ownAddress: string;
  /** Peers get a processor each. */
  readonly pinned: boolean;
}

/** The work over flows, or over TCP. */
export type Transport = "flow" | "flow:raw" | "tcp";

let serial = 0;

/** Whether ends can be given a processor each. */
export const canPin = navigator.hardwareConcurrency > 1 &&
  new Deno.Command("sh", { args: ["-c", "command -v taskset"], stdout: "null" })
    .outputSync().success;

function pinned(place: Place, cpu: number, argv: string[]): string[] {
  return place.pinned && canPin ? ["taskset", "-c", String(cpu), ...argv] : argv;
}

function figuresOf(who: string, result: { code: number; out: string; err: string }): Figures {
  const json = result.out.split("\n").find((l) => l.startsWith("{"));
  if (json === undefined) {
    throw new Error(`${who}: exit ${result.code}: ${result.out}${result.err}`);
  }
  return JSON.parse(json);
}

/** Name of the servers, known to both hosts. */
export const NAME = "bench";

/** Runs a work once, with a client for each count; what the ends printed, the server's figures with the first client's. */
export async function runWork(
  place: Place,
  transport: Transport,
  work: string,
  size: number,
  counts: readonly number[],
  name = NAME,
): Promise<Figures[]> {
  const port = 20_000 + (serial++ % 20_000);
  const where = transport === "tcp" ? `tcp:${place.address}:${port}` : `${transport}:${name}`;
  const peer = (...words: string[]) => {
    const [deno, run, ...rest] = script("tests/bench/table/peer.ts", ...words);
    return [deno!, run!, "--v8-flags=--expose-gc", ...rest];
  };
  const { a, b } = place;
  const serve = peer("serve", work, where, String(size));
  const server = b.node.spawnArgv(b.inside(pinned(place, 0, serve)));
  try {
    await server.waitForLine(/ready/);
    if (transport !== "tcp") {
      await b.node.must("irm", "bind", "process", String(server.pid), "name", name);
    }
    const clients = counts.map((n) =>
      a.node.spawnArgv(a.inside(pinned(place, 1, peer(work, where, String(size), String(n)))))
    );
    const ends = await Promise.all(clients.map((c) => c.wait(DEADLINE_MS)));
    const found = ends.map((r) => figuresOf(`${work} client`, r));
    if (["file", "chunks", "messages", "flood"].includes(work)) {
      const got = figuresOf(`${work} server`, await server.wait(20_000));
      if (got.hash !== found[0]!.hash) throw new Error(`${work}: the file arrived broken`);
      Object.assign(found[0]!, got);
    }
    return found;
  } finally {
    server.kill("SIGKILL");
    await server.status;
  }
}

/** One node, peers on processors of their own. */
export async function onOneNode(use: (place: Place) => Promise<void>): Promise<void> {
  await using node = await TestNode.start();
  await node.must("irm", "name", "create", NAME);
  const host: Host = { node, inside: (argv) => [...argv] };
  await use({ a: host, b: host, address: "127.0.0.1", ownAddress: "127.0.0.1", pinned: true });
}

/** What the two hosts are joined by. */
export interface LinkOptions {
  readonly type: "udp4" | "eth-dix";
  readonly mtu: number;
}

/** Two nodes in namespaces of their own, joined by a veth pair and a layer of one type. */
export async function onTwoNodes(
  { type, mtu }: LinkOptions,
  use: (place: Place) => Promise<void>,
): Promise<void> {
  await using net = new NetLab();
  const sides = ["a", "b"] as const;
  const ns = { a: await net.namespace("a"), b: await net.namespace("b") };
  await net.link(
    { ns: ns.a, dev: "vetha", addr: `${IP.a}/24` },
    { ns: ns.b, dev: "vethb", addr: `${IP.b}/24` },
  );
  const nodes: TestNode[] = [];
  try {
    for (const side of sides) {
      const up = await net.exec(ns[side], [
        ...["ip", "link", "set", `veth${side}`, "mtu", String(mtu)],
      ]);
      if (up.code !== 0) throw new Error(up.err);
      const node = await TestNode.start({ idle: true });
      nodes.push(node);
      node.irmd = node.spawnArgv(net.inside(ns[side], ouro("irmd", "--stdout")));
      await node.irmd.waitForLine(/daemon started/);
      await Deno.mkdir(`${node.prefix}/etc`, { recursive: true });
      await Deno.writeTextFile(`${node.prefix}/etc/hosts`, `${IP.b} ${md5Hex(NAME)}\n`);
      const lower = type === "udp4" ? ["ip", IP[side]] : ["dev", `veth${side}`];
      await node.must(...["irm", "ipcp", "bootstrap"], ...["type", type, "name", type], ...[
        "layer",
        type,
      ], ...lower);
      await node.must("irm", "name", "create", NAME);
    }
    await nodes[1]!.must("irm", "name", "register", NAME, "layer", type);
    const host = (i: 0 | 1): Host => ({
      node: nodes[i]!,
      inside: (argv) => net.inside(ns[sides[i]!], argv),
    });
    await use({ a: host(0), b: host(1), address: IP.b, ownAddress: IP.a, pinned: false });
  } finally {
    for (const node of nodes) await node[Symbol.asyncDispose]();
  }
}
