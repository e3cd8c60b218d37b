/** The loop of the data workers that serve processes: rings that never get empty keep nobody waiting. */

import { assert, assertEquals } from "@std/assert";
import { FlowLoop, ROUND } from "../../../ipcp/data/flow_loop.ts";
import { Port } from "../../../ipcp/data/port.ts";
import { Order } from "../../../ipcp/data/table.ts";
import { RbuffLayout } from "../../../lib/shm/layout.ts";
import { RBUFF_SLOTS } from "../../../lib/limits.ts";
import { App, IpcpMemory } from "../../support/ipcp_memory.ts";
import { withShm } from "../../support/shm.ts";

/** Says of flow 1 that it has more, whatever it moved. */
class Endless extends FlowLoop {
  readonly moved: number[] = [];
  protected override move({ flowId }: Port): boolean {
    this.moved.push(flowId);
    if (this.moved.length > 100 * ROUND) throw new Error("it serves this flow for ever");
    return flowId === 1;
  }
}

Deno.test("flow loop: a flow that never gets empty keeps neither others nor orders waiting", () => {
  withShm((i, defer) => {
    const m = new IpcpMemory(i, [], defer);
    const loop = new Endless(m, m.set);
    const app = new App(i, 900101, 0, m.set, defer);
    const flows = [1, 2].map((id) => app.flow(id, defer));
    for (const id of [1, 2]) m.publish(app, id, {});
    flows[0]!.write(Uint8Array.of(1));
    assert(loop.turn(0));
    assert(!loop.moved.includes(2));
    // Its event comes while the other flow is served.
    flows[1]!.write(Uint8Array.of(2));
    assert(loop.turn(Infinity));
    assert(loop.moved.includes(2));
    m.order(Order.stop, 0);
    assertEquals(loop.turn(Infinity), false);
  });
});

Deno.test("port: a ring that fills up while it is let go keeps nobody", () => {
  withShm((i, defer) => {
    const m = new IpcpMemory(i, [], defer);
    const app = new App(i, 900101, 0, m.set, defer);
    const flow = app.flow(7, defer);
    const port = Port.open(m.context, 7, app.pid, 0);
    const off = flow.write(Uint8Array.of(1));
    const head = RbuffLayout.HEAD >> 2;
    let removed = 0;
    // Whatever is taken out comes in again.
    port.pool.remove = () => {
      const { i32 } = flow.tx;
      i32[(i32[head]! & (RBUFF_SLOTS - 1)) << 1] = off;
      i32[head] = (i32[head]! + 1) & (RBUFF_SLOTS - 1);
      if (++removed > 10 * RBUFF_SLOTS) throw new Error("it takes out for ever");
      return 0;
    };
    port.shut();
    assert(removed <= RBUFF_SLOTS);
    port.close();
  });
});
