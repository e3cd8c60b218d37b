// deno-lint-ignore-file camelcase -- the vectors have these names
/**
 * Every `frct/` case of vectors/flowlib.json against the machine, with cipher and CRC around it where the case has them.
 * The other areas of the file are walked by vectors_other_test.ts and, for `crypt/` and `keyschedule/`, lib/crypt.
 *
 * What counts as equal (spec 31 §10 changes what ours sends on purpose):
 * - data packets: byte for byte the first time; a retransmission by seqno and payload, its ACK/FC are refreshed;
 * - bare ACK/FC: what was told by the end of the step covers what the prototype told (ours tells more often), and
 * before the peer
 *   knows our seqno it carries DRF with that seqno;
 * - reads: same bytes, same errors; records: same edges once they have begun;
 * - `quirk` cases: nothing the prototype delivers is lost; what ours does instead is in defects_test.ts.
 */
import { assert, assertEquals } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding";
import { PacketCipher } from "../../../../lib/crypt/mod.ts";
import { Errno } from "../../../../lib/errno.ts";
import { BufferPool, createFrct, type FrctEndpoint } from "../../../../lib/frct/mod.ts";
import { describeFrct, newFrctPci, parseFrctPci, PciFlag } from "../../../../lib/wire/frct_pci.ts";
import { RttEstimator } from "../../../../lib/frct/rtt.ts";
import { distance } from "../../../../lib/frct/seq.ts";

interface Tx {
  t_ms: number;
  hex: string;
}
interface Step {
  t_ms: number;
  op: string;
  tx: Tx[];
  hex?: string;
  data?: string;
  result?: number;
  ms?: number;
  n?: number;
  size?: number;
  written?: number;
  tx_first?: string;
  tx_last?: string;
  last_result?: number;
  wait_s?: number;
  flags?: number;
  flags_after?: number;
  seqno?: number;
  ns?: number;
  state?: Record<string, number>;
}
interface Case {
  name: string;
  quirk: boolean;
  timing_informative: boolean;
  input: {
    flow: { loss: number; in_order: number; ber: number; mpl_ms: number; cipher_nid: number };
    initial_seqno: string;
    script?: readonly string[];
  };
  steps: Step[];
}

const file = JSON.parse(
  Deno.readTextFileSync(new URL("../../../vectors/flowlib.json", import.meta.url)),
) as { cases: Case[] };

/** CRC-32 bit by bit: the naive twin of lib/crc32. */
function crc32(b: Uint8Array): number {
  let c = 0xffffffff;
  for (const byte of b) {
    c ^= byte;
    for (let i = 0; i < 8; i++) c = (c >>> 1) ^ ((c & 1) !== 0 ? 0xedb88320 : 0);
  }
  return ~c >>> 0;
}

/** IVs of the vectors: a0, a1, … with the last byte a counter. */
function fixedIvs(): (into: Uint8Array) => void {
  let count = 0;
  return (into) => {
    for (let at = 0; at < into.length; at += 12) {
      for (let i = 0; i < 11 && at + i < into.length; i++) into[at + i] = 0xa0 + i;
      if (at + 11 < into.length) into[at + 11] = count++;
    }
  };
}

/** One end of a flow as the library stacks it: FRCT, cipher, CRC. */
class FlowUnderTest {
  nowUs = 1000e6;
  sent: string[] = [];
  /** Same, below nothing: FRCT packets in the clear. */
  plain: Uint8Array[] = [];
  ep: FrctEndpoint | null;
  readonly #queue: Uint8Array[] = [];
  readonly #cipher: PacketCipher | null;
  readonly #flow: Case["input"]["flow"];
  readonly #out = new Uint8Array(4096);

  constructor(flow: Case["input"]["flow"], initialSeqno: number) {
    this.#flow = flow;
    this.ep = flow.in_order !== 0 ? this.endpoint(initialSeqno) : null;
    if (flow.cipher_nid === 0) {
      this.#cipher = null;
    } else {
      const key = Uint8Array.from({ length: 32 }, (_, i) => i);
      const cipher = PacketCipher.create(flow.cipher_nid, key, { random: fixedIvs() });
      if (typeof cipher === "number") throw new Error(`Cannot make cipher: ${cipher}`);
      this.#cipher = cipher;
    }
  }

  endpoint(initialSeqno: number): FrctEndpoint {
    return createFrct(1, {
      reliable: this.#flow.loss === 0,
      mplMs: this.#flow.mpl_ms,
      initialSeqno,
      buffers: new BufferPool(),
    });
  }

  emit(packet: Uint8Array): void {
    this.plain.push(packet);
    let wire = packet;
    if (this.#cipher) {
      const n = this.#cipher.encryptInto(packet, 0, packet.length, this.#out, 0);
      assert(n > 0);
      wire = this.#out.slice(0, n);
    }
    if (this.#flow.ber === 0) {
      const framed = new Uint8Array(wire.length + 4);
      framed.set(wire);
      new DataView(framed.buffer).setUint32(wire.length, crc32(wire));
      wire = framed;
    }
    this.sent.push(encodeHex(wire));
  }

  drain(): void {
    const out = new Uint8Array(4096);
    for (let n; (n = this.ep!.poll(this.nowUs, out, 0)) !== 0;) {
      assert(n > 0);
      this.emit(out.slice(0, n));
    }
  }

  write(payload: Uint8Array): number {
    if (!this.ep) {
      this.emit(payload);
      return payload.length;
    }
    const out = new Uint8Array(12 + payload.length);
    const n = this.ep.write(this.nowUs, payload, 0, payload.length, out, 0);
    if (n > 0) this.emit(out);
    this.drain();
    return n > 0 ? payload.length : n;
  }

  arrive(hex: string): void {
    let b: Uint8Array = decodeHex(hex);
    if (b.length === 0) return; // keepalive
    if (this.#flow.ber === 0) {
      if (b.length < 4) return;
      const view = new DataView(b.buffer, b.byteOffset);
      const body = b.subarray(0, b.length - 4);
      if (crc32(body) !== view.getUint32(body.length)) return;
      b = body;
    }
    if (this.#cipher) {
      const n = this.#cipher.decryptInto(b, 0, b.length, this.#out, 0);
      if (n < 0) return;
      b = this.#out.slice(0, n);
    }
    if (!this.ep) {
      this.#queue.push(b);
      return;
    }
    this.ep.onPacket(this.nowUs, b, 0, b.length);
    this.drain();
  }

  read(): number | Uint8Array {
    if (!this.ep) return this.#queue.shift() ?? -Errno.EAGAIN;
    const n = this.ep.pendingBytes();
    if (n < 0) return this.ep.down ? -Errno.EFLOWDOWN : -Errno.EAGAIN;
    const into = new Uint8Array(n);
    assertEquals(this.ep.read(this.nowUs, into, 0, n), n);
    this.drain();
    return into;
  }

  advance(ms: number): void {
    const end = this.nowUs + ms * 1000;
    for (let t; (t = this.ep!.deadlineUs()) <= end;) {
      this.nowUs = Math.max(this.nowUs, t);
      this.ep!.onTimer(this.nowUs);
      this.drain();
    }
    this.nowUs = end;
  }
}

/** What a flow has told its peer: acknowledgement, window and data sent. */
class Told {
  ack: number | null = null;
  window: number | null = null;
  rdvs = 0;
  readonly data = new Set<string>();
  #packets = 0;
  /** @param rules whether the packet has to follow rule 1 of §10 */
  add(b: Uint8Array, rules: boolean): void {
    const pci = newFrctPci();
    assertEquals(parseFrctPci(b, 0, b.length, pci), 0, describeFrct(b));
    if ((pci.flags & PciFlag.ACK) !== 0) this.ack = pci.ackno;
    if ((pci.flags & PciFlag.FC) !== 0) this.window = pci.window;
    if ((pci.flags & PciFlag.RDVS) !== 0) this.rdvs++;
    if ((pci.flags & PciFlag.DATA) !== 0) {
      this.data.add(`${pci.seqno} ${encodeHex(b.subarray(12))}`);
    } else if (rules && this.#packets === 0) {
      assert((pci.flags & PciFlag.DRF) !== 0, `first packet ${describeFrct(b)} lacks DRF`);
    }
    this.#packets++;
  }
}

/** Takes out the ACK|FC with value 0 that the prototype sends while its record was never opened (§10.4). */
function withoutNonsense(b: Uint8Array): Uint8Array {
  const zero = b.subarray(1, 4).every((x) => x === 0) && b.subarray(8, 12).every((x) => x === 0);
  if (zero) b[0]! &= ~(PciFlag.ACK | PciFlag.FC);
  return b;
}

function isData(hex: string): boolean {
  return (parseInt(hex.slice(0, 2), 16) & PciFlag.DATA) !== 0;
}

function ramp(i: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, j) => (i + j) & 0xff);
}

function runStep(c: Case, s: Step, f: FlowUnderTest): void {
  const strict = !c.quirk;
  switch (s.op) {
    case "write":
    case "write_blocking": {
      const r = f.write(decodeHex(s.data!));
      if (strict && s.op === "write") assertEquals(r, s.result, "result of write");
      return;
    }
    case "write_n": {
      let written = 0;
      let last = 0;
      for (let i = 0; i < s.n!; i++) {
        last = f.write(ramp(i, s.size!));
        if (last < 0) break;
        written++;
      }
      if (strict) assertEquals([written, last], [s.written, s.last_result], "writes");
      return;
    }
    case "rx":
    case "rx_queue_only":
      return f.arrive(s.hex!);
    case "read": {
      const r = f.read();
      if (s.result! >= 0) {
        assert(typeof r !== "number", `read gave ${r}`);
        assertEquals(encodeHex(r), s.data ?? "");
      } else if (strict) {
        assertEquals(r, s.result);
      }
      return;
    }
    case "advance":
      return f.advance(s.ms!);
    case "set_snd_timeout":
      return;
    case "dealloc_probe":
      assertEquals(f.ep!.deallocWaitS(f.nowUs), s.wait_s);
      // The prototype sends its last acknowledgement while it computes the wait.
      if (s.tx.length > 0) f.ep!.close(f.nowUs);
      return f.drain();
    case "frct_set_flags":
      return f.ep!.setFlags(s.flags!);
    case "assume_sender_at": {
      // One packet earlier, sent and acknowledged: the sender stands at that number with everything acknowledged.
      const ep = f.ep = f.endpoint((s.seqno! - 1) >>> 0);
      const out = new Uint8Array(13);
      ep.write(f.nowUs, new Uint8Array(1), 0, 1, out, 0);
      const ack = new Uint8Array(12);
      ack[0] = PciFlag.ACK;
      new DataView(ack.buffer).setUint32(8, s.seqno!);
      ep.onPacket(f.nowUs, ack, 0, 12);
      return;
    }
    case "rtt_sample":
      return;
    default:
      throw new Error(`Cannot run step: unknown op "${s.op}"`);
  }
}

function checkState(c: Case, s: Step, ep: FrctEndpoint, begunSending: boolean): void {
  const want = s.state!;
  const got = ep.stats(1e12);
  if (begunSending) {
    assertEquals(got.sndSeqno, want.snd_seqno, "snd_seqno");
    if (want.acl_tx === 0) assertEquals(got.sndLwe, want.snd_lwe, "snd_lwe");
    if (s.op !== "assume_sender_at") assertEquals(got.sndRwe, want.snd_rwe, "snd_rwe");
  }
  if (want.rcv_rwe === 0) return; // never begun there; by defect 1 it may have dropped data that ours took
  assertEquals(got.rcvLwe, want.rcv_lwe, "rcv_lwe");
  if (c.input.flow.loss === 0) assertEquals(got.rcvRwe, want.rcv_rwe, "rcv_rwe");
  else assert(distance(got.rcvRwe, want.rcv_rwe!) >= 0, "rcv_rwe");
  assertEquals(ep.down, want.acl_tx === 2, "down");
}

/** The sequence number of a packet in the clear. */
function seqnoOf(hex: string): number {
  return parseInt(hex.slice(8, 16), 16);
}

function runCase(c: Case): void {
  // Cases that begin at another seqno than they name: it is that of the prototype's second run, and ours
  // never starts one (§10.2).
  const first = c.steps.find((s) => s.op === "write")?.tx[0]?.hex;
  const named = Number(c.input.initial_seqno);
  const started = (c.input.script ?? []).some((line) => line.startsWith("seqno:")) &&
    first !== undefined && seqnoOf(first) !== named;
  const initial = started ? seqnoOf(first!) : named;
  const f = new FlowUnderTest(c.input.flow, initial);
  const clear = c.input.flow.cipher_nid === 0 && c.input.flow.ber !== 0 &&
    c.input.flow.in_order !== 0;
  const rtt = new RttEstimator(250_000); // the prototype's floor: its arithmetic is under test
  const ours = new Told();
  const theirs = new Told();
  let begun = false;
  for (const [i, s] of c.steps.entries()) {
    const where = `step ${i} ${s.op}`;
    f.sent.length = 0;
    f.plain.length = 0;
    runStep(c, s, f);
    if (s.op === "rtt_sample") {
      rtt.sample(s.ns!);
      const { srtt_ns, mdev_ns, rto_ns } = s.state!;
      assertEquals([rtt.srttNs, rtt.mdevNs, rtt.rtoNs], [srtt_ns, mdev_ns, rto_ns], where);
      continue;
    }
    if (s.op === "assume_sender_at") begun = true;
    if (c.quirk) continue;
    if (!clear) { // byte for byte, cipher and CRC included
      assertEquals(f.sent, s.tx.map((t) => t.hex), where);
      continue;
    }
    for (const p of f.plain) ours.add(p, true);
    if (s.tx_first !== undefined) {
      assertEquals(f.sent[0], s.tx_first, where);
      assertEquals(f.sent.at(-1), s.tx_last, where);
      assertEquals(f.sent.length, s.written, where);
    }
    for (const { hex } of s.tx) {
      const packet = withoutNonsense(decodeHex(hex));
      if (started && s.op === "write" && seqnoOf(hex) === named) continue; // the second run
      theirs.add(packet, false);
      if (isData(hex) && s.op === "write") {
        assert(f.sent.includes(encodeHex(packet)), `${where}: no ${hex}`);
      }
    }
    for (const d of theirs.data) assert(ours.data.has(d), `${where}: data ${d} was not sent`);
    if (theirs.ack !== null) assertEquals(ours.ack, theirs.ack, `${where}: acknowledged`);
    if (theirs.window !== null) {
      const ahead = ((ours.window! - theirs.window) << 8) >> 8;
      if (c.input.flow.loss === 0) assertEquals(ahead, 0, `${where}: window told`);
      else assert(ahead >= 0, `${where}: window told`);
    }
    assert(ours.rdvs >= Math.min(1, theirs.rdvs), `${where}: no rendez-vous`);
    begun ||= f.plain.length > 0 && ours.data.size > 0;
    if (s.state && !started) checkState(c, s, f.ep!, begun);
  }
}

for (const c of file.cases) {
  if (!c.name.startsWith("frct/") && !c.name.startsWith("rtt")) continue;
  Deno.test(`flowlib ${c.name}`, () => runCase(c));
}
