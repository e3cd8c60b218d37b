// What the IRMd sends to an IPCP whose queue is full keeps its order: nothing overtakes what it takes back.

import { assert, assertEquals } from "@std/assert";
import { instanceOf, ipcpSocketPath } from "../../../lib/instance.ts";
import { decodeIpcpMsg, encodeIpcpMsg, IpcpCode, type IpcpMsg } from "../../../lib/irm/messages.ts";
import { Logger, nullSink } from "../../../lib/log.ts";
import { SeqListener, SeqSocket } from "../../../lib/sys/socket.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import { IpcpClient } from "../../../irmd/ipcp_client.ts";

Deno.test("a dealloc does not overtake the allocation that waits for a place in the IPCP's queue", async () => {
  const prefix = await Deno.makeTempDir({ prefix: "ouro-test-" });
  const instance = instanceOf(prefix);
  await Deno.mkdir(instance.socketDir, { recursive: true });
  const path = ipcpSocketPath(instance, Deno.pid);
  const held: SeqSocket[] = [];
  try {
    using listener = SeqListener.listen(path, 0o600, 0);
    // Others fill the queue.
    for (let s; (s = SeqSocket.tryConnect(path)) !== null;) held.push(s);
    assert(held.length > 0);
    const client = new IpcpClient(instance, new Logger(nullSink, "test"));
    const request = { flowId: 7, pid: 1, uid: 0, hash: new Uint8Array(4), pk: new Uint8Array(0) };
    const asked = client.call(
      Deno.pid,
      "alloc",
      { code: IpcpCode.IPCP_FLOW_ALLOC, ...request },
      20_000,
    );
    // A place is free for whoever comes now.
    listener.accept()![Symbol.dispose]();
    const dealloc = { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: 7, timeoSec: 0 };
    const taken = client.call(Deno.pid, "dealloc", dealloc);
    const codes: number[] = [];
    for (let turns = 0; codes.length < 2; turns++) {
      assert(turns < 30_000, `heard of ${codes}`);
      await new Promise((done) => setTimeout(done, 1));
      using socket = listener.accept();
      if (socket === null) continue;
      let bytes: Uint8Array | null = null;
      try {
        bytes = await socket.recv({ timeoutMs: held.length > 0 ? 0 : 60_000 });
      } catch { /* one of those that only filled the queue */ }
      held.pop()?.[Symbol.dispose]();
      if (bytes === null) continue;
      const msg = decodeIpcpMsg(bytes);
      assert(!isWireError(msg));
      codes.push((msg as IpcpMsg).code);
    }
    assertEquals(codes, [IpcpCode.IPCP_FLOW_ALLOC, IpcpCode.IPCP_FLOW_DEALLOC]);
    await Promise.all([asked, taken]);
  } finally {
    for (const s of held) s[Symbol.dispose]();
    await Deno.remove(prefix, { recursive: true });
  }
});

Deno.test("an IPCP has its time for an answer, and as many times that as the daemon is patient", async () => {
  const prefix = await Deno.makeTempDir({ prefix: "ouro-test-" });
  const instance = instanceOf(prefix);
  await Deno.mkdir(instance.socketDir, { recursive: true });
  try {
    // It takes connections and says nothing.
    using _listener = SeqListener.listen(ipcpSocketPath(instance, Deno.pid), 0o600, 16);
    const log = new Logger(nullSink, "test");
    const query = { code: IpcpCode.IPCP_QUERY, hash: new Uint8Array(4) };
    const dealloc = { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: 7, timeoSec: 0 };
    const causes = [];
    for (const [patience, limitMs] of [[0.1, Infinity], [0.3, Infinity], [3, 50]] as const) {
      const client = new IpcpClient(instance, log, patience);
      const reply = await client.call(Deno.pid, "query", query, limitMs);
      causes.push(reply.kind === "reply" ? "a reply" : reply.cause);
    }
    // What is not waited for in earnest takes no longer.
    const taken = await new IpcpClient(instance, log, 99).call(Deno.pid, "dealloc", dealloc);
    causes.push(taken.kind === "reply" ? "a reply" : taken.cause);
    const late = (ms: number) => `IPCP ${Deno.pid} did not answer in ${ms} ms`;
    assertEquals(causes, [late(200), late(600), late(50), late(4)]);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});

Deno.test("an answer that is no reply with a result makes no sense; a hang-up is said", async () => {
  const prefix = await Deno.makeTempDir({ prefix: "ouro-test-" });
  const instance = instanceOf(prefix);
  await Deno.mkdir(instance.socketDir, { recursive: true });
  try {
    using listener = SeqListener.listen(ipcpSocketPath(instance, Deno.pid), 0o600, 16);
    const client = new IpcpClient(instance, new Logger(nullSink, "test"), 100);
    const query = { code: IpcpCode.IPCP_QUERY, hash: new Uint8Array(4) };
    const answered = async (bytes: Uint8Array | undefined) => {
      const reply = client.call(Deno.pid, "query", query);
      let socket: SeqSocket | null = null;
      while (socket === null) {
        await new Promise((done) => setTimeout(done, 1));
        socket = listener.accept();
      }
      using taken = socket;
      await taken.recv({ timeoutMs: 60_000 });
      if (bytes !== undefined) taken.trySend(bytes);
      else taken[Symbol.dispose]();
      const r = await reply;
      return r.kind === "reply" ? r.result : r.cause;
    };
    const reply = { code: IpcpCode.IPCP_REPLY, result: -7 };
    assertEquals(await answered(encodeIpcpMsg(reply)), -7);
    const nonsense = `the answer of IPCP ${Deno.pid} makes no sense`;
    assertEquals(await answered(Uint8Array.of(0xff, 0xff, 0xff)), nonsense);
    assertEquals(await answered(encodeIpcpMsg({ ...query, result: 0 })), nonsense);
    assertEquals(await answered(encodeIpcpMsg({ code: IpcpCode.IPCP_REPLY })), nonsense);
    assertEquals(await answered(undefined), `IPCP ${Deno.pid} hung up`);
  } finally {
    await Deno.remove(prefix, { recursive: true });
  }
});
