// Spinning: only after traffic, without taking the CPU from others where there are few.

import { assertEquals } from "@std/assert";
import { Spinner } from "../../../ipcp/data/spinner.ts";

/** A clock that goes on by 1 µs with each look at it. */
function clock(): () => number {
  let nowNs = 0;
  return () => nowNs += 1000;
}
const pass = () => {};

Deno.test("spin() does not look without traffic, nor twice for the same", () => {
  let looks = 0;
  const spinner = new Spinner(() => ++looks > 0, 8, pass, clock());
  assertEquals([spinner.spin(), looks], [false, 0]);
  spinner.busy();
  assertEquals([spinner.spin(), looks], [true, 1]);
  assertEquals([spinner.spin(), looks], [false, 1]);
});

Deno.test("spin() gives up its CPU before each look where there are two", () => {
  const done: string[] = [];
  const ready = () => done.push("look") > 4;
  const spinner = new Spinner(ready, 2, () => void done.push("yield"), clock());
  spinner.busy();
  assertEquals(spinner.spin(), true);
  assertEquals(done.slice(0, 4), ["yield", "look", "yield", "look"]);
});

Deno.test("spin() keeps its CPU where there are eight", () => {
  const spinner = new Spinner(() => true, 8, () => {
    throw new Error("gave up its CPU");
  });
  spinner.busy();
  assertEquals(spinner.spin(), true);
});

Deno.test("spin() ends without anything to do, and looks again after the next traffic", () => {
  let looks = 0;
  const spinner = new Spinner(() => ++looks === -1, 8, pass, clock());
  for (let round = 0; round < 3; round++) {
    looks = 0;
    spinner.busy();
    assertEquals(spinner.spin(), false);
    assertEquals(looks, 40 * 16);
  }
});
