/**
 * Numbers of FRCT: first those of the specification, each with its clause, then our own, each with its reason.
 * Pure.
 */

// Specification 31 §2.

/** A, longest time to acknowledge, µs. */
export const A_US = 10_000_000;
/** R, longest time to retransmit, µs. */
export const R_US = 120_000_000;
/** Packets that may be sent before the first FC. */
export const START_WINDOW_PACKETS = 64;
/** Receive window and reorder queue. */
export const WINDOW_PACKETS = 256;
/** Retransmission time-out before the first sample, ns. */
export const RTO_INITIAL_NS = 1_000_000_000;
/** Deviation before the first sample, ns. */
export const MDEV_INITIAL_NS = 10_000_000;
/** Floors of the smoothed RTT and its deviation, ns (31 §6). */
export const SRTT_MIN_NS = 1000;
export const MDEV_MIN_NS = 100;
/** Spacing of the first two rendez-vous, µs. */
export const RDVS_US = 100_000;

// Our own.

/** Floor of our RTO, ns: well above the peer's ACK delay (31 §10.8; the prototype's 250 µs makes storms). */
export const RTO_MIN_NS = 200_000_000;
/** Ceiling of the RTO after back-off, ns: R still sees one or two more tries. */
export const RTO_MAX_NS = 64_000_000_000;
/** Delay of an acknowledgement that hopes for data to ride on, µs: below one tick of the prototype, whose RTO may be short. */
export const ACK_DELAY_US = 5_000;
/** Packets in order that are acknowledged at once: keeps the peer's window full at 1/16 of its size. */
export const ACK_EVERY_PACKETS = 16;
/** Packets of an unreliable flow after which an FC goes out unasked: half the start window (31 §10.7). */
export const FC_EVERY_PACKETS = 32;
/** Acknowledgements for packets behind one gap that go out at once; then every eighth. Three start a fast retransmission. */
export const GAP_ACKS = 6;
/** At most one acknowledgement of duplicates in this time, µs: copies come in bursts. */
export const DUPLICATE_ACK_US = 1_000;
/** Duplicate acknowledgements that mean loss (31 §12). */
export const DUPLICATE_ACKS_LOSS = 3;
/** Shortest time before an unanswered tail is probed, µs: above every peer's ACK delay (10 to 15.5 ms). */
export const PROBE_MIN_US = 25_000;
/** Smoothed round trips after the newest packet before an unanswered tail is probed: a little above two. */
export const PROBE_ROUND_TRIPS = 2.25;
/** Probes of a tail before the time-out with its back-off: both get lost once in 150 at 8 %. */
export const PROBES_MAX = 2;
/** Shortest pause between RTT samples, µs: round trips of a direct flow are µs and would be sampled with each packet. */
export const SAMPLE_MIN_US = 1_000;
/** Longest pause between rendez-vous after back-off, µs. */
export const RDVS_MAX_US = 5_000_000;
/** Smallest receive window, however few blocks there are for packets of that size. */
export const WINDOW_MIN_PACKETS = 4;
/** Smallest congestion window after time-outs. */
export const CWND_MIN_PACKETS = 2;
/** An advertised edge farther than this from the left edge is nonsense (31 §10.4). */
export const EDGE_DISTANCE_MAX = 65536;
/** Estimated loss from which copies are sent ahead of any sign of loss (see sender.ts), and from which two of them. */
export const REPEAT_LOSS = 0.004;
export const REPEAT_TWICE_LOSS = 0.025;
/** RTT above twice its least by this means queues, ns: then no copies. Above the peer's ACK delay, which is in the samples. */
export const QUEUE_NS = 10_000_000;
/** MPL of direct flows, µs (spec 30 §5.2): they lose nothing. */
export const DIRECT_MPL_US = 1_000;
/**
 * Copies of the last acknowledgement of a reliable flow over a layer, back to back: all three get lost once in 8000
 * at 5 %.
 */
export const FINAL_ACK_COPIES = 2;
