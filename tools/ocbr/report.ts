/**
 * How a client of `ocbr` learns what its server received. The prototype's server says nothing, and its client reads nothing:
 * so a server of ours greets by one packet, as that of `operf` does, whose first packet is as ours are, and only who was
 * greeted tells the end of the test and waits for the totals. At a client of the prototype a greeting stays unread.
 */

import { Errno, OuroError } from "../../lib/errno.ts";
import type { Flow } from "../../lib/flow/flow.ts";
import { monotonicUs } from "../../lib/sys/clock.ts";
import { encodeEnd, isGreeting, parseNumbers } from "../operf/protocol.ts";
import type { Stop } from "../session.ts";
import type { CbrTotal } from "./meter.ts";

/** How long a greeting may take from the beginning of the flow, ms. */
const GREETING_MS = 1000;
/** How often the end is told, which may be lost as anything else, and how long each is waited for, ms. */
const ENDS = 4;
const ANSWER_MS = 500;

/**
 * What the server received; undefined when it does not say so, or the client is stopped.
 * @param sinceUs when the flow began
 */
export async function totalOf(
  flow: Flow,
  sinceUs: number,
  stop: Stop,
): Promise<CbrTotal | undefined> {
  const { signal } = stop;
  try {
    const greetedUntilMs = (sinceUs - monotonicUs()) / 1000 + GREETING_MS;
    // What came while packets were sent is there.
    if (!isGreeting(await flow.read({ timeoutMs: Math.max(1, greetedUntilMs), signal }))) {
      return undefined;
    }
    for (let n = 0; n < ENDS; n++) {
      await flow.write(encodeEnd(), { timeoutMs: ANSWER_MS, signal });
      const packet = await flow.read({ timeoutMs: ANSWER_MS, signal }).catch(passedOver);
      if (packet !== undefined) {
        return parseNumbers(packet, ["received", "bytes", "elapsed_us"]);
      }
    }
  } catch (e) {
    if (!(e instanceof OuroError) && !stop.requested) throw e;
  }
  return undefined;
}

/** Bytes of the number in front of each packet. */
const NUMBER_BYTES = 8;

/** Whether the first packet of a flow is as ours: number 0 and then zeros, where the prototype sends what its stack holds. */
export function mayBeOurs(packet: Uint8Array): boolean {
  return packet.length > NUMBER_BYTES && packet.every((byte) => byte === 0);
}

/** Nothing came in time; anything else goes on. */
function passedOver(e: unknown): undefined {
  if (e instanceof OuroError && e.code === -Errno.ETIMEDOUT) return undefined;
  throw e;
}
