// The table of flows: rows and generations, and the index of endpoint ids, whatever meets at one place of it.

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { FlowTable } from "../../../ipcp/data/table.ts";

const row = (localEid: number, localEidHi = 0) => ({
  ...{ pid: 7, uid: 0, localEid, localEidHi, remoteEid: 9, remoteEidHi: 0xfedcba98 },
  ...{ partner: 0, peer: Uint8Array.of(1, 2, 3) },
});

Deno.test("a row says what was published, words of 64-bit ids as unsigned numbers", () => {
  const table = new FlowTable();
  table.open(3, row(0x87654321, 0xf0000001));
  const seen = new FlowTable(table.buffer); // as another thread has it
  assertEquals([seen.localEid(3), seen.localEidHi(3)], [0x87654321, 0xf0000001]);
  assertEquals([seen.remoteEid(3), seen.remoteEidHi(3)], [9, 0xfedcba98]);
  assertEquals([seen.flowOf(0x87654321, 0xf0000001), seen.flowOf(0x87654321)], [3, 0]);
  assertEquals([seen.peerIs(3, Uint8Array.of(0, 1, 2), 1, 0, 2), seen.size], [true, 1]);
  assertThrows(() => table.open(4, { ...row(1), peer: new Uint8Array(33) }), RangeError);
});

Deno.test("a row that is published anew has another generation and is found by its new id alone", () => {
  const table = new FlowTable();
  table.open(3, row(5));
  const first = table.generation(3);
  table.open(3, row(5));
  assertEquals([table.generation(3), table.flowOf(5)], [first + 2, 3]);
  table.open(3, row(6));
  assertEquals([table.flowOf(5), table.flowOf(6), table.size], [0, 3, 1]);
  table.close(3);
  table.close(3);
  assertEquals([table.generation(3) & 1, table.flowOf(6), table.size], [0, 0, 0]);
});

Deno.test("ids that meet at one place of the index are told apart, in any order of coming and going", () => {
  const step = fc.record({
    flowId: fc.integer({ min: 1, max: 8 }),
    eid: fc.nat(11),
    open: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new FlowTable();
      const byFlow = new Map<number, number>();
      // Four places of the index, three ids at each.
      const eidOf = (n: number) => 0x100 + (n & 3) + ((n >> 2) << 16);
      for (const { flowId, eid, open } of steps) {
        const isUsed = [...byFlow].some(([f, e]) => e === eid && f !== flowId);
        if (open && isUsed) continue;
        if (open) {
          table.open(flowId, row(eidOf(eid)));
          byFlow.set(flowId, eid);
        } else {
          table.close(flowId);
          byFlow.delete(flowId);
        }
        for (let n = 0; n < 12; n++) {
          const flow = [...byFlow].find(([, e]) => e === n)?.[0] ?? 0;
          assertEquals(table.flowOf(eidOf(n)), flow);
        }
      }
      assertEquals(table.size, byFlow.size);
    }),
    { numRuns: 200 },
  );
});
