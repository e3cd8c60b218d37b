/**
 * The bench of unicast layers: round trips over eth-dix, over a unicast layer on it, over a second layer on that, and
 * through a chain of three, ours and the prototype's in the same run; what a relay costs; how soon a name can be reached.
 * Prints ratios and goals; asserts nothing.
 *
 *     deno run -A tests/bench/unicast.ts [link] [chain] [relay] [soon]
 *
 * Needs root for the namespaces and `OURO_PROTOTYPE` for its rows.
 */

import process from "node:process";
import { Counter, Order } from "../../ipcp/data/table.ts";
import { canRunPrototype } from "../interop/c_host.ts";
import { Chain } from "../support/mixed_chain.ts";
import { withRelay } from "../support/relay.ts";
import { line } from "./figures.ts";

const PINGS = Deno.env.get("BENCH_PINGS") ?? "5000";

/** One request after the other, and one a millisecond, where every hop has gone to sleep. */
const PACES = [["back to back", "-f", "-c", PINGS], ["1 a ms", "-c", "2000", "-i", "1"]] as const;

/** Median round trip from host `from` to a server that has `name`, µs. */
async function roundTrip(chain: Chain, from: number, name: string, pace: readonly string[]) {
  const host = chain.hosts[from]!;
  await host.run(host.tool("irm", "name", "create", name));
  const r = await host.run(host.tool("oping", "-n", name, ...pace));
  const times = [...r.out.matchAll(/time=([\d.]+) (ms|µs)/g)]
    .map((m) => Number(m[1]) * (m[2] === "ms" ? 1000 : 1)).sort((a, b) => a - b);
  if (times.length === 0) throw new Error(r.out + r.err);
  return times[times.length >> 1]!;
}

type Kind = "ouro" | "c";
const KINDS: readonly Kind[] = canRunPrototype ? ["c", "ouro"] : ["ouro"];
const who = (kind: Kind) => kind === "c" ? "prototype" : "ours";

/** eth-dix, unicast over it, and unicast over that, on the same two hosts. */
async function linkPart(): Promise<void> {
  const theirs = new Map<string, number>();
  for (const kind of KINDS) {
    await using chain = await Chain.make([kind, kind]);
    await chain.hosts[0]!.serve("plain", "lan0");
    await chain.layer();
    await chain.ping(1, 0);
    const depths: [string, string][] = [["eth-dix", "plain"], ["unicast over eth-dix", "ping.0"]];
    if (kind === "ouro") {
      await chain.above();
      depths.push(["unicast over unicast", "high.0"]);
    }
    for (const [words, ...pace] of PACES) {
      let below: number | undefined;
      for (const [depth, name] of depths) {
        const t = await roundTrip(chain, 1, name, pace);
        const notes: string[] = [];
        if (below !== undefined) notes.push(`${(t / below).toFixed(2)} of the layer below`);
        const c = theirs.get(depth + words);
        if (c !== undefined) notes.push(`${(t / c).toFixed(2)} of the prototype's`);
        line(`${depth}, ${words}, ${who(kind)}`, `${t.toFixed(0)} µs`, notes.join(", "));
        if (kind === "c") theirs.set(depth + words, t);
        below = t;
      }
    }
  }
}

/** Through one relay. */
async function chainPart(): Promise<void> {
  for (const kind of KINDS) {
    await using chain = await Chain.make([kind, kind, kind]);
    await chain.layer();
    await chain.ping(2, 0);
    for (const [words, ...pace] of PACES) {
      const t = await roundTrip(chain, 2, "ping.0", pace);
      line(`chain of three, ${words}, ${who(kind)}`, `${t.toFixed(0)} µs`);
    }
  }
}

/** Packets that wait when a relay looks. */
const WAITING = 256;

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** µs of the processor for each of `packets` that a relay passes on; who fills and empties the rings is not counted. */
function relayUs(packets: number): number {
  let us = NaN;
  withRelay((relay, m, left, right, packet) => {
    let othersUs = 0;
    const passed = () => m.counters[Counter.copies]!;
    relay.between = () => {
      const from = cpuUs();
      while (right.rx.queued() > 0) right.app.pool.remove(right.rx.read());
      right.app.events();
      if (passed() >= packets) m.order(Order.stop, 0);
      else if (left.tx.queued() === 0) { for (let k = 0; k < WAITING; k++) left.write(packet); }
      othersUs += cpuUs() - from;
    };
    const from = cpuUs();
    relay.run();
    us = (cpuUs() - from - othersUs) / passed();
  });
  return us;
}

/** Ring to ring, in this process. */
function relayPart(): void {
  const us = Math.min(...[1, 2, 3, 4].map(() => relayUs(100_000)));
  const cost = `${us.toFixed(2)} µs of CPU each (goal: 500000/s)`;
  line("a relay of 64 B, ring to ring", `${Math.round(1e6 / us)} packets/s`, cost);
}

/** How soon a chain of five is whole after the last connect, and a new name can be reached from its other end. */
async function soonPart(): Promise<void> {
  await using chain = await Chain.make(["ouro", "ouro", "ouro", "ouro", "ouro"]);
  await chain.layer();
  let start = performance.now();
  for (const i of [0, 4]) await chain.hosts[i]!.must("irm", "wait", "layer", "net", "members", "5");
  const whole = performance.now() - start;
  line("chain of five whole after the last connect", `${whole.toFixed(0)} ms`, "(goal: 2000)");
  await chain.hosts[0]!.must("irm", "name", "create", "fresh");
  await chain.hosts[0]!.must("irm", "name", "reg", "fresh", "layer", "net");
  start = performance.now();
  await chain.hosts[4]!.must("irm", "wait", "name", "fresh");
  const reached = performance.now() - start;
  line("a name known at its other end after reg", `${reached.toFixed(0)} ms`, "(goal: 1000)");
}

const parts = Deno.args.length > 0 ? Deno.args : ["link", "chain", "relay", "soon"];
for (const part of parts) {
  if (part === "link") await linkPart();
  else if (part === "chain") await chainPart();
  else if (part === "relay") relayPart();
  else if (part === "soon") await soonPart();
  else throw new Error(`Cannot bench ${part}: there is no such part`);
}
