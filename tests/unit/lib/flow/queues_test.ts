// Queues of the flow set that threads which ended without a word have used come back.

import { assertEquals } from "@std/assert";
import { Errno } from "../../../../lib/errno.ts";
import { FlowTable } from "../../../../lib/flow/flow_table.ts";
import { Queues } from "../../../../lib/flow/queues.ts";
import { ThreadWords } from "../../../../lib/flow/thread_words.ts";
import { instanceOf } from "../../../../lib/instance.ts";
import { FlowSetShm } from "../../../../lib/shm/flow_set.ts";
import { threadId } from "../../../../lib/sys/thread_end.ts";

/** The id of a thread that has ended. */
async function ended(): Promise<number> {
  const child = new Deno.Command("true").spawn();
  await child.status;
  return child.pid;
}

Deno.test("take() gives the queue of a thread that has ended when no other is left", async () => {
  const instance = instanceOf(`/tmp/ouro-queues-test-${crypto.randomUUID()}`);
  using set = FlowSetShm.create(instance, 1);
  FlowSetShm.unlink(instance, 1);
  const words = new Int32Array(new SharedArrayBuffer(ThreadWords.COUNT * 4));
  const queues = new Queues({ prefix: "", pid: 1 }, set, words, false, new FlowTable());
  for (let idx = 0; idx < 32; idx++) assertEquals(queues.take(), idx);
  assertEquals(queues.take(), -Errno.ENOMEM);
  const gone = await ended();
  set.add(7, 100);
  words[ThreadWords.OWNERS + 7] = gone;
  words[ThreadWords.WAITERS + 7] = gone;
  assertEquals([queues.take(), set.has(7, 100)], [7, false]);
  assertEquals(words[ThreadWords.OWNERS + 7], threadId());
  assertEquals(queues.take(), -Errno.ENOMEM);
  // One whose waiter lives is waited for; what is given back otherwise goes first.
  words[ThreadWords.OWNERS + 3] = gone;
  words[ThreadWords.WAITERS + 3] = threadId();
  queues.give(9);
  assertEquals(queues.take(), 9);
});
