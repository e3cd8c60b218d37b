// deno-lint-ignore-file no-console -- a program, which prints
/**
 * Processes of tests/bench/security_flow.ts: busy loops on both ends of a direct flow.
 *
 *     serve                  answers questions and swallows floods, flow after flow
 *     rtt DST BYTES N        best round of N round trips, ns each
 *     flood DST BYTES N      N messages one way, Gbit/s as the receiver counts
 *     alloc DST N            median time of N allocations, ms
 */

import { Flow, OuroProcess } from "../../lib/mod.ts";

const [role, dst, bytesWord, countWord] = Deno.args;
const NO_WAIT = { nonblock: true };
/** Stop signs are of this length, longer than any question. */
const STOP_BYTES = 2000;

const process = OuroProcess.open({ prog: "security_flow_peer" });

function send(flow: Flow, message: Uint8Array): void {
  while (flow.writeSync(message, NO_WAIT) < 0);
}

/** The next message's length; negative when the flow is down. */
function receive(flow: Flow, into: Uint8Array<ArrayBuffer>): number {
  for (;;) {
    const n = flow.readSync(into, NO_WAIT);
    if (n !== -11) return n;
  }
}

function serve(): void {
  console.log("ready");
  const buffer = new Uint8Array(4096);
  for (;;) {
    const flow = Flow.acceptSync(process);
    const first = receive(flow, buffer);
    if (first === 1) {
      for (let n = 0; (n = receive(flow, buffer)) > 0 && n !== STOP_BYTES;) {
        send(flow, n === buffer.length ? buffer : buffer.subarray(0, n));
      }
    } else if (first === 2) {
      let total = 0;
      const start = performance.now();
      for (let n = 0; (n = receive(flow, buffer)) > 0 && n !== STOP_BYTES;) total += n;
      const seconds = (performance.now() - start) / 1000;
      send(flow, new TextEncoder().encode(String((total * 8) / seconds / 1e9)));
      receive(flow, buffer);
    }
    flow.deallocSync();
  }
}

function rtt(bytes: number, count: number): number {
  const flow = Flow.allocSync(process, dst!);
  const message = new Uint8Array(bytes);
  const buffer = new Uint8Array(4096);
  send(flow, new Uint8Array(1));
  let best = Infinity;
  for (let round = 0; round < 10; round++) {
    const start = performance.now();
    for (let i = 0; i < count / 10; i++) {
      send(flow, message);
      receive(flow, buffer);
    }
    best = Math.min(best, ((performance.now() - start) * 1e6) / (count / 10));
  }
  send(flow, new Uint8Array(STOP_BYTES));
  flow.deallocSync();
  return best;
}

function flood(bytes: number, count: number): number {
  const flow = Flow.allocSync(process, dst!);
  const message = new Uint8Array(bytes);
  const buffer = new Uint8Array(4096);
  send(flow, new Uint8Array(2));
  for (let i = 0; i < count; i++) send(flow, message);
  send(flow, new Uint8Array(STOP_BYTES));
  const n = receive(flow, buffer);
  const rate = Number(new TextDecoder().decode(buffer.subarray(0, n)));
  flow.deallocSync();
  return rate;
}

function alloc(count: number): number {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    const flow = Flow.allocSync(process, dst!);
    times.push(performance.now() - start);
    send(flow, new Uint8Array(3));
    flow.deallocSync();
  }
  return times.sort((a, b) => a - b)[count >> 1]!;
}

if (role === "serve") serve();
else if (role === "rtt") console.log(rtt(Number(bytesWord), Number(countWord)));
else if (role === "flood") console.log(flood(Number(bytesWord), Number(countWord)));
else console.log(alloc(Number(bytesWord)));
