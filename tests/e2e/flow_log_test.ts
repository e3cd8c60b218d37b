/** What is proved here: a flow is one line of the log unless more is asked for, and names in it cannot steer it. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { until } from "../support/deadline.ts";
import { PATIENT, TestNode } from "../support/node.ts";

/** Lines of the level that a user sees, without those of processes that come and go. */
function lines(log: string): string[] {
  return log.split("\n").filter((line) => /\((II|WW|EE)\)/.test(line))
    .filter((line) => !/\(II\): Process (added|removed|\d+ died)/.test(line));
}

for (const layer of [undefined, "loc"]) {
  const over = layer === undefined ? "direct" : "over an IPCP";
  Deno.test(`one INFO line a flow at each end, ${over}, whatever the name`, async () => {
    const name = "evil\n\x1b[31m==1== irmd(EE): forged";
    await using node = await TestNode.start({ args: layer === undefined ? [] : ["--no-direct"] });
    await node.must("irm", "name", "create", name);
    if (layer !== undefined) {
      const ipcp = ["name", "l1", "type", "local", "layer", layer];
      await node.must("irm", "ipcp", "bootstrap", ...ipcp);
      await node.must("irm", "name", "register", name, "layer", layer);
    }
    await node.must("irm", "bind", "program", "oping", "name", name);
    const server = node.spawn(["oping", "-l", "-Q"]);
    await server.waitForLine(/started/);
    const flows = 3;
    // The first one may have to wait for the server's accept, and say so.
    await node.must("oping", "-n", name, "-c", "1", ...PATIENT, "-i", "1ms");
    const before = node.irmd!.out.length;
    for (let i = 0; i < flows; i++) {
      await node.must("oping", "-n", name, "-c", "1", ...PATIENT, "-i", "1ms");
    }
    const ends = layer === undefined ? 1 : 2;
    const said = () => lines(node.irmd!.out.slice(before));
    await until("the lines", () => said().length >= flows * ends);
    // What a later flow would say of these stands before its own lines.
    await node.must("oping", "-n", name, "-c", "1", ...PATIENT, "-i", "1ms");
    await until("its lines", () => said().length >= (flows + 1) * ends);
    assertEquals(said().length, (flows + 1) * ends, node.irmd!.out.slice(before));
    for (const line of said()) {
      assertMatch(
        line,
        /Flow \d+ (allocated|accepted) .*evil\\x0a\\x1b\[31m==1== irmd\(EE\): forged/,
      );
    }
    assert(!node.irmd!.out.includes("\x1b"), "a terminal can be steered");
    assert(!/^==1==/m.test(node.irmd!.out), "a line was forged");
  });
}

Deno.test("IPCPs write their lines as their IRMd does: without the time for the journal, which knows it", async () => {
  const stamped = /^\d{4}-\d\d-\d\dT\S+Z ==\d+== ipcpd/m;
  for (const env of [{}, { JOURNAL_STREAM: "8:1" }]) {
    await using node = await TestNode.start({ env });
    await node.must("irm", "ipcp", "bootstrap", "name", "l", "type", "local", "layer", "lay");
    await until("a line of the IPCP", () => /== ipcpd\S*\(II\)/.test(node.irmd!.out));
    assertEquals(stamped.test(node.irmd!.out), !("JOURNAL_STREAM" in env), node.irmd!.out);
  }
});
