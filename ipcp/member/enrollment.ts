/**
 * Enrollment: how a node learns the configuration of a layer from a member of it (spec 50 §15, spec 60 §3.3). Pure.
 *
 *     enrollee                         member
 *        │ ── request {id} ─────────────▶ │
 *        │ ◀─ response {id, time, conf} ─ │
 *      starts its components              │
 *        │ ── acknowledgement {result} ─▶ │
 *
 * Both roles run over an Enrollment connection that is agreed on already. A member serves several at once; each step
 * has its time, so that a node which falls silent holds up nobody (spec 50 §18 S10).
 */

import { Errno } from "../../lib/errno.ts";
import type { Failure } from "../../lib/failure.ts";
import type { IpcpConfig } from "../../lib/wire/ipcp_config.ts";
import {
  decodeEnrollAck,
  decodeEnrollReq,
  decodeEnrollResp,
  encodeEnrollAck,
  encodeEnrollReq,
  encodeEnrollResp,
} from "../../lib/wire/enroll_msg.ts";
import { isWireError } from "../../lib/wire/mod.ts";

/** How long an enrollee waits for the response, and a member for the request, µs. */
export const MESSAGE_US = 5e6;
/** How long a member waits for the acknowledgement: the enrollee starts its components meanwhile, µs. */
export const START_US = 30e6;
/** A clock that differs by more than this is worth a word, µs (spec 50 §15). */
export const CLOCK_THRESHOLD_US = 20e3;

/** What an enrollee learns. */
export interface Joining {
  readonly conf: IpcpConfig;
  /** Clock of the member less ours, as well as one round trip can tell, µs. */
  readonly clockOffsetUs: number;
  /** The round trip, µs. */
  readonly rttUs: number;
  /** The clocks differ by more than {@linkcode CLOCK_THRESHOLD_US} beyond the round trip. */
  readonly clockOff: boolean;
}

/** What either role wants next. */
export type EnrollmentStep =
  | { readonly kind: "write"; readonly bytes: Uint8Array }
  | { readonly kind: "wait" }
  /** Enrollee: take the configuration over, then say {@linkcode Enrollee.started}. */
  | { readonly kind: "joined"; readonly joining: Joining }
  /** It is over; the flow is to be closed. */
  | { readonly kind: "over"; readonly failure: Failure | undefined };

const WAIT: EnrollmentStep = { kind: "wait" };

function fail(code: number, cause: string): Failure {
  return { code, stage: "enrollment", cause };
}

function over(code: number, cause: string): EnrollmentStep {
  return { kind: "over", failure: fail(code, cause) };
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

/** Microseconds since 1970 as seconds and nanoseconds. */
function wallTime(us: number): { tSec: bigint; tNsec: number } {
  const sec = Math.floor(us / 1e6);
  return { tSec: BigInt(sec), tNsec: Math.floor(us - sec * 1e6) * 1000 };
}

/** One enrollment as the node that joins sees it. */
export class Enrollee {
  readonly #ipcpType: number;
  readonly #id: Uint8Array;
  readonly #sentUs: number;
  readonly #sentWallUs: number;
  #state: "asked" | "starting" | "over" = "asked";

  /**
   * @param id 8 random bytes
   * @param wallUs µs since 1970 at `nowUs`
   */
  constructor(ipcpType: number, id: Uint8Array, nowUs: number, wallUs: number) {
    this.#ipcpType = ipcpType;
    this.#id = id;
    this.#sentUs = nowUs;
    this.#sentWallUs = wallUs;
  }

  /** The request. */
  request(): Uint8Array {
    return encodeEnrollReq({ id: this.#id });
  }

  /** The id as it is logged. */
  get idText(): string {
    return this.#id.toHex();
  }

  /** A message of the member. */
  onMessage(nowUs: number, bytes: Uint8Array): EnrollmentStep {
    if (this.#state !== "asked") return WAIT;
    this.#state = "over";
    const m = decodeEnrollResp(bytes);
    if (isWireError(m)) return over(-Errno.EPERM, `its answer is none (${m})`);
    if (!same(m.id, this.#id)) return over(-Errno.EPERM, "enrollment ID mismatch");
    if (m.response < 0) return over(m.response, `remote denied request: ${m.response}`);
    const { conf } = m;
    if (conf === undefined) return over(-Errno.EPERM, "its answer has no configuration");
    if (conf.ipcpType !== this.#ipcpType) {
      return over(-Errno.EIPCPTYPE, "wrong type in enrollment response");
    }
    this.#state = "starting";
    const rttUs = nowUs - this.#sentUs;
    const ahead = Number(m.tSec) * 1e6 + m.tNsec / 1000 - this.#sentWallUs;
    const joining: Joining = {
      conf,
      clockOffsetUs: Math.round(ahead - rttUs / 2),
      rttUs,
      clockOff: Math.abs(ahead) - rttUs > CLOCK_THRESHOLD_US,
    };
    return { kind: "joined", joining };
  }

  /** Our components run, or why not: the acknowledgement, once. */
  started(result: number): Uint8Array | undefined {
    if (this.#state !== "starting") return undefined;
    this.#state = "over";
    return encodeEnrollAck({ id: this.#id, result });
  }

  /** The time is over. */
  onTimer(nowUs: number): EnrollmentStep {
    if (nowUs < this.deadlineUs()) return WAIT;
    this.#state = "over";
    return over(-Errno.ETIMEDOUT, `no reply received within ${MESSAGE_US / 1e6} s`);
  }

  /** µs, or Infinity: starting the components has no limit here. */
  deadlineUs(): number {
    return this.#state === "asked" ? this.#sentUs + MESSAGE_US : Infinity;
  }
}

/** One enrollment as the member sees it. */
export class EnrollmentServer {
  #state: "request" | "ack" | "over" = "request";
  #untilUs: number;

  constructor(nowUs: number) {
    this.#untilUs = nowUs + MESSAGE_US;
  }

  /**
   * A message of the enrollee.
   * @param conf our layer's configuration; undefined while we are in none
   */
  onMessage(
    nowUs: number,
    wallUs: number,
    bytes: Uint8Array,
    conf: IpcpConfig | undefined,
  ): EnrollmentStep {
    if (this.#state === "request") {
      const m = decodeEnrollReq(bytes);
      if (isWireError(m)) {
        this.#state = "over";
        return over(-Errno.EPERM, `its request is none (${m})`);
      }
      this.#state = "ack";
      this.#untilUs = nowUs + START_US;
      const response = conf === undefined ? -Errno.EIPCPSTATE : 0;
      const time = wallTime(wallUs);
      return { kind: "write", bytes: encodeEnrollResp({ id: m.id, ...time, response, conf }) };
    }
    if (this.#state === "over") return WAIT;
    this.#state = "over";
    const m = decodeEnrollAck(bytes);
    if (isWireError(m)) return over(-Errno.EPERM, `its acknowledgement is none (${m})`);
    if (m.result !== 0) return over(m.result, `enrollment failed at remote: ${m.result}`);
    // Another id than ours is worth no failure: the flow is this enrollee's alone.
    return { kind: "over", failure: undefined };
  }

  /** The time is over. */
  onTimer(nowUs: number): EnrollmentStep {
    if (nowUs < this.#untilUs) return WAIT;
    const what = this.#state === "request" ? "no request" : "no acknowledgement";
    this.#state = "over";
    this.#untilUs = Infinity;
    return over(-Errno.ETIMEDOUT, `${what} received in time`);
  }

  /** µs. */
  deadlineUs(): number {
    return this.#state === "over" ? Infinity : this.#untilUs;
  }
}
