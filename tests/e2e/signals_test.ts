/**
 * What is proved here: tools end when they are told to, in every state: with a peer, and while the IRMd is stopped
 * (a debugger, a frozen container), where `irm` ends by itself, and while nobody reads what they print.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { openFd } from "../../lib/sys/fd.ts";
import { until } from "../support/deadline.ts";
import { ouro, type RunningProcess, TestNode } from "../support/node.ts";

// `<fcntl.h>` of Linux.
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;

async function nodeWithServers(): Promise<TestNode> {
  const node = await TestNode.start();
  for (const tool of ["oping", "operf"]) {
    await node.bindProgram(tool, tool);
    const server = node.spawn([tool, "-l"]);
    if (tool === "oping") await server.waitForLine(/server started/);
  }
  return node;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`${signal} ends oping in all modes, with its statistics`, async () => {
    await using node = await nodeWithServers();
    for (const words of [[], ["-i", "100"], ["-f", "-Q", "--report", "100ms"]]) {
      const client = node.spawn(["oping", "-n", "oping", ...words]);
      await client.waitForLine(words.includes("-f") ? /packets transmitted/ : /seq=1 /);
      client.kill(signal);
      const { code, out } = await client.wait();
      assertEquals(code, 0, words.join(" "));
      assertMatch(out, /\n--- oping ping statistics ---\n/);
    }
  });
}

Deno.test("a run with --json that is ended by a signal leaves its document", async () => {
  await using node = await nodeWithServers();
  const client = node.spawn(["oping", "-n", "oping", "-i", "20", "--json"]);
  // Nothing is printed before the end; the IRMd says that it has its flow, and so heeds signals.
  await until("its flow", () => /Flow \d+ (allocated|accepted) /.test(node.irmd!.out));
  client.kill("SIGTERM");
  const { out } = await client.wait();
  assert(JSON.parse(out).sent >= 0);
});

Deno.test("a client that is stopped before it has its flow says so, in its document and by its exit code", async () => {
  await using node = await TestNode.start();
  await node.must("irm", "ipcp", "bootstrap", "name", "l", "type", "local", "layer", "lay");
  const [ipcp] = await node.admin().listIpcps();
  // Nobody answers: what is asked for does not come before the deadline.
  Deno.kill(ipcp!.pid, "SIGSTOP");
  try {
    for (const [code, ...words] of STOPPED) {
      const got = await node.run([...words, "--deadline", "1ms"]);
      assertEquals(got.code, code, words.join(" "));
      assertMatch(got.err, /^Failed to [a-z ]+: stopped\n$/);
      if (!words.includes("--json")) continue;
      const document = JSON.parse(got.out);
      assertEquals(document.complete, false, words.join(" "));
      assertMatch(document.failure ?? document.error, /: stopped$/);
    }
  } finally {
    Deno.kill(ipcp!.pid, "SIGCONT");
  }
});

/** Clients, and the exit code of each when it fails. */
const STOPPED: readonly [number, ...string[]][] = [
  [1, "oping", "-n", "x", "--json"],
  [1, "operf", "-n", "x", "--json"],
  [255, "ocbr", "-n", "x", "--json"],
  [255, "oecho", "--json"],
  [255, "obc", "-n", "lay"],
];

const WAITING: readonly string[][] = [
  ["oping", "-n", "oping", "-c", "1"],
  ["oping", "-l"],
  ["operf", "-n", "operf"],
  ["oecho"],
  ["ocbr", "-n", "ocbr"],
  ["ocat", "x"],
];

Deno.test("tools that wait for a stopped IRMd are ended by signals", async () => {
  await using node = await TestNode.start();
  node.irmd!.kill("SIGSTOP");
  try {
    const waiting: [string[], RunningProcess][] = WAITING.map((
      words,
    ) => [words, node.spawn(words)]);
    for (const [words, process] of waiting) {
      // Two signals are what a person gives; before the process is there to take one it ends by itself.
      process.kill("SIGTERM");
      process.kill("SIGTERM");
      const { code } = await process.wait();
      assert(code !== undefined, words.join(" "));
    }
  } finally {
    node.irmd!.kill("SIGCONT");
  }
});

Deno.test("tools with a flow whose IRMd was stopped meanwhile are ended by a signal, servers too", async () => {
  await using node = await nodeWithServers();
  const paced = node.spawn(["oping", "-n", "oping", "-i", "100"]);
  await paced.waitForLine(/seq=1 /);
  const flood = node.spawn(["operf", "-n", "operf", "-d", "1h", "-f", "--report", "100ms"]);
  await flood.waitForLine(/packets transmitted/);
  const server = node.spawn(["ocbr", "-l"]);
  await server.waitForLine(/started/);
  node.irmd!.kill("SIGSTOP");
  try {
    for (const tool of [paced, flood, server]) tool.kill("SIGINT");
    for (const tool of [paced, flood, server]) assertEquals((await tool.wait()).code, 0);
  } finally {
    node.irmd!.kill("SIGCONT");
  }
});

/** A pipe that is full and that nobody reads, as a file. */
async function fullPipe(path: string): Promise<Disposable> {
  await new Deno.Command("mkfifo", { args: [path] }).output();
  const pipe = openFd(path, O_RDWR | O_NONBLOCK);
  for (const size of [4096, 1]) while (pipe.write(new Uint8Array(size)) > 0);
  return pipe;
}

Deno.test("tools whose output nobody reads are ended by a signal", async () => {
  await using node = await nodeWithServers();
  const path = `${node.prefix}/full`;
  using _full = await fullPipe(path);
  const unread = (...words: string[]) =>
    node.spawnArgv(["sh", "-c", `exec "$@" > ${path}`, "sh", ...ouro(...words)]);
  const clients = [
    unread("oping", "-n", "oping", "-i", "10"),
    unread("operf", "-n", "operf", "-d", "1h", "--report", "10ms"),
  ];
  // They print nothing that could be waited for; they heed signals before they have flows.
  const allocated = () => new Set(node.irmd!.out.match(/Flow \d+ allocated /g)).size;
  await until("their flows", () => allocated() === clients.length);
  for (const client of clients) client.kill("SIGINT");
  for (const client of clients) assertEquals((await client.wait()).code, 0);
});

Deno.test("irm does not wait for ever for a stopped IRMd, and says so", async () => {
  await using node = await TestNode.start();
  node.irmd!.kill("SIGSTOP");
  try {
    const { code, err } = await node.run(["irm", "name", "list"]);
    assertEquals(code, 1);
    assertMatch(err, /^Failed to list names: -\d+: .+\n$/);
  } finally {
    node.irmd!.kill("SIGCONT");
  }
});
