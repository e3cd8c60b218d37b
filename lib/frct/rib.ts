/**
 * Statistics of an FRCT flow as the prototype's RIB shows them (spec 30 §12): 22 lines, label padded to 33 columns, value
 * right-aligned in 20. The counters that are ours alone are in {@linkcode FrctStats} only. Pure.
 */
import type { FrctStats } from "./endpoint.ts";

const LABEL_COLUMNS = 33;
const VALUE_COLUMNS = 20;

const LINES: readonly (readonly [string, keyof FrctStats])[] = [
  ["Maximum packet lifetime (ns):", "mplNs"],
  ["Max time to Ack (ns):", "maxAckNs"],
  ["Max time to Retransmit (ns):", "maxRtxNs"],
  ["Smoothed rtt (ns):", "srttNs"],
  ["RTT standard deviation (ns):", "rttDevNs"],
  ["Retransmit timeout RTO (ns):", "rtoNs"],
  ["Sender left window edge:", "sndLwe"],
  ["Sender right window edge:", "sndRwe"],
  ["Sender inactive (ns):", "sndInactiveNs"],
  ["Sender current sequence number:", "sndSeqno"],
  ["Receiver left window edge:", "rcvLwe"],
  ["Receiver right window edge:", "rcvRwe"],
  ["Receiver inactive (ns):", "rcvInactiveNs"],
  ["Receiver last ack:", "rcvLastAck"],
  ["Number of pkt retransmissions:", "retransmissions"],
  ["Number of rtt probes:", "rttProbes"],
  ["Number of rtt estimates:", "rttEstimates"],
  ["Number of duplicates received:", "duplicates"],
  ["Number of delayed acks received:", "delayedAcks"],
  ["Number of rendez-vous sent:", "rendezVous"],
  ["Number of packets out of window:", "outOfWindow"],
  ["Number of packets out of rqueue:", "outOfQueue"],
];

/** Of them, the ages: they grow although nothing happens, unless they are 0: never. */
const AGES: ReadonlySet<keyof FrctStats> = new Set(["sndInactiveNs", "rcvInactiveNs"]);

/** The values of the lines, in their order. */
export function frctLineValues(stats: FrctStats): number[] {
  return LINES.map(([, key]) => stats[key]);
}

/**
 * The values of the lines by their labels, from numbers that another process wrote `agoNs` before; whatever it wrote,
 * they are whole numbers and not negative.
 */
export function frctValues(numbers: readonly number[], agoNs: number): Record<string, number> {
  const values: Record<string, number> = {};
  LINES.forEach(([label, key], i) => {
    const n = numbers[i] ?? 0;
    const said = n > 0 && n < 2 ** 63 ? Math.round(n) : 0;
    values[label.slice(0, -1)] = AGES.has(key) && said > 0 ? said + Math.max(0, agoNs) : said;
  });
  return values;
}

/** The lines of {@linkcode frctValues}, as {@linkcode frctStatsText} makes them. */
export function frctValuesText(values: Readonly<Record<string, number>>): string {
  return LINES.map(([label]) => lineOf(label, values[label.slice(0, -1)] ?? 0)).join("");
}

function lineOf(label: string, value: number): string {
  return `${label.padEnd(LABEL_COLUMNS)}${Math.round(value).toString().padStart(VALUE_COLUMNS)}\n`;
}

/**
 * The 22 lines, each with its newline: 1188 bytes.
 *
 * @example
 * ```ts
 * import { Flow, frctStatsText, QOS } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * await using flow = await Flow.alloc("echo", { qos: QOS.data });
 * assertEquals(frctStatsText(flow.frctStats!).split("\n").length, 23);
 * ```
 */
export function frctStatsText(stats: FrctStats): string {
  return LINES.map(([label, key]) => lineOf(label, stats[key])).join("");
}
