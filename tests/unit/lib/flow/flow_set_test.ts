/** What is proved here: a set tells the end of flows that ended before they were added, or between two ways to wait. */

import { assertEquals } from "@std/assert";
import { instanceOf } from "../../../../lib/instance.ts";
import { type Flow, FlowEvent, FlowSet, type OuroProcess, QOS } from "../../../../lib/mod.ts";
import { FakeIrmd } from "../../../support/memory_irmd.ts";
import { removeShm } from "../../../support/shm.ts";

function setTest(
  name: string,
  use: (b: OuroProcess, pair: () => [Flow, Flow]) => void | Promise<void>,
): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn: run });
  async function run() {
    const instance = instanceOf(`/tmp/ouro-set-test-${crypto.randomUUID()}`);
    try {
      using irmd = new FakeIrmd(instance);
      const a = irmd.open();
      const b = irmd.open();
      await use(b, () => irmd.pair(a, b, QOS.raw));
      a.close();
      b.close();
    } finally {
      removeShm(instance);
    }
  }
}

setTest(
  "FlowSet.next() tells the end of a flow that ended before it was added",
  async (b, pair) => {
    const [x, y] = pair();
    x.deallocSync();
    using set = new FlowSet(b);
    set.add(y);
    assertEquals(await set.next({ timeoutMs: 60_000 }), [{ flow: y, events: FlowEvent.DOWN }]);
    assertEquals(await set.next({ timeoutMs: 1 }), []);
  },
);

setTest(
  "FlowSet.wait() tells packets and end of a flow that ended before it was added",
  (b, pair) => {
    const [x, y] = pair();
    x.writeSync(Uint8Array.of(1));
    x.abandon();
    using set = new FlowSet(b);
    set.add(y);
    const events = FlowEvent.PKT | FlowEvent.DOWN;
    assertEquals(set.wait(5000), [{ flow: y, events }]);
    assertEquals(y.readSync(new Uint8Array(9)), 1);
    assertEquals(set.wait(1), []);
  },
);

setTest("FlowSet: an end between wait() and next() is not lost", async (b, pair) => {
  const [, other] = pair();
  const [x, y] = pair();
  using set = new FlowSet(b);
  set.add(other);
  set.add(y);
  assertEquals(set.wait(1), []);
  x.deallocSync();
  const [event, ...more] = await set.next({ timeoutMs: 60_000 });
  assertEquals([event?.flow === y, more], [true, []]);
});
