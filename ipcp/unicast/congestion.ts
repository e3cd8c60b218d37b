/**
 * Congestion avoidance as an interface: what a policy decides for each flow, and the policy that decides nothing.
 * Source: spec 60 §9. Pure.
 *
 * A policy is one function that makes a context a flow; the data path calls the context for every packet, so it
 * allocates nothing. Times are ns of a monotonic clock.
 */

/** One flow at one end. */
export interface CongestionContext {
  /** A packet of `bytes` is to be sent: ns that it waits, 0 to go at once. */
  onSend(nowNs: number, bytes: number): number;
  /** A packet came with what its way marked: the value to tell the sender, or -1 for nothing to tell. */
  onReceive(bytes: number, ecn: number): number;
  /** The receiver told a value. */
  onUpdate(ece: number): void;
  /** Says how it is in `into` from `at` on, by the places of {@linkcode CongestionReport}; for people. */
  report?(into: Float64Array, at: number): void;
}

/** Where {@linkcode CongestionContext.report} says what. */
export const CongestionReport = {
  /** Of the sender: what it was told last, how much may go, bytes/s. */
  told: 0,
  rate: 1,
  /** 0: it was never told of congestion; 1: it was, and slows down; 2: it was, and gains. */
  regime: 2,
  /** Of the receiver: average of marks, packets counted. */
  seen: 3,
  seenPackets: 4,
  /** 1: this was said. */
  said: 5,
  words: 6,
} as const;

/** A way to avoid congestion. */
export interface Congestion {
  /** The context of a new flow. */
  flow(nowNs: number): CongestionContext;
  /** What a packet that joins a queue of so many is marked with; ORed into its ECN. */
  mark(queued: number): number;
}

/** Never waits, never marks, tells nothing. */
export const NO_CONGESTION: Congestion = {
  flow: () => ({ onSend: () => 0, onReceive: () => -1, onUpdate: () => {} }),
  mark: () => 0,
};
