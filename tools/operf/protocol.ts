// deno-lint-ignore-file camelcase -- --json prints these names
/**
 * Packets of `operf` (spec 80 §3.2, §13.2).
 *
 * The first packet of a client is its configuration: 4 bytes, the test in little-endian order (host
 * order in the prototype): 0 one-directional, 1 bidirectional. Data packets begin with their sequence
 * number, 4 bytes little endian. Every other test value makes a C server discard the data in silence,
 * so ours are such values:
 *
 *     REPORT   the server answers `OURO` and a version byte, counts, and answers the end marker by a report
 *     REVERSE  the server answers likewise; the client then sends a request (JSON), the server sends data
 *
 * The end marker is 8 bytes 0xff. A report is JSON in one packet.
 */

/** Test numbers. */
export const TestType = { UNI: 0, BI: 1, REPORT: 0x6f750001, REVERSE: 0x6f750002 } as const;

/** Bytes of a configuration. */
export const CONFIG_BYTES = 4;
/** Bytes of a sequence number. */
export const SEQNO_BYTES = 4;
/** Version of our additions. */
export const GREETING_VERSION = 1;

/** The configuration packet of a test. */
export function encodeConfig(type: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(CONFIG_BYTES);
  new DataView(bytes.buffer).setUint32(0, type, true);
  return bytes;
}

/** The test number of a first packet; longer ones count by their first bytes, shorter ones are none. */
export function parseConfig(bytes: Uint8Array): number | undefined {
  if (bytes.length < CONFIG_BYTES) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, CONFIG_BYTES).getUint32(0, true);
}

/** Sequence number of a data packet, undefined when it is too short to have one. */
export function parseSeqno(bytes: Uint8Array): number | undefined {
  if (bytes.length < SEQNO_BYTES) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset, SEQNO_BYTES).getUint32(0, true);
}

/** What a server of ours answers to a test of ours. */
export function encodeGreeting(): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(0x4f, 0x55, 0x52, 0x4f, GREETING_VERSION);
}

/** Whether a packet is that answer, of a version that we know. */
export function isGreeting(bytes: Uint8Array): boolean {
  const wanted = encodeGreeting();
  return bytes.length === wanted.length && wanted.every((byte, i) => bytes[i] === byte);
}

/** The last packet of a test. */
export function encodeEnd(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(8).fill(0xff);
}

/** Whether a packet is the last. */
export function isEnd(bytes: Uint8Array): boolean {
  return bytes.length === 8 && bytes.every((byte) => byte === 0xff);
}

/** What the receiver of a test counted. */
export interface Report {
  readonly received: number;
  readonly bytes: number;
  /** From the first packet to the last, µs. */
  readonly elapsed_us: number;
  /** Packets that came behind a later one. */
  readonly out_of_order: number;
}

/** What a client asks of a server that is to send. */
export interface ReverseRequest {
  readonly size: number;
  /** Bits a second; 0 floods. */
  readonly rate: number;
  readonly duration_ms: number;
}

/** A JSON packet. */
export function encodeJson(value: Report | ReverseRequest): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** The numbers of a JSON packet that has all the keys, else undefined. */
export function parseNumbers<K extends string>(
  bytes: Uint8Array,
  keys: readonly K[],
): Record<K, number> | undefined {
  if (bytes.length > 1024) return undefined;
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (typeof value !== "object" || value === null) return undefined;
    const record = value as Record<string, unknown>;
    const numbers: Partial<Record<K, number>> = {};
    for (const key of keys) {
      const number = record[key];
      if (typeof number !== "number" || !(number >= 0 && number <= 1e15)) return undefined;
      numbers[key] = number;
    }
    return numbers as Record<K, number>;
  } catch {
    return undefined;
  }
}

/** Counts what arrives. */
export class Counter {
  #received = 0;
  #bytes = 0;
  #outOfOrder = 0;
  #firstUs = 0;
  #lastUs = 0;
  #next = 0;

  onPacket(bytes: Uint8Array, nowUs: number): void {
    if (this.#received === 0) this.#firstUs = nowUs;
    this.#lastUs = nowUs;
    this.#received++;
    this.#bytes += bytes.length;
    const seqno = parseSeqno(bytes);
    if (seqno === undefined) return;
    if (seqno < this.#next) this.#outOfOrder++;
    else this.#next = seqno + 1;
  }

  get received(): number {
    return this.#received;
  }

  report(): Report {
    return {
      received: this.#received,
      bytes: this.#bytes,
      elapsed_us: Math.round(this.#lastUs - this.#firstUs),
      out_of_order: this.#outOfOrder,
    };
  }
}
