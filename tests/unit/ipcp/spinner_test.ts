// Spinning: only after traffic, only with CPUs to spare, less where it does not pay.

import { assert, assertEquals } from "@std/assert";
import { Spinner } from "../../../ipcp/data/spinner.ts";

Deno.test("spin() does not look without traffic, nor twice for the same", () => {
  let looks = 0;
  const spinner = new Spinner(() => ++looks > 0, 8);
  assertEquals([spinner.spin(), looks], [false, 0]);
  spinner.busy();
  assertEquals([spinner.spin(), looks], [true, 1]);
  assertEquals([spinner.spin(), looks], [false, 1]);
});

Deno.test("spin() does not look with two CPUs", () => {
  const spinner = new Spinner(() => true, 2);
  spinner.busy();
  assertEquals(spinner.spin(), false);
});

Deno.test("spin() looks less and less where nothing comes", () => {
  let looks = 0;
  const spinner = new Spinner(() => ++looks < 0, 8);
  const looked = () => {
    looks = 0;
    spinner.busy();
    assertEquals(spinner.spin(), false);
    return looks;
  };
  const first = looked();
  for (let i = 0; i < 8; i++) looked();
  assert(looked() <= first);
});
