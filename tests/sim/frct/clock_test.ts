/**
 * Two FRCT endpoints whose clocks differ and jump forward, as those of a process that was stopped or of a host that slept:
 * everything is delivered once and in order, nobody gives up and nothing storms. Jumps backward, which CLOCK_MONOTONIC does
 * not make, are in tests/fuzz/frct_test.ts.
 *
 * OURO_SEED replays one seed.
 */
import { assert, assertEquals } from "@std/assert";
import { BufferPool, createFrct, type FrctEndpoint } from "../../../lib/frct/mod.ts";
import { Prng } from "../../../sim/prng.ts";

const SEEDS = 200;
const ONE = Deno.env.get("OURO_SEED");
const MESSAGES = 300;
/** One step of the world, µs. */
const STEP_US = 2000;
/** Longest time that FRCT retransmits, µs. */
const R_US = 120e6;

/** One end, its clock and what has arrived for it. */
class End {
  readonly endpoint: FrctEndpoint;
  readonly arrived: Uint8Array[] = [];
  /** What the clock shows beyond the world's time, µs. */
  offUs: number;
  sent = 0;
  received = 0;
  packets = 0;
  readonly #out = new Uint8Array(200);

  constructor(r: Prng, reliable: boolean, buffers: BufferPool) {
    this.offUs = r.below(1e9);
    this.endpoint = createFrct(1, { reliable, mplMs: 100, initialSeqno: r.u32(), buffers });
  }

  /** As the driver does: first what has arrived, then what is due. */
  step(worldUs: number, to: End, wish: boolean): void {
    const { endpoint } = this;
    const nowUs = worldUs + this.offUs;
    for (const packet of this.arrived.splice(0)) endpoint.onPacket(nowUs, packet, 0, packet.length);
    if (endpoint.deadlineUs() <= nowUs) endpoint.onTimer(nowUs);
    const out = this.#out;
    for (let n = 0; endpoint.pendingBytes() >= 0;) {
      n = endpoint.read(nowUs, out, 0, 4);
      assertEquals([n, new DataView(out.buffer).getUint32(0)], [4, this.received++]);
    }
    if (wish && this.sent < MESSAGES) {
      const message = new Uint8Array(4);
      new DataView(message.buffer).setUint32(0, this.sent);
      const n = endpoint.write(nowUs, message, 0, 4, out, 0);
      if (n > 0) {
        this.sent++;
        this.#pass(out.slice(0, n), to);
      }
    }
    for (let n; (n = endpoint.poll(nowUs, out, 0)) > 0;) this.#pass(out.slice(0, n), to);
  }

  #pass(packet: Uint8Array, to: End): void {
    to.arrived.push(packet);
    this.packets++;
  }
}

function run(seed: number, reliable: boolean): void {
  const r = new Prng(seed);
  const buffers = new BufferPool();
  const ends = [new End(r, reliable, buffers), new End(r, reliable, buffers)] as const;
  let jumps = 0;
  for (let t = 0; ends.some((end) => end.received < MESSAGES); t++) {
    assert(t < 20_000, `stalled: ${ends.map((end) => end.received)} of ${MESSAGES}`);
    for (const k of [0, 1] as const) {
      const end = ends[k];
      if (r.chance(0.01)) {
        jumps++;
        // What is under way is not given up for a pause shorter than R; a pause of any length harms nobody else.
        const stats = end.endpoint.stats(t * STEP_US + end.offUs);
        const idle = stats.sndLwe === stats.sndSeqno;
        end.offUs += idle && r.chance(0.3) ? r.below(20 * R_US) : r.below(R_US * 0.9);
      }
      end.step(t * STEP_US, ends[1 - k]!, r.chance(0.7));
      assert(!end.endpoint.down, `end ${k} gave up`);
    }
  }
  assert(jumps > 0, "no clock has jumped");
  for (const end of ends) {
    assert(end.packets < 4 * MESSAGES + 4 * jumps, `${end.packets} packets, ${jumps} jumps`);
    end.endpoint.dispose();
  }
  assertEquals(buffers.live, 0);
}

for (const reliable of [true, false]) {
  const what = reliable ? "reliable" : "unreliable";
  Deno.test(`FRCT, ${what}: clocks that jump forward lose nothing and take no flow down`, () => {
    const seeds = ONE === undefined
      ? Array.from({ length: SEEDS }, (_, i) => i + 1)
      : [Number(ONE)];
    for (const seed of seeds) {
      try {
        run(seed, reliable);
      } catch (e) {
        throw new Error(`seed ${seed} (OURO_SEED=${seed}): ${(e as Error).message}`, { cause: e });
      }
    }
  });
}
