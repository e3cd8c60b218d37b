/**
 * What ours does where the prototype has a defect (spec 31 §11, `quirk` cases of the vectors): the rules of §10, one
 * test each.
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding";
import { Errno } from "../../../../lib/errno.ts";
import {
  BufferPool,
  createFrct,
  type FrctEndpoint,
  FrctEvent,
  FrctFlag,
} from "../../../../lib/frct/mod.ts";

const S = 1e6;

class Bench {
  nowUs = 1000 * S;
  readonly buffers = new BufferPool();
  readonly ep: FrctEndpoint;
  constructor(reliable = true, initialSeqno = 0x100, mplMs = 1) {
    this.ep = createFrct(1, { reliable, mplMs, initialSeqno, buffers: this.buffers });
  }
  out(): string[] {
    const got: string[] = [];
    const b = new Uint8Array(2000);
    for (let n; (n = this.ep.poll(this.nowUs, b, 0)) > 0;) got.push(encodeHex(b.subarray(0, n)));
    return got;
  }
  write(hex: string): string | number {
    const p = decodeHex(hex);
    const b = new Uint8Array(12 + p.length);
    const n = this.ep.write(this.nowUs, p, 0, p.length, b, 0);
    return n < 0 ? n : encodeHex(b);
  }
  rx(hex: string): number {
    const b = decodeHex(hex);
    return this.ep.onPacket(this.nowUs, b, 0, b.length);
  }
  read(): string | number {
    const n = this.ep.pendingBytes();
    if (n < 0) return -Errno.EAGAIN;
    const b = new Uint8Array(n);
    this.ep.read(this.nowUs, b, 0, n);
    return encodeHex(b);
  }
  advance(us: number): string[] {
    const end = this.nowUs + us;
    const got: string[] = [];
    for (let t; (t = this.ep.deadlineUs()) <= end;) {
      this.nowUs = Math.max(t, this.nowUs);
      this.ep.onTimer(this.nowUs);
      got.push(...this.out());
    }
    this.nowUs = end;
    return got;
  }
}

Deno.test("defect 1: a bare ACK or RDVS without DRF does not open the record; the data after it is delivered", () => {
  const b = new Bench();
  b.write("aa");
  b.rx("0c0002010000000000000101");
  b.rx("0f0002010000100000000101bb");
  assertEquals(b.read(), "bb");
  const c = new Bench();
  c.rx("100000000000000000000000");
  assertEquals(c.out(), [], "no FC for a record that is not open");
  c.rx("030000000000010000000000bb");
  assertEquals(c.read(), "bb");
});

Deno.test("rule 1: bare packets carry DRF and our first seqno until the peer knows it", () => {
  const b = new Bench();
  b.rx("030000000000500000000000aa");
  assertEquals(b.read(), "aa");
  assertEquals(b.advance(10_000), ["0e0051010000010000005001"]);
  b.rx("010000000000500100000000ab");
  assertEquals(b.read(), "ab");
  assertEquals(b.advance(10_000), ["0e0051020000010000005002"]);
  // Data sent but unanswered: it may be lost, so still with DRF and its number.
  assertEquals(b.write("cc"), "0f0051020000010000005002cc");
  b.rx("010000000000500200000000ad");
  assertEquals(b.advance(10_000), ["0e0051020000010000005003"]);
  // The peer answers: it knows.
  b.rx("0d0002010000500300000101ae");
  assertEquals(b.advance(10_000), ["0c0051020000000000005004"]);
});

Deno.test("rule 2: no new seqno after a pause of any length (prototype: random after 131 s)", () => {
  const b = new Bench();
  b.write("aa");
  b.rx("0c0002010000000000000101");
  b.advance(1000 * S);
  assertEquals(b.write("bb"), "030000000000010100000000bb");
});

Deno.test("rule 3: a new run of the peer opens after the receiver limit, counted from its data", () => {
  const b = new Bench();
  b.rx("030000000000010000000000aa");
  assertEquals(b.read(), "aa");
  b.advance(100 * S);
  b.rx("0c0000000000000000000000"); // bare packets keep the prototype's record alive, not ours (defect 12)
  b.advance(32 * S);
  b.rx("030000007000000000000000cc");
  assertEquals(b.read(), "cc");
});

Deno.test("rule 4: ACK beyond what was sent, FC behind the edge or absurdly far are ignored", () => {
  const b = new Bench(true, 0x1000);
  b.write("aa");
  b.rx("040000000000000000002000");
  assertEquals(b.ep.stats(0).sndLwe, 0x1000);
  b.rx("080010800000000000000000");
  assertEquals(b.ep.stats(0).sndRwe, 0x1080);
  b.rx("080010410000000000000000"); // vector snd-window-moves-back
  assertEquals(b.ep.stats(0).sndRwe, 0x1080);
  b.rx("087fffff0000000000000000");
  assertEquals(b.ep.stats(0).sndRwe, 0x1080);
  b.rx("080000000000000000000000"); // stale FC of a record that never opened
  assertEquals(b.ep.stats(0).sndRwe, 0x1080);
});

Deno.test("rule 4: FC and ACK before anything was sent are ignored", () => {
  const b = new Bench(true, 0x100);
  b.rx("0c0002000000000000000100");
  assertEquals(b.ep.stats(0).sndRwe, 0x140);
});

Deno.test("rule 6: data is acknowledged on arrival, unread, within 10 ms", () => {
  const b = new Bench();
  b.rx("030000000000010000000000aa"); // vector rel-unread-not-acked
  const sent = b.advance(10_000);
  assertEquals(sent, ["0e0002000000010000000101"]); // the window stays tied to reading
  b.read();
  assertEquals(b.advance(10_000), ["0e0002010000010000000101"]);
});

Deno.test("rule 6: an ACK that fell due beside a data packet is not lost", () => {
  const b = new Bench(); // vector rel-ack-suppressed-by-recent-send
  b.rx("030000000000500000000000aa");
  b.advance(4_000);
  assertEquals(b.write("01"), "0f005100000001000000500101");
  b.rx("010000000000500100000000ab");
  assertEquals(b.advance(10_000).length, 1);
});

Deno.test("rule 7: a one-way unreliable sender is given its window unasked, lost packets cost none", () => {
  const b = new Bench(false);
  let fcs = 0;
  for (let i = 0; i < 300; i++) {
    if (i % 3 === 1) continue; // lost
    const seq = (0x7000 + i).toString(16).padStart(8, "0");
    b.rx(`03000000${seq}00000000${(i & 0xff).toString(16).padStart(2, "0")}`);
    b.read();
    for (const hex of b.out()) {
      fcs++;
      assertEquals(hex.slice(0, 2), "0e");
      assertEquals(parseInt(hex.slice(2, 8), 16), 0x7000 + i + 1 + 256);
    }
  }
  assert(fcs >= 5 && fcs <= 10, `${fcs} FCs`);
});

Deno.test("rule 7: our own one-way unreliable sender does not stall for ever after 64 packets", () => {
  const b = new Bench(false);
  for (let i = 0; i < 64; i++) assert(typeof b.write("aa") === "string");
  assertEquals(b.write("aa"), -Errno.EAGAIN);
  const rdvs = b.advance(100_000);
  assertEquals(rdvs, ["120000000000014000000000"]); // asks, and says where the next data will be
  const events = b.rx("0a0002400000700000000000");
  assertEquals(events & FrctEvent.Writable, FrctEvent.Writable);
  assert(typeof b.write("aa") === "string");
});

Deno.test("rule 8: RTO has a floor of 200 ms, backs off, keeps flags and refreshes ACK and FC", () => {
  const b = new Bench(); // vectors rel-rtx-fields, rel-rtx-stale-window
  b.write("aa");
  b.rx("0c0002010000000000000101");
  b.write("bb");
  b.rx("030000000000500000000000dd");
  b.read();
  b.advance(20_000);
  const sent = b.advance(5 * S).filter((h) => h.endsWith("bb"));
  assert(sent.length >= 4 && sent.length <= 7, `${sent.length} retransmissions in 5 s`);
  for (const h of sent) assertEquals(h, "0f0051010000010100005001bb");
});

Deno.test("rule 8: after R without progress the endpoint is down, and says so once", () => {
  const b = new Bench();
  b.write("aa");
  b.advance(119 * S);
  assert(!b.ep.down);
  const end = b.nowUs + 2 * S;
  let events = 0;
  for (let t; (t = b.ep.deadlineUs()) <= end;) events |= b.ep.onTimer(b.nowUs = t);
  assert(b.ep.down);
  assertEquals(events & FrctEvent.Down, FrctEvent.Down);
  assertEquals(b.ep.deadlineUs(), Infinity);
  assertEquals(b.write("bb"), -Errno.EFLOWDOWN);
  assertEquals(b.buffers.live, 0);
});

Deno.test("rule 9: rendez-vous goes on by timer, backing off, and an answer that opens nothing is no reason to give up", () => {
  const b = new Bench();
  b.write("aa");
  b.rx("0c0001010000000000000101"); // window closed
  assertEquals(b.write("bb"), -Errno.EAGAIN);
  let rdvs = 0;
  for (let i = 0; i < 300; i++) {
    rdvs += b.advance(1 * S).filter((h) => h === "100000000000000000000000").length;
    b.rx("080001010000000000000000");
  }
  assert(rdvs > 50 && rdvs < 90, `${rdvs} rendez-vous in 300 s`);
  assert(!b.ep.down);
  assertEquals(b.rx("080002010000000000000000") & FrctEvent.Writable, FrctEvent.Writable);
});

Deno.test("rule 11: runts, unused flags, fragments and payload without DATA change nothing", () => {
  const b = new Bench();
  for (
    const hex of [
      "03000000000001000000",
      "83000000000001000000000000",
      "23000000000001000000000000",
      "43000000000001000000000000",
      "0c000201000000000000010100",
    ]
  ) {
    assertEquals(b.rx(hex), 0);
  }
  assertEquals(b.ep.stats(0).malformed, 5);
  assertEquals(b.read(), -Errno.EAGAIN);
  assertEquals(b.out(), []);
});

Deno.test("rule 12: the final ACK carries FC; linger is bounded by R", () => {
  const b = new Bench();
  b.rx("030000000000010000000000aa");
  b.read();
  b.ep.close(b.nowUs);
  assertEquals(b.out(), ["0e0002010000010000000101"]);
  assert(!b.ep.lingering(b.nowUs));
  const c = new Bench();
  c.write("aa");
  c.ep.close(c.nowUs);
  assertEquals(c.write("bb"), -Errno.EPIPE);
  assert(c.ep.lingering(c.nowUs));
  assert(c.ep.deallocWaitS(c.nowUs) < 0);
  c.advance(121 * S);
  assert(!c.ep.lingering(c.nowUs));
  assert(c.ep.deallocWaitS(c.nowUs) >= 0);
});

Deno.test("rule 12: over a layer the final ACK is sent three times, whether or not something is owed", () => {
  const b = new Bench(true, 0x100, 100);
  b.rx("030000000000010000000000aa");
  b.read();
  b.advance(20_000);
  b.ep.close(b.nowUs);
  assertEquals(b.out(), new Array(3).fill("0e0002010000010000000101"));
  const silent = new Bench(true, 0x100, 100);
  silent.ep.close(silent.nowUs);
  assertEquals(silent.out(), [], "nothing was received");
  const best = new Bench(false, 0x100, 100);
  best.rx("030000000000010000000000aa");
  best.read();
  best.ep.close(best.nowUs);
  assertEquals(best.out().length, 1, "unreliable");
});

Deno.test("defect 13: setFlags() sets and clears flow control and linger, never retransmission", () => {
  const b = new Bench();
  assertEquals(b.ep.flags, FrctFlag.Rtx | FrctFlag.Rescntl | FrctFlag.Linger);
  b.ep.setFlags(FrctFlag.Rescntl);
  assertEquals(b.ep.flags, FrctFlag.Rtx | FrctFlag.Rescntl);
  b.ep.setFlags(7);
  assertEquals(b.ep.flags, 7);
  const best = new Bench(false);
  best.ep.setFlags(7);
  assertEquals(best.ep.flags, FrctFlag.Rescntl | FrctFlag.Linger);
  best.ep.setFlags(0);
  for (let i = 0; i < 100; i++) assertNotEquals(best.write("00"), -Errno.EAGAIN);
});

Deno.test("a reader that reopens an exhausted window says so at once", () => {
  const b = new Bench();
  for (let i = 0; i < 256; i++) {
    b.rx(`${i === 0 ? "03" : "01"}000000${(0x100 + i).toString(16).padStart(8, "0")}00000000aa`);
    b.out();
  }
  b.advance(20_000);
  let told = 0;
  for (let i = 0; i < 256; i++) {
    b.read();
    told += b.out().length;
  }
  assert(told >= 3 && told <= 16, `${told} updates`);
});

Deno.test("three duplicate acknowledgements bring the missing packet at once, one does not", () => {
  const b = new Bench();
  b.write("00");
  b.nowUs += 20_000;
  b.rx("0c0002000000000000000101"); // RTT 20 ms, edge 0x200
  for (let i = 1; i < 8; i++) b.write(`0${i}`);
  b.nowUs += 20_000;
  b.rx("0c0002000000000000000101");
  assertEquals(b.out(), []);
  b.rx("0c0002000000000000000101");
  b.rx("0c0002000000000000000101");
  assertEquals(b.out(), ["03000000000001010000000001"]);
  b.rx("0c0002000000000000000101");
  assertEquals(b.out(), []);
});

Deno.test("onPacketDirect() gives the caller only what is next and fits", () => {
  const b = new Bench();
  const rx = (hex: string, max = 4) => {
    const p = decodeHex(hex);
    return b.ep.onPacketDirect(b.nowUs, p, 0, p.length, max);
  };
  assertEquals(rx("030000000000010000000000c0ffee"), 3);
  assertEquals(b.buffers.live, 0, "no copy was kept");
  assertEquals(rx("01000000000001020000000002"), -1, "behind a gap");
  assertEquals(rx("01000000000001010000000001"), 1, "fills it");
  assertEquals(b.read(), "02");
  assertEquals(rx("010000000000010300000000"), 0, "empty message");
  assertEquals(rx("01000000000001040000000001020304", 3), -1, "too long: queued");
  assertEquals(b.read(), "01020304");
  assertEquals(rx("01000000000001040000000001020304"), -1, "duplicate");
  assertEquals(b.ep.pendingBytes(), -1);
  b.ep.dispose();
  assertEquals(b.buffers.live, 0);
});

Deno.test("begin() changes nothing until sent()", () => {
  const b = new Bench();
  b.rx("030000000000500000000000aa");
  b.read();
  const out = new Uint8Array(13);
  for (let i = 0; i < 3; i++) {
    assertEquals(b.ep.begin(b.nowUs, out, 0), 12);
    assertEquals(encodeHex(out.subarray(0, 12)), "0f0051010000010000005001");
  }
  b.ep.sent(b.nowUs, Uint8Array.of(0xbb), 0, 1);
  assertEquals(b.advance(20_000), [], "the acknowledgement went with the data");
  const again = b.advance(2 * S);
  assertEquals(again[0], "0f0051010000010000005001bb");
  assertEquals(b.ep.begin(b.nowUs, new Uint8Array(20), 9), -Errno.EMSGSIZE);
});

Deno.test("packets of an unreliable flow that never came are counted, behind a gap and in stats()", () => {
  const [x, y] = [new Bench(false), new Bench(false)];
  const sent = ["01", "02", "03", "04", "05", "06"].map((p) => x.write(p) as string);
  for (const k of [0, 2, 5]) y.rx(sent[k]!);
  assertEquals([y.read(), y.read(), y.read()], ["01", "03", "06"]);
  assertEquals(y.ep.stats(y.nowUs).missing, 3);
  // One that comes too late is a duplicate to the machine; it stays counted.
  y.rx(sent[1]!);
  assertEquals(y.ep.stats(y.nowUs).missing, 3);
  const [p, q] = [new Bench(), new Bench()];
  const reliable = ["01", "02"].map((b) => p.write(b) as string);
  q.rx(reliable[1]!);
  q.rx(reliable[0]!);
  assertEquals(q.ep.stats(q.nowUs).missing, 0, "a reliable flow has them sent again");
});
