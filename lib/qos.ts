// deno-lint-ignore-file camelcase -- users write these words
/**
 * Quality of service: the specs a flow is asked with, their cubes and the predefined ones. Pure.
 *
 * Source: spec 30 §11. `delay`, `max_gap` and `timeout` are milliseconds, `bandwidth` bits a second.
 */

/** Largest unsigned 32-bit value: "unlimited" in delay, loss, ber and max_gap. */
export const U32_MAX = 0xffffffff;

/** What a flow must provide (struct qosspec of the prototype). */
export interface QosSpec {
  /** One-way delay in ms, at most. */
  delay: number;
  /** Bandwidth in bit/s, at least. */
  bandwidth: bigint;
  /** Availability class, number of nines. */
  availability: number;
  /** 0: no packet may be lost (retransmission). */
  loss: number;
  /** 0: no bit error may pass (CRC). */
  ber: number;
  /** Non-zero: in order (FRCT). */
  inOrder: number;
  /** Longest gap in delivery, ms. */
  maxGap: number;
  /** Silence of the peer after which the flow is considered dead, ms; 0 never. */
  timeout: number;
}

/** Default peer time-out, ms. */
export const DEFAULT_PEER_TIMEOUT_MS = 120000;

/** A spec in numbers that JSON has. */
export function qosNumbers(q: QosSpec): Record<keyof QosSpec, number> {
  return { ...q, bandwidth: Number(q.bandwidth) };
}

/** Whether two specs ask for the same. */
export function sameQos(a: QosSpec, b: QosSpec): boolean {
  return a.delay === b.delay && a.bandwidth === b.bandwidth && a.availability === b.availability &&
    a.loss === b.loss && a.ber === b.ber && a.inOrder === b.inOrder && a.maxGap === b.maxGap &&
    a.timeout === b.timeout;
}

function toJSON(this: QosSpec): Record<keyof QosSpec, number> {
  return qosNumbers(this);
}

/** Gives a spec that users see a hidden `toJSON`, without which `JSON.stringify` refuses its bandwidth. Returns it. */
export function withJson(q: QosSpec): QosSpec {
  return Object.defineProperty(q, "toJSON", { value: toJSON });
}

function spec(
  delay: number,
  bandwidth: bigint,
  availability: number,
  loss: number,
  ber: number,
  inOrder: number,
  maxGap: number,
  timeout = DEFAULT_PEER_TIMEOUT_MS,
): Readonly<QosSpec> {
  return Object.freeze(
    withJson({ delay, bandwidth, availability, loss, ber, inOrder, maxGap, timeout }),
  );
}

/**
 * The predefined specs, by the words `oping -q` takes.
 *
 * @example
 * ```ts
 * import { Flow, QOS } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * await using voice = await Flow.alloc("echo", { qos: QOS.voice }); // in order, late packets dropped
 * await using mine = await Flow.alloc("echo", { qos: { ...QOS.data, timeout: 10_000 } });
 * assertEquals([voice.qos.delay, mine.qos.loss, mine.qos.timeout], [50, 0, 10_000]);
 * ```
 */
export const QOS: Readonly<Record<QosName, Readonly<QosSpec>>> = {
  raw: spec(U32_MAX, 0n, 0, 1, 1, 0, U32_MAX),
  raw_no_errors: spec(U32_MAX, 0n, 0, 1, 0, 0, U32_MAX),
  best: spec(U32_MAX, 0n, 0, 1, 0, 1, U32_MAX),
  video: spec(100, 0xffffffffffffffffn, 3, 1, 0, 1, 100),
  voice: spec(50, 100000n, 5, 1, 0, 1, 50),
  data: spec(1000, 0n, 0, 0, 0, 1, 2000),
};

/** Names of the predefined specs. */
export type QosName = "raw" | "raw_no_errors" | "best" | "video" | "voice" | "data";

/** The words of {@linkcode QOS} that command lines take, as those of the prototype. */
export const QOS_WORDS = ["raw", "best", "video", "voice", "data"] as const;
export type QosWord = typeof QOS_WORDS[number];

/** Whether a word of a command line names a spec. */
export function isQosWord(word: string): word is QosWord {
  return (QOS_WORDS as readonly string[]).includes(word);
}

/** All zeros: what messages carry that are about no flow's quality. */
export const QOS_ZERO: Readonly<QosSpec> = spec(0, 0n, 0, 0, 0, 0, 0, 0);

/** The spec of flows between an IPCP and the process above (internal). */
export const QOS_NP1: Readonly<QosSpec> = spec(U32_MAX, 0n, 0, U32_MAX, U32_MAX, 0, U32_MAX, 0);

/**
 * QoS cubes in the order of their numbers.
 *
 * @example
 * ```ts
 * import { QOS_CUBES } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(QOS_CUBES[0], "best effort");
 * ```
 */
export const QOS_CUBES = ["best effort", "video", "voice"] as const;

/**
 * The cube (0 best effort, 1 video, 2 voice) that serves a spec (spec 30 §11).
 *
 * @example
 * ```ts
 * import { QOS, QOS_CUBES, qosCube } from "@ouro/ouro";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(QOS_CUBES[qosCube(QOS.video)], "video");
 * ```
 */
export function qosCube(q: QosSpec): 0 | 1 | 2 {
  if (q.delay <= 50 && q.bandwidth <= 100000n && q.availability >= 5 && q.maxGap <= 50) return 2;
  if (q.delay <= 100 && q.availability >= 3 && q.maxGap <= 100) return 1;
  return 0;
}
