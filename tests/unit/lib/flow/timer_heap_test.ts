// The deadlines of flows against a sorted list.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Timed, TimerHeap } from "../../../../lib/flow/timer_heap.ts";

/** An owner that notes when it was asked. */
class Owner implements Timed {
  heapAtNs = Infinity;
  dueNs = Infinity;
  asked: number[] = [];

  onDeadline(nowNs: number): number {
    if (this.dueNs <= nowNs) {
      this.asked.push(this.dueNs);
      this.dueNs = Infinity;
    }
    return this.dueNs;
  }
}

Deno.test("run() asks every owner at its deadline, however it was moved", () => {
  const step = fc.record({ who: fc.nat(9), inNs: fc.nat(1000), advanceNs: fc.nat(300) });
  fc.assert(fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
    const heap = new TimerHeap();
    const owners = Array.from({ length: 10 }, () => new Owner());
    const want: number[][] = owners.map(() => []);
    let nowNs = 0;
    for (const s of steps) {
      const owner = owners[s.who]!;
      owner.dueNs = nowNs + 1 + s.inNs;
      heap.arm(owner, owner.dueNs);
      nowNs += s.advanceNs;
      owners.forEach((o, k) => {
        if (o.dueNs <= nowNs) want[k]!.push(o.dueNs);
      });
      heap.run(nowNs);
      owners.forEach((o, k) => assertEquals(o.asked, want[k]));
    }
  }));
});

Deno.test("disarm() makes the old entry harmless, arm() tells of a nearer first deadline", () => {
  const heap = new TimerHeap();
  const [a, b] = [new Owner(), new Owner()];
  a.dueNs = 10;
  assertEquals(heap.arm(a, 10), true);
  assertEquals(heap.arm(a, 20), false);
  assertEquals(heap.arm(b, 30), false);
  assertEquals(heap.nextNs, 10);
  heap.disarm(a);
  heap.run(15);
  assertEquals(a.asked, []);
  assertEquals(heap.arm(b, 5), true);
});

Deno.test("owners that left are forgotten long before their deadline", () => {
  const heap = new TimerHeap();
  const stay = new Owner();
  heap.arm(stay, 5e9);
  for (let k = 0; k < 1000; k++) {
    const owner = new Owner();
    heap.arm(owner, 1e9 + k);
    heap.disarm(owner);
  }
  assertEquals(heap.size < 200, true);
  stay.dueNs = 5e9;
  heap.run(6e9);
  assertEquals(stay.asked, [5e9]);
});
