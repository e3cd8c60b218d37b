/** What is proved here: the socket server of the daemon alone, with handlers that are not the daemon's. */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { FLOW_KEEP } from "../../../lib/codes.ts";
import { instanceOf, irmSocketPath } from "../../../lib/instance.ts";
import { decodeIrmMsg, type IrmMsg } from "../../../lib/irm/messages.ts";
import { type Level, Logger } from "../../../lib/log.ts";
import { EventSource } from "../../../lib/sys/epoll.ts";
import { Fd } from "../../../lib/sys/fd.ts";
import { SeqSocket } from "../../../lib/sys/socket.ts";
import { failed, ok, type Outcome } from "../../../irmd/answer.ts";
import type { Client } from "../../../irmd/client.ts";
import { Share } from "../../../irmd/shares.ts";
import { type Handler, Server } from "../../../irmd/server.ts";

interface Setting {
  readonly path: string;
  readonly server: Server;
  readonly lines: string[];
}

function serverTest(
  name: string,
  handler: Handler,
  body: (s: Setting) => void | Promise<void>,
  shareOf: (uid: number) => number = () => 0,
): void {
  Deno.test({
    name,
    // libc is opened once a process and stays open.
    sanitizeResources: false,
    async fn() {
      const prefix = Deno.makeTempDirSync();
      const instance = instanceOf(prefix);
      Deno.mkdirSync(instance.socketDir, { recursive: true });
      EventSource.get();
      const before = Fd.live;
      const lines: string[] = [];
      const log = new Logger((level: Level, _, text) => lines.push(`${level} ${text}`), "irmd");
      const server = new Server(instance, 0o600, log, handler, new Share(16, 6), shareOf);
      try {
        await body({ path: irmSocketPath(instance), server, lines });
      } finally {
        server.close();
        await EventSource.get().idle();
        Deno.removeSync(prefix, { recursive: true });
      }
      assertEquals(Fd.live, before);
    },
  });
}

/** The reply to one byte; undefined when the connection is closed without one. */
async function ask(path: string, byte: number): Promise<IrmMsg | undefined> {
  using s = SeqSocket.connect(path);
  s.sendSync(new Uint8Array([byte]));
  const reply = await s.recv({ timeoutMs: 60_000 });
  return reply === null ? undefined : decodeIrmMsg(reply) as IrmMsg;
}

/** 1: a reply at once; 2: later; 3: none; 4: throws; 5: rejects; 6: never, until the client hangs up. */
function byFirstByte(client: Client, packet: Uint8Array): Outcome | Promise<Outcome> {
  switch (packet[0]) {
    case 1:
      return ok();
    case 2:
      return Promise.resolve(failed(-1007, "stage", "cause"));
    case 4:
      throw new Error("defect");
    case 5:
      return Promise.reject(new Error("late defect"));
    case 6:
      return new Promise((resolve) => client.onHangup(() => resolve(undefined)));
    default:
      return undefined;
  }
}

serverTest(
  "Server replies at once, later, or closes without reply",
  byFirstByte,
  async ({ path }) => {
    assertEquals((await ask(path, 1))?.result, 0);
    const late = await ask(path, 2);
    assertEquals([late?.result, late?.error?.cause], [-1007, "cause"]);
    assertEquals(await ask(path, 3), undefined);
  },
);

serverTest("Server survives a handler with a defect", byFirstByte, async ({ path, lines }) => {
  assertEquals(await ask(path, 4), undefined);
  assertEquals(await ask(path, 5), undefined);
  assertEquals(lines, ["EE Request failed: defect.", "EE Request failed: late defect."]);
  assertEquals((await ask(path, 1))?.result, 0);
});

serverTest("Server tells a waiting handler that its client has hung up", byFirstByte, async (s) => {
  const client = SeqSocket.connect(s.path);
  client.sendSync(new Uint8Array([6]));
  assertEquals((await ask(s.path, 1))?.result, 0);
  assertEquals(s.server.busy, 1);
  client.close();
  while (s.server.busy > 0) await new Promise((done) => setTimeout(done, 1));
});

serverTest("Server.close() ends pending requests without reply", byFirstByte, async (s) => {
  using client = SeqSocket.connect(s.path);
  client.sendSync(new Uint8Array([6]));
  assertEquals((await ask(s.path, 1))?.result, 0);
  s.server.close();
  const end = await client.recv({ timeoutMs: 60_000 }).catch((e) => e);
  assert(end === null || end instanceof Error);
});

serverTest(
  "Server leaves a connection open for the next request where that is asked for",
  (client, packet) => {
    client.keep = packet[0] === 1;
    return byFirstByte(client, packet);
  },
  async ({ path, server, lines }) => {
    using s = SeqSocket.connect(path);
    for (let i = 0; i < 3; i++) {
      s.sendSync(new Uint8Array([1]));
      const reply = decodeIrmMsg((await s.recv({ timeoutMs: 60_000 }))!) as IrmMsg;
      assertEquals([reply.result, reply.opts], [0, FLOW_KEEP]);
    }
    assertEquals([server.busy, server.connections.used], [0, 1]);
    // The last one does not ask for it.
    s.sendSync(new Uint8Array([2]));
    const last = decodeIrmMsg((await s.recv({ timeoutMs: 60_000 }))!) as IrmMsg;
    assertEquals([last.result, last.opts], [-1007, undefined]);
    assertEquals(await s.recv({ timeoutMs: 60_000 }), null);
    const other = SeqSocket.connect(path);
    other.sendSync(new Uint8Array([1]));
    await other.recv({ timeoutMs: 60_000 });
    other.close();
    while (server.connections.used > 0) await new Promise((done) => setTimeout(done, 1));
    assertEquals(lines, []);
  },
);

const told: string[] = [];
serverTest(
  "Server calls delivered() when the reply has been sent, and not when the client has gone",
  (client, packet) => {
    const answer = { ...ok({}, () => told.push("gone")), delivered: () => void told.push("sent") };
    if (packet[0] === 1) return answer;
    return new Promise((resolve) => client.onHangup(() => resolve(answer)));
  },
  async (s) => {
    assertEquals((await ask(s.path, 1))?.result, 0);
    assertEquals(told, ["sent"]);
    const client = SeqSocket.connect(s.path);
    client.sendSync(new Uint8Array([2]));
    assertEquals((await ask(s.path, 1))?.result, 0);
    client.close();
    while (s.server.busy > 0) await new Promise((done) => setTimeout(done, 1));
    assertEquals(told, ["sent", "sent", "gone"]);
  },
);

let undelivered = 0;
serverTest(
  "Server calls undelivered() when the client has gone before its reply",
  (client, packet) => {
    if (packet[0] === 1) return ok();
    return new Promise((resolve) => {
      client.onHangup(() => resolve(ok({}, () => undelivered += 1)));
    });
  },
  async (s) => {
    const client = SeqSocket.connect(s.path);
    client.sendSync(new Uint8Array([2]));
    assertEquals((await ask(s.path, 1))?.result, 0);
    client.close();
    while (s.server.busy > 0) await new Promise((done) => setTimeout(done, 1));
    assertEquals(undelivered, 1);
  },
);

const silent = async (path: string, n: number): Promise<SeqSocket[]> => {
  const all: SeqSocket[] = [];
  for (let i = 0; i < n; i++) {
    all.push(SeqSocket.tryConnect(path) ?? await SeqSocket.connectAsync(path));
  }
  return all;
};
const stays = async (s: SeqSocket) => {
  assertInstanceOf(await s.recv({ timeoutMs: 1 }).catch((e) => e), Error);
};

serverTest(
  "Server: a silent connection of its own makes room when a user has its share",
  byFirstByte,
  async ({ path, server }) => {
    const mine = await silent(path, 5);
    try {
      // 16 in all, 6 kept, so a user gets 5 and leaves as many.
      await stays(mine[0]!);
      assertEquals((await ask(path, 1))?.result, 0);
      assertEquals(await mine[0]!.recv({ timeoutMs: 60_000 }), null);
      await stays(mine[1]!);
      assertEquals(server.connections.heldBy(7), 4);
    } finally {
      for (const s of mine) s.close();
    }
    while (server.connections.used > 0) await new Promise((done) => setTimeout(done, 1));
  },
  () => 7,
);

serverTest(
  "Server: one more connection is closed when a user has its share in requests",
  byFirstByte,
  async ({ path, server, lines }) => {
    const waiting = await silent(path, 5);
    try {
      for (const s of waiting) s.sendSync(new Uint8Array([6]));
      while (server.busy < 5) await new Promise((done) => setTimeout(done, 1));
      const [more] = await silent(path, 1);
      const end = await more!.recv({ timeoutMs: 60_000 }).catch((e) => e);
      assert(end === null || end.errno === 104, String(end));
      more!.close();
      assert(lines.some((l) => l.includes("uid 7 is refused")), lines.join("\n"));
      await stays(waiting[0]!);
    } finally {
      for (const s of waiting) s.close();
    }
    while (server.connections.used > 0) await new Promise((done) => setTimeout(done, 1));
    assertEquals((await ask(path, 1))?.result, 0);
  },
  () => 7,
);
