/**
 * Two FRCT endpoints and the paths between them in virtual time, with an application at each end, and the invariants that
 * must hold after every step.
 *
 * Messages are numbered: number, then bytes that follow from number and direction, so that a message that is wrong, missing,
 * doubled or out of order shows at the moment of its delivery.
 */
import { Errno } from "../../../lib/errno.ts";
import { BufferPool, type FrctEndpoint } from "../../../lib/frct/mod.ts";
import { distance, extend24, plus } from "../../../lib/frct/seq.ts";
import { describeFrct, newFrctPci, parseFrctPci, PciFlag } from "../../../lib/wire/frct_pci.ts";
import { EventQueue } from "../../../sim/event_queue.ts";
import { Link, type LinkOptions } from "../../../sim/link.ts";
import { Prng } from "../../../sim/prng.ts";

/** What the application at one end does. */
export interface AppOptions {
  /** Messages to write. */
  messages: number;
  /** Largest payload, bytes; sizes vary from 0 up unless `fixed`. */
  bytesMax: number;
  fixed?: boolean;
  /** Pause between messages, µs; 0 writes as fast as the window allows. */
  everyUs?: number;
  /** Does not write before this time, µs. */
  writeFromUs?: number;
  /** Reads only every so often, µs; 0 reads at arrival. */
  readEveryUs?: number;
  /** Does not read before this time, µs. */
  readFromUs?: number;
  /** Answers each message instead of writing on its own. */
  echo?: boolean;
}

/** One run. */
export interface WorldOptions {
  seed: number;
  reliable: boolean;
  ab: LinkOptions;
  ba: LinkOptions;
  a: AppOptions;
  b: AppOptions;
  /** Makes the endpoint of end 0 or 1. */
  make: (config: {
    reliable: boolean;
    mplMs: number;
    initialSeqno: number;
    buffers: BufferPool;
  }, end: number) => FrctEndpoint;
  /** An end goes as soon as it does not linger, as real ones do: a lost last acknowledgement is never repeated. */
  abrupt?: boolean;
  /** Ends of another make: what they send is not judged. */
  foreign?: "b" | "both";
  /** Keeps a trace of packets (for a failing seed). */
  trace?: boolean;
}

const NUMBER_BYTES = 4;

/** A broken invariant. */
export class Violation extends Error {}

function fail(what: string): never {
  throw new Violation(what);
}

/** One end: endpoint, application, checks. */
class End {
  readonly ep: FrctEndpoint;
  readonly app: AppOptions;
  readonly name: string;
  link!: Link;
  peer!: End;
  written = 0;
  delivered = 0;
  /** Number of the last message delivered. */
  last = -1;
  lastDeliveryUs = 0;
  closedUs = Infinity;
  goneUs = Infinity;
  packets = 0;
  dataPackets = 0;
  bareOpening = false;
  readonly #world: World;
  readonly #foreign: boolean;
  readonly #initial: number;
  readonly #out = new Uint8Array(2048);
  readonly #message = new Uint8Array(2048);
  readonly #into = new Uint8Array(2048);
  readonly #random: Prng;
  #edge: number;
  #timerUs = Infinity;
  #next: number;
  #nextWriteUs: number;
  #readerUs = -Infinity;
  #echoes = 0;
  #ready = false;

  constructor(world: World, end: number, ep: FrctEndpoint, app: AppOptions, initial: number) {
    this.#world = world;
    this.name = end === 0 ? "a" : "b";
    const { foreign } = world.options;
    this.#foreign = foreign === "both" || foreign === this.name;
    this.ep = ep;
    this.app = app;
    this.#initial = initial;
    this.#edge = plus(initial, 64);
    this.#random = new Prng(world.options.seed * 2 + end);
    this.#next = this.#size();
    this.#nextWriteUs = Math.max(world.queue.nowUs, app.writeFromUs ?? 0);
    world.queue.at(this.#nextWriteUs, () => this.turn());
  }

  get done(): boolean {
    return this.written >= this.app.messages;
  }

  /** Writes, reads and sends what can be; arms the timer. */
  turn(): void {
    if (this.goneUs !== Infinity) return;
    this.#read();
    this.#write();
    this.drain();
    this.#close();
    const t = this.ep.deadlineUs();
    if (t < this.#timerUs) {
      this.#timerUs = t;
      this.#world.queue.at(t, () => {
        if (this.#timerUs !== t) return;
        this.#timerUs = Infinity;
        if (this.goneUs !== Infinity) return;
        this.ep.onTimer(this.#world.queue.nowUs);
        this.turn();
      });
    }
  }

  /** A packet comes in. */
  arrive(packet: Uint8Array): void {
    if (this.goneUs !== Infinity) return;
    this.#noteEdge(packet);
    const now = this.#world.queue.nowUs;
    // Half of the readers wait in the call, as blocking applications do.
    if (this.#reading() && (this.#world.options.seed & 1) === 0 && this.ep.pendingBytes() < 0) {
      const n = this.ep.onPacketDirect(now, packet, 0, packet.length, 2048);
      if (n >= 0) {
        this.#into.set(packet.subarray(12, 12 + n));
        this.#check(n);
      }
      this.ep.takeEvents();
    } else {
      this.ep.onPacket(now, packet, 0, packet.length);
    }
    this.turn();
  }

  drain(): void {
    const now = this.#world.queue.nowUs;
    for (let guard = 0;; guard++) {
      if (guard > 2000) fail(`${this.name}: poll never ends`);
      const need = this.ep.pollBytes(now);
      const n = this.ep.poll(now, this.#out, 0);
      if (n !== need) fail(`${this.name}: pollBytes says ${need}, poll gives ${n}`);
      if (n === 0) return;
      this.#transmit(n);
    }
  }

  #reading(): boolean {
    const now = this.#world.queue.nowUs;
    if (now < (this.app.readFromUs ?? 0)) return false;
    const every = this.app.readEveryUs ?? 0;
    return every === 0 || now >= this.#readerUs;
  }

  #read(): void {
    const now = this.#world.queue.nowUs;
    const from = this.app.readFromUs ?? 0;
    if (now < from) {
      if (this.#readerUs !== from) this.#world.queue.at(this.#readerUs = from, () => this.turn());
      return;
    }
    const every = this.app.readEveryUs ?? 0;
    while (this.ep.pendingBytes() >= 0) {
      if (every > 0) {
        if (now < this.#readerUs) return;
        this.#readerUs = now + every;
        this.#world.queue.at(this.#readerUs, () => this.turn());
      }
      const max = this.#random.chance(0.1) ? 3 : 2048; // partial reads
      let n = 0;
      const bytes = this.ep.pendingBytes();
      do n += this.ep.read(now, this.#into, n, max); while (n < bytes);
      if (n !== bytes) fail(`${this.name}: read ${n} of ${bytes} bytes`);
      this.#check(n);
    }
  }

  #check(n: number): void {
    const b = this.#into;
    this.delivered++;
    this.lastDeliveryUs = this.#world.queue.nowUs;
    const expected = this.last + 1;
    if (n === 0) {
      // Empty messages carry no number; they count as the next one.
      this.last = expected;
      this.#echoes++;
      return;
    }
    const number = new DataView(b.buffer).getUint32(0);
    if (this.#world.options.reliable ? number !== expected : number < expected) {
      fail(`${this.name}: message ${number} delivered where ${expected} was next`);
    }
    if (number >= this.peer.written) fail(`${this.name}: message ${number} was never written`);
    const salt = this.name === "a" ? 1 : 0;
    for (let i = NUMBER_BYTES; i < n; i++) {
      if (b[i] !== ((number * 7 + i + salt) & 0xff)) {
        fail(`${this.name}: message ${number} is damaged`);
      }
    }
    this.last = number;
    this.#echoes++;
  }

  #write(): void {
    const now = this.#world.queue.nowUs;
    const every = this.app.everyUs ?? 0;
    while (this.written < this.app.messages) {
      if (this.app.echo === true && this.written >= this.#echoes) return;
      if (now < this.#nextWriteUs) return;
      const n = this.#fill(this.written, this.#next);
      const r = this.#random.chance(0.5)
        ? this.ep.write(now, this.#message, 12, n, this.#out, 0)
        : this.#inPlace(now, n);
      if (r === -Errno.EAGAIN) return;
      if (r !== n + 12) fail(`${this.name}: write of ${n} gave ${r}`);
      this.written++;
      this.#next = this.#size();
      this.#transmit(r);
      if (every > 0) {
        this.#nextWriteUs = now + every;
        this.#world.queue.at(this.#nextWriteUs, () => this.turn());
      }
    }
  }

  /** In two halves, as the library does. */
  #inPlace(now: number, n: number): number {
    const begun = this.ep.begin(now, this.#out, 0);
    if (begun < 0) return begun;
    this.#out.set(this.#message.subarray(12, 12 + n), 12);
    this.ep.sent(now, this.#message, 12, n);
    return begun + n;
  }

  /** Payload at 12 in `#message`. */
  #fill(number: number, n: number): number {
    const b = this.#message;
    if (n > 0) new DataView(b.buffer).setUint32(12, number);
    const salt = this.name === "a" ? 0 : 1;
    for (let i = NUMBER_BYTES; i < n; i++) b[12 + i] = (number * 7 + i + salt) & 0xff;
    return n;
  }

  #size(): number {
    const { bytesMax, fixed } = this.app;
    if (fixed === true) return bytesMax;
    // Empty messages only where order can be checked by counting.
    if (this.#world.options.reliable && this.#random.chance(0.05)) return 0;
    return this.#random.between(NUMBER_BYTES, bytesMax);
  }

  #transmit(n: number): void {
    const packet = this.#out.slice(0, n);
    const pci = newFrctPci();
    const error = parseFrctPci(packet, 0, n, pci);
    if (error !== 0) fail(`${this.name}: sent ${describeFrct(packet)}`);
    if (this.#foreign) {
      this.dataPackets += pci.flags & PciFlag.DATA;
    } else if ((pci.flags & PciFlag.DATA) !== 0) {
      this.dataPackets++;
      if (distance(pci.seqno, this.#edge) >= 0) fail(`${this.name}: sent beyond the window`);
      if (distance(pci.seqno, this.#initial) < 0) fail(`${this.name}: sent an old seqno`);
    } else if (this.dataPackets === 0 && (pci.flags & PciFlag.DRF) === 0) {
      fail(`${this.name}: bare packet without DRF before the first data (31 §10.1)`);
    }
    if ((pci.flags & PciFlag.ACK) !== 0 && this.peer.packets === 0 && !this.#foreign) {
      fail(`${this.name}: acknowledges a peer that sent nothing`);
    }
    this.packets++;
    this.#world.note(this.name, packet);
    this.link.send(packet);
  }

  /** The peer's window as this end has heard it. */
  #noteEdge(packet: Uint8Array): void {
    const pci = newFrctPci();
    if (parseFrctPci(packet, 0, packet.length, pci) !== 0 || (pci.flags & PciFlag.FC) === 0) return;
    const edge = extend24(pci.window, this.#edge);
    if (distance(edge, this.#edge) > 0) this.#edge = edge;
  }

  #close(): void {
    const now = this.#world.queue.nowUs;
    const { queue } = this.#world;
    if (!this.#world.finished(this)) return;
    if (this.closedUs === Infinity) {
      this.closedUs = now;
      this.ep.close(now);
      this.drain();
    }
    if (!this.ep.lingering(now) && !this.ep.outputDue) {
      if (!this.#ready) {
        this.#ready = true;
        queue.at(now, () => this.peer.turn());
      }
      if (this.#world.options.abrupt === true) return this.#gone();
      // The layer below holds the flow; here as long as the peer has not gone, so that a lost last ACK can be repeated.
      if (this.peer.closedUs === Infinity || this.peer.ep.lingering(now)) return;
      queue.at(now, () => this.#gone());
    }
  }

  #gone(): void {
    if (this.goneUs !== Infinity) return;
    this.goneUs = this.#world.queue.nowUs;
    this.ep.dispose();
  }
}

/** A run: two ends, two links, one clock. */
export class World {
  readonly options: WorldOptions;
  readonly queue = new EventQueue(1000e6);
  readonly buffers = new BufferPool();
  readonly a: End;
  readonly b: End;
  readonly trace: string[] = [];
  readonly ab: Link;
  readonly ba: Link;

  constructor(o: WorldOptions) {
    this.options = o;
    const random = new Prng(o.seed);
    const config = (initialSeqno: number) => ({
      reliable: o.reliable,
      mplMs: 100,
      initialSeqno,
      buffers: this.buffers,
    });
    // A third of the runs cross the end of the number space.
    const first = () => random.chance(0.33) ? plus(0, -random.below(300)) : random.u32();
    const [sa, sb] = [first(), first()];
    this.a = new End(this, 0, o.make(config(sa), 0), o.a, sa);
    this.b = new End(this, 1, o.make(config(sb), 1), o.b, sb);
    this.a.peer = this.b;
    this.b.peer = this.a;
    this.ab = new Link(this.queue, new Prng(o.seed ^ 0x5555), o.ab, (p) => this.b.arrive(p));
    this.ba = new Link(this.queue, new Prng(o.seed ^ 0xaaaa), o.ba, (p) => this.a.arrive(p));
    this.a.link = this.ab;
    this.b.link = this.ba;
  }

  /** Whether `end` has nothing more to do but close. */
  finished(end: End): boolean {
    if (!end.done) return false;
    return !this.options.reliable || end.delivered >= end.peer.app.messages;
  }

  note(name: string, packet: Uint8Array): void {
    if (this.options.trace !== true) return;
    this.trace.push(`${(this.queue.nowUs / 1e6).toFixed(6)} ${name} ${describeFrct(packet)}`);
  }

  /** Runs until both ends are gone, or `untilUs`. */
  run(untilUs: number): void {
    this.queue.at(this.queue.nowUs, () => this.a.turn());
    this.queue.at(this.queue.nowUs, () => this.b.turn());
    for (let n = 0; this.queue.nextUs <= untilUs; n++) {
      if (!this.queue.step()) break;
      if (this.a.goneUs !== Infinity && this.b.goneUs !== Infinity) break;
      if (this.a.ep.down || this.b.ep.down) fail("flow went down");
      if (n > 3_000_000) fail("too many events");
    }
  }
}
