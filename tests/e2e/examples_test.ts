/** The programs in examples/, run as their readers run them, against a node of the test's own. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { run, script } from "../support/process.ts";
import { type RunningProcess, type RunOptions, TestNode } from "../support/node.ts";

function start(node: TestNode, file: string, args: string[], options?: RunOptions): RunningProcess {
  return node.spawnArgv(script(`examples/${file}`, ...args), options);
}

async function serve(node: TestNode, file: string, ...args: string[]): Promise<RunningProcess> {
  const server = start(node, file, args);
  await server.waitForLine(/^serving /m);
  return server;
}

Deno.test("examples/echo.ts answers every word", async () => {
  await using node = await TestNode.start();
  await serve(node, "echo.ts", "serve", "my.echo");
  const client = await start(node, "echo.ts", ["my.echo", "hello", "wörld"]).wait();
  assertEquals([client.code, client.out], [0, "hello\nwörld\n"], client.err);
});

Deno.test("examples/chat.ts passes lines on, in order, and tells who comes and leaves", async () => {
  await using node = await TestNode.start();
  await serve(node, "chat.ts", "serve", "town");
  // Her keyboard: a pipe that stays open and says nothing.
  const keyboard = `${node.prefix}/keyboard`;
  assertEquals((await run(["mkfifo", keyboard])).code, 0);
  const chat = fromFileUrl(new URL("../../examples/chat.ts", import.meta.url));
  const command = `exec ${Deno.execPath()} run -A --quiet ${chat} town alice <> ${keyboard}`;
  const alice = node.spawnArgv(["sh", "-c", command]);
  // Alice hears only who comes after her: call until one is heard.
  for (let i = 0; !alice.out.includes("bob"); i++) {
    assert(i < 20, `alice hears nothing: ${alice.out}${alice.err}`);
    const bob = start(node, "chat.ts", ["town", "bob"], { input: "one\ntwo\nthree\n" });
    const { code, out } = await bob.wait();
    assertEquals([code, out.includes("the server is gone")], [0, false]);
  }
  await alice.waitForLine(/\* bob comes in\nbob: one\nbob: two\nbob: three\n\* bob leaves/);
});

Deno.test("examples/filecopy.ts copies a file bit by bit and shows its progress", async () => {
  await using node = await TestNode.start();
  await serve(node, "filecopy.ts", "receive", "files", `${node.prefix}/in`);
  for (const size of [0, 1, 16_000, 5_000_001]) {
    const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 2654435761) >>> 11);
    const path = `${node.prefix}/f${size}`;
    await Deno.writeFile(path, bytes);
    const sender = await start(node, "filecopy.ts", ["send", "files", path]).wait();
    assertEquals([sender.code, sender.out], [0, "ok\n"], sender.err);
    assertEquals(await Deno.readFile(`${node.prefix}/in/f${size}`), bytes);
    if (size > 0) assertMatch(sender.err, /\[#{30}\] 100 %/);
  }
});

Deno.test("examples/reqresp.ts serves 100 flows at once", async () => {
  await using node = await TestNode.start();
  await serve(node, "reqresp.ts", "serve", "kv");
  const load = await start(node, "reqresp.ts", ["load", "kv", "100", "20"]).wait();
  assertEquals(load.code, 0, load.err);
  assertMatch(load.out, /^100 flows, 2000 requests, \d+ a second\n$/);
});

Deno.test("an example without a node says what to do", async () => {
  await using node = await TestNode.start({ idle: true });
  const client = await start(node, "echo.ts", ["my.echo", "hello"]).wait();
  assertEquals(client.code, 1);
  assertMatch(client.err, /Start a node first: ouro irmd/);
});
