/**
 * The RIB of a unicast node: directory, data transfer, flows, link state database (spec 80 §8.4). Pure.
 *
 * Where the prototype's files are wrong ours are right: local and other values of the directory in their own lists, the
 * database's times whole, every flow listed, failed packets counted as packets. Flow statistics are always there.
 */

import {
  fixedComponent,
  line,
  type RibComponent,
  type RibObject,
  type RibValue,
  timeText,
} from "../../lib/rib/tree.ts";
import { FLOW_IDS_MAX } from "../../lib/limits.ts";
import { dotted } from "../../lib/wire/dt_pci.ts";
import type { DhtContact } from "../../lib/wire/dht_msg.ts";
import { EID_DIRECTORY, EID_FLOW_ALLOCATOR } from "./eids.ts";
import type { PublishedFlow } from "./flow_effects.ts";
import type { LinkEntry } from "./link_state.ts";
import type { DhtSettings } from "./settings.ts";
import { CongestionReport } from "./congestion.ts";
import { Above, componentPlace, CUBES, type DataStats, Transfer } from "./stats.ts";
import type { Values } from "./dht/values.ts";

/** What the tree shows; each function says how it is now. */
export interface UnicastState {
  readonly self: number;
  /** The DHT; undefined while a policy from a file has its place. */
  readonly directory: {
    readonly self: DhtContact;
    readonly settings: DhtSettings;
    readonly values: Values;
  } | undefined;
  /** Which policies run. */
  policies(): readonly { readonly word: string; readonly policy: string; readonly state: string }[];
  /** s since 1970. */
  readonly startedSec: number;
  flows(): readonly (PublishedFlow & { readonly state: string })[];
  links(): readonly LinkEntry[];
  neighbours(): readonly { addr: number; mgmt: number; dt: number; up: boolean }[];
  readonly stats: DataStats;
  /** When a lower flow or a flow above began, s since 1970; undefined for one that is not there. */
  sinceSec(flowId: number): number | undefined;
  /** Packets that wait in the rings of a lower flow. */
  queued(flowId: number): { readonly rx: number; readonly tx: number };
  /** s since 1970 at a time of the machine's clock. */
  unixSec(atUs: number): number;
}

/** The components of a node. */
export function unicastComponents(state: UnicastState): RibComponent[] {
  const dht = state.directory;
  return [
    ...(dht === undefined ? [] : [directory({ ...state, directory: dht })]),
    transfer(state),
    flows(state),
    links(state),
    policies(state),
  ];
}

/** A node whose directory is the DHT. */
type DhtState = UnicastState & { readonly directory: NonNullable<UnicastState["directory"]> };

// policies, ours

function policies(state: UnicastState): RibComponent {
  const object = ({ policy, state }: ReturnType<UnicastState["policies"]>[number]): RibObject => ({
    values: { policy, state },
    text: `${policy}\n${state}\n`,
  });
  return {
    name: "policies",
    list: () => state.policies().map(({ word }) => word),
    read: (name) => {
      const row = state.policies().find(({ word }) => word === name);
      return row === undefined ? undefined : object(row);
    },
  };
}

type Row = readonly [label: string, value: RibValue];

function textOf(rows: readonly Row[], labelWidth: number, valueWidth: number): string {
  return rows.map(([label, value]) => line(label, value, labelWidth, valueWidth)).join("");
}

function objectOf(
  rows: readonly Row[],
  labelWidth: number,
  valueWidth: number,
  changedSec?: number,
): RibObject {
  const values = Object.fromEntries(rows.map(([label, value]) => [label.replace(/:$/, ""), value]));
  const text = textOf(rows, labelWidth, valueWidth);
  return { values, text, ...(changedSec === undefined ? {} : { changedSec }) };
}

// dht

function directory(state: DhtState): RibComponent {
  return fixedComponent("dht", { database: () => database(state), stats: () => stats(state) });
}

function counts({ directory }: DhtState): readonly Row[] {
  const { values } = directory;
  let others = 0;
  const keys = new Set<string>();
  for (const [key] of values.own) keys.add(key.toHex());
  for (const [key, stored] of values.stored) {
    keys.add(key.toHex());
    others += stored.length;
  }
  return [
    ["Number of keys:", keys.size],
    ["Number of local values:", values.ownSize],
    ["Number of non-local values:", others],
  ];
}

function stats(state: DhtState): RibObject {
  const { self, settings } = state.directory;
  const kademlia: readonly Row[] = [
    ["Number of concurrent requests (alpha):", settings.alpha],
    ["Number of replicas (k):", settings.k],
    ["Expiry time for values (s):", settings.expireSec],
    ["Refresh time for contacts (s):", settings.refreshSec],
    ["Replication time for values (s):", settings.replicateSec],
  ];
  const numbers = counts(state);
  const id = self.id.subarray(0, 8).toHex();
  const values = objectOf([...kademlia, ...numbers], 0, 0).values;
  const text = `DHT: ${id}\n  Created: ${timeText(state.startedSec)}\n` +
    `  Address: ${dotted(self.addr)}\n  Kademlia parameters:\n` +
    textOf(kademlia.map(([l, v]) => [`     ${l}`, v]), 43, 11) +
    textOf(numbers.map(([l, v]) => [`  ${l}`, v]), 43, 11);
  return { values: { id, address: dotted(self.addr), ...values }, text };
}

/** Bytes of a key or value that a line shows. */
const SHOWN_BYTES = 8;

function database(state: DhtState): RibObject {
  const { self, values } = state.directory;
  const numbers = counts(state);
  const of = new Map<string, { own: string[]; others: string[] }>();
  const entry = (key: Uint8Array) => {
    const name = key.subarray(0, SHOWN_BYTES).toHex();
    let lists = of.get(name);
    if (lists === undefined) of.set(name, lists = { own: [], others: [] });
    return lists;
  };
  for (const [key] of values.own) entry(key).own.push(`    V<${valueText(self.addr)}>`);
  for (const [key, stored] of values.stored) {
    for (const { addr, storedUs, expiresUs } of stored) {
      entry(key).others.push(
        `    V<${valueText(addr)}>, t_replicated=${timeText(state.unixSec(storedUs))}, ` +
          `t_exp=${timeText(state.unixSec(expiresUs))}`,
      );
    }
  }
  const data = objectOf(numbers, 28, 10);
  if (of.size === 0) return { values: data.values, text: "  No entries." };
  let text = `DHT database:\n\n${data.text}`;
  for (const [name, { own, others }] of of) {
    const lines = [
      `Key: K<${name}>`,
      "  Local entries:",
      ...own,
      "",
      "  Non-local entries:",
      ...others,
    ];
    text += `\n${lines.join("\n")}\n`;
  }
  return { values: data.values, text };
}

function valueText(addr: number): string {
  return addr.toString(16).padStart(SHOWN_BYTES * 2, "0");
}

// dt.<address>

const COMPONENTS: ReadonlyMap<string, string> = new Map([
  [`${EID_FLOW_ALLOCATOR}`, "flow-allocator"],
  [`${EID_DIRECTORY}`, "dht"],
]);

const TRANSFER_ROWS = [
  ["sent", Transfer.sent],
  ["rcvd", Transfer.received],
  ["local sent", Transfer.localSent],
  ["local rcvd", Transfer.localReceived],
  ["dropped ttl", Transfer.expired],
  ["failed writes", Transfer.failedWrites],
  ["failed nhop", Transfer.noHop],
] as const;

/** A flow by its id, one beyond all others if its own is a component's name. */
function nameOf(dt: number): string {
  return `${COMPONENTS.has(`${dt}`) ? FLOW_IDS_MAX + dt : dt}`;
}

function transfer(state: UnicastState): RibComponent {
  const ofNeighbours = () => state.neighbours().filter((n) => n.dt >= 0);
  const read = (name: string): RibObject | undefined => {
    const component = COMPONENTS.get(name);
    if (component !== undefined) {
      const place = componentPlace(Number(name));
      return endpoint(state, component, place, state.startedSec, { rx: 0, tx: 0 });
    }
    const neighbour = ofNeighbours().find((n) => nameOf(n.dt) === name);
    if (neighbour === undefined) return undefined;
    const { addr, dt } = neighbour;
    const sinceSec = state.sinceSec(dt) ?? state.startedSec;
    return endpoint(state, dotted(addr), dt, sinceSec, state.queued(dt));
  };
  return {
    name: `dt.${dotted(state.self)}`,
    list: () => [
      ...COMPONENTS.keys(),
      ...ofNeighbours().map((n) => nameOf(n.dt)),
    ],
    read,
  };
}

function endpoint(
  { stats }: UnicastState,
  address: string,
  place: number,
  sinceSec: number,
  queued: { readonly rx: number; readonly tx: number },
): RibObject {
  const head = objectOf(
    [
      ["Endpoint address:", address],
      ["Queued packets (rx):", queued.rx],
      ["Queued packets (tx):", queued.tx],
    ],
    26,
    20,
  );
  const since = timeText(sinceSec);
  const values: Record<string, RibValue> = { "Flow established at": since, ...head.values };
  let text = `${"Flow established at:".padEnd(26)}${since}\n${head.text}\n`;
  for (let cube = 0; cube < CUBES; cube++) {
    text += `Qos cube ${`${cube}`.padStart(3)}:\n`;
    for (const [label, what] of TRANSFER_ROWS) {
      const [packets, bytes] = stats.transferred(place, cube, what);
      values[`cube ${cube} ${label} packets`] = packets;
      values[`cube ${cube} ${label} bytes`] = bytes;
      text += line(` ${label} (packets):`, packets, 26, 20) +
        line(` ${label} (bytes):`, bytes, 26, 20);
    }
  }
  return { values, text, changedSec: Math.floor(sinceSec) };
}

// flow-allocator

const ABOVE_ROWS = [
  ["Sent", Above.sent],
  ["Send failed", Above.sendFailed],
  ["Received", Above.received],
  ["Receive failed", Above.receiveFailed],
] as const;

const REGIMES = ["Slow start", "Multiplicative dec", "Additive inc"] as const;

function flows(state: UnicastState): RibComponent {
  return {
    name: "flow-allocator",
    list: () => state.flows().map((f) => `${f.flowId}`),
    read: (name) => {
      const flow = state.flows().find((f) => `${f.flowId}` === name);
      if (flow === undefined) return undefined;
      const { stats } = state;
      const { flowId } = flow;
      const sinceSec = state.sinceSec(flowId);
      const counts = ABOVE_ROWS.flatMap(([label, what]): Row[] => {
        const [packets, bytes] = stats.counted(flowId, what);
        return [[`${label} (packets):`, packets], [`${label} (bytes):`, bytes]];
      });
      const rows: Row[] = [
        ...(sinceSec === undefined
          ? []
          : [["Flow established at:", timeText(sinceSec)] satisfies Row]),
        ["Remote address:", flow.peer],
        ["Local endpoint ID:", wide(flow.localEid)],
        ["Remote endpoint ID:", wide(flow.remoteEid)],
        ...counts,
        ["Sent flow updates (packets):", stats.counted(flowId, Above.updatesSent)[0]],
        ["Received flow updates (packets):", stats.counted(flowId, Above.updatesReceived)[0]],
        ...congestionRows(stats.congestion(flowId)),
      ];
      return objectOf(rows, 33, 20, sinceSec === undefined ? undefined : Math.floor(sinceSec));
    },
  };
}

/**
 * What multi-bit ECN says of a flow; nothing where there is no congestion avoidance, or no packet was yet. Our sender
 * has a rate where the prototype's has a window.
 */
function congestionRows(said: Float64Array): Row[] {
  const R = CongestionReport;
  if (said[R.said] !== 1) return [];
  return [
    ["Congestion avoidance algorithm:", "Multi-bit ECN"],
    ["Upstream congestion level:", said[R.told]!],
    ["Downstream congestion level:", said[R.seen]!],
    ["Downstream packet counter:", said[R.seenPackets]!],
    ["Rate (bytes/s):", Math.round(said[R.rate]!)],
    ["Current congestion regime:", REGIMES[said[R.regime]!] ?? ""],
  ];
}

function wide({ hi, lo }: { readonly hi: number; readonly lo: number }): bigint {
  return BigInt(hi >>> 0) << 32n | BigInt(lo >>> 0);
}

// lsdb

function links(state: UnicastState): RibComponent {
  const linkName = ({ src, dst }: LinkEntry) => `${dotted(src)}--${dotted(dst)}`;
  return {
    name: "lsdb",
    list: () => [
      ...state.neighbours().filter((n) => n.dt >= 0).map((n) => `.dt ${dotted(n.addr)}`),
      ...state.neighbours().filter((n) => n.mgmt >= 0).map((n) => `.mgmt ${dotted(n.addr)}`),
      ...state.links().map(linkName),
    ],
    read: (name) => {
      const neighbour = state.neighbours().find((n) =>
        (n.dt >= 0 && name === `.dt ${dotted(n.addr)}`) ||
        (n.mgmt >= 0 && name === `.mgmt ${dotted(n.addr)}`)
      );
      if (neighbour !== undefined) return { values: { up: neighbour.up }, text: "" };
      const link = state.links().find((l) => linkName(l) === name);
      if (link === undefined) return undefined;
      const { src, dst, seqno, heardUs } = link;
      const changedSec = Math.floor(state.unixSec(heardUs));
      const [from, to] = [dotted(src), dotted(dst)];
      return {
        values: { src: from, dst: to, seqno, updated: changedSec },
        text: `src: ${from.padStart(20)}\ndst: ${to.padStart(20)}\n` +
          `seqno: ${`${seqno}`.padStart(18)}\nupd: ${timeText(changedSec)}\n`,
        changedSec,
      };
    },
  };
}
