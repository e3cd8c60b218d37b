// Short slices of a thread.

import { assertEquals } from "@std/assert";
import { shortSlices } from "../../../../lib/sys/slices.ts";

/** Runs in a process of its own, since a thread keeps what it was given: its nice value and slice afterwards. */
const SCRIPT = `
  import { shortSlices } from ${
  JSON.stringify(import.meta.resolve("../../../../lib/sys/slices.ts"))
};
  const taken = shortSlices();
  const stat = Deno.readTextFileSync("/proc/thread-self/stat");
  const nice = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
  let slice;
  try {
    slice = /^se\\.slice\\s*:\\s*(\\d+)/m.exec(Deno.readTextFileSync("/proc/thread-self/sched"))?.[1];
  } catch {
    // Not all kernels tell.
  }
  console.log(JSON.stringify({ taken, nice, slice: slice === undefined ? null : Number(slice) }));
`;

Deno.test("shortSlices() leaves the nice value, and the kernel knows the slice", async () => {
  const { stdout } = await new Deno.Command("nice", {
    args: ["-n", "7", Deno.execPath(), "eval", "--ext=ts", SCRIPT],
  }).output();
  const { taken, nice, slice } = JSON.parse(new TextDecoder().decode(stdout));
  const own = Number((await Deno.readTextFile("/proc/self/stat")).split(") ")[1]!.split(" ")[16]);
  assertEquals([taken, nice], [true, Math.min(19, own + 7)]);
  // Linux before 6.12 has one slice for all.
  if (slice !== null) assertEquals(slice, 100_000);
});

Deno.test("shortSlices() again is as good", () => {
  assertEquals([shortSlices(), shortSlices()], [true, true]);
});
