/**
 * operf, oecho, ocbr, obc and ovpn as processes on a node: the vectors that need a daemon (`cli.` up to
 * the flow, `live.`, `srv.`, `pkt.`), and what these tools do beyond the prototype.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createSocket } from "node:dgram";
import { Flow } from "../../lib/flow/flow.ts";
import { OuroProcess } from "../../lib/flow/process.ts";
import { type ToolCase, toolCases } from "../unit/tools/vectors.ts";
import { encodeGreeting } from "../../tools/operf/protocol.ts";
import { DEADLINE_MS, until } from "../support/deadline.ts";
import { ouro, TestNode } from "../support/node.ts";
import { canMakeTun } from "../support/tun.ts";
import { textOf } from "../support/hex.ts";

const cases = toolCases();
/** Where the data of a UDP datagram without IP options begins. */
const UDP_DATA = 28;
/** How long a reply that must not come is waited for, ms. */
const NO_REPLY_MS = 200;
/** Names under which the vectors reach each tool. */
const NAMES: Readonly<Record<string, string>> = { operf: "perf", ocbr: "cbr", oecho: "oecho" };

async function nodeWithNames(): Promise<TestNode> {
  const node = await TestNode.start();
  const admin = node.admin();
  for (const [tool, name] of Object.entries(NAMES)) await admin.bindProgram([tool], name, false);
  return node;
}

/** This process on a node. */
function joinNode(node: TestNode): OuroProcess {
  return OuroProcess.open({ instance: node.instance, prog: "tools-test" });
}

/** Makes this process the server of a name. */
async function serveName(node: TestNode, name: string): Promise<void> {
  await node.admin().bindProcess(Deno.pid, name);
}

Deno.test("the tools end at a name that is not known as the prototype does", async (t) => {
  await using node = await TestNode.start();
  for (const one of cases.get("cli")!) {
    const out = textOf(one.hex);
    if (one.input.irmd === false || !/Failed to (allocate|join)/.test(out)) continue;
    // Half a number is refused before anything is asked for (tests/unit/tools/vectors_test.ts).
    if (
      one.input.argv!.some((word) => /^[0-9]+[kMG][A-Za-z]{3,}$/.test(word) && !/bit$/.test(word))
    ) continue;
    const argv = [...one.input.argv!];
    await t.step({
      name: one.name,
      ignore: argv[0] === "ovpn" && Deno.uid() !== 0,
      fn: async () => {
        const got = await node.run(argv);
        assertEquals(got.out, out, got.err);
        assertEquals(got.code, one.exit_code);
        assertMatch(
          got.err,
          /^([^\n]*means[^\n]*\n)?Failed to (allocate flow|join[^:]*): -\d+: .+\n$/,
        );
      },
    });
  }
});

Deno.test("the tools without an IRMd say so in one line; --help needs none", async () => {
  await using node = await TestNode.start({ idle: true });
  for (const tool of ["operf", "oecho", "ocbr", "obc", "ovpn"]) {
    const help = await node.run([tool, "--help"]);
    assertEquals([help.code, help.err], [0, ""], tool);
    assertStringIncludes(help.out, "Usage: ");
  }
  const got = await node.run(["oecho"]);
  assertEquals([got.code, got.out], [1, ""]);
  assertMatch(got.err, /^FATAL: Could not announce to IRMd\.\nFailed to start: -1002: .+\n$/);
});

for (const one of cases.get("live")!) {
  const { processes } = one.input;
  if (!processes) continue; // The reader of obc, below.
  Deno.test(`${one.name} as the prototype runs it`, async () => {
    await using node = await nodeWithNames();
    const servers = processes.filter(({ argv }) => argv.includes("-l"));
    const clients = processes.filter(({ argv }) => !argv.includes("-l"));
    const running = servers.map(({ argv }) => node.spawn([...argv]));
    for (const server of running) await server.waitForLine(/\n/);
    for (const { argv, exit_code, stdout_regex } of clients) {
      const got = await node.run([...argv]);
      assertMatch(got.out, new RegExp(stdout_regex), got.err);
      assertEquals(got.code, exit_code);
    }
    for (const [i, { stdout_regex }] of servers.entries()) {
      const pattern = new RegExp(stdout_regex);
      await running[i]!.waitForLine(pattern, undefined, "out");
      // The prototype's server dies of the signal; ours ends in good order.
      assertEquals((await running[i]!.stop("SIGTERM")).code, 0);
    }
  });
}

for (const one of cases.get("srv")!) {
  Deno.test(`${one.name} as the prototype serves it`, async () => {
    await using node = await nodeWithNames();
    const tool = one.name.split(".")[1]!;
    const server = node.spawn([tool, "-l"]);
    await server.waitForLine(/\n/);
    using process = joinNode(node);
    const flow = await Flow.alloc(process, NAMES[tool]!);
    const exchanges = one.input.exchanges ??
      [{ sent_hex: one.input.sent_hex!, reply_hex: one.hex }];
    for (const { sent_hex, reply_hex } of exchanges) {
      assert(flow.writeSync(Uint8Array.fromHex(sent_hex)) >= 0);
      const reply = await flow.read({ timeoutMs: reply_hex === null ? NO_REPLY_MS : DEADLINE_MS })
        .catch(() => null);
      assertEquals(reply, reply_hex === null ? null : Uint8Array.fromHex(reply_hex));
    }
    if (one.server_stdout_hex !== undefined) {
      const wanted = textOf(one.server_stdout_hex);
      await server.waitForLine(new RegExp(wanted.replace(/[.$()]/g, "\\$&")));
      assert(server.out.startsWith(wanted), server.out);
    }
    await flow.dealloc();
  });
}

/** Command lines whose packets go to the name `dump`. */
async function packetsOf(argv: readonly string[], n: number): Promise<Uint8Array[]> {
  await using node = await TestNode.start();
  using process = joinNode(node);
  const name = argv.includes("-n") ? argv[argv.indexOf("-n") + 1]! : "oecho";
  await serveName(node, name);
  const client = node.spawn([...argv]);
  const flow = await Flow.accept(process, { timeoutMs: DEADLINE_MS });
  const packets: Uint8Array[] = [];
  while (packets.length < n) packets.push(await flow.read({ timeoutMs: DEADLINE_MS }));
  await client.stop("SIGINT");
  await flow.dealloc();
  return packets;
}

/** How a packet of `pkt.` is had: the command line (ours have no inverted duration), which packet. */
function packetCase(one: ToolCase): { argv: readonly string[]; index: number } {
  const argv = one.input.argv ?? ["oecho"];
  const bytes = Uint8Array.fromHex(one.hex);
  switch (argv[0]) {
    case "oecho":
      return { argv, index: 0 };
    case "operf": {
      const at = argv.indexOf("-d");
      const own = argv.map((word, i) => at >= 0 && i === at + 1 ? "10s" : word);
      // The configuration comes first, then numbered data.
      return { argv: own, index: bytes.length === 4 ? 0 : 1 + bytes[0]! };
    }
    case "ocbr":
      return { argv, index: bytes[0]! };
    default:
      throw new Error(`${one.name}: unknown tool ${argv[0]}`);
  }
}

for (const one of cases.get("pkt")!) {
  if (/^pkt\.(obc|ovpn)/.test(one.name)) continue; // Below.
  Deno.test(`${one.name} is what the tool sends`, async () => {
    const how = packetCase(one);
    const packets = await packetsOf(how.argv, how.index + 1);
    const wanted = Uint8Array.fromHex(one.hex);
    const got = packets[how.index]!;
    // Some give only the beginning of a long packet.
    const beginning = how.argv[0] === "ocbr" && !how.argv.includes("-s");
    assertEquals(beginning ? got.subarray(0, wanted.length) : got, wanted);
  });
}

Deno.test("obc sends the packets of the vectors and prints what others send", async (t) => {
  await using node = await TestNode.start();
  const words = ["ipcp", "bootstrap", "name", "bc", "type", "broadcast", "layer", "bcl"];
  const made = await node.run(["irm", ...words]);
  assertEquals(made.code, 0, made.out + made.err);
  for (const one of cases.get("pkt")!.filter(({ name }) => name.startsWith("pkt.obc"))) {
    await t.step({
      name: one.name,
      fn: async () => {
        using process = joinNode(node);
        const flow = await Flow.join("bcl", { process });
        assertEquals((await node.run([...one.input.argv!])).code, 0);
        assertEquals(await flow.read({ timeoutMs: DEADLINE_MS }), Uint8Array.fromHex(one.hex));
        await flow.dealloc();
      },
    });
  }
  await t.step({
    name: "live.obc.reader",
    fn: async () => {
      const reader = node.spawn(["obc", "-l", "-n", "bcl"]);
      await reader.waitForLine(/New flow\.\n/);
      const long = "x".repeat(300);
      for (const words of [[], ["-m", "hello world"], ["-m", ""], ["-m", long]]) {
        assertEquals((await node.run(["obc", "-n", "bcl", ...words])).code, 0);
      }
      await reader.waitForLine(/Message is x+\.\n/);
      const result = await reader.stop("SIGINT");
      assertEquals(result.code, 0);
      // One line a message, where the prototype cuts it and loses the rest.
      const lines = ["Ouroboros multicast rocks!", "hello world", "", long];
      const wanted = lines.map((text) => `Message is ${text}.\n`).join("");
      assertEquals(result.out, `Starting a reader.\nNew flow.\n${wanted}`);
    },
  });
});

for (const one of cases.get("pkt")!.filter(({ input }) => input.argv?.[0] === "ovpn")) {
  Deno.test({
    name: `${one.name} is what ovpn makes of a datagram, and its device goes with it`,
    ignore: !canMakeTun(),
    fn: () => tunnelOnce(one.input.argv!, Uint8Array.fromHex(one.hex)),
  });
}

/** Sends the UDP datagram `wanted` through a tunnel of these words and compares what comes out. */
async function tunnelOnce(words: readonly string[], wanted: Uint8Array): Promise<void> {
  await using node = await TestNode.start();
  using process = joinNode(node);
  await serveName(node, "dump");
  // An address of its own, since other tests may run on this host.
  const net = `10.${Deno.pid >> 8 & 0xff}.${Deno.pid & 0xfe | 1}`;
  const address = words[words.indexOf("-i") + 1]!;
  const argv = words.map((word) => word === address ? `${net}.1` : word);
  const tool = node.spawn(argv);
  const flow = await Flow.accept(process, { timeoutMs: DEADLINE_MS });
  const device = (await tool.waitForLine(/Tunnel device name is (\S+)\.\n/))[1]!;
  await tool.waitForLine(/Starting read\/write threads\.\n/);
  const socket = createSocket("udp4");
  await new Promise<void>((done) => socket.bind(0, `${net}.1`, done));
  socket.send(wanted.slice(UDP_DATA), (wanted[22]! << 8) | wanted[23]!, `${net}.2`);
  const comparable = (packet: Uint8Array): Uint8Array => {
    const copy = packet.slice();
    // Identification, checksums, addresses and source port differ from run to run.
    for (const [at, end] of [[4, 6], [10, 22], [26, 28]] as const) copy.fill(0, at, end);
    return copy;
  };
  for (;;) {
    const packet = await flow.read({ timeoutMs: DEADLINE_MS });
    if (packet.length !== wanted.length || packet[0] !== 0x45) continue; // IPv6 chatter.
    assertEquals(comparable(packet), comparable(wanted));
    break;
  }
  socket.close();
  const result = await tool.stop("SIGINT");
  assertEquals(result.code, 0);
  assert(result.out.endsWith("Shutting down...\n"), result.out);
  const devices = await Deno.readTextFile("/proc/net/dev");
  assert(!devices.includes(`${device}:`), "the device is still there");
  await flow.dealloc();
}

Deno.test("operf loses nothing either way, and counts at the server too", async () => {
  await using node = await nodeWithNames();
  const server = node.spawn(["operf", "-l"]);
  await server.waitForLine(/started/);
  const run = (...words: string[]) => node.run(["operf", "-n", "perf", "--json", ...words]);
  const test = async (...words: string[]) => {
    const got = await run(...words);
    assertEquals(got.code, 0, got.err);
    return JSON.parse(got.out);
  };
  const bi = await test("-t", "bi", "-r", "8M", "--count", "200", "-d", "20s");
  assertEquals([bi.sent, bi.received, bi.loss_pct], [200, 200, 0]);
  // A server that is slow to answer counts as one of the prototype, which reports nothing, or as one that stopped.
  const report = await until("a report", async () => {
    const got = await run("-t", "report", "-f", "-s", "100", "--count", "1000");
    const said = JSON.parse(got.out);
    return said.receiver !== null && { ...said, code: got.code };
  });
  assertEquals(report.code, 0);
  assertEquals([report.receiver.received, report.receiver.bytes], [1000, 100_000]);
  assertEquals(report.receiver.out_of_order, 0);
  const reverse = await until("a reverse test that ends", async () => {
    const said = JSON.parse((await run("-t", "reverse", "-r", "8M", "-d", "300ms")).out);
    return said.complete && said;
  });
  assert(reverse.received > 0 && reverse.received === reverse.sent, JSON.stringify(reverse));
  const uni = await node.run(["operf", "-n", "perf", "-f", "--count", "50"]);
  assertMatch(uni.out, /\n50 packets transmitted, time: \d+\.\d{3} ms, bandwidth: /);
  await server.waitForLine(/Flow \d+: 50 packets \(75000 bytes\)/);
  assertEquals((await server.stop("SIGINT")).code, 0);
});

Deno.test("operf exits 1 when a server of ours does not end its test", async () => {
  await using node = await nodeWithNames();
  using process = joinNode(node);
  await serveName(node, "perf");
  const stop = new AbortController();
  const greet = async (flow: Flow) => {
    await using f = flow;
    f.writeSync(encodeGreeting());
    for await (const _ of f.readable); // until the client leaves
  };
  const flows: Promise<void>[] = [];
  const serving = (async () => {
    const { signal } = stop;
    for await (const flow of Flow.listen({ process, signal })) flows.push(greet(flow));
  })();
  const words = ["--json", "--count", "3", "-f", "--timeout", "200ms"];
  try {
    for (const test of ["report", "reverse"]) {
      // A greeting that comes late counts as a silence of the prototype.
      await until(test, async () => {
        const got = await node.run(["operf", "-n", "perf", "-t", test, ...words]);
        if (!/^No (report|end) from perf: what it /m.test(got.err)) return false;
        assertEquals([got.code, JSON.parse(got.out).complete], [1, false], got.out);
        return true;
      });
    }
  } finally {
    stop.abort();
    await serving;
    await Promise.all(flows);
  }
});

Deno.test("a silent or dead client of operf and oecho keeps nobody waiting", async () => {
  await using node = await nodeWithNames();
  for (const tool of ["operf", "oecho"]) {
    const server = node.spawn([tool, "-l"]);
    await server.waitForLine(/\n/);
    using process = joinNode(node);
    const silent = await Flow.alloc(process, NAMES[tool]!);
    await server.waitForLine(/New flow/);
    const words = tool === "operf" ? ["-n", "perf", "-f", "-t", "bi", "--count", "5"] : [];
    assertEquals((await node.run([tool, ...words])).code, 0, tool);
    await silent.dealloc();
    assertEquals((await server.stop("SIGTERM")).code, 0);
  }
});

Deno.test("a server refuses flows over --max-flows and ends after one with --once", async () => {
  await using node = await nodeWithNames();
  const server = node.spawn(["operf", "-l", "--max-flows", "1"]);
  await server.waitForLine(/\n/);
  using process = joinNode(node);
  const first = await Flow.alloc(process, "perf");
  await server.waitForLine(/New flow/);
  const second = await Flow.alloc(process, "perf");
  await server.waitForLine(/Refused flow/);
  await until("the refused flow is down", () => second.writeSync(new Uint8Array(4)) < 0);
  await second.dealloc();
  await first.dealloc();
  await server.stop("SIGTERM");
  const once = node.spawn(["oecho", "-l", "--once"]);
  await once.waitForLine(/\n/);
  assertEquals((await node.run(["oecho"])).code, 0);
  assertEquals((await once.wait()).code, 0);
});

Deno.test("a server gives up when its IRMd is gone for good, and never floods its log", async () => {
  await using node = await nodeWithNames();
  const server = node.spawn(["oecho", "-l"]);
  await server.waitForLine(/\n/);
  await node.stopIrmd();
  const result = await server.wait();
  assertEquals(result.code, 1);
  assertEquals(result.out.match(/Failed to accept flow\.\n/g)?.length, 1);
});

Deno.test("the tools tell results in JSON, ends by deadline and failures by --strict-exit", async () => {
  await using node = await nodeWithNames();
  const echo = node.spawn(["oecho", "-l", "--json"]);
  const cbr = node.spawn(["ocbr", "-l", "--json"]);
  const perf = node.spawn(["operf", "-l"]);
  await perf.waitForLine(/started/);
  const said = await untilJson(node, ["oecho", "--json"]);
  assertEquals(said.reply, "Client says hi!");
  assertEquals(JSON.parse((await echo.waitForLine(/\{.*\}\n/))[0]).message, "Client says hi!");
  const sent = await untilJson(node, ["ocbr", "-n", "cbr", "--json", "--count", "7", "-r", "1M"]);
  assertEquals([sent.packets, sent.bytes], [7, 7000]);
  const { received, loss_pct, receiver } = sent;
  assertEquals([received, loss_pct], [7, 0]);
  assertEquals((receiver as { bytes: number }).bytes, 7000);
  const shown = await node.run(["ocbr", "-n", "cbr", "--count", "5", "-f"]);
  assertEquals(shown.code, 0);
  assertMatch(shown.err, /^received by the server: 5 packets, 5000 bytes, 0% packet loss, /m);
  assertEquals(JSON.parse((await cbr.waitForLine(/\{.*\}\n/))[0]).packets, 7);
  const long = await node.run(
    ["operf", "-n", "perf", "-t", "bi", "-d", "1h", "-r", "1M", "--deadline", "400ms", "--json"],
  );
  assertEquals(long.code, 0);
  assert(JSON.parse(long.out).elapsed_us < 60e6);
  const report = await node.run(["operf", "-n", "perf", "-d", "700ms", "--report", "200ms"]);
  assertMatch(report.out, /\n0\.\d-0\.\d s: \d+ packets transmitted, \d+\.\d{3} Mb\/s\n/);
  const strict = await node.run(["operf", "-n", "nosuch", "--strict-exit"]);
  assertEquals(strict.code, 2);
  for (const server of [echo, cbr, perf]) assertEquals((await server.stop("SIGINT")).code, 0);
});

/** The document that a command prints once its server is there. */
async function untilJson(node: TestNode, words: string[]): Promise<Record<string, unknown>> {
  return await until(words.join(" "), async () => {
    const got = await node.run(words);
    return got.code === 0 && JSON.parse(got.out);
  });
}

Deno.test({
  name: "ovpn tells a lost flow, ends without --reconnect and comes back with it",
  ignore: !canMakeTun(),
  fn: async () => {
    await using node = await TestNode.start();
    using process = joinNode(node);
    await serveName(node, "vpn");
    const words = (
      last: number,
    ) => ["-i", `10.99.${Deno.pid & 0xff}.${last}`, "-m", "255.255.255.255"];
    const once = node.spawn(["ovpn", "-n", "vpn", ...words(1)]);
    const first = await Flow.accept(process, { timeoutMs: DEADLINE_MS });
    await once.waitForLine(/threads\.\n/);
    await first.dealloc();
    const ended = await once.wait();
    assertEquals(ended.code, 1);
    assert(ended.out.endsWith("Flow is down.\n"), ended.out);
    const again = node.spawn(["ovpn", "-n", "vpn", "--reconnect", "--json", ...words(2)]);
    for (let i = 0; i < 2; i++) {
      const flow = await Flow.accept(process, { timeoutMs: DEADLINE_MS });
      // Goes to the device and is not answered.
      await flow.write(
        Uint8Array.fromHex("4500001c00000000401100000a0000010a00000200010002000800000000"),
      );
      await until("the packet is taken", () => flow.txQueued === 0);
      await flow.dealloc();
    }
    const result = await again.stop("SIGTERM");
    assertEquals(result.code, 0);
    assertEquals(JSON.parse(result.out).tool, "ovpn");
  },
});

Deno.test("a tool whose output nobody reads any more ends with 141", async () => {
  await using node = await nodeWithNames();
  const [binary, ...args] = ouro("oecho", "-l");
  const script = '{ "$@"; echo "code $?" >&2; } | head -n 1';
  const pipe = node.spawnArgv(["sh", "-c", script, "sh", binary!, ...args]);
  await pipe.waitForLine(/Starting/);
  await until("the server is told", async () => {
    await node.run(["oecho"]);
    return pipe.err.includes("code 141");
  });
});
