// The data path of a broadcast IPCP: what its worker makes of letters, packets and orders that come together.

import { assertEquals } from "@std/assert";
import { BroadcastPath } from "../../../../ipcp/broadcast/data/path.ts";
import { BroadcastMail, kindNumber } from "../../../../ipcp/broadcast/data/start.ts";
import { BroadcastNode } from "../../../../ipcp/broadcast/node.ts";
import { Mailbox } from "../../../../ipcp/data/mailbox.ts";
import { Counter, Order } from "../../../../ipcp/data/table.ts";
import { ProcessParts, socketLink } from "../../../../lib/flow/process_parts.ts";
import { ThreadWords } from "../../../../lib/flow/thread_words.ts";
import { App, IPCP_PID, IpcpMemory, used } from "../../../support/ipcp_memory.ts";
import { withShm } from "../../../support/shm.ts";

Deno.test("a process that joins and writes while the worker has no processor is heard, and may be gone by then", () => {
  withShm((i, defer) => {
    const m = new IpcpMemory(i, [], defer);
    const mailbox = new Mailbox();
    const process = new ProcessParts({
      ...{ instance: i, pid: IPCP_PID, uid: 0, pool: m.context.pool, set: m.set, first: false },
      words: new Int32Array(new SharedArrayBuffer(ThreadWords.COUNT * 4)),
    }, socketLink(i));
    const path = new BroadcastPath(
      {
        parts: m,
        set: m.set,
        process,
        mailbox,
        events: { lower: () => {}, carries: () => {}, released: () => {} },
      },
      new BroadcastNode(() => 7),
      () => {},
    );
    const flows = [1, 2, 3].map((id) => {
      const app = new App(i, 900100 + id, 0, m.set, defer);
      const flow = app.flow(id, defer);
      m.publish(app, id, {});
      mailbox.put(BroadcastMail.add, id, kindNumber("application", false), new Uint8Array(0));
      return flow;
    });
    // All this has happened before the worker looks for the first time.
    flows[0]!.write(Uint8Array.of(1));
    flows[1]!.write(Uint8Array.of(2));
    m.table.close(2);
    m.order(Order.close, 2);
    m.order(Order.stop, 0);
    path.run();
    assertEquals(flows[2]!.read()?.bytes, Uint8Array.of(1));
    assertEquals(flows[2]!.read()?.bytes, Uint8Array.of(2));
    assertEquals(flows[0]!.read()?.bytes, Uint8Array.of(2));
    assertEquals([m.counters[Counter.refused], m.letGo], [0, [2]]);
    flows[1]!.read(); // Nobody else would free it here.
    assertEquals(used(m.context.pool), 0);
  });
});

Deno.test("who joins while a burst is on its way gets what was written after that", () => {
  withShm((i, defer) => {
    const m = new IpcpMemory(i, [], defer);
    const mailbox = new Mailbox();
    const words = new Int32Array(new SharedArrayBuffer(ThreadWords.COUNT * 4));
    const memory = { instance: i, pid: IPCP_PID, uid: 0, pool: m.context.pool, set: m.set };
    const process = new ProcessParts({ ...memory, first: false, words }, socketLink(i));
    const [one, two] = [1, 2].map((id) => {
      const app = new App(i, 900100 + id, 0, m.set, defer);
      const flow = app.flow(id, defer);
      m.publish(app, id, {});
      return flow;
    });
    const join = (id: number) =>
      mailbox.put(BroadcastMail.add, id, kindNumber("application", false), new Uint8Array(0));
    let said = 0;
    const path = new BroadcastPath(
      {
        parts: m,
        set: m.set,
        process,
        mailbox,
        events: { lower: () => {}, carries: () => {}, released: () => {} },
      },
      new BroadcastNode(() => 7),
      () => {
        // In the middle of the burst that the first packet began.
        if (said++ > 0) return;
        join(2);
        one!.write(Uint8Array.of(2));
      },
    );
    join(1);
    mailbox.put(BroadcastMail.add, 9, kindNumber("bare", true), new Uint8Array(0));
    one!.write(Uint8Array.of(1));
    m.order(Order.stop, 0);
    path.run();
    assertEquals(said, 2);
    assertEquals(two!.read()?.bytes, Uint8Array.of(2));
    assertEquals(two!.read(), undefined);
  });
});
