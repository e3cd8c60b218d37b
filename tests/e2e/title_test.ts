/** What is proved here: what daemons and tools are called in lists of processes (`ps`, `top`, `ss -p`). */

import { assertEquals } from "@std/assert";
import { until } from "../support/deadline.ts";
import { PATIENT, TestNode } from "../support/node.ts";

/** Name and words of a process as the kernel has them. */
function titleOf(pid: number): { comm: string; words: string } {
  return {
    comm: Deno.readTextFileSync(`/proc/${pid}/comm`).trim(),
    words: Deno.readTextFileSync(`/proc/${pid}/cmdline`).replace(/\0+$/, "").replaceAll("\0", " "),
  };
}

Deno.test("processes are called after what they are, not after the runtime", async () => {
  await using node = await TestNode.start();
  assertEquals(titleOf(node.irmd!.pid), { comm: "irmd", words: "irmd --stdout" });

  for (const type of ["local", "broadcast"]) {
    await node.must("irm", "ipcp", "create", "name", `n-${type}`, "type", type);
  }
  for (const { pid, name } of await node.admin().listIpcps()) {
    const type = name.slice("n-".length);
    assertEquals(titleOf(pid), {
      comm: `ipcpd-${type}`,
      words: `ipcpd-${type} ${node.irmd!.pid} ${name}`,
    });
  }

  const server = node.spawn(["oping", "-l"]);
  await server.waitForLine(/started/);
  assertEquals(titleOf(server.pid), { comm: "oping", words: "oping -l" });
});

Deno.test("a program that the IRMd starts has its name, too", async () => {
  await using node = await TestNode.start();
  await node.must("irm", "name", "create", "x");
  await node.must(..."irm bind program oping name x auto -- -l --quiet".split(" "));
  await node.must("oping", "-n", "x", "-c", "1", ...PATIENT, "-i", "10ms");
  const children = () => {
    const dir = `/proc/${node.irmd!.pid}/task/${node.irmd!.pid}/children`;
    return Deno.readTextFileSync(dir).trim().split(" ").filter((word) => word !== "").map(Number);
  };
  await until(
    "a child of that name",
    () => children().some((pid) => titleOf(pid).words === "oping -l --quiet"),
  );
});
