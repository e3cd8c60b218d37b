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
  return LINES.map(([label, key]) => {
    const value = Math.round(stats[key]).toString();
    return `${label.padEnd(LABEL_COLUMNS)}${value.padStart(VALUE_COLUMNS)}\n`;
  }).join("");
}
