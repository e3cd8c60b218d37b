/** The loop of the data worker of a member of a layer: rings that never get empty keep nobody waiting. */

import { assert, assertEquals } from "@std/assert";
import { ROUND } from "../../../ipcp/data/flow_loop.ts";
import { BURST, MemberLoop } from "../../../ipcp/data/member_loop.ts";
import { type Letter, Mail, Mailbox } from "../../../ipcp/data/mailbox.ts";
import { Order } from "../../../ipcp/data/table.ts";
import type { BlockFlow } from "../../../lib/flow/block_flow.ts";
import { ProcessParts, socketLink } from "../../../lib/flow/process_parts.ts";
import { ThreadWords } from "../../../lib/flow/thread_words.ts";
import { encodeIrmMsg, IrmCode } from "../../../lib/irm/messages.ts";
import { RBUFF_SLOTS } from "../../../lib/limits.ts";
import { QOS } from "../../../lib/qos.ts";
import { FlowEvent } from "../../../lib/shm/layout.ts";
import { App, IPCP_PID, IpcpMemory } from "../../support/ipcp_memory.ts";
import { withShm } from "../../support/shm.ts";

/** A letter of the test's. */
const HELLO = 99;
const EMPTY = new Uint8Array(0);

/** Says of flow 1 that it has more, whatever it moved; notes what else it hears. */
class Endless extends MemberLoop {
  readonly moved: number[] = [];
  onMoved = (_id: number): void => {};

  #move(id: number): boolean {
    this.moved.push(id);
    if (this.moved.length > 100 * ROUND) throw new Error("it serves this flow for ever");
    this.onMoved(id);
    return id === 1;
  }
  protected override moveDown(id: number): boolean {
    return this.#move(id);
  }
  protected override moveLower(id: number, _lower: BlockFlow): boolean {
    return this.#move(id);
  }
  protected override moveLast(): void {}
  protected override onLetter({ kind }: Letter): void {
    this.onMoved(-kind);
  }
}

function withLoop(
  use: (
    loop: Endless,
    m: IpcpMemory,
    mailbox: Mailbox,
    app: App,
    defer: (f: () => void) => void,
    lower: [number, number][],
  ) => void,
): void {
  withShm((i, defer) => {
    const m = new IpcpMemory(i, [], defer);
    const mailbox = new Mailbox();
    const lower: [number, number][] = [];
    const process = new ProcessParts({
      ...{ instance: i, pid: IPCP_PID, uid: 0, pool: m.context.pool, set: m.set, first: false },
      words: new Int32Array(new SharedArrayBuffer(ThreadWords.COUNT * 4)),
    }, socketLink(i));
    const events = {
      lower: (id: number, events: number) => void lower.push([id, events]),
      carries: () => {},
      released: () => {},
    };
    const loop = new Endless({ parts: m, set: m.set, process, mailbox, events });
    use(loop, m, mailbox, new App(i, 900101, 0, m.set, defer), defer, lower);
  });
}

Deno.test("member loop: a flow that never gets empty keeps neither others, letters nor orders waiting", () => {
  withLoop((loop, m, mailbox, app, defer) => {
    const flows = [1, 2].map((id) => app.flow(id, defer));
    for (const id of [1, 2]) m.publish(app, id, {});
    flows[0]!.write(Uint8Array.of(1));
    const heard: number[] = [];
    loop.onMoved = (id) => {
      if (id !== 1) heard.push(id);
      // All this happens while the first flow is served.
      if (loop.moved.length === 1 && id === 1) flows[1]!.write(Uint8Array.of(2));
      if (id === 2) {
        mailbox.put(HELLO, 0, 0, EMPTY);
        m.order(Order.close, 2);
      }
      if (id === -HELLO) m.order(Order.stop, 0);
    };
    loop.run();
    assertEquals(heard, [2, -HELLO]);
    assertEquals(m.letGo, [2]);
  });
});

Deno.test("member loop: of a lower flow that is over and never gets empty the end is told", () => {
  withLoop((loop, m, mailbox, app, defer, lower) => {
    app.flow(1, defer);
    const qos = QOS.raw;
    const flowInfo = { id: 1, nPid: IPCP_PID, n1Pid: app.pid, mpl: 100, state: 2, qos, uid: 0 };
    mailbox.put(Mail.lower, 0, 0, encodeIrmMsg({ code: IrmCode.IRM_REPLY, flowInfo }));
    m.order(Order.close, 3);
    let servedAtEnd = 0;
    loop.onMoved = () => {
      if (loop.moved.length === 1) m.set.notify(1, FlowEvent.DEALLOC);
      if (lower.length > 0 && servedAtEnd === 0) {
        servedAtEnd = loop.moved.length;
        m.order(Order.stop, 0);
      }
    };
    loop.run();
    assertEquals(lower, [[1, FlowEvent.DEALLOC]]);
    assert(servedAtEnd > 0 && servedAtEnd < 4 * ROUND + RBUFF_SLOTS / BURST);
  });
});
