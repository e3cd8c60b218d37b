/** The text of the statistics: layout of spec 30 §12; what is counted is tested with the machine. */
import { assert, assertEquals } from "@std/assert";
import { BufferPool, createFrct } from "../../../../lib/frct/mod.ts";
import { frctStatsText } from "../../../../lib/frct/rib.ts";

Deno.test("frctStatsText() gives 22 lines of 54 bytes, values right-aligned", () => {
  const config = {
    reliable: true,
    mplMs: 100,
    initialSeqno: 0xfffffff0,
    buffers: new BufferPool(),
  };
  const text = frctStatsText(createFrct(1, config).stats(1e9));
  assertEquals(text.length, 1188);
  const lines = text.split("\n");
  assertEquals(lines.length, 23);
  assertEquals(lines[0], "Maximum packet lifetime (ns):               100000000");
  assertEquals(lines[5], "Retransmit timeout RTO (ns):               1000000000");
  assertEquals(lines[9], "Sender current sequence number:            4294967280");
  assert(lines.slice(0, 22).every((l) => l.length === 53));
});
