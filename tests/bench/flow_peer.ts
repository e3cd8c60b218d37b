// deno-lint-ignore-file no-console -- a program, which prints
/**
 * One end of a flow for the benches, a process of its own against a real IRMd (`OURO_PREFIX`).
 *
 * Arguments: role (`client`, `server`, `allocs`), mode (`busy`, `block`, `oneway`), messages, bytes, and for clients the
 * name. The client (one-way: the server, which sees what arrives) prints one JSON line with its figures.
 */

import { Errno } from "../../lib/errno.ts";
import { Flow, OuroError, OuroProcess, QOS } from "../../lib/mod.ts";
import { rates, report, roundTrips } from "./figures.ts";

const [role, mode, countText, bytesText, name] = Deno.args as [
  string,
  string,
  string,
  string,
  string,
];
const count = Number(countText);
const bytes = Number(bytesText);
const NOW = { nonblock: true };
/** A busy machine gets fewer messages, not a bench without end, ms. */
const ENOUGH_MS = 10_000;

function must(n: number): number {
  if (n < 0) throw new Error(`flow: ${n}`);
  return n;
}

function pings(flow: Flow): void {
  const message = new Uint8Array(bytes);
  const into = new Uint8Array(2048);
  const options = mode === "busy" ? NOW : undefined;
  const once = () => {
    must(flow.writeSync(message));
    let n = flow.readSync(into, options);
    while (n === -Errno.EAGAIN) n = flow.readSync(into, options);
    must(n);
  };
  report(roundTrips(count, once, ENOUGH_MS));
}

function echo(flow: Flow): void {
  const into = new Uint8Array(2048);
  const message = new Uint8Array(bytes);
  const options = mode === "busy" ? NOW : undefined;
  for (;;) {
    let n = flow.readSync(into, options);
    while (n === -Errno.EAGAIN) n = flow.readSync(into, options);
    if (n === -Errno.EFLOWDOWN) return;
    must(n);
    if (flow.writeSync(message) === -Errno.EFLOWDOWN) return;
  }
}

/** Receives and reports packets a second, best and median of slices. */
function sink(flow: Flow): void {
  const into = new Uint8Array(2048);
  const slice = Math.floor(count / 100);
  const slices: number[] = [];
  let start = 0;
  for (let i = 0;; i++) {
    const n = flow.readSync(into);
    if (n === -Errno.EFLOWDOWN) break;
    must(n);
    if (i % slice !== 0) continue;
    const now = performance.now();
    if (i > 0) slices.push(slice / (now - start) * 1000);
    start = now;
  }
  report(rates(slices));
}

function source(flow: Flow): void {
  const message = new Uint8Array(bytes);
  const begin = performance.now();
  for (let i = 0; i < count; i++) {
    must(flow.writeSync(message));
    if ((i & 0xfff) === 0 && performance.now() > begin + ENOUGH_MS) break;
  }
}

const process = OuroProcess.open({ prog: "bench" });
if (role === "allocs") {
  const times: number[] = [];
  let failed = 0;
  const begin = performance.now();
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    try {
      Flow.allocSync(process, name, { qos: QOS.raw, timeoutMs: 10_000 }).deallocSync();
      times.push(performance.now() - start);
    } catch (e) {
      if (!(e instanceof OuroError)) throw e;
      console.error(e.message);
      failed += 1;
    }
  }
  const rate = times.length / (performance.now() - begin) * 1000;
  times.sort((a, b) => a - b);
  report({
    rate,
    median: times[times.length >> 1]!,
    p99: times[Math.floor(times.length * 0.99)]!,
    failed,
  });
} else if (role === "acceptor") {
  console.log("ready");
  for (;;) Flow.acceptSync(process).deallocSync();
} else if (role === "server") {
  console.log("ready");
  const flow = Flow.acceptSync(process);
  if (mode === "oneway") sink(flow);
  else echo(flow);
  flow.deallocSync();
} else {
  const flow = Flow.allocSync(process, name, { qos: QOS.raw });
  if (mode === "oneway") source(flow);
  else pings(flow);
  flow.deallocSync();
}
process.close();
