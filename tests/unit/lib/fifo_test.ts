/** A queue against an array. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Fifo } from "../../../lib/fifo.ts";

Deno.test("Fifo gives what an array gives, in any order of puts and takes", () => {
  fc.assert(fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (puts) => {
    const fifo = new Fifo<number>();
    const twin: number[] = [];
    puts.forEach((isPut, i) => {
      if (isPut) {
        fifo.push(i);
        twin.push(i);
      } else assertEquals(fifo.shift(), twin.shift());
      assertEquals(fifo.length, twin.length);
    });
  }));
});

Deno.test("Fifo gives what it took after small and large crowds, each taken to the last", () => {
  const fifo = new Fifo<number>();
  for (const crowd of [1, 256, 257, 1000, 3]) {
    for (let i = 0; i < crowd; i++) fifo.push(i);
    assertEquals(fifo.length, crowd);
    for (let i = 0; i < crowd; i++) assertEquals(fifo.shift(), i);
    assertEquals(fifo.shift(), undefined);
    assertEquals(fifo.length, 0);
  }
});
