/**
 * Goodput of a reliable flow in virtual time, as a table of snapshots: the numbers are exact for a seed, so a change of the
 * retransmission rules shows here. OURO_UPDATE_SNAPSHOTS=1 writes throughput.json anew.
 *
 * The window allows 256 packets a round trip. Cumulative acknowledgements alone cannot reach that under loss (each window with
 * a loss costs another round trip, about half the rate at 1 %); see sender.ts for what is done about it.
 */
import { assert, assertEquals } from "@std/assert";
import { sound } from "./scenario.ts";
import { World } from "./world.ts";

const MESSAGES = 40_000;

interface Result {
  /** Share of what 256 packets a round trip allow. */
  share: number;
  /** Packets sent for one message. */
  cost: number;
}

function oneWay(loss: number, rttMs: number, seed: number, rate?: number): Result {
  const path = { delayUs: rttMs * 500, loss, ...(rate === undefined ? {} : { rate }) };
  const w = new World({
    seed: seed * 2, // even: the reader waits in the call
    reliable: true,
    ab: path,
    ba: { delayUs: rttMs * 500, loss },
    a: { messages: MESSAGES, bytesMax: 16, fixed: true },
    b: { messages: 0, bytesMax: 16 },
    make: sound,
  });
  w.run(Infinity);
  assert(w.b.delivered === MESSAGES, `delivered ${w.b.delivered}`);
  const seconds = (w.b.lastDeliveryUs - 1000e6) / 1e6;
  return {
    share: MESSAGES / seconds / (256 / (rttMs / 1000)),
    cost: w.a.packets / MESSAGES,
  };
}

/** Loss, RTT in ms, share of the window limit at least, packets a message at most. */
const TABLE = [
  [0, 20, 0.97, 1.01],
  [0.001, 20, 0.7, 1.3],
  [0.01, 20, 0.9, 2.2],
  [0.05, 20, 0.6, 3.3],
  [0.1, 20, 0.4, 3.6],
  [0.01, 100, 0.85, 2.2],
  [0.01, 2, 0.8, 2.2],
] as const;

const SNAPSHOT = new URL("throughput.json", import.meta.url);
const snapshot = JSON.parse(Deno.readTextFileSync(SNAPSHOT)) as Record<string, number[]>;
const update = Deno.env.get("OURO_UPDATE_SNAPSHOTS") !== undefined;

for (const [loss, rttMs, share, cost] of TABLE) {
  Deno.test(`FRCT goodput at ${loss * 100} % loss and ${rttMs} ms RTT is at least ${share} of the window`, () => {
    const seeds = [1, 2, 3];
    const results = seeds.map((seed) => oneWay(loss, rttMs, seed));
    const mean = (of: (r: Result) => number) =>
      Number((results.reduce((s, r) => s + of(r), 0) / seeds.length).toFixed(3));
    const [got, paid] = [mean((r) => r.share), mean((r) => r.cost)];
    assert(got >= share, `goodput is ${got} of the window, wanted ${share}`);
    assert(paid <= cost, `${paid} packets a message, wanted at most ${cost}`);
    const key = `${loss * 100} % loss, ${rttMs} ms: share of the window, packets a message`;
    if (update) {
      snapshot[key] = [got, paid];
      Deno.writeTextFileSync(SNAPSHOT, `${JSON.stringify(snapshot, null, 2)}\n`);
    }
    assertEquals([got, paid], snapshot[key], "the rules of retransmission changed what is sent");
  });
}
