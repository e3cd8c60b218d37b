/** The text of the statistics: layout of spec 30 §12; what is counted is tested with the machine. */
import { assert, assertEquals } from "@std/assert";
import { BufferPool, createFrct } from "../../../../lib/frct/mod.ts";
import {
  frctLineValues,
  frctStatsText,
  frctValues,
  frctValuesText,
} from "../../../../lib/frct/rib.ts";

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

Deno.test("what another process wrote is shown as it was, its ages older, and no number is none", () => {
  const endpoint = createFrct(1, {
    reliable: true,
    mplMs: 100,
    initialSeqno: 7,
    buffers: new BufferPool(),
  });
  const out = new Uint8Array(200);
  endpoint.write(1e6, out, 100, 10, out, 0);
  const stats = endpoint.stats(1e6);
  const numbers = frctLineValues(stats);
  assertEquals(frctValuesText(frctValues(numbers, 0)), frctStatsText(stats));
  const later = frctValues(numbers, 500);
  assertEquals(later["Sender inactive (ns)"], stats.sndInactiveNs + 500);
  assertEquals(later["Receiver inactive (ns)"], 0, "never heard is not a moment ago");
  assertEquals(later["Sender current sequence number"], 8);
  for (const hostile of [[], numbers.map(() => NaN), numbers.map(() => -1e9), [1e300, Infinity]]) {
    const text = frctValuesText(frctValues(hostile, -5));
    assertEquals(text.length, 1188);
    assert(!/NaN|Inf|-\d|e\+/.test(text), text);
  }
});
