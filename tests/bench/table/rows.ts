/**
 * The rows of the bench's table: each work over flows beside its peer in the same run, in rounds that take turns, so that
 * both see the same machine.
 */

import type { Figures } from "./ends.ts";
import {
  type LinkOptions,
  onOneNode,
  onTwoNodes,
  type Place,
  runWork,
  type Transport,
} from "./hosts.ts";

/** Values of several rounds. */
export interface Rounds {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly values: readonly number[];
}

/** One line of the table. */
export interface Row {
  readonly what: string;
  readonly unit: string;
  readonly ours: Rounds;
  readonly peer?: { readonly name: string } & Rounds;
  /** Median of the rounds' own ratios, ours to the peer's. */
  readonly ratio?: number;
  /** What is wanted, as words. */
  readonly goal: string;
}

/** How much is measured. */
export interface Extent {
  readonly rounds: number;
  /** Bytes of the file. */
  readonly fileBytes: number;
}

/** Median and spread. */
export function roundsOf(values: readonly number[]): Rounds {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, least: sorted[0]!, most: sorted.at(-1)!, values };
}

/** A work as it is run on both transports. */
interface Work {
  readonly what: string;
  readonly unit: string;
  readonly goal: string;
  readonly work: string;
  readonly size: number;
  readonly counts: readonly number[];
  readonly transport?: Transport;
  /** The number of a round, from what the ends printed. */
  readonly value: (ends: readonly Figures[]) => number;
  /** Further rows, from the same rounds of ours and, unless `alone`, of the peer's. */
  readonly also?: readonly {
    readonly what: string;
    readonly unit: string;
    readonly goal: string;
    readonly alone?: boolean;
    readonly value: (ends: readonly Figures[]) => number;
  }[];
}

const PEER = "TCP, plain Deno";

/** Runs a work in rounds and gives its rows. */
async function rowsOf(place: Place, w: Work, rounds: number): Promise<Row[]> {
  const ours: Figures[][] = [];
  const theirs: Figures[][] = [];
  for (let i = 0; i < rounds; i++) {
    theirs.push(await runWork(place, "tcp", w.work, w.size, w.counts));
    ours.push(await runWork(place, w.transport ?? "flow", w.work, w.size, w.counts));
  }
  return [w, ...(w.also ?? [])].map((row) => {
    const own = roundsOf(ours.map(row.value));
    const base = { what: row.what, unit: row.unit, goal: row.goal, ours: own };
    if ("alone" in row && row.alone === true) return base;
    const peer = roundsOf(theirs.map(row.value));
    const ratio = roundsOf(own.values.map((v, i) => v / peer.values[i]!)).median;
    return { ...base, peer: { name: PEER, ...peer }, ratio };
  });
}

const number = (key: string, scale = 1) => (ends: readonly Figures[]) =>
  Number(ends[0]![key]) / scale;

function fileWork(what: string, goal: string, bytes: number): Work {
  return {
    what,
    goal,
    unit: "MB/s",
    work: "file",
    size: bytes,
    counts: [0],
    value: number("rate", 1e6),
    also: [{
      what: `${what}: messages sent again`,
      unit: "",
      goal: "0",
      alone: true,
      value: number("retransmissions"),
    }],
  };
}

/** A named part of the table. */
export type Part = (extent: Extent) => Promise<Row[]>;

function filePart(link: LinkOptions, goal: string): Part {
  return async ({ rounds, fileBytes }) => {
    const rows: Row[] = [];
    await onTwoNodes(link, async (place) => {
      const mb = Math.round(fileBytes / 1e6);
      const what = `file of ${mb} MB, Web Streams, sha256, ${link.type}, MTU ${link.mtu}`;
      rows.push(...await rowsOf(place, fileWork(what, goal, fileBytes), rounds));
    });
    return rows;
  };
}

/** Works on one node. */
function localPart(...works: Work[]): Part {
  return async ({ rounds }) => {
    const rows: Row[] = [];
    await onOneNode(async (place) => {
      for (const work of works) rows.push(...await rowsOf(place, work, rounds));
    });
    return rows;
  };
}

function echoWork(flows: number): Work {
  return {
    what: `echoes a second, 64 B, ${flows} flows in one process`,
    unit: "/s",
    goal: "≥ 1",
    work: "echo",
    size: 64,
    counts: [flows],
    transport: "flow:raw",
    value: number("rate"),
    also: flows !== 1000 ? [] : [{
      what: "memory of each flow from the 101st to the 1000th, the process's own",
      unit: "kB",
      goal: "≤ 20 kB",
      value: number("bytes", 1000),
    }, {
      what: "the same, shared with the peer",
      unit: "kB",
      goal: "≤ 25 kB",
      alone: true,
      value: number("shared", 1000),
    }],
  };
}

/** All parts, in the order of the table. */
export const PARTS: Readonly<Record<string, Part>> = {
  "file-udp4": filePart({ type: "udp4", mtu: 1500 }, "≥ 0.6"),
  "file-eth": filePart({ type: "eth-dix", mtu: 1500 }, "≥ 0.8"),
  "file-udp4-9000": filePart({ type: "udp4", mtu: 9000 }, "≥ 0.9"),
  "file-eth-9000": filePart({ type: "eth-dix", mtu: 9000 }, "≥ 0.9"),
  rtt: localPart({
    what: "`await` round trip, 64 B, local",
    unit: "µs",
    goal: "≤ 0.7",
    work: "rtt",
    size: 64,
    counts: [300],
    transport: "flow:raw",
    value: number("us"),
  }),
  streams: localPart({
    what: "streams, 64 kB chunks, local",
    unit: "MB/s",
    goal: "≥ 1.2",
    work: "chunks",
    size: 65536,
    counts: [8000],
    value: number("rate", 1e6),
  }),
  messages: localPart({
    what: "64 B reliable messages, `await`, local",
    unit: "k/s",
    goal: "≥ 1000 k/s",
    work: "messages",
    size: 64,
    counts: [400_000],
    value: number("rate", 1000),
  }),
  echo: localPart(echoWork(100), echoWork(1000)),
  echo4000: localPart(echoWork(4000)),
  open: localPart(
    {
      what: "opening a flow, local, warm",
      unit: "ms",
      goal: "≤ 0.25 ms",
      work: "open",
      size: 1,
      counts: [2000],
      transport: "flow:raw",
      value: number("ms"),
    },
    {
      what: "opening 200 flows at once",
      unit: "ms",
      goal: "-",
      work: "open",
      size: 200,
      counts: [2000],
      transport: "flow:raw",
      value: number("ms"),
    },
    {
      what: "flows opened by 8 clients",
      unit: "/s",
      goal: "≥ 4000/s",
      work: "open",
      size: 1,
      counts: new Array(8).fill(2000),
      transport: "flow:raw",
      value: (ends) => ends.reduce((sum, e) => sum + Number(e.rate), 0),
    },
  ),
};
