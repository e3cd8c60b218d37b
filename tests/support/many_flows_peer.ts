// deno-lint-ignore-file no-console -- a program, which prints
/**
 * The client of many_flows_test.ts: opens many flows to a name whose server answers every message, keeps one message on
 * its way on each of them, and prints a JSON line ({@linkcode Figures}).
 *
 * Arguments: name, flows, messages of each flow.
 */

import { Flow, OuroProcess } from "../../lib/mod.ts";

export interface Figures {
  readonly opened: number;
  /** Answers of each flow at the moment when half of all had come. */
  readonly halfway: readonly number[];
  /** And when all had. */
  readonly all: readonly number[];
  readonly seconds: { readonly open: number; readonly use: number; readonly close: number };
}

/** Flows that are being opened, or closed, at once. */
const AT_ONCE = 4;
const PATIENCE_MS = 600_000;

const [name, flowsText, messagesText] = Deno.args as [string, string, string];
const count = Number(flowsText);
const messages = Number(messagesText);

/** Do something for each of `n`, some at once. */
async function forAll(n: number, one: (i: number) => Promise<void>): Promise<number> {
  const startMs = performance.now();
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < n) await one(next++);
  }));
  return (performance.now() - startMs) / 1000;
}

const process = OuroProcess.current();
const flows: Flow[] = [];
const open = await forAll(count, async (i) => {
  flows[i] = await Flow.alloc(process, name, { qos: "data", timeoutMs: PATIENCE_MS });
});

const answers = new Array<number>(count).fill(0);
let total = 0;
let halfway: number[] = [];
async function use(flow: Flow, i: number): Promise<void> {
  for (let k = 0; k < messages; k++) {
    await flow.write(Uint8Array.of(i, i >>> 8, k), { timeoutMs: PATIENCE_MS });
    const got = await flow.read({ timeoutMs: PATIENCE_MS });
    if (got.length !== 3 || got[0] !== (i & 255) || got[1] !== i >>> 8 || got[2] !== k) {
      throw new Error(`flow ${i}, message ${k}: got ${got}`);
    }
    answers[i]! += 1;
    if (++total === Math.ceil(count * messages / 2)) halfway = [...answers];
  }
}
const startMs = performance.now();
await Promise.all(flows.map(use));
const used = (performance.now() - startMs) / 1000;
const close = await forAll(count, (i) => flows[i]!.dealloc());
const figures: Figures = {
  opened: flows.length,
  halfway,
  all: answers,
  seconds: { open, use: used, close },
};
console.log(JSON.stringify(figures));
