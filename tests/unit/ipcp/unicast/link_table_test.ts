/** The database of links against a map of maps, and updates that wait to be passed on. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { LinkTable } from "../../../../ipcp/unicast/link_table.ts";
import { PendingUpdates } from "../../../../ipcp/unicast/pending_updates.ts";

/** Few addresses, so that links meet again and places of the table collide. */
const operation = fc.record({
  remove: fc.boolean(),
  src: fc.integer({ min: 0xfffffff0, max: 0xffffffff }),
  dst: fc.integer({ min: 1, max: 6 }),
});

Deno.test("LinkTable holds what a map holds, whatever comes and goes", () => {
  fc.assert(fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
    const table = new LinkTable();
    const twin = new Map<string, { seqno: number; withdrawn: boolean }>();
    operations.forEach(({ remove, src, dst }, i) => {
      const key = `${src} ${dst}`;
      const slot = table.find(src, dst);
      assertEquals(slot >= 0, twin.has(key));
      if (remove && slot >= 0) {
        table.remove(slot);
        twin.delete(key);
      } else if (!remove) {
        const at = slot >= 0 ? slot : table.insert(src, dst);
        const withdrawn = i % 3 === 0;
        table.set(at, i, i * 2, withdrawn);
        table.setNote(at, i);
        twin.set(key, { seqno: i, withdrawn });
      }
    });
    assertEquals(table.size, twin.size);
    const bySource = new Map<number, number>();
    for (const [key, { seqno, withdrawn }] of twin) {
      const [src, dst] = key.split(" ").map(Number);
      const slot = table.find(src!, dst!);
      assertEquals(
        [table.seqno(slot), table.heardUs(slot), table.note(slot), table.isWithdrawn(slot)],
        [seqno, seqno * 2, seqno, withdrawn],
      );
      bySource.set(src!, (bySource.get(src!) ?? 0) + 1);
    }
    for (const [src, n] of bySource) assertEquals(table.countOf(src), n);
    const oldest = Math.min(...[...twin.values()].map(({ seqno }) => seqno * 2));
    assertEquals(table.oldestUs(), oldest);
    assertEquals(table.slots().length, twin.size);
  }));
});

Deno.test("PendingUpdates knows who has an update: the sender, and others by their bits", () => {
  const pending = new PendingUpdates();
  const update = (i: number) => ({ src: i + 1, dst: 7, seqno: i, withdrawn: i % 2 === 1 });
  for (let i = 0; i < 100; i++) assertEquals(pending.add(update(i), 1000 + i, 1 << (i % 31)), i);
  for (let i = 0; i < 100; i++) assertEquals(pending.get(i), update(i));
  assert(pending.has(40, 1040, 0), "the sender has it, even without a bit");
  assert(!pending.has(40, 1041, 1 << 20));
  pending.alsoHas(40, { ...update(40), seqno: 39 }, 1 << 20);
  pending.alsoHas(40, { ...update(40), dst: 8 }, 1 << 20);
  assert(!pending.has(40, 1041, 1 << 20), "an older number, or of another link, is another update");
  pending.alsoHas(40, update(40), 1 << 20);
  assert(pending.has(40, 1041, 1 << 20));
  pending.alsoHas(-1, update(0), 1);
  pending.overtake(-1, update(0));
  pending.overtake(41, update(40));
  assert(!pending.isOvertaken(41), "a number of another link");
  pending.overtake(41, { ...update(41), seqno: 99 });
  assert(pending.isOvertaken(41) && !pending.isOvertaken(40));
  pending.clear();
  assertEquals(pending.size, 0);
  pending.alsoHas(40, update(40), 1);
});
