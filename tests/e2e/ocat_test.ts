/**
 * What is proved here: `ocat` carries bytes between flows and standard input and output, commands and TCP
 * connections; the end of input is told across, the other direction goes on; and breaks are told apart from ends.
 */

import { assertEquals, assertMatch } from "@std/assert";
import { type RunningProcess, TestNode } from "../support/node.ts";

/** Starts a server of a name and waits until flows can come. */
async function serve(
  node: TestNode,
  words: string[],
  options: { input?: string } = {},
): Promise<RunningProcess> {
  const server = node.spawn(["ocat", "-l", ...words], options);
  await server.waitForLine(/^Serving /m);
  return server;
}

/** The address that a listener says on stderr. */
async function addressOf(process: RunningProcess): Promise<Deno.ConnectOptions> {
  await process.waitForLine(/^Listening on .+$/m);
  const [, hostname, port] = /Listening on (\S+):(\d+)/.exec(process.err)!;
  return { hostname: hostname!, port: Number(port) };
}

async function readAll(connection: Deno.TcpConn): Promise<Uint8Array> {
  return new Uint8Array(await new Response(connection.readable).arrayBuffer());
}

/** A TCP server that answers each connection, once it has heard its end, with the number of bytes and the bytes. */
function answerer(): Deno.TcpListener {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  (async () => {
    for await (const connection of listener) {
      const parts: Uint8Array[] = [];
      let length = 0;
      const buffer = new Uint8Array(65536);
      for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
        parts.push(buffer.slice(0, n));
        length += n;
      }
      const writer = connection.writable.getWriter();
      await writer.write(new TextEncoder().encode(`${length}\n`));
      for (const part of parts) await writer.write(part);
      await writer.close();
    }
  })();
  return listener;
}

Deno.test("ocat: bytes go both ways between two pipes, each to its end", async () => {
  await using node = await TestNode.start();
  const said = "from the server\n".repeat(20_000);
  const asked = "from the client\n".repeat(20_000);
  const server = await serve(node, ["pipe"], { input: said });
  const client = await node.run(["ocat", "pipe"], { input: asked });
  assertEquals([client.code, client.err], [0, ""]);
  assertEquals(client.out === said, true);
  const ended = await server.wait();
  assertEquals([ended.code, ended.err], [0, "Serving pipe\n"]);
  assertEquals(ended.out === asked, true);
});

Deno.test("ocat --exec: a command for each flow; it hears the end of input and answers after it", async () => {
  await using node = await TestNode.start();
  await serve(node, ["sum", "--exec", "wc -c; echo done"]);
  for (const input of ["abc", "", "x".repeat(100_000)]) {
    const client = await node.run(["ocat", "sum"], { input });
    assertEquals([client.code, client.out, client.err], [0, `${input.length}\ndone\n`, ""]);
  }
  // A client's command is joined as well, and its exit code is the client's.
  const client = await node.run(["ocat", "sum", "--exec", "echo hello; exec >&-; cat >&2; exit 7"]);
  assertEquals([client.code, client.err], [7, "6\ndone\n"]);
});

Deno.test("ocat: TCP through a flow, half-closed in one direction and then in the other", async () => {
  await using node = await TestNode.start();
  using tcp = answerer();
  const { port } = tcp.addr;
  const server = await serve(node, ["web", "--tcp-connect", `127.0.0.1:${port}`]);
  const forward = node.spawn(["ocat", "web", "--tcp-listen", "0"]);
  const address = await addressOf(forward);
  const sizes = [0, 1, 1_000_000];
  await Promise.all(sizes.map(async (size) => {
    const connection = await Deno.connect(address);
    const answer = readAll(connection);
    const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) & 0xff);
    for (let at = 0; at < size;) at += await connection.write(bytes.subarray(at));
    await connection.closeWrite();
    const got = await answer;
    const head = new TextEncoder().encode(`${size}\n`);
    assertEquals(got.length, head.length + size, forward.err + server.err);
    assertEquals(got.subarray(0, head.length), head);
    assertEquals(got.subarray(head.length).every((byte, i) => byte === bytes[i]), true);
  }));
});

Deno.test("ocat: many TCP connections at the same moment are all carried", async () => {
  await using node = await TestNode.start();
  using tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  (async () => {
    for await (const connection of tcp) {
      connection.readable.pipeTo(connection.writable).catch(() => {});
    }
  })();
  const server = await serve(node, ["web", "--tcp-connect", `127.0.0.1:${tcp.addr.port}`]);
  const forward = node.spawn(["ocat", "web", "--tcp-listen", "0"]);
  const address = await addressOf(forward);
  const numbers = Array.from({ length: 24 }, (_, i) => `connection ${i}`);
  const answers = await Promise.all(numbers.map(async (text) => {
    const connection = await Deno.connect(address);
    await connection.write(new TextEncoder().encode(text));
    await connection.closeWrite();
    return new TextDecoder().decode(await readAll(connection));
  }));
  assertEquals(answers, numbers, forward.err + server.err);
});

Deno.test("ocat: the listening side may be the server of the name, the connecting one the client", async () => {
  await using node = await TestNode.start();
  using tcp = answerer();
  const server = await serve(node, ["back", "--tcp-listen", "0", "--once"]);
  const address = await addressOf(server);
  const client = node.spawn(["ocat", "back", "--tcp-connect", `127.0.0.1:${tcp.addr.port}`]);
  const connection = await Deno.connect(address);
  await connection.write(new TextEncoder().encode("hi"));
  await connection.closeWrite();
  assertEquals(new TextDecoder().decode(await readAll(connection)), "2\nhi");
  assertEquals((await client.wait()).code, 0);
  assertEquals((await server.wait()).code, 0);
});

Deno.test("ocat: a peer that is killed is no end of input", async () => {
  await using node = await TestNode.start();
  const server = await serve(node, ["n", "--exec", "echo begun; sleep 1000"]);
  const client = node.spawn(["ocat", "n"]);
  await client.waitForLine(/begun/);
  await server.stop("SIGKILL");
  const { code, err } = await client.wait();
  assertEquals(code, 1);
  assertMatch(err, /^The connection broke: .+\n$/);
});

Deno.test("ocat: what it cannot do is one line and exit code 1", async () => {
  await using node = await TestNode.start();
  const cases: [string[], RegExp][] = [
    [["nowhere"], /^Failed to allocate flow: -\d+: .*\n$/],
    [[], /^No name given \(ocat --help\)\n$/],
    [["a", "b"], /^"b" is too much: one name \(ocat --help\)\n$/],
    [["a", "--exec", "x", "--tcp-listen", "1"], /^One of --exec, .*\n$/],
    [["a", "--tcp-connect", "80"], /^--tcp-connect takes HOST:PORT, not "80".*\n$/],
    [["a", "--tcp-listen", "x"], /^--tcp-listen takes \[HOST:\]PORT, not "x".*\n$/],
    [["a", "--tcp-listen", "192.0.2.1:1"], /^Failed to listen on 192\.0\.2\.1:1: .*\n$/],
    [["a", "-q", "gold"], /is no QoS/],
    [["a", "--lisen"], /did you mean "--listen"\?/],
  ];
  for (const [words, err] of cases) {
    const got = await node.run(["ocat", ...words]);
    assertEquals([got.code, got.out], [1, ""], words.join(" "));
    assertMatch(got.err, err);
  }
});
