// deno-lint-ignore-file no-console -- a program, which prints
/**
 * One end of a flow over an IPCP for the benches, a process of its own against a real IRMd (`OURO_PREFIX`). Over UDP and
 * Ethernet nobody hears that the other end is done, and packets are lost, so servers go by time or are killed.
 *
 * Arguments: role (`client`, `server`), mode (`block`, `oneway`), messages, bytes, and for clients the name. The client
 * (one-way: the server) prints one JSON line with its figures.
 */

import { Flow, OuroProcess, QOS } from "../../lib/mod.ts";
import { rates, report, roundTrips } from "./figures.ts";

const [role, mode, countText, bytesText, name] = Deno.args as string[];
const count = Number(countText);
const message = new Uint8Array(Number(bytesText));
const into = new Uint8Array(2048);
/** A stream is measured this long, in slices. */
const STREAM_MS = 4000;
const SLICE_MS = 100;

function must(n: number): number {
  if (n < 0) throw new Error(`flow: ${n}`);
  return n;
}

function pings(flow: Flow): void {
  report(roundTrips(count, () => {
    must(flow.writeSync(message));
    must(flow.readSync(into, { timeoutMs: 5000 }));
  }));
}

function echo(flow: Flow): void {
  while (flow.readSync(into) >= 0) must(flow.writeSync(message));
}

function sink(flow: Flow): void {
  const slices: number[] = [];
  must(flow.readSync(into));
  const begin = performance.now();
  let start = begin;
  for (let now = begin; now < begin + STREAM_MS;) {
    let n = 0;
    for (; now < start + SLICE_MS; now = performance.now()) {
      for (let k = 0; k < 32; k++) must(flow.readSync(into));
      n += 32;
    }
    slices.push(n / (now - start) * 1000);
    start = now;
  }
  report(rates(slices));
}

const process = OuroProcess.open({ prog: "bench" });
if (role === "server") {
  console.log("ready");
  const flow = Flow.acceptSync(process);
  if (mode === "oneway") sink(flow);
  else echo(flow);
} else {
  const flow = Flow.allocSync(process, name!, { qos: QOS.raw });
  if (mode === "block") pings(flow);
  else while (flow.writeSync(message) >= 0);
  flow.deallocSync();
}
process.close();
