// deno-lint-ignore-file no-console -- a program, which prints
/**
 * The client of many_flows_test.ts: opens many flows to a name whose server answers every message, has them take turns
 * with a message, and prints a JSON line ({@linkcode Figures}).
 *
 * Arguments: name, flows, messages of each flow.
 */

import { Flow, OuroError, OuroProcess } from "../../lib/mod.ts";

export interface Figures {
  readonly opened: number;
  /** Answers of each flow at the moment when half of all had come. */
  readonly halfway: readonly number[];
  /** And when all had. */
  readonly all: readonly number[];
  readonly seconds: { readonly open: number; readonly use: number; readonly close: number };
}

/** Messages on their way at once: more than the ring of a flow below takes would be lost, and sent again. */
const WINDOW = 256;
/** Flows that are being opened, or closed, at once. */
const AT_ONCE = 4;
const PATIENCE_MS = 600_000;
const TRIES_MAX = 10;

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
  // On a busy host an acceptor may be late.
  for (let tries = 0; flows[i] === undefined; tries++) {
    try {
      flows[i] = await Flow.alloc(process, name, { qos: "data", timeoutMs: PATIENCE_MS });
    } catch (e) {
      if (!(e instanceof OuroError) || tries === TRIES_MAX) throw e;
    }
  }
});

const answers = new Array<number>(count).fill(0);
let total = 0;
let halfway: number[] = [];
let free = WINDOW;
const waiting: (() => void)[] = [];
/** Waits for a turn, as long as all others that wait already. */
async function turn(): Promise<void> {
  if (free > 0) free -= 1;
  else await new Promise<void>((go) => waiting.push(go));
}
function over(): void {
  const next = waiting.shift();
  if (next === undefined) free += 1;
  else next();
}

async function use(flow: Flow, i: number): Promise<void> {
  for (let k = 0; k < messages; k++) {
    await turn();
    await flow.write(Uint8Array.of(i, i >>> 8, k), { timeoutMs: PATIENCE_MS });
    const got = await flow.read({ timeoutMs: PATIENCE_MS });
    if (got.length !== 3 || got[0] !== (i & 255) || got[1] !== i >>> 8 || got[2] !== k) {
      throw new Error(`flow ${i}, message ${k}: got ${got}`);
    }
    over();
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
