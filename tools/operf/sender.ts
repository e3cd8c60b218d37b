/**
 * Sending numbered packets at a rate or as fast as possible, shared by the client and by a server that
 * sends (reverse tests). Packets that come meanwhile are handed out between sends, so two senders never
 * block each other.
 */

import { Errno } from "../../lib/errno.ts";
import type { Flow } from "../../lib/flow/flow.ts";
import { monotonicNs } from "../../lib/sys/clock.ts";
import { breathe, pause, type Stop } from "../session.ts";
import { SEQNO_BYTES } from "./protocol.ts";

/** What to send. */
export interface SendOptions {
  readonly flow: Flow;
  readonly sizeBytes: number;
  readonly durationMs: number;
  /** Bits a second; 0 sends as fast as possible. */
  readonly rate: number;
  /** Sleep between packets, instead of spinning when the gap is short. */
  readonly sleep: boolean;
  readonly packetsMax?: number | undefined;
  readonly stop: Stop;
  /** Kept up to date while it sends, for interim reports. */
  readonly progress?: { sent: number } | undefined;
  /** Called often between packets: take what came. */
  onTurn?(): void;
}

/** What came of it. */
export interface SendResult {
  readonly sent: number;
  readonly elapsedUs: number;
  /** Negative error number of the write that ended the test, 0 for none. */
  readonly failed: number;
}

/** A busy sender lets signals in this often, ns. */
const BREATH_NS = 20e6;
/** A sleep ends so much before its deadline, because timers come late, ns. */
const TIMER_LATE_NS = 1.5e6;

/** Sends until the time or the number is up, a write fails, or it is stopped. */
export async function sendPackets(o: SendOptions): Promise<SendResult> {
  const packet = new Uint8Array(o.sizeBytes);
  const head = new DataView(packet.buffer, 0, SEQNO_BYTES);
  const gapNs = o.rate > 0 ? o.sizeBytes * 8e9 / o.rate : 0;
  const packetsMax = o.packetsMax ?? Infinity;
  const startNs = monotonicNs();
  const endNs = startNs + o.durationMs * 1e6;
  let breathAtNs = startNs + BREATH_NS;
  let sent = 0;
  let failed = 0;
  let nowNs = startNs;
  while (!o.stop.requested && nowNs < endNs && sent < packetsMax) {
    const dueNs = startNs + sent * gapNs;
    if (nowNs >= breathAtNs) {
      await breathe();
      breathAtNs = monotonicNs() + BREATH_NS;
    } else if (nowNs < dueNs) {
      const waitNs = Math.min(dueNs, endNs) - nowNs;
      if (o.sleep || waitNs > 2 * TIMER_LATE_NS) {
        await pause(Math.max(0, (waitNs - TIMER_LATE_NS) / 1e6), o.stop.signal);
        breathAtNs = monotonicNs() + BREATH_NS;
      }
    } else {
      head.setUint32(0, sent >>> 0, true);
      const n = o.flow.writeSync(packet, WRITE);
      if (n >= 0) {
        sent++;
        if (o.progress) o.progress.sent = sent;
      } else if (n !== -Errno.EAGAIN && n !== -Errno.ETIMEDOUT) {
        failed = n;
        break;
      }
    }
    o.onTurn?.();
    nowNs = monotonicNs();
  }
  return { sent, elapsedUs: (monotonicNs() - startNs) / 1000, failed };
}

/** A full ring is waited for this long before our own packets are looked at again. */
const WRITE = { timeoutMs: 1 } as const;
