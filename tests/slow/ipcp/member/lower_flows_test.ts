// The flows of a member in the layers below: real flows of the library in memory, an IRMd of the test's own thread.

import { assert, assertEquals } from "@std/assert";
import { LowerFlows } from "../../../../ipcp/member/lower_flows.ts";
import { DATA_QUEUE } from "../../../../ipcp/data/table.ts";
import { Errno } from "../../../../lib/errno.ts";
import { Flow, FlowFlag, instanceOf, type OuroProcess, QOS } from "../../../../lib/mod.ts";
import { FlowSetShm } from "../../../../lib/shm/flow_set.ts";
import { Acl, FlowEvent } from "../../../../lib/shm/layout.ts";
import { Rbuff } from "../../../../lib/shm/rbuff.ts";
import { Mapping } from "../../../../lib/sys/mman.ts";
import { ThreadWords } from "../../../../lib/flow/thread_words.ts";
import { until } from "../../../support/deadline.ts";
import { FakeIrmd } from "../../../support/memory_irmd.ts";

const PID = 900_001;

/** A member's lower flows, what was heard of them, and a process of somebody else. */
class World {
  readonly prefix = Deno.makeTempDirSync({ prefix: "ouro-lower-" });
  readonly irmd = new FakeIrmd(instanceOf(this.prefix));
  readonly heard: string[] = [];
  /** Called with each message, after it was noted. */
  onMessage: (flow: number) => void = () => {};
  readonly peer: OuroProcess;
  readonly lower: LowerFlows;
  readonly accepting: Promise<void>;

  constructor(messageBytesMax?: number) {
    this.irmd.listen();
    this.irmd.announce(PID);
    this.irmd.names.set("us", PID);
    this.peer = this.irmd.open();
    this.irmd.names.set("them", this.peer.pid);
    this.lower = new LowerFlows(this.irmd.instance, PID, {
      accepted: (flow) => void this.heard.push(`accepted ${flow}`),
      message: (flow, bytes) => {
        this.heard.push(`message ${flow} ${bytes.length > 9 ? `${bytes.length} bytes` : bytes}`);
        this.onMessage(flow);
      },
      usable: (flow, usable) => void this.heard.push(`usable ${flow} ${usable}`),
      gone: (flow, cause) => void this.heard.push(`gone ${flow} ${cause}`),
    }, messageBytesMax);
    this.accepting = this.lower.acceptAll();
  }

  /** A flow that the peer has allocated to us. */
  async accepted(qos = QOS.raw): Promise<Flow> {
    const flow = await Flow.alloc(this.peer, "us", { qos });
    await this.heardOf(`accepted ${flow.id}`);
    return flow;
  }

  /** A flow that we have allocated, and its other end. */
  async allocated(qos = QOS.raw): Promise<{ id: number; flow: Flow }> {
    const taken = Flow.accept(this.peer);
    const id = await this.lower.alloc("them", qos, 5000);
    if (typeof id !== "number") throw new Error(id.cause);
    return { id, flow: await taken };
  }

  async heardOf(line: string): Promise<void> {
    await until(line, () => this.heard.includes(line));
  }

  /** Something happens to a flow of ours, as the layer below tells it. */
  tell(id: number, event: number, change: (ring: Rbuff) => void = () => {}): void {
    using ring = Rbuff.open(this.irmd.instance, PID, id);
    change(ring);
    using set = FlowSetShm.open(this.irmd.instance, PID);
    set.notify(id, event);
  }

  /** The IRMd heard of the ends of a flow: ours, the peer's, or both. */
  async ended(id: number, times = 1): Promise<void> {
    await until(`end of ${id}`, () => this.irmd.deallocs.get(id) === times);
  }

  async close(): Promise<void> {
    this.lower.close();
    await this.accepting;
    this.peer.close();
    await until("no acceptor", () => this.irmd.accepting.length === 0);
    this.irmd[Symbol.dispose]();
    await Deno.remove(this.prefix, { recursive: true });
  }
}

function lowerTest(name: string, use: (w: World) => Promise<void>, messageBytesMax?: number): void {
  Deno.test({
    name,
    // The library's waiters and libc are opened once a process.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      const before = Mapping.live;
      const world = new World(messageBytesMax);
      try {
        await use(world);
      } finally {
        await world.close();
      }
      assertEquals(Mapping.live, before);
    },
  });
}

lowerTest("flows to our names are accepted, read, and written without waiting", async (w) => {
  const flow = await w.accepted();
  assertEquals(flow.writeSync(Uint8Array.of(1, 2)), 2);
  await w.heardOf(`message ${flow.id} 1,2`);
  assertEquals(w.lower.write(flow.id, Uint8Array.of(3)), 0);
  assertEquals(await flow.read({ timeoutMs: 60_000 }), Uint8Array.of(3));
  assertEquals(w.lower.write(99, Uint8Array.of(3)), -Errno.ENOTALLOC);
  // A peer that does not read stops nobody.
  let result = 0;
  for (let i = 0; i < 2000 && result === 0; i++) result = w.lower.write(flow.id, Uint8Array.of(4));
  assertEquals(result, -Errno.EAGAIN);
  const more = await w.accepted();
  assert(more.id !== flow.id);
});

lowerTest("a flow that we allocate is ours at once, and read as it comes", async (w) => {
  const { id, flow } = await w.allocated();
  assertEquals(w.heard, []);
  assertEquals(w.lower.infoOf(id)?.nPid, PID);
  assertEquals([w.lower.isAway(id), w.lower.infoOf(99)], [false, undefined]);
  flow.writeSync(Uint8Array.of(5));
  await w.heardOf(`message ${id} 5`);
  assertEquals(flow.flags & FlowFlag.RNoBlock, 0, "only ours does not block");
});

lowerTest("why there is no flow: the step, the words, and whose they are", async (w) => {
  const why = async () => await w.lower.alloc("nobody", QOS.raw, 5000);
  w.irmd.names.set("nobody", "nobody");
  w.irmd.refusal = { error: { stage: "query", process: "ipcpd-udp4 u", cause: "who?" } };
  assertEquals(await why(), {
    code: -Errno.ENAME,
    stage: "query",
    cause: 'no flow to "nobody": who? (ipcpd-udp4 u)',
  });
  w.irmd.refusal = { error: { stage: "lookup", process: "irmd", cause: "none" } };
  assertEquals(await why(), {
    code: -Errno.ENAME,
    stage: "lookup",
    cause: 'no flow to "nobody": none',
  });
  w.lower.close();
  const late = await why();
  assert(typeof late !== "number");
});

lowerTest("what came before the end is read, and the end is told once", async (w) => {
  const flow = await w.accepted();
  flow.writeSync(Uint8Array.of(1));
  await flow.dealloc();
  await w.heardOf(`gone ${flow.id} the flow was closed`);
  assertEquals(w.heard.slice(1), [
    `message ${flow.id} 1`,
    `gone ${flow.id} the flow was closed`,
  ]);
  w.tell(flow.id, FlowEvent.DEALLOC);
  w.tell(flow.id, FlowEvent.PEER);
  const next = await w.accepted();
  next.writeSync(Uint8Array.of(2));
  await w.heardOf(`message ${next.id} 2`);
  assertEquals(w.heard.filter((line) => line.startsWith("gone")).length, 1);
  w.lower.release(flow.id);
  await w.ended(flow.id, 2);
});

lowerTest(
  "a flow goes down and up as often as its layer says, and its peer may be silent",
  async (w) => {
    const flow = await w.accepted();
    const { id } = flow;
    const said = () => w.heard.filter((line) => !line.startsWith("accepted"));
    const set = (event: number) => {
      w.tell(id, event, (ring) => {
        if (event === FlowEvent.DOWN) ring.setAcl(Acl.FLOWDOWN);
        if (event === FlowEvent.UP) ring.clearAcl(Acl.FLOWDOWN);
      });
    };
    set(FlowEvent.DOWN);
    await until("down", () => said().length === 1);
    set(FlowEvent.DOWN);
    set(FlowEvent.UP);
    await until("up", () => said().length === 2);
    set(FlowEvent.PEER);
    await until("gone", () => said().length === 3);
    assertEquals(said(), [
      `usable ${id} false`,
      `usable ${id} true`,
      `gone ${id} it was silent for its time`,
    ]);
  },
);

lowerTest(
  "more messages than a turn reads all come, and one that is too long is lost alone",
  async (w) => {
    const flow = await w.accepted();
    flow.writeSync(new Uint8Array(101));
    flow.writeSync(new Uint8Array(100));
    for (let i = 0; i < 200; i++) flow.writeSync(Uint8Array.of(i));
    await w.heardOf(`message ${flow.id} 199`);
    assertEquals(w.heard.slice(1), [
      `message ${flow.id} 100 bytes`,
      ...Array.from({ length: 200 }, (_, i) => `message ${flow.id} ${i}`),
    ]);
  },
  100,
);

lowerTest("a flow that is let go by what its message says is read no more", async (w) => {
  const flow = await w.accepted();
  w.onMessage = (id) => w.lower.release(id);
  for (let i = 0; i < 3; i++) flow.writeSync(Uint8Array.of(i));
  await w.ended(flow.id);
  assertEquals(w.heard.slice(1), [`message ${flow.id} 0`]);
  assertEquals(w.lower.write(flow.id, Uint8Array.of(1)), -Errno.ENOTALLOC);
  w.lower.release(flow.id);
  await until("its peer hears of the end", () => flow.hasEnded());
});

lowerTest(
  "a flow that the worker has is read by nobody here, and is closed when it comes back",
  async (w) => {
    const flow = await w.accepted();
    const { id } = flow;
    const given = w.lower.handOver(id);
    if ("code" in given) throw new Error(given.cause);
    assertEquals([given.info.id, w.lower.isAway(id), w.lower.infoOf(id)?.id], [id, true, id]);
    assertEquals(w.lower.handOver(id), {
      code: -Errno.ENOTALLOC,
      stage: "data transfer",
      cause: "the flow is gone",
    });
    for (const b of [1, 2, 3]) flow.writeSync(Uint8Array.of(b));
    assertEquals([w.lower.queued(id), w.lower.queued(99)], [{ rx: 3, tx: 0 }, { rx: 0, tx: 0 }]);
    assertEquals(w.lower.write(id, Uint8Array.of(1)), -Errno.ENOTALLOC);
    const next = await w.accepted();
    next.writeSync(Uint8Array.of(9));
    await w.heardOf(`message ${next.id} 9`);
    assert(!w.heard.some((line) => line.startsWith(`message ${id}`)));
    w.lower.takeBack(id);
    w.lower.takeBack(99);
    assertEquals(w.lower.isAway(id), false);
    await w.ended(id);
    await until("the peer hears", () => flow.hasEnded());
  },
);

lowerTest("a flow with FRCT stays here, and goes on", async (w) => {
  const flow = await w.accepted(QOS.data);
  const refused = w.lower.handOver(flow.id);
  assert("code" in refused && refused.code === -Errno.ENOTSUP && refused.cause !== "");
  assertEquals(w.lower.isAway(flow.id), false);
  flow.writeSync(Uint8Array.of(7));
  await w.heardOf(`message ${flow.id} 7`);
});

lowerTest(
  "a flow carries what the layer below does, less what the flow adds",
  async (w) => {
    assertEquals(w.lower.limitsOf(99), {});
    const plain = await w.accepted();
    assertEquals(w.lower.limitsOf(plain.id), {});
    const said = (sduBytesMax: number, sduBytesWhole: number) => {
      w.irmd.tamper = (reply) => ({
        ...reply,
        flowInfo: { ...reply.flowInfo!, sduBytesMax, sduBytesWhole },
      });
    };
    w.irmd.cipherNid = 901; // aes-256-gcm: what it adds is the flow's
    said(1400, 1400);
    const whole = await w.accepted();
    assert(whole.messageBytesMax < 1400);
    assertEquals(w.lower.limitsOf(whole.id), { sduBytesMax: whole.messageBytesMax });
    said(9000, 1400);
    const cut = await w.accepted();
    const added = 9000 - cut.messageBytesMax;
    assertEquals(w.lower.limitsOf(cut.id), {
      sduBytesMax: cut.messageBytesMax,
      sduBytesWhole: 1400 - added,
    });
  },
);

lowerTest(
  "at the end flows are given back, the worker's too, and nobody waits for more",
  async (w) => {
    const [held, away] = [await w.accepted(), await w.accepted()];
    w.lower.handOver(away.id);
    const shared = w.lower.share();
    const words = new Int32Array(shared.words);
    // The library's queue and that of the data worker.
    assertEquals(words[ThreadWords.QUEUES]! & (1 | (1 << DATA_QUEUE)), 1 | (1 << DATA_QUEUE));
    assertEquals([shared.pid, shared.prefix], [PID, w.irmd.instance.prefix]);
    w.lower.close();
    await w.accepting;
    assert(held.hasEnded() && away.hasEnded());
    assertEquals(w.heard.filter((line) => !line.startsWith("accepted")), []);
    await until("no acceptor", () => w.irmd.accepting.length === 0);
  },
);
