// Processors of the host.

import { assertEquals } from "@std/assert";
import { onlineCpus } from "../../../../lib/sys/cpus.ts";

Deno.test("onlineCpus() is what the kernel lists, wherever this process may run", async () => {
  const list = (await Deno.readTextFile("/sys/devices/system/cpu/online")).trim();
  let cpus = 0;
  for (const part of list.split(",")) {
    const [first, last = first] = part.split("-").map(Number);
    cpus += last! - first! + 1;
  }
  assertEquals(onlineCpus(), cpus);
});
