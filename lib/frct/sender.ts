/**
 * The sending half of an FRCT connection: window, acknowledgements, loss and time-outs (spec 31 §4, §6, §7, §10, §12).
 * Pure.
 *
 * It decides what may be sent and what must be sent again; the bytes are made in `frct.ts`.
 * Invariants: lwe ≤ seqno (modulo 2^32); at most a window of 256 packets is outstanding; the right edge never moves back
 * once the peer has named one; nothing the peer says moves lwe beyond seqno.
 *
 * Loss is found in three ways: three duplicate acknowledgements (fast, our own peers give them), two probes of a silent
 * tail, each a little more than two round trips after the packet before, and the time-out with exponential back-off, which
 * halves the congestion window and sweeps forward from the oldest packet as acknowledgements return. The back-off starts
 * anew whenever anything is heard of the peer: then the path is there, and packets are lost on it. After a loss every
 * acknowledgement that stops short shows the next gap, which is filled at once.
 *
 * Cumulative acknowledgements cost one round trip per window with a loss, whatever the retransmission rule. Where the
 * path loses packets without queueing (RTT near its minimum) and the window, not the path, limits the flow, the idle time is
 * used to send what is outstanding once more (twice from 2.5 % loss). Such copies are counted as repeats.
 */
import type { BufferPool } from "./buffers.ts";
import {
  CWND_MIN_PACKETS,
  DUPLICATE_ACKS_LOSS,
  EDGE_DISTANCE_MAX,
  PROBE_MIN_US,
  PROBE_ROUND_TRIPS,
  PROBES_MAX,
  QUEUE_NS,
  R_US,
  RDVS_MAX_US,
  RDVS_US,
  REPEAT_LOSS,
  REPEAT_TWICE_LOSS,
  SAMPLE_MIN_US,
  START_WINDOW_PACKETS,
  WINDOW_PACKETS,
} from "./constants.ts";
import { LossEstimator } from "./loss.ts";
import { RttEstimator } from "./rtt.ts";
import { SentRing } from "./sent_ring.ts";
import { before, distance, extend24, plus } from "./seq.ts";

const NEVER = Infinity;

/** What may be sent, what is outstanding and what is lost. */
export class Sender {
  /** Oldest unacknowledged sequence number. */
  lwe: number;
  /** Next to send. */
  seqno: number;
  /** First not allowed. */
  rwe: number;
  /** Obey the right edge. */
  windowed = true;
  /** Something that carries our first sequence number went out. */
  announced = false;
  /** The peer has shown that it knows our sequence number. */
  peerOpen = false;
  /** A write was refused since the last one accepted. */
  refusedWrite = false;
  /** Nothing was acknowledged for R. */
  down = false;
  /** Last data sent, µs; -Infinity before the first. */
  dataUs = -Infinity;
  /** A rendez-vous is to be sent. */
  rdvsDue = false;
  readonly ring: SentRing;
  readonly rtt = new RttEstimator();
  readonly loss = new LossEstimator();

  retransmissions = 0;
  repeats = 0;
  timeouts = 0;
  rttProbes = 0;
  delayedAcks = 0;
  rendezVous = 0;
  refused = 0;

  readonly #reliable: boolean;
  #edgeSeen = false;
  #cwnd = START_WINDOW_PACKETS;
  /** No RTT sample before this time: one a round trip is what the estimator's gains are made for. */
  #sampleUs = -Infinity;
  /** Packet that was sent again once because of duplicate acknowledgements, and when; 0 when none. */
  #fastSeq = 0;
  #fastUs = 0;
  #timerUs = NEVER;
  /** The time-out itself; `#timerUs` is this, or the probe before it. */
  #timeoutUs = NEVER;
  /** Probes sent since the last acknowledgement. */
  #probes = 0;
  #rdvsUs = NEVER;
  #rdvsGapUs = RDVS_US;
  #duplicateAcks = 0;
  #recovering = false;
  #recover = 0;
  /** Transmissions of the oldest packet that are due. */
  #headDue = 0;
  /** They are due because of duplicate acknowledgements. */
  #headFast = false;
  #sweeping = false;
  #sweepNext = 0;
  #sweepBudget = 0;
  #repeatNext: number;
  #repeatNextTwice: number;

  constructor(reliable: boolean, initialSeqno: number, buffers: BufferPool) {
    this.#reliable = reliable;
    this.lwe = this.seqno = initialSeqno >>> 0;
    this.rwe = plus(this.seqno, START_WINDOW_PACKETS);
    this.#repeatNext = this.#repeatNextTwice = this.seqno;
    this.ring = new SentRing(buffers);
  }

  /** Packets sent and not acknowledged. */
  get outstanding(): number {
    return distance(this.seqno, this.lwe);
  }

  /** Whether one more packet may be sent. */
  writable(): boolean {
    if (this.windowed && !before(this.seqno, this.rwe)) return false;
    return !this.#reliable || distance(this.seqno, this.lwe) < this.#cwnd;
  }

  /** A write was refused: data waits. Starts the rendez-vous clock and, on lossy paths, the copies. */
  refuse(nowUs: number): void {
    this.refusedWrite = true;
    if (this.#rdvsUs === NEVER && this.#windowClosed()) {
      this.#rdvsGapUs = Math.max(RDVS_US, this.rtt.srttNs / 500);
      this.#rdvsUs = nowUs + this.#rdvsGapUs;
    }
  }

  /** Takes the payload of a packet that goes out now under `seqno` and moves on. */
  sent(nowUs: number, flags: number, src: Uint8Array, from: number, len: number): void {
    const seqno = this.seqno;
    this.announced = true;
    this.refusedWrite = false;
    this.dataUs = nowUs;
    this.seqno = plus(seqno, 1);
    if (!this.#reliable) {
      this.lwe = this.seqno;
      return;
    }
    this.ring.put(this.lwe, seqno, flags, src, from, len, nowUs);
    if (this.#timerUs === NEVER) this.#arm(nowUs);
  }

  /** Whether an acknowledgement with `ackno` makes sense: it lies between lwe and seqno and the peer can know us. */
  acceptable(ackno: number): boolean {
    const ahead = distance(ackno, this.lwe);
    const ok = this.announced &&
      (this.#reliable
        ? ahead >= 0 && ahead <= this.outstanding
        : ahead <= 0 && ahead >= -EDGE_DISTANCE_MAX);
    if (!ok) this.refused++;
    return ok;
  }

  /** An acceptable acknowledgement. `bare`: without data and without a new window, so that a repeated number means a gap. */
  onAck(nowUs: number, ackno: number, bare: boolean): void {
    if (!this.#reliable) return;
    const ahead = distance(ackno, this.lwe);
    if (ahead === 0) {
      if (bare && this.outstanding > 0) this.#onDuplicateAck(nowUs);
      return;
    }
    this.peerOpen = true;
    this.#sample(nowUs, ackno);
    for (let i = 0; i < ahead; i++) this.ring.drop(plus(this.lwe, i));
    this.lwe = ackno;
    if (before(this.#repeatNext, ackno)) this.#repeatNext = ackno;
    if (before(this.#repeatNextTwice, ackno)) this.#repeatNextTwice = ackno;
    this.loss.acked(ahead);
    this.#cwnd = Math.min(WINDOW_PACKETS, this.#cwnd + ahead);
    this.#duplicateAcks = 0;
    this.#headDue = 0;
    this.#probes = 0;
    this.#timerUs = NEVER;
    if (this.outstanding > 0) this.#arm(nowUs);
    if (this.#sweeping) {
      this.#sweepBudget += 2 * ahead;
      if (before(this.#sweepNext, ackno)) this.#sweepNext = ackno;
    }
    if (this.#recovering) this.#onPartialAck(nowUs);
  }

  /** An FC with the low 24 bits of the peer's right edge. @returns whether the edge moved forward */
  onWindow(nowUs: number, low24: number): boolean {
    if (!this.announced) return false;
    const edge = extend24(low24, this.lwe);
    const room = distance(edge, this.lwe);
    if (room < 0 || room > EDGE_DISTANCE_MAX || (this.#edgeSeen && before(edge, this.rwe))) {
      this.delayedAcks++;
      return false;
    }
    const moved = edge !== this.rwe;
    this.#edgeSeen = true;
    this.peerOpen = true;
    this.rwe = edge;
    if (!this.#windowClosed()) this.#rdvsUs = NEVER;
    else if (moved && this.#rdvsUs !== NEVER) this.#rdvsUs = nowUs + this.#rdvsGapUs;
    return moved;
  }

  /** When {@linkcode onTimer} is to be called; Infinity when never. */
  get deadlineUs(): number {
    const t = this.#timerUs;
    return t < this.#rdvsUs ? t : this.#rdvsUs;
  }

  /** Fires what is due. */
  onTimer(nowUs: number): void {
    if (nowUs >= this.#rdvsUs) {
      if (this.#windowClosed() && this.refusedWrite) {
        this.rdvsDue = true;
        this.rendezVous++;
        this.#rdvsGapUs = Math.min(RDVS_MAX_US, this.#rdvsGapUs * 2);
        this.#rdvsUs = nowUs + this.#rdvsGapUs;
      } else {
        this.#rdvsUs = NEVER;
      }
    }
    if (nowUs >= this.#timerUs) this.#onTimeout(nowUs);
  }

  /** Whether {@linkcode nextResend} has something. */
  get resendDue(): boolean {
    return this.#headDue > 0 || (this.#sweeping && this.#sweepBudget > 0) ||
      (this.refusedWrite && this.outstanding > 0 && this.#repeatDue());
  }

  /** Sequence number of the packet to send again now, or -1. Asking does not change anything. */
  nextResend(): number {
    if (this.outstanding === 0) return -1;
    if (this.#headDue > 0) return this.lwe;
    if (this.#sweeping && this.#sweepBudget > 0) {
      if (before(this.#sweepNext, this.#recover)) return this.#sweepNext;
      this.#sweeping = false;
    }
    if (!this.refusedWrite || !this.#repeatDue()) return -1;
    return before(this.#repeatNext, this.seqno) ? this.#repeatNext : this.#repeatNextTwice;
  }

  /** Packet `seqno`, given by {@linkcode nextResend}, goes out now. */
  resent(nowUs: number, seqno: number): void {
    if (this.#headDue > 0) {
      this.#headDue--;
      if (this.#headFast && !this.ring.wasResent(seqno) && !this.#repeating()) {
        this.#fastSeq = seqno;
        this.#fastUs = nowUs;
      } else if (seqno === this.#fastSeq && nowUs > this.#fastUs) {
        this.#fastUs = 0;
      }
      this.retransmissions++;
    } else if (this.#sweeping && seqno === this.#sweepNext && this.#sweepBudget > 0) {
      this.#sweepNext = plus(seqno, 1);
      this.#sweepBudget--;
      this.retransmissions++;
    } else {
      if (seqno === this.#repeatNext) this.#repeatNext = plus(seqno, 1);
      else this.#repeatNextTwice = plus(seqno, 1);
      this.repeats++;
      return; // The sample of an original stays good: its copy follows closely.
    }
    this.ring.markResent(seqno);
  }

  /** Forgets everything outstanding. */
  clear(): void {
    for (let s = this.lwe; s !== this.seqno; s = plus(s, 1)) this.ring.drop(s);
    this.lwe = this.seqno;
    this.#timerUs = this.#rdvsUs = NEVER;
    this.#headDue = 0;
    this.#sweeping = false;
    this.rdvsDue = false;
  }

  #windowClosed(): boolean {
    return this.windowed && !before(this.seqno, this.rwe);
  }

  /** Something of the peer arrived: a time-out that was backed off starts anew. */
  heard(nowUs: number): void {
    if (!this.rtt.backedOff || this.#timerUs === NEVER) return;
    this.rtt.progress();
    this.#timeoutUs = Math.min(this.#timeoutUs, nowUs + this.rtt.rtoNs / 1000);
    this.#timerUs = Math.min(this.#timerUs, this.#timeoutUs);
  }

  #arm(nowUs: number): void {
    const giveUpUs = this.ring.firstUs(this.lwe) + R_US;
    this.#timeoutUs = Math.min(nowUs + this.rtt.rtoNs / 1000, giveUpUs);
    this.#timerUs = Math.min(this.#timeoutUs, this.#probeUs());
  }

  /**
   * When a silent tail is probed next: so long after the newest packet, or after the last probe, of which one is the packet
   * sent last. The newest may move on; the timer asks again when it comes up.
   */
  #probeUs(): number {
    if (this.#probes >= PROBES_MAX || this.rtt.samples === 0) return NEVER;
    const newestUs = this.ring.firstUs(plus(this.seqno, -1));
    return Math.max(newestUs, this.ring.lastUs(this.lwe)) + this.#probeWaitUs();
  }

  #probeWaitUs(): number {
    const { srttNs } = this.rtt;
    return Math.max(PROBE_ROUND_TRIPS * srttNs / 1000, PROBE_MIN_US);
  }

  #onTimeout(nowUs: number): void {
    this.#timerUs = NEVER;
    if (this.outstanding === 0) return;
    // The same sum as in #arm: a difference may round to just below R at the time that was asked for.
    if (nowUs >= this.ring.firstUs(this.lwe) + R_US) {
      this.down = true;
      this.clear();
      return;
    }
    const probe = nowUs < this.#timeoutUs;
    if (probe) {
      const probeUs = this.#probeUs();
      if (probeUs > nowUs) {
        this.#timerUs = Math.min(this.#timeoutUs, probeUs);
        return;
      }
    }
    this.#headDue = this.#copies();
    this.#headFast = false;
    this.#duplicateAcks = 0;
    this.#recovering = true;
    this.#recover = this.seqno;
    if (probe) {
      this.#probes++;
      // The probe leaves now: the next one is counted from here.
      const againUs = this.#probes < PROBES_MAX ? nowUs + this.#probeWaitUs() : NEVER;
      this.#timeoutUs = Math.max(this.#timeoutUs, nowUs + this.#probeWaitUs());
      this.#timerUs = Math.min(this.#timeoutUs, againUs);
      return;
    }
    this.timeouts++;
    this.#probes = PROBES_MAX;
    this.loss.lost();
    this.#cwnd = Math.max(CWND_MIN_PACKETS, this.#cwnd >> 1);
    this.rtt.backOff();
    this.#sweeping = true;
    this.#sweepNext = plus(this.lwe, 1);
    this.#sweepBudget = 1;
    this.#arm(nowUs);
  }

  /**
   * An RTT sample, at most one a round trip. Best from the newest packet acknowledged, if none of those was sent again (Karn)
   * and no gap was filled: then the acknowledgement tells when, not how long the way is. Where every window has a gap
   * that never happens; then from a first fast retransmission, which the peer's own answers have shown to be needed
   * (unless a copy may have been on its way already).
   */
  #sample(nowUs: number, ackno: number): void {
    this.rtt.progress();
    if (nowUs < this.#sampleUs) return;
    this.rttProbes++;
    const newest = plus(ackno, -1);
    let sentUs = 0;
    if (this.lwe === this.#fastSeq && this.#fastUs > 0) {
      sentUs = this.#fastUs;
    } else if (
      this.#duplicateAcks === 0 &&
      !this.ring.wasResent(this.lwe) && !this.ring.wasResent(newest)
    ) {
      sentUs = this.ring.firstUs(newest);
    } else {
      return;
    }
    this.rtt.sample((nowUs - sentUs) * 1000);
    this.#sampleUs = nowUs + Math.max(this.rtt.srttNs / 1000, SAMPLE_MIN_US);
  }

  #onDuplicateAck(nowUs: number): void {
    this.#duplicateAcks++;
    const ageUs = nowUs - this.ring.lastUs(this.lwe);
    const rttUs = this.#rttMinUs();
    if (ageUs < 0.75 * rttUs) return;
    const third = this.#duplicateAcks === DUPLICATE_ACKS_LOSS;
    if (third || (this.#recovering && this.#duplicateAcks === 1)) this.loss.lost();
    if (third || ageUs >= this.#lossAgeUs()) this.#recoverHead();
  }

  /** An acknowledgement during recovery: complete, or it may show the next gap. */
  #onPartialAck(nowUs: number): void {
    if (!before(this.lwe, this.#recover)) {
      this.#recovering = false;
      this.#sweeping = false;
    } else if (!this.#sweeping && nowUs - this.ring.lastUs(this.lwe) >= this.#lossAgeUs()) {
      this.loss.lost();
      this.#recoverHead();
    }
  }

  #recoverHead(): void {
    this.#recovering = true;
    this.#recover = this.seqno;
    this.#headDue = this.#copies();
    this.#headFast = true;
  }

  #rttMinUs(): number {
    return this.rtt.samples > 0 ? this.rtt.minNs / 1000 : 0;
  }

  /** Age from which a packet that something later has overtaken is lost: packets in a full pipe are one RTT old. */
  #lossAgeUs(): number {
    return 1.25 * this.#rttMinUs() + this.rtt.mdevNs / 1000;
  }

  /** How often a retransmission is sent: on lossy paths losing it again costs more than the copy. */
  #copies(): number {
    return this.#repeating() ? 2 : 1;
  }

  #repeating(): boolean {
    return this.loss.share >= REPEAT_LOSS && this.rtt.samples > 0 &&
      this.rtt.srttNs <= 2 * this.rtt.leastNs + QUEUE_NS;
  }

  #repeatDue(): boolean {
    if (!this.#repeating() || this.writable()) return false;
    if (before(this.#repeatNext, this.seqno)) return true;
    return this.loss.share >= REPEAT_TWICE_LOSS && before(this.#repeatNextTwice, this.seqno);
  }
}
