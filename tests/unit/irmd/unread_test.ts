import { assertEquals } from "@std/assert";
import { type PendingRing, whenRead } from "../../../irmd/unread.ts";

/** A ring that says what it is told to, and timers that fire when they are told to. */
class Bench {
  pending = true;
  offsets: number[] = [];
  disposed = 0;
  readonly freed: number[][] = [];
  readonly waits: number[] = [];
  #due: (() => void) | undefined;

  readonly ring: PendingRing = {
    isPending: () => this.pending,
    unread: () => this.offsets,
    [Symbol.dispose]: () => void (this.disposed += 1),
  };

  constructor() {
    whenRead(this.ring, (offsets) => this.freed.push(offsets), (what, ms) => {
      this.waits.push(ms);
      this.#due = what;
    });
  }

  look(): void {
    const due = this.#due;
    this.#due = undefined;
    due!();
  }

  get waiting(): boolean {
    return this.#due !== undefined;
  }
}

Deno.test("packets of a reader that dies long after its flow has ended come back", () => {
  const bench = new Bench();
  bench.look();
  bench.look();
  assertEquals([bench.freed, bench.disposed, bench.waiting], [[], 0, true]);
  bench.pending = false;
  bench.offsets = [64, 128];
  bench.look();
  assertEquals([bench.freed, bench.disposed, bench.waiting], [[[64, 128]], 1, false]);
  assertEquals(bench.waits, [250, 500, 1000]);
});

Deno.test("a ring that its living reader has emptied is let go at the first look", () => {
  const bench = new Bench();
  bench.pending = false;
  bench.look();
  assertEquals([bench.freed, bench.disposed, bench.waiting], [[[]], 1, false]);
});

Deno.test("a reader that lives and never reads is not looked at for ever", () => {
  const bench = new Bench();
  while (bench.waiting) bench.look();
  assertEquals([bench.freed, bench.disposed, bench.waits.length], [[[]], 1, 9]);
});
