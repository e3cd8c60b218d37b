/**
 * The prototype's FRCT as spec 31 §3 to §9 describes it, traps included, as a peer for ours in the simulator: what the rules
 * of §10 are for. It is a model for tests and nothing else: no limits, no checks of what comes in.
 *
 * Timers run on ticks of 5 ms. One deviation: its RTO has a floor of one tick, because the model does not resend at
 * each write.
 */
import { Errno } from "../../../lib/errno.ts";
import {
  BufferPool,
  createFrct,
  type FrctConfig,
  type FrctEndpoint,
  FrctEvent,
  type FrctStats,
} from "../../../lib/frct/mod.ts";
import { RttEstimator } from "../../../lib/frct/rtt.ts";
import { before, distance, plus } from "../../../lib/frct/seq.ts";
import { encodeFrctPci, newFrctPci, parseFrctPci, PciFlag } from "../../../lib/wire/frct_pci.ts";

const { DATA, DRF, ACK, FC, RDVS } = PciFlag;
const TICK_US = 5_000;

interface Resend {
  seqno: number;
  packet: Uint8Array;
  firstUs: number;
  dueUs: number;
}

/** See the head of this file. */
export class Prototype implements FrctEndpoint {
  readonly version = 1;
  readonly headerBytes = 12;
  readonly flags = 7;
  readonly ended = false;
  down = false;
  readonly #reliable: boolean;
  readonly #initial: number;
  readonly #rtt = new RttEstimator(TICK_US * 1000);
  readonly #pci = newFrctPci();
  readonly #limitS = 131;
  readonly #output: Uint8Array[] = [];
  readonly #resends: Resend[] = [];
  readonly #queue = new Map<number, Uint8Array>();
  readonly #snd = { lwe: 0, seqno: 0, rwe: 64, actUs: -Infinity };
  readonly #rcv = { lwe: 0, rwe: 0, seqno: 0, actUs: -Infinity };
  #probe: { seqno: number; startUs: number } | null = null;
  #ackTickUs = Infinity;
  #open = false;
  #closedSinceUs = -Infinity;
  #rdvsUs = -Infinity;
  #taken = 0;
  #wants = false;

  constructor(config: FrctConfig) {
    this.#reliable = config.reliable;
    this.#initial = config.initialSeqno;
  }

  get outputDue(): boolean {
    return this.#output.length > 0;
  }

  writable(): boolean {
    return this.#snd.seqno !== this.#snd.rwe && before(this.#snd.seqno, this.#snd.rwe);
  }

  write(
    now: number,
    src: Uint8Array,
    from: number,
    len: number,
    out: Uint8Array,
    at: number,
  ): number {
    const s = this.#snd;
    if (!this.writable()) {
      this.#wants = true;
      if (this.#open) {
        this.#open = false;
        this.#closedSinceUs = now;
        this.#rdvsUs = now;
      } else if (now - this.#rdvsUs > 100_000 && now - this.#closedSinceUs < 1e6) {
        this.#rdvsUs = now;
        this.#bare(RDVS, 0, 0);
      }
      return -Errno.EAGAIN;
    }
    this.#wants = false;
    let flags: number = s.seqno === s.lwe ? DATA | DRF : DATA;
    if (idleS(now, s.actUs) > this.#limitS) {
      s.seqno = s.lwe = this.#initial;
      s.rwe = plus(s.seqno, 64);
      flags = DATA | DRF;
    }
    let window = 0;
    let ackno = 0;
    if (idleS(now, this.#rcv.actUs) < this.#limitS) {
      flags |= FC;
      window = this.#rcv.rwe;
    }
    const seqno = s.seqno;
    if (!this.#reliable) {
      s.lwe = plus(s.lwe, 1);
    } else {
      this.#probe ??= { seqno, startUs: now };
      if (idleS(now, this.#rcv.actUs) <= 10) {
        flags |= ACK;
        ackno = this.#rcv.lwe;
        this.#rcv.seqno = this.#rcv.lwe;
      }
    }
    encodeFrctPci(out, at, flags, window, seqno, ackno);
    out.set(src.slice(from, from + len), at + 12);
    s.seqno = plus(seqno, 1);
    s.actUs = now;
    if (this.#reliable) {
      const packet = out.slice(at, at + 12 + len);
      this.#resends.push({ seqno, packet, firstUs: now, dueUs: now + this.#rtt.rtoNs / 1000 });
    }
    return 12 + len;
  }

  begin(now: number, out: Uint8Array, at: number): number {
    return this.write(now, out, 0, 0, out, at);
  }

  sent(_now: number, src: Uint8Array, from: number, len: number): void {
    const last = this.#resends.at(-1);
    if (last === undefined) return;
    const packet = new Uint8Array(12 + len);
    packet.set(last.packet);
    packet.set(src.subarray(from, from + len), 12);
    last.packet = packet;
  }

  onPacket(now: number, b: Uint8Array, at: number, end: number): number {
    const pci = this.#pci;
    if (parseFrctPci(b, at, end, pci) !== 0) throw new Error("model got a malformed packet");
    const { flags, seqno } = pci;
    const s = this.#snd;
    const r = this.#rcv;
    let events = 0;
    if (idleS(now, r.actUs) > this.#limitS) {
      if ((flags & DRF) !== 0) {
        r.lwe = r.seqno = seqno;
        r.rwe = plus(seqno, 256);
      } else if ((flags & DATA) !== 0) {
        return 0;
      }
    }
    r.actUs = now;
    if ((flags & RDVS) !== 0) {
      this.#bare(FC, r.rwe, 0);
      return 0;
    }
    if ((flags & ACK) !== 0) {
      if (before(s.lwe, pci.ackno)) s.lwe = pci.ackno;
      if (this.#probe !== null && before(this.#probe.seqno, pci.ackno)) {
        this.#rtt.sample((now - this.#probe.startUs) * 1000);
        this.#probe = null;
      }
    }
    if ((flags & FC) !== 0) {
      let edge = (pci.window | (s.rwe & 0xff000000)) >>> 0;
      if (before(edge, s.rwe) && distance(s.rwe, edge) > 0x7fffff) edge = plus(edge, 1 << 24);
      s.rwe = edge;
      this.#open = true;
      if (this.#wants && this.writable()) events |= FrctEvent.Writable;
    }
    if ((flags & DATA) === 0) return this.#drop(now, events);
    if (before(seqno, r.lwe)) {
      r.seqno = seqno;
      return this.#drop(now, events);
    }
    if (this.#reliable) {
      const outside = !before(seqno, r.rwe) || !before(seqno, plus(r.lwe, 256));
      if (outside || this.#queue.has(seqno)) return this.#drop(now, events);
      if (this.#ackTickUs === Infinity) this.#ackTickUs = tickAfter(now + 10_000);
    } else {
      r.lwe = seqno;
    }
    this.#queue.set(seqno, b.slice(at + 12, end));
    return events | FrctEvent.Readable;
  }

  onPacketDirect(now: number, b: Uint8Array, at: number, end: number): number {
    this.onPacket(now, b, at, end);
    return -1;
  }

  takeEvents(): number {
    return 0;
  }

  onTimer(now: number): number {
    if (now >= this.#ackTickUs) {
      this.#ackTickUs = Infinity;
      this.#bareAck(now);
    }
    for (const e of [...this.#resends]) {
      if (e.dueUs > now) continue;
      if (before(e.seqno, this.#snd.lwe)) {
        this.#resends.splice(this.#resends.indexOf(e), 1);
        continue;
      }
      if (now - e.firstUs > 120e6) {
        this.down = true;
        this.#resends.length = 0;
        return FrctEvent.Down;
      }
      if (this.#probe?.seqno === e.seqno) {
        this.#rtt.backOff();
        this.#probe = null;
      }
      const packet = e.packet.slice();
      new DataView(packet.buffer).setUint32(8, this.#rcv.lwe);
      this.#output.push(packet);
      e.dueUs = now + this.#rtt.rtoNs / 1000;
    }
    return 0;
  }

  deadlineUs(): number {
    let t = this.#ackTickUs;
    for (const e of this.#resends) t = Math.min(t, tickAfter(e.dueUs));
    return t;
  }

  pollBytes(): number {
    return this.#output[0]?.length ?? 0;
  }

  poll(_now: number, out: Uint8Array, at: number): number {
    const packet = this.#output.shift();
    if (packet === undefined) return 0;
    out.set(packet, at);
    return packet.length;
  }

  pendingBytes(): number {
    const next = this.#queue.get(this.#rcv.lwe);
    return next === undefined ? -1 : next.length - this.#taken;
  }

  read(_now: number, into: Uint8Array, at: number, max: number): number {
    const r = this.#rcv;
    const next = this.#queue.get(r.lwe);
    if (next === undefined) return -Errno.EAGAIN;
    const piece = next.subarray(this.#taken, this.#taken + max);
    into.set(piece, at);
    this.#taken += piece.length;
    if (this.#taken === next.length) {
      this.#taken = 0;
      this.#queue.delete(r.lwe);
      r.lwe = plus(r.lwe, 1);
      r.rwe = plus(r.rwe, 1);
    }
    return piece.length;
  }

  skip(): void {
    throw new Error("not part of the model");
  }

  close(): void {
    if (this.#rcv.lwe !== this.#rcv.seqno) this.#bare(ACK, 0, this.#rcv.lwe);
  }

  lingering(): boolean {
    return this.#reliable && before(this.#snd.lwe, this.#snd.seqno);
  }

  deallocWaitS(): number {
    return 0;
  }

  setFlags(): void {}

  stats(now: number): FrctStats {
    const buffers = new BufferPool();
    const zero = createFrct(1, { reliable: true, mplMs: 100, initialSeqno: 0, buffers }).stats(now);
    return { ...zero, sndLwe: this.#snd.lwe, sndSeqno: this.#snd.seqno, sndRwe: this.#snd.rwe };
  }

  dispose(): void {}

  #drop(now: number, events: number): number {
    this.#bareAck(now);
    return events;
  }

  #bareAck(now: number): void {
    const r = this.#rcv;
    if (!before(r.seqno, r.lwe) || now - r.actUs > 10e6 || now - this.#snd.actUs < 5_000) return;
    this.#bare(ACK | FC, r.rwe, r.lwe);
    r.seqno = r.lwe;
  }

  #bare(flags: number, window: number, ackno: number): void {
    const packet = new Uint8Array(12);
    encodeFrctPci(packet, 0, flags, window, 0, ackno);
    this.#output.push(packet);
  }
}

function tickAfter(us: number): number {
  return Math.ceil(us / TICK_US) * TICK_US;
}

function idleS(nowUs: number, thenUs: number): number {
  return Math.floor(nowUs / 1e6) - Math.floor(thenUs / 1e6);
}
