/**
 * FRCT version 1: sender and receiver of one flow behind {@linkcode FrctEndpoint}, and the bytes between them
 * (spec 31; rules of its §10 and §12). Pure.
 *
 * It leaves to others: encryption, CRC, the keepalive (an empty packet that never comes here), clock, timers, memory.
 * What it adds to the two halves is the order of things in a packet, and rule 1 of §10: the prototype opens its record of
 * us on *any* packet, so until it has shown that it knows our sequence number every bare packet carries DRF and the number
 * of our oldest data.
 */
import { Errno } from "../errno.ts";
import {
  EMPTY_MESSAGE,
  encodeFrctPci,
  FRCT_PCI_LENGTH,
  isEmptyMessage,
  newFrctPci,
  parseFrctPci,
  PciError,
  PciFlag,
} from "../wire/frct_pci.ts";
import { copyBytes } from "./buffers.ts";
import { A_US, DIRECT_MPL_US, FINAL_ACK_COPIES, R_US } from "./constants.ts";
import {
  type FrctConfig,
  type FrctEndpoint,
  FrctEvent,
  FrctFlag,
  type FrctStats,
} from "./endpoint.ts";
import { Accept, Receiver } from "./receiver.ts";
import { Sender } from "./sender.ts";
import { EMPTY } from "./sent_ring.ts";

const { DATA, DRF, ACK, FC, RDVS } = PciFlag;

/** The endpoint of prototype 0.23's header. */
export class Frct implements FrctEndpoint {
  readonly version = 1;
  readonly headerBytes = FRCT_PCI_LENGTH;
  readonly #reliable: boolean;
  readonly #mplUs: number;
  readonly #snd: Sender;
  readonly #rcv: Receiver;
  readonly #pci = newFrctPci();
  #flags: number;
  #events = 0;
  /** A bare FC that answers a rendez-vous is due. */
  #answerDue = false;
  #closed = false;
  #closeUs = 0;
  /** Last packet of any kind, µs. */
  #heardUs = -Infinity;
  #bareSent = 0;
  #malformed = 0;

  constructor(config: FrctConfig) {
    this.#reliable = config.reliable;
    this.#mplUs = config.mplMs * 1000;
    this.#snd = new Sender(config.reliable, config.initialSeqno, config.buffers);
    const { reliable, buffers, room } = config;
    this.#rcv = new Receiver(reliable, this.#limitS(2) * 1e6, buffers, room);
    this.#flags = config.reliable
      ? FrctFlag.Rtx | FrctFlag.Rescntl | FrctFlag.Linger
      : FrctFlag.Rescntl;
  }

  get down(): boolean {
    return this.#snd.down;
  }

  get outputDue(): boolean {
    return this.#rcv.ackDue || this.#answerDue || this.#snd.rdvsDue || this.#snd.resendDue;
  }

  get flags(): number {
    return this.#flags;
  }

  setFlags(flags: number): void {
    this.#flags = (this.#flags & FrctFlag.Rtx) | (flags & (FrctFlag.Rescntl | FrctFlag.Linger));
    this.#snd.windowed = (this.#flags & FrctFlag.Rescntl) !== 0;
  }

  writable(): boolean {
    return this.#snd.writable() && !this.#snd.down;
  }

  write(
    nowUs: number,
    src: Uint8Array,
    from: number,
    len: number,
    out: Uint8Array,
    at: number,
  ): number {
    if (at + FRCT_PCI_LENGTH + len > out.length) return -Errno.EMSGSIZE;
    const begun = this.begin(nowUs, out, at);
    if (begun < 0) return begun;
    copyBytes(src, from, len, out, at + FRCT_PCI_LENGTH);
    this.sent(nowUs, src, from, len);
    return FRCT_PCI_LENGTH + len;
  }

  begin(nowUs: number, out: Uint8Array, at: number, empty = false): number {
    if (at + FRCT_PCI_LENGTH > out.length) return -Errno.EMSGSIZE;
    const refused = this.#refuse(nowUs);
    if (refused !== 0) return refused;
    this.#header(out, at, this.#dataFlags(empty), this.#snd.seqno);
    return FRCT_PCI_LENGTH;
  }

  sent(nowUs: number, src: Uint8Array, from: number, len: number, empty = false): void {
    const flags = this.#dataFlags(empty);
    this.#told(flags);
    this.#snd.sent(nowUs, flags, src, from, len);
  }

  onPacket(nowUs: number, b: Uint8Array, at: number, end: number): number {
    this.#input(nowUs, b, at, end, -1);
    return this.takeEvents();
  }

  onPacketDirect(nowUs: number, b: Uint8Array, at: number, end: number, max: number): number {
    return this.#input(nowUs, b, at, end, max) ? end - at - FRCT_PCI_LENGTH : -1;
  }

  takeEvents(): number {
    const events = this.#events;
    this.#events = 0;
    return events;
  }

  onTimer(nowUs: number): number {
    this.#rcv.onTimer(nowUs);
    if (nowUs >= this.#snd.deadlineUs) {
      this.#snd.onTimer(nowUs);
      if (this.#snd.down) this.#events |= FrctEvent.Down | FrctEvent.Writable | FrctEvent.Readable;
    }
    return this.takeEvents();
  }

  deadlineUs(): number {
    const a = this.#rcv.ackAtUs;
    const s = this.#snd.deadlineUs;
    return a < s ? a : s;
  }

  pollBytes(_nowUs: number): number {
    if (this.#snd.down) return 0;
    if (this.#rcv.ackDue || this.#answerDue || this.#snd.rdvsDue) return FRCT_PCI_LENGTH;
    const seqno = this.#snd.nextResend();
    return seqno < 0 ? 0 : FRCT_PCI_LENGTH + this.#snd.ring.bytes(seqno);
  }

  poll(nowUs: number, out: Uint8Array, at: number): number {
    const need = this.pollBytes(nowUs);
    if (need === 0) return 0;
    if (at + need > out.length) return -Errno.EMSGSIZE;
    const snd = this.#snd;
    if (this.#answerDue) {
      this.#answerDue = false;
      return this.#bare(out, at, FC);
    }
    if (this.#rcv.ackDue) return this.#bare(out, at, ACK | FC);
    if (snd.rdvsDue) {
      snd.rdvsDue = false;
      return this.#bare(out, at, RDVS);
    }
    const seqno = snd.nextResend();
    snd.resent(nowUs, seqno);
    snd.ring.resend(seqno, nowUs, out, at + FRCT_PCI_LENGTH);
    const flags = snd.ring.flags(seqno);
    this.#header(out, at, flags, seqno);
    this.#told(flags);
    return need;
  }

  get ended(): boolean {
    return this.#rcv.ended;
  }

  pendingBytes(): number {
    return this.#rcv.pendingBytes;
  }

  read(nowUs: number, into: Uint8Array, at: number, max: number): number {
    if (this.#rcv.pendingBytes < 0) return -Errno.EAGAIN;
    return this.#rcv.take(nowUs, into, at, max);
  }

  skip(nowUs: number): void {
    if (this.#rcv.pendingBytes >= 0) this.#rcv.drop(nowUs);
  }

  close(nowUs: number): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closeUs = nowUs;
    this.#rcv.finish(this.#reliable && this.#mplUs > DIRECT_MPL_US ? FINAL_ACK_COPIES : 0);
  }

  lingering(nowUs: number): boolean {
    return (this.#flags & FrctFlag.Linger) !== 0 && this.#snd.outstanding > 0 && !this.#snd.down &&
      (!this.#closed || nowUs - this.#closeUs < R_US);
  }

  deallocWaitS(nowUs: number): number {
    const waitS = Math.max(
      this.#limitS(2) - idleS(nowUs, this.#heardUs),
      this.#limitS(3) - idleS(nowUs, this.#snd.dataUs),
      0,
    );
    return this.lingering(nowUs) ? -Math.max(waitS, 1) : waitS;
  }

  stats(nowUs: number): FrctStats {
    const snd = this.#snd;
    const rcv = this.#rcv;
    return {
      mplNs: this.#mplUs * 1000,
      maxAckNs: A_US * 1000,
      maxRtxNs: R_US * 1000,
      srttNs: snd.rtt.srttNs,
      rttDevNs: snd.rtt.mdevNs,
      rtoNs: snd.rtt.rtoNs,
      sndLwe: snd.lwe,
      sndRwe: snd.rwe,
      sndInactiveNs: sinceNs(nowUs, snd.dataUs),
      sndSeqno: snd.seqno,
      rcvLwe: rcv.readSeq,
      rcvRwe: rcv.edge,
      rcvInactiveNs: sinceNs(nowUs, this.#heardUs),
      rcvLastAck: rcv.acked,
      retransmissions: snd.retransmissions,
      rttProbes: snd.rttProbes,
      rttEstimates: snd.rtt.samples,
      duplicates: rcv.duplicates,
      delayedAcks: snd.delayedAcks,
      rendezVous: snd.rendezVous,
      outOfWindow: rcv.outOfWindow,
      outOfQueue: rcv.outOfQueue,
      missing: rcv.missing,
      bareSent: this.#bareSent,
      repeats: snd.repeats,
      timeouts: snd.timeouts,
      malformed: this.#malformed,
      refused: snd.refused + rcv.refused,
    };
  }

  dispose(): void {
    this.#snd.clear();
    this.#rcv.clear();
    this.#closed = true;
  }

  /** Inactivity limit in whole seconds; `mpls` is 3 for a sender, 2 for a receiver (31 §2). */
  #limitS(mpls: number): number {
    return Math.floor((mpls * this.#mplUs + A_US + R_US) / 1e6) + 1;
  }

  #refuse(nowUs: number): number {
    if (this.#snd.down) return -Errno.EFLOWDOWN;
    if (this.#closed) return -Errno.EPIPE;
    if (this.#snd.writable()) return 0;
    this.#snd.refuse(nowUs);
    return -Errno.EAGAIN;
  }

  /** Without retransmission nobody says that no more comes: a packet without payload is a message there. */
  #dataFlags(empty: boolean): number {
    if (!this.#reliable) return DATA | DRF;
    const flags = this.#snd.seqno === this.#snd.lwe ? DATA | DRF : DATA;
    return empty ? flags | EMPTY : flags;
  }

  /** The header of a data packet, with acknowledgement and window as they are now. */
  #header(out: Uint8Array, at: number, flags: number, seqno: number): void {
    const rcv = this.#rcv;
    if ((flags & EMPTY) !== 0) encodeFrctPci(out, at, flags & ~EMPTY, EMPTY_MESSAGE, seqno, 0);
    else if (!rcv.open) encodeFrctPci(out, at, flags, 0, seqno, 0);
    else if (this.#reliable) encodeFrctPci(out, at, flags | ACK | FC, rcv.edge, seqno, rcv.nextSeq);
    else encodeFrctPci(out, at, flags | FC, rcv.edge, seqno, 0);
  }

  /** A data packet carried what the receiver owed, unless it is a message of no bytes. */
  #told(flags: number): void {
    if (this.#rcv.open && (flags & EMPTY) === 0) this.#rcv.told(this.#reliable, true, false);
  }

  #bare(out: Uint8Array, at: number, kind: number): number {
    const rcv = this.#rcv;
    const snd = this.#snd;
    // The prototype opens its record on any packet: announce the number of our oldest data until it knows (31 §10.1).
    const announce = !snd.peerOpen || snd.dataUs === -Infinity ||
      (!this.#reliable && kind === RDVS);
    if (announce) snd.announced = true;
    const flags = announce ? kind | DRF : kind;
    const seqno = announce ? snd.lwe : 0;
    const window = (kind & FC) !== 0 ? rcv.edge : 0;
    const ackno = (kind & ACK) !== 0 ? rcv.nextSeq : 0;
    if (kind !== RDVS) rcv.told((kind & ACK) !== 0, true, true);
    this.#bareSent++;
    return encodeFrctPci(out, at, flags, window, seqno, ackno);
  }

  /** @returns whether the payload is the waiting reader's to take */
  #input(nowUs: number, b: Uint8Array, at: number, end: number, max: number): boolean {
    const pci = this.#pci;
    if (parseFrctPci(b, at, end, pci) !== PciError.None) {
      this.#malformed++;
      return false;
    }
    const rcv = this.#rcv;
    const flags = pci.flags;
    const data = (flags & DATA) !== 0;
    this.#heardUs = nowUs;
    this.#snd.heard(nowUs);
    if ((flags & DRF) !== 0 && (!rcv.open || (data && rcv.stale(nowUs, pci.seqno)))) {
      rcv.begin(pci.seqno);
    }
    if ((flags & (ACK | FC)) !== 0) this.#control(nowUs, flags, data);
    if ((flags & RDVS) !== 0) {
      if ((flags & DRF) !== 0) rcv.skipTo(pci.seqno);
      if (rcv.open) this.#answerDue = true;
      return false;
    }
    if (!data) return false;
    const payload = at + FRCT_PCI_LENGTH;
    const len = end - payload;
    const last = this.#reliable && len === 0 && !isEmptyMessage(pci, len);
    const result = rcv.accept(nowUs, pci.seqno, b, payload, len, max, last);
    if (result === Accept.Ready && rcv.ready > 0) this.#events |= FrctEvent.Readable;
    return rcv.direct;
  }

  #control(nowUs: number, flags: number, data: boolean): void {
    const snd = this.#snd;
    const pci = this.#pci;
    const wasDue = snd.refusedWrite;
    const acked = (flags & ACK) !== 0;
    // An FC that comes with a foreign or outdated acknowledgement is as foreign or outdated.
    if (acked && !snd.acceptable(pci.ackno)) return;
    const moved = (flags & FC) !== 0 && snd.onWindow(nowUs, pci.window);
    if (acked) snd.onAck(nowUs, pci.ackno, !data && !moved);
    if (wasDue && snd.writable()) this.#events |= FrctEvent.Writable;
  }
}

/** Whole seconds of the clock between two times, as the prototype counts them. */
function idleS(nowUs: number, thenUs: number): number {
  return Math.floor(nowUs / 1e6) - Math.floor(thenUs / 1e6);
}

/** 0: never. */
function sinceNs(nowUs: number, thenUs: number): number {
  return thenUs === -Infinity ? 0 : Math.max(1, Math.round((nowUs - thenUs) * 1000));
}
