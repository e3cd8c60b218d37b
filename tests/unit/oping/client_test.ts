/** The client's loops over a flow and clocks of our own: losses, time-outs, ends. No process, no wait. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Errno } from "../../../lib/errno.ts";
import { makeReply } from "../../../lib/wire/oping_msg.ts";
import { Client, type PingFlow } from "../../../oping/client.ts";
import { type ClientOptions, parseOptions } from "../../../oping/options.ts";
import { Output } from "../../../oping/output.ts";

const RTT_NS = 50_000;

/** A world with one server; time moves by what is waited for. */
class World implements PingFlow {
  readonly fd = 64;
  nowNs = 1e12;
  text = "";
  sent = 0;
  /** What becomes of request number n: answered, lost, or the flow goes down. */
  fate: (n: number) => "answer" | "lose" | "down" | "late" = () => "answer";
  writeResult: (n: number) => number = (n) => n;
  /** How far the time of day is from the monotonic clock, ns. */
  clockOffNs = 0;
  #down = false;
  readonly #replies: { atNs: number; bytes: Uint8Array }[] = [];
  onTurn: (() => void) | undefined;

  writeSync(bytes: Uint8Array): number {
    const result = this.writeResult(bytes.length);
    if (result < 0) return result;
    const fate = this.fate(this.sent++);
    if (fate === "down") this.#down = true;
    if (fate === "answer" || fate === "late") {
      const reply = bytes.slice();
      makeReply(reply, 0);
      const delayNs = fate === "late" ? 3e9 : RTT_NS;
      this.#replies.push({ atNs: this.nowNs + delayNs, bytes: reply });
      this.#replies.sort((a, b) => a.atNs - b.atNs);
    }
    return bytes.length;
  }

  readSync(
    into: Uint8Array<ArrayBuffer>,
    options?: { timeoutMs?: number; nonblock?: boolean },
  ): number {
    const waitNs = options?.nonblock ? 0 : (options?.timeoutMs ?? Infinity) * 1e6;
    const next = this.#replies[0];
    if (next !== undefined && next.atNs <= this.nowNs + waitNs) {
      this.nowNs = Math.max(this.nowNs, next.atNs);
      this.#replies.shift();
      into.set(next.bytes);
      return next.bytes.length;
    }
    if (this.#down) return -Errno.EFLOWDOWN;
    this.nowNs += options?.nonblock ? 1000 : waitNs;
    return options?.nonblock ? -Errno.EAGAIN : -Errno.ETIMEDOUT;
  }

  client(...words: string[]): Client {
    const options = parseOptions(["-n", "srv", ...words]) as ClientOptions;
    const out = new Output({
      writeSync: (bytes) => {
        this.text += new TextDecoder().decode(bytes);
        return bytes.length;
      },
    });
    return new Client(options, this, out, {
      monotonicNs: () => this.nowNs,
      realtimeNs: () => BigInt(Math.round(this.nowNs + this.clockOffNs)),
      turn: () => {
        this.onTurn?.();
        return Promise.resolve();
      },
    }, "0");
  }
}

/** The process does not run for so long after request number n. */
function stopAfter(world: World, n: number, ns: number): void {
  const write = world.writeSync.bind(world);
  world.writeSync = (bytes) => {
    const written = write(bytes);
    if (world.sent === n) world.nowNs += ns;
    return written;
  };
}

Deno.test("Client: after a stop it goes on in its pace, not with all that it would have sent", async () => {
  const world = new World();
  const stoppedNs = 60e9;
  stopAfter(world, 10, stoppedNs);
  const startNs = world.nowNs;
  const { replies } = await world.client("-c", "1000", "-i", "10").ping();
  assertEquals(replies, 1000);
  // But for 100 ms, as long as without the stop.
  assert(world.nowNs - startNs > stoppedNs + 1000 * 10e6 - 200e6);
});

Deno.test("Client: a reply that came while it did not run is no time-out", async () => {
  const world = new World();
  stopAfter(world, 3, 60e9);
  assertEquals((await world.client("-c", "3", "-i", "10").ping()).replies, 3);
  assertEquals(world.text.includes("timed out"), false);
});

Deno.test("Client: requests leave on the schedule, the first after one interval", async () => {
  const world = new World();
  const startNs = world.nowNs;
  await world.client("-c", "3", "-i", "100").ping();
  assertEquals(world.nowNs - startNs, 300e6 + RTT_NS);
  assertStringIncludes(world.text, "3 packets transmitted, 3 received, 0 out-of-order, 0% ");
});

Deno.test("Client: setting the time of day during a run changes no result", async () => {
  for (const json of [[], ["--json"]]) {
    const texts = [0, -3600e9, 3600e9].map(async (jumpNs) => {
      const world = new World();
      world.onTurn = () => world.clockOffNs = jumpNs;
      await world.client("-c", "3", "-i", "100", ...json).ping();
      return world.text;
    });
    const [plain, back, forth] = await Promise.all(texts);
    assertMatch(plain!, json.length > 0 ? /"received":3/ : /time: 300\.\d+ ms/);
    assertEquals([back, forth], [plain, plain]);
  }
});

Deno.test("Client: a lost reply in the middle does not end the run", async () => {
  const world = new World();
  world.fate = (n) => n === 1 ? "lose" : "answer";
  const ending = await world.client("-c", "4", "-i", "100").ping();
  assertStringIncludes(world.text, "4 packets transmitted, 3 received, 0 out-of-order, 25% ");
  assertEquals(ending.replies, 3);
});

Deno.test("Client: a run goes on through a gap after replies, unless a time-out was asked for", async () => {
  const gap = (n: number) => n >= 2 && n < 60 ? "lose" : "answer";
  const world = new World();
  world.fate = gap;
  const ending = await world.client("-c", "62", "-i", "100").ping();
  assertStringIncludes(world.text, "62 packets transmitted, 4 received, ");
  assertEquals([ending.replies, ending.cut], [4, false]);
  const hasty = new World();
  hasty.fate = gap;
  await hasty.client("-c", "62", "-i", "100", "--timeout", "1s").ping();
  assertStringIncludes(hasty.text, "Server timed out.\n");
});

Deno.test("Client: a silent server ends the run after the time-out", async () => {
  const world = new World();
  world.fate = () => "lose";
  const startNs = world.nowNs;
  const ending = await world.client("-c", "1000", "-i", "1s").ping();
  assertEquals(Math.round((world.nowNs - startNs) / 1e6), 3000);
  assertEquals(ending, {
    replies: 0,
    sent: 3,
    cut: false,
    error: "Server timed out.",
  });
  assertStringIncludes(world.text, "Server timed out.\n\n--- srv");
});

Deno.test("Client: the wait after the last request is 2 s however long the interval", async () => {
  const world = new World();
  world.fate = (n) => n === 2 ? "lose" : "answer";
  const startNs = world.nowNs;
  await world.client("-c", "3", "-i", "10s").ping();
  assertEquals(Math.round((world.nowNs - startNs) / 1e6), 32_000);
});

Deno.test("Client: a flow that goes down ends the run at once", async () => {
  const world = new World();
  world.fate = (n) => n === 1 ? "down" : "answer";
  const startNs = world.nowNs;
  const ending = await world.client("-c", "100", "-i", "10").ping();
  assert(world.nowNs - startNs < 30e6);
  assertEquals(ending.error, "Failed to read packet: -1005: flow is down");
  assertStringIncludes(world.text, "Failed to read packet.\n");
});

Deno.test("Client: a request that cannot be sent ends the run and counts as sent", async () => {
  const world = new World();
  world.writeResult = (n) => world.sent === 1 ? -Errno.EFLOWDOWN : n;
  await world.client("-c", "5", "-i", "10").ping();
  assertStringIncludes(world.text, "Failed to send packet.\n");
  assertStringIncludes(world.text, "2 packets transmitted, 1 received");
});

Deno.test("Client: a full ring delays requests and loses none", async () => {
  const world = new World();
  let refusals = 3;
  world.writeResult = (n) => refusals-- > 0 ? -Errno.EAGAIN : n;
  await world.client("-c", "2", "-i", "10").ping();
  assertStringIncludes(world.text, "2 packets transmitted, 2 received");
});

Deno.test("Client: stop() in the middle prints the statistics of what was done", async () => {
  const world = new World();
  const client = world.client("-i", "100");
  world.onTurn = () => {
    if (client.run.received === 3) client.stop();
  };
  const ending = await client.ping();
  assertEquals(ending, { replies: 3, sent: 3, cut: false, error: undefined });
  assertStringIncludes(world.text, "3 packets transmitted, 3 received, 0 out-of-order, 0% ");
});

for (const flag of ["-f", "-F"]) {
  Deno.test(`Client ${flag}: a lost reply is counted and the flood goes on`, async () => {
    const world = new World();
    world.fate = (n) => n === 2 ? "lose" : "answer";
    await world.client("-c", "5", flag, "-Q").ping();
    assertStringIncludes(world.text, "5 packets transmitted, 4 received, 0 out-of-order, 20% ");
  });

  Deno.test(`Client ${flag}: a late reply is not taken for the next one`, async () => {
    const world = new World();
    world.fate = (n) => n === 2 ? "late" : "answer";
    const client = world.client("-c", "2000000", "-d", "5s", flag, "-Q");
    await client.ping();
    assertEquals(client.run.received, client.run.sent);
    assertEquals(client.run.duplicates, 0);
  });

  Deno.test(`Client ${flag}: three time-outs in a row end the flood`, async () => {
    const world = new World();
    world.fate = () => "lose";
    const ending = await world.client(flag, "-Q").ping();
    assertEquals(world.sent, 3);
    assertEquals(ending.error, "Server timed out.");
  });

  Deno.test(`Client ${flag}: stop() ends a wait for a reply that never comes`, async () => {
    const world = new World();
    world.fate = () => "lose";
    const client = world.client(flag, "-Q", "--timeout", "1h");
    world.onTurn = () => client.stop();
    const ending = await client.ping();
    assertEquals([world.sent, ending.replies], [1, 0]);
  });

  Deno.test(`Client ${flag}: a duration ends the flood`, async () => {
    const world = new World();
    const startNs = world.nowNs;
    await world.client(flag, "-Q", "-d", "1s").ping();
    const ms = (world.nowNs - startNs) / 1e6;
    assert(ms >= 1000 && ms < 1010, String(ms));
  });
}

Deno.test("Client: --deadline ends a run in any case", async () => {
  const world = new World();
  const startNs = world.nowNs;
  await world.client("-i", "100", "--deadline", "1s").ping();
  assert(world.nowNs - startNs < 1.2e9);
});

Deno.test("Client: --report prints each interval, not what was since the start", async () => {
  const world = new World();
  await world.client("-c", "10", "-i", "100", "-Q", "--report", "250").ping();
  const lines = [...world.text.matchAll(
    /^(\d\.\d{3})-(\d\.\d{3}) s: (\d+) packets transmitted, (\d+) received(, rtt avg \d+\.\d{3} .?s)?$/gm,
  )];
  assertEquals(lines.length, 4, world.text);
  assertEquals(lines.map(([, from]) => from), ["0.000", ...lines.slice(0, -1).map((l) => l[2])]);
  const sent = lines.reduce((sum, line) => sum + Number(line[3]), 0);
  // The last request leaves with the last report, at the earliest.
  assert(sent === 9 || sent === 10, world.text);
});

Deno.test("Client: the document says whether the run was cut short", async () => {
  const complete = async (stop: boolean, ...words: string[]) => {
    const world = new World();
    const client = world.client(...words, "--json");
    if (stop) client.stop();
    await client.ping();
    return JSON.parse(world.text).complete;
  };
  assertEquals(await complete(false, "-c", "3", "-i", "10"), true);
  assertEquals(await complete(true, "-c", "3", "-i", "10"), false);
  assertEquals(await complete(true, "-i", "10"), true); // Until interrupted.
  assertEquals(await complete(false, "-c", "100", "-i", "100", "--deadline", "1s"), false);
});

Deno.test("Client: --json prints one document with whole ns", async () => {
  const world = new World();
  world.fate = (n) => n === 1 ? "lose" : "answer";
  await world.client("-c", "3", "-i", "100", "--json").ping();
  const document = JSON.parse(world.text);
  assertEquals(
    [document.tool, document.name, document.sent, document.received, document.duplicates],
    ["oping", "srv", 3, 2, 0],
  );
  assertEquals(document.rtt.min, RTT_NS);
  assertEquals(document.interval_ns, 100e6);
  assertEquals(document.packets.map((p: { id: number }) => p.id), [0, 2]);
  assertEquals(document.packets[0].rtt, RTT_NS);
  assertEquals(/"start":\d+,/.test(world.text), true);
  assertEquals(world.text.trimEnd().includes("\n"), false);
});

Deno.test("Client: --stats adds percentiles and a histogram", async () => {
  const world = new World();
  await world.client("-c", "3", "-i", "100", "--stats").ping();
  assertStringIncludes(world.text, "rtt p50/p90/p99/p99.9 = 50.000/50.000/50.000/50.000 µs\n");
  assertStringIncludes(world.text, "32 µs - 64 µs |########################################| 3\n");
});
