// A node of the flow library's tests: the IRMd's double and two processes over real shared memory.

import { assertEquals } from "@std/assert";
import { instanceOf } from "../../lib/instance.ts";
import { type Flow, type OuroProcess, QOS, type QosSpec } from "../../lib/mod.ts";
import { Mapping, ShmObject } from "../../lib/sys/mman.ts";
import { FakeIrmd } from "./memory_irmd.ts";
import { removeShm } from "./shm.ts";

let counter = 0;

export interface FlowNode {
  irmd: FakeIrmd;
  a: OuroProcess;
  b: OuroProcess;
  pair(qos?: QosSpec): [Flow, Flow];
}

/** Two processes on a node of their own; nothing may be left when `use` is done. */
export async function onNode(use: (f: FlowNode) => void | Promise<void>): Promise<void> {
  const instance = instanceOf(`/tmp/ouro-flow-test-${crypto.randomUUID()}-${counter++}`);
  const mappings = Mapping.live;
  try {
    const irmd = new FakeIrmd(instance);
    const a = irmd.open();
    const b = irmd.open();
    await use({ irmd, a, b, pair: (qos) => irmd.pair(a, b, qos ?? QOS.raw) });
    a.close();
    b.close();
    assertEquals(irmd.blocksInUse(), 0, "blocks left");
    irmd[Symbol.dispose]();
    assertEquals(Mapping.live, mappings, "mappings left");
    assertEquals(ShmObject.live, 0, "descriptors left");
  } finally {
    removeShm(instance);
  }
}

/** Events are kept alive by the runtime's own bookkeeping; the waiter thread outlives a test shortly. */
export function flowTest(name: string, use: (f: FlowNode) => void | Promise<void>): void {
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn: () => onNode(use) });
}

/** `n` bytes that count up from `first`. */
export const bytes = (n: number, first = 0) =>
  Uint8Array.from({ length: n }, (_, i) => (first + i) & 0xff);
