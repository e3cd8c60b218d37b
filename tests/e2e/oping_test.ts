/**
 * oping with real processes on a node of its own: the vectors `live.` and `srv.`, every mode, many
 * clients, and faults: a server that dies, a signal in each mode, hostile packets, no IRMd.
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Flow, OuroProcess } from "../../lib/mod.ts";
import { FlowFlag } from "../../lib/flow/flags.ts";
import { textOf } from "../support/hex.ts";
import { mended, opingCases, takesNonsense } from "../unit/oping/vectors.ts";
import { DEADLINE_MS, until } from "../support/deadline.ts";
import { ouro, PATIENT, type RunningProcess, TestNode } from "../support/node.ts";

const cases = opingCases();

/** A node where the name `op` belongs to oping. */
async function nodeWithName(...names: string[]): Promise<TestNode> {
  const node = await TestNode.start();
  for (const name of names.length === 0 ? ["op"] : names) {
    await node.must("irm", "name", "create", name);
    await node.must("irm", "bind", "program", "oping", "name", name);
  }
  return node;
}

async function startServer(node: TestNode, ...words: string[]): Promise<RunningProcess> {
  const server = node.spawn(["oping", "-l", ...words]);
  if (!words.includes("--busy")) await server.waitForLine(/server started/);
  return server;
}

/** The name that a command line pings. */
function target(argv: readonly string[]): string {
  return argv[argv.indexOf("-n") + 1]!;
}

/** A program of the test that owns the name; it takes a flow and never answers. */
async function silentPeer(node: TestNode, name: string): Promise<AsyncDisposable> {
  const process = ownProcess(node, "tester");
  await node.must("irm", "bind", "process", String(Deno.pid), "name", name);
  const accepting = Flow.accept(process);
  return {
    async [Symbol.asyncDispose]() {
      await (await accepting).dealloc();
      process[Symbol.dispose]();
    },
  };
}

for (const one of cases.get("live")!) {
  Deno.test(`${one.name}: client and server print what the prototype prints`, async () => {
    const [client, server] = one.input.processes!;
    await using node = await nodeWithName(target(client!.argv));
    // Somebody there who is silent, or nobody at all.
    const silent = server === undefined && !/^\^Failed/.test(client!.stdout_regex);
    await using _peer = silent ? await silentPeer(node, target(client!.argv)) : undefined;
    let listening: RunningProcess | undefined;
    if (server !== undefined) listening = await startServer(node, ...server.argv.slice(2));
    const running = node.spawn(client!.argv as string[]);
    if (/SIGINT/.test(one.note)) {
      await running.waitForLine(/seq=2/);
      running.kill("SIGINT");
    }
    const result = await running.wait();
    if (takesNonsense(client!.argv)) {
      assertEquals([result.code, result.out], [1, ""]);
      return;
    }
    // The prototype is silent about a flood that nobody answers.
    const wanted = new RegExp(mended(client!.stdout_regex));
    const silence = wanted.source.includes("timed out") ? "" : "Server timed out.\n";
    assertMatch(result.out.replace(silence, ""), wanted);
    // A ping that lost everything failed, whatever the prototype did.
    const lost = /\b[1-9]\d* packets transmitted, 0 received/.test(result.out);
    assertEquals(result.code, client!.exit_code === 0 && lost ? 1 : client!.exit_code);
    if (server === undefined || listening === undefined) return;
    // Ours ends with the flow of its client, not 10 s later.
    if (/timed out/.test(server.stdout_regex)) return;
    // A client that sends nothing may be gone before the server has its end of the flow.
    const sendsNothing = /\(0 packets/.test(result.out);
    const pattern = new RegExp(
      sendsNothing
        ? "^Ouroboros ping server started\\.\n(New flow 64\\.\n)?$"
        : server.stdout_regex,
    );
    await until("the server's lines", () => pattern.test(listening.out)).catch(() => {});
    assertMatch(listening.out, pattern);
    // The prototype's busy server dies of a signal (spec 80 §2.6, defect); ours ends with its flow.
    assertEquals((await listening.stop()).code, 0);
  });
}

for (const one of cases.get("cli")!) {
  if (one.input.irmd === false) continue;
  Deno.test(`${one.name}: the program prints what the prototype prints`, async () => {
    await using node = await TestNode.start();
    const result = await node.run(one.input.argv as string[]);
    assertEquals(result.out, textOf(one.hex));
    assertEquals(result.code, one.input.argv!.includes("--help") ? 0 : one.exit_code);
  });
}

Deno.test("oping --help needs no IRMd, oping -n says that there is none", async () => {
  await using node = await TestNode.start({ idle: true });
  const help = await node.run(["oping", "--help"]);
  assertEquals(help.code, 0);
  assertStringIncludes(help.out, "Usage: oping");
  for (const words of [["-n", "x"], ["-l"]]) {
    const result = await node.run(["oping", ...words]);
    assertEquals([result.code, result.out], [1, ""]);
    assertMatch(
      result.err,
      /^FATAL: Could not announce to IRMd\.\nFailed to start: -1002: IRMd is not running.*\n$/,
    );
  }
});

Deno.test("oping -n of an unknown name says why in one line on stderr", async () => {
  await using node = await TestNode.start();
  const result = await node.run(["oping", "-n", "nowhere"]);
  assertEquals(result.out, "Failed to allocate flow: -1007.\n");
  assertMatch(result.err, /^Failed to allocate flow: -1007: .*nowhere.*\n$/);
});

Deno.test("words that are not UTF-8 are refused in one line by every command", async () => {
  await using node = await TestNode.start({ idle: true });
  for (const words of [["oping", "-n"], ["operf", "-n"], ["obc", "-n"], ["irmd", "--config"]]) {
    const argv = ["sh", "-c", 'exec "$@" "$(printf "n\\377")"', "sh", ...ouro(...words)];
    const result = await node.spawnArgv(argv).wait();
    const line = "Failed to read the command line: word 2 is not UTF-8\n";
    assertEquals([result.code, result.out, result.err], [1, "", line]);
  }
});

/** Opens a process of this test's own on the node. Only one test at a time can be it. */
function ownProcess(node: TestNode, prog: string): OuroProcess {
  return OuroProcess.open({ instance: node.instance, prog });
}

for (const one of cases.get("srv")!) {
  Deno.test(`${one.name}: the server answers what the prototype answers`, async () => {
    await using node = await nodeWithName();
    const server = await startServer(node);
    using process = ownProcess(node, "tester");
    const flow = Flow.allocSync(process, "op", {});
    flow.flags |= FlowFlag.RNoPart;
    const reply = new Uint8Array(2000);
    for (const { sent_hex, reply_hex } of one.input.exchanges!) {
      const sent = Uint8Array.fromHex(sent_hex);
      const written = flow.writeSync(sent);
      assertEquals(written, sent.length);
      const n = flow.readSync(reply, { timeoutMs: reply_hex === null ? 150 : DEADLINE_MS });
      const got = n < 0 ? null : reply.slice(0, n);
      assertEquals(
        got,
        reply_hex === null ? null : Uint8Array.fromHex(reply_hex),
        sent_hex.slice(0, 40),
      );
    }
    await until(
      `the server's lines, there is ${server.out}`,
      () => server.out === textOf(one.server_stdout_hex!),
    ).catch(() => assertEquals(server.out, textOf(one.server_stdout_hex!)));
    await flow.dealloc();
  });
}

for (const qos of ["raw", "best", "video", "voice", "data"]) {
  Deno.test(`oping -q ${qos} pings through a flow of that quality`, async () => {
    await using node = await nodeWithName();
    await startServer(node);
    const result = await node.run([
      "oping",
      "-n",
      "op",
      "-c",
      "5",
      ...PATIENT,
      "-i",
      "20",
      "-q",
      qos,
    ]);
    assertStringIncludes(result.out, "5 packets transmitted, 5 received, 0 out-of-order, 0% ");
    assertEquals(result.code, 0);
  });
}

const CLIENTS = [["-i", "10", "-c", "20"], ["-f", "-c", "500"], ["-F", "-c", "500"]];
const SERVERS = [[], ["--poll"], ["--busy"]];
for (const serverWords of SERVERS) {
  for (const clientWords of CLIENTS) {
    const names = `oping ${clientWords.join(" ")} with oping -l ${serverWords.join(" ")}`;
    Deno.test(`${names} loses nothing`, async () => {
      await using node = await nodeWithName();
      const server = await startServer(node, "-Q", ...serverWords);
      const result = await node.run(["oping", "-n", "op", ...clientWords, ...PATIENT]);
      const count = clientWords.at(-1);
      assertStringIncludes(result.out, `${count} packets transmitted, ${count} received`);
      assertEquals([result.code, result.err], [0, ""]);
      if (serverWords.includes("--busy")) assertEquals((await server.wait()).code, 0);
      else assertEquals((await server.stop()).code, 0);
    });
  }
}

Deno.test("oping --json prints one document and nothing else", async () => {
  await using node = await nodeWithName();
  await startServer(node);
  const result = await node.run([
    "oping",
    "-n",
    "op",
    "-c",
    "4",
    ...PATIENT,
    "-i",
    "10",
    "-s",
    "9",
    "--json",
  ]);
  const document = JSON.parse(result.out);
  assertEquals([document.sent, document.received, document.size], [4, 4, 64]);
  assertEquals(document.packets.length, 4);
  assertEquals(Object.keys(document.rtt.percentiles), ["50", "90", "99", "99.9"]);
  assertEquals(result.err, "Packet size set to 64 bytes.\n");
});

Deno.test("oping --json prints one document also when there is no flow, or no IRMd", async () => {
  await using node = await TestNode.start();
  const words = ["oping", "-n", "nowhere", "--json"];
  const refused = await node.run(words);
  const document = JSON.parse(refused.out);
  assertEquals([refused.code, document.sent, document.rtt, document.packets], [1, 0, null, []]);
  assertMatch(document.error, /^Failed to allocate flow: -1007: name "nowhere" is not known/);
  assertEquals(refused.err, `${document.error}\n`);
  await node.stopIrmd();
  const alone = await node.run(words);
  assertEquals(alone.code, 1);
  assertMatch(JSON.parse(alone.out).error, /^Failed to start: -1002: IRMd is not running/);
});

for (const mode of [[], ["-f"], ["-F"]]) {
  Deno.test(`Ctrl-C ends oping ${mode.join(" ")} with its statistics`, async () => {
    await using node = await nodeWithName();
    await startServer(node, "-Q");
    const client = node.spawn(["oping", "-n", "op", "-i", "20", ...mode]);
    await client.waitForLine(/seq=3 /);
    client.kill("SIGINT");
    const result = await client.wait();
    assertEquals(result.code, 0);
    assertMatch(result.out, /\n--- op ping statistics ---\n\d+ packets transmitted, \d+ received/);
  });

  Deno.test(`a server killed under load leaves oping ${mode.join(" ")} with its statistics`, async () => {
    await using node = await nodeWithName();
    const server = await startServer(node, "-Q");
    const client = node.spawn(["oping", "-n", "op", "-i", "5", ...mode]);
    await client.waitForLine(/seq=20 /);
    server.kill("SIGKILL");
    const result = await client.wait();
    assertEquals(result.code, 1);
    assertMatch(result.out, /\n--- op ping statistics ---\n/);
    assertMatch(result.err, /^Failed to (read|send) packet: -1005: flow is down\n$/);
    await node.must("irm", "name", "list");
  });
}

Deno.test("Ctrl-C ends every mode of the server with exit code 0", async () => {
  await using node = await nodeWithName();
  for (const words of [[], ["--poll"], ["--busy"]]) {
    for (const withClient of [false, true]) {
      const server = await startServer(node, "-Q", ...words);
      let client: RunningProcess | undefined;
      if (withClient) {
        client = node.spawn(["oping", "-n", "op", "-i", "10"]);
        await client.waitForLine(/seq=2 /);
      } else if (words.includes("--busy")) {
        // It prints nothing before its flow: wait until the IRMd knows it.
        await node.irmd!.waitForLine(new RegExp(`Process added: ${server.pid} `));
      }
      server.kill("SIGINT");
      const result = await server.wait();
      // Without a flow the signal may come before the program has asked for it.
      const early = words.includes("--busy") && !withClient && result.code === 130;
      assertEquals([early ? 0 : result.code, result.err], [0, ""], words.join(" "));
      client?.kill("SIGINT");
      await client?.wait();
    }
  }
});

Deno.test("oping --strict-exit: 1 without any reply, 2 without a flow, 0 with replies", async () => {
  await using node = await nodeWithName("op", "silent");
  await startServer(node);
  const good = await node.run([
    "oping",
    "-n",
    "op",
    "-c",
    "1",
    ...PATIENT,
    "-i",
    "1",
    "--strict-exit",
  ]);
  assertEquals(good.code, 0);
  const none = await node.run(["oping", "-n", "op", "-c", "0", "--strict-exit"]);
  assertEquals(none.code, 1);
  const noFlow = await node.run(["oping", "-n", "nowhere", "--strict-exit"]);
  assertEquals(noFlow.code, 2);
});

Deno.test("200 clients at once are all served, and the server forgets them when they leave", async () => {
  await using node = await nodeWithName();
  const server = await startServer(node);
  using process = ownProcess(node, "tester");
  const flows: Flow[] = [];
  const packet = new Uint8Array(64);
  for (let k = 0; k < 200; k++) flows.push(await Flow.alloc(process, "op"));
  for (const [k, flow] of flows.entries()) {
    packet[7] = k;
    assertEquals(flow.writeSync(packet), 64);
  }
  for (const [k, flow] of flows.entries()) {
    const reply = await flow.read({ timeoutMs: DEADLINE_MS });
    assertEquals([reply[3], reply[7], reply.length], [1, k, 64]);
  }
  await until(
    "a line for each flow",
    () => new Set(server.out.match(/New flow \d+/g)).size === 200,
  );
  for (const flow of flows) await flow.dealloc();
  const lone = await node.run(["oping", "-n", "op", "-c", "1", ...PATIENT, "-i", "1"]);
  assertStringIncludes(lone.out, "1 packets transmitted, 1 received");
  // All descriptors are free again: the new flow has the first one.
  await until("the first descriptor again", () => server.out.match(/New flow 64\./g)?.length === 2);
});

Deno.test("a client that does not read stops nobody else", async () => {
  await using node = await nodeWithName();
  await startServer(node, "-Q");
  using process = ownProcess(node, "tester");
  const stuck = await Flow.alloc(process, "op");
  const packet = new Uint8Array(64);
  for (let sent = 0; sent < 3000;) {
    if (stuck.writeSync(packet, { nonblock: true }) > 0) sent++;
    else await new Promise((done) => setTimeout(done, 0));
  }
  const result = await node.run(["oping", "-n", "op", "-c", "20", ...PATIENT, "-i", "5"]);
  assertStringIncludes(result.out, "20 packets transmitted, 20 received");
  await stuck.dealloc();
});

Deno.test("oping -l --max-flows refuses the flow too many and goes on with the others", async () => {
  await using node = await nodeWithName();
  await startServer(node, "--max-flows", "1");
  const first = node.spawn(["oping", "-n", "op", "-i", "20"]);
  await first.waitForLine(/seq=1 /);
  const second = await node.run(["oping", "-n", "op", "-c", "2", "-i", "10"]);
  assertStringIncludes(second.out, " 0 received");
  await first.waitForLine(/seq=\d\d /);
  first.kill("SIGINT");
  assertStringIncludes((await first.wait()).out, " 0% packet loss");
});

Deno.test("oping -l --once ends with its first flow", async () => {
  await using node = await nodeWithName();
  const server = await startServer(node, "--once");
  const result = await node.run(["oping", "-n", "op", "-c", "2", ...PATIENT, "-i", "10"]);
  assertStringIncludes(result.out, "2 packets transmitted, 2 received");
  assertEquals((await server.wait()).code, 0);
});

Deno.test("oping -l --idle drops a flow without requests", async () => {
  await using node = await nodeWithName();
  const server = await startServer(node, "--idle", "500ms");
  using process = ownProcess(node, "tester");
  const flow = await Flow.alloc(process, "op");
  await server.waitForLine(/Flow 64 timed out\./);
  await flow.dealloc();
});

Deno.test("a server without its IRMd ends with exit code 1 instead of spinning", async () => {
  await using node = await nodeWithName();
  const server = await startServer(node);
  node.irmd!.kill("SIGKILL");
  const result = await server.wait();
  assertEquals(result.code, 1);
  assertEquals(result.out.match(/Failed to accept flow/g)?.length, 1);
  assertMatch(result.err, /^Failed to accept flow: -1002: [^\n]+\n$/);
});

Deno.test("oping goes on while its IRMd is killed, and ends with its statistics", async () => {
  await using node = await nodeWithName();
  await startServer(node, "-Q");
  const client = node.spawn(["oping", "-n", "op", "-c", "40", ...PATIENT, "-i", "20"]);
  await client.waitForLine(/seq=3 /);
  node.irmd!.kill("SIGKILL");
  const result = await client.wait();
  assertStringIncludes(result.out, "\n40 packets transmitted, 40 received, 0 out-of-order, 0% ");
  assertEquals([result.code, result.err], [0, ""]);
});

Deno.test("Ctrl-C while oping waits for a flow ends it", async () => {
  await using node = await TestNode.start();
  using process = ownProcess(node, "tester");
  await node.must("irm", "name", "create", "slow");
  await node.must("irm", "bind", "process", String(Deno.pid), "name", "slow");
  const client = node.spawn(["oping", "-n", "slow"]);
  await node.irmd!.waitForLine(new RegExp(`Process added: ${client.pid} `));
  client.kill("SIGINT");
  const result = await client.wait();
  assertEquals(result.err, "");
  assert(process.pid === Deno.pid);
});

Deno.test("oping whose stdout is closed ends", async () => {
  await using node = await nodeWithName();
  await startServer(node, "-Q");
  const line = `${ouro("oping", "-n", "op", "-i", "5").join(" ")} | head -n 3`;
  const result = await node.spawnArgv(["sh", "-c", line]).wait();
  assertStringIncludes(result.out, "Pinging op");
  assertEquals(result.err, "");
});

Deno.test("oping takes names without -n, several at once, and ends with the worst of their codes", async () => {
  await using node = await nodeWithName();
  await node.must(..."irm name create op2".split(" "));
  await node.must(..."irm bind program oping name op2".split(" "));
  await startServer(node, "-Q");
  const both = await node.run("oping op op2 -c 2 -i 50ms".split(" "));
  assertEquals(both.code, 0, both.err);
  for (const name of ["op", "op2"]) {
    assertMatch(both.out, new RegExp(`64 bytes from ${name}: seq=1 `));
    assertMatch(
      both.out,
      new RegExp(`--- ${name} ping statistics ---\\n2 packets transmitted, 2 `),
    );
  }
  const one = await node.run("oping -c 1 op -i 10ms".split(" "));
  assertEquals(one.code, 0, one.err);
  const half = await node.run("oping op nowhere -c 1 -i 10ms".split(" "));
  assertEquals(half.code, 1);
  assertMatch(half.out, /64 bytes from op: seq=0 /);
});

Deno.test("SIGUSR1 makes oping print its counters and go on", async () => {
  await using node = await nodeWithName();
  await startServer(node, "-Q");
  const client = node.spawn(["oping", "-n", "op", "-i", "20"]);
  await client.waitForLine(/seq=3 /);
  client.kill("SIGUSR1");
  await client.waitForLine(/\n\d+ packets transmitted, .*\n64 bytes from op: /);
  client.kill("SIGTERM");
  assertMatch((await client.wait()).out, /\n--- op ping statistics ---\n/);
});

Deno.test("oping leaves no shared memory behind, whatever ends it", async () => {
  await using node = await nodeWithName();
  const before = node.sharedMemory().sort();
  const server = await startServer(node, "-Q");
  const client = node.spawn(["oping", "-n", "op", "-i", "5"]);
  await client.waitForLine(/seq=3 /);
  client.kill("SIGKILL");
  await client.wait();
  await server.stop();
  await until("the node's shared memory as before", () => {
    const now = node.sharedMemory().sort();
    return now.join() === before.join();
  });
  assert(before.length > 0);
});
