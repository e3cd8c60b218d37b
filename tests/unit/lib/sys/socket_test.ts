/** What is proved here: SOCK_SEQPACKET sockets and the event source. Processes are in process_test.ts. */

import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { EventSource } from "../../../../lib/sys/epoll.ts";
import { EventFd, Fd } from "../../../../lib/sys/fd.ts";
import { SysError } from "../../../../lib/sys/ffi.ts";
import { SeqListener, SeqSocket } from "../../../../lib/sys/socket.ts";
import { Errno } from "../../../../lib/errno.ts";
import { sysTest } from "../../../support/sys.ts";

/** A test with a listener in a directory of its own. */
function socketTest(
  name: string,
  body: (l: SeqListener, path: string) => void | Promise<void>,
): void {
  sysTest(name, async (dir) => {
    const path = `${dir}/s`;
    using l = SeqListener.listen(path, 0o600, 8);
    await body(l, path);
  });
}

const bytes = (...b: number[]) => new Uint8Array(b);

socketTest(
  "SeqListener.accept() gives null without a client, then a socket per client",
  (l, path) => {
    assertEquals(l.accept(), null);
    using a = SeqSocket.connect(path);
    using b = SeqSocket.connect(path);
    using sa = l.accept()!;
    using sb = l.accept()!;
    assertEquals(l.accept(), null);
    a.sendSync(bytes(1));
    b.sendSync(bytes(2));
    assertEquals(sa.recvSync(10), bytes(1));
    assertEquals(sb.recvSync(10), bytes(2));
  },
);

socketTest("SeqListener.listen() sets the mode and removes what lies at the path", (l, path) => {
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  l.close();
  using again = SeqListener.listen(path, 0o666, 1);
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o666);
  assertEquals(again.accept(), null);
});

socketTest("SeqSocket keeps packet boundaries and gives null at the end", (l, path) => {
  const a = SeqSocket.connect(path);
  using s = l.accept()!;
  a.sendSync(bytes(1, 2, 3));
  a.sendSync(bytes(4));
  a.close();
  assertEquals(s.recvSync(10), bytes(1, 2, 3));
  assertEquals(s.recvSync(10), bytes(4));
  assertEquals(s.recvSync(10), null);
  assert(s.hungUp);
});

socketTest("SeqSocket.tryRecv() reports nothing there and a packet that is too long", (l, path) => {
  using a = SeqSocket.connect(path);
  using s = l.accept()!;
  assertEquals(s.tryRecv(4), -Errno.EAGAIN);
  a.sendSync(new Uint8Array(5));
  assertEquals(s.tryRecv(4), -Errno.EMSGSIZE);
  a.sendSync(new Uint8Array(4));
  assertEquals(s.tryRecv(4), new Uint8Array(4));
});

socketTest("SeqSocket.peerCred() names this process", (l, path) => {
  using _a = SeqSocket.connect(path);
  using s = l.accept()!;
  const cred = s.peerCred();
  assertEquals(cred.pid, Deno.pid);
  assertEquals(cred.uid, Deno.uid());
  assertEquals(cred.gid, Deno.gid());
});

socketTest("SeqSocket.peerGroups() gives the supplementary groups of this process", (l, path) => {
  using _a = SeqSocket.connect(path);
  using s = l.accept()!;
  const status = Deno.readTextFileSync("/proc/self/status");
  const groups = /^Groups:[ \t]*(.*)$/m.exec(status)![1]!.trim().split(/\s+/).filter((w) =>
    w !== ""
  );
  assertEquals(s.peerGroups().sort(), groups.map(Number).sort());
});

socketTest("SeqSocket.recv() waits for the packet", async (l, path) => {
  using a = SeqSocket.connect(path);
  using s = l.accept()!;
  const got = s.recv();
  await Promise.resolve();
  a.sendSync(bytes(7));
  assertEquals(await got, bytes(7));
});

socketTest("SeqSocket.recv() ends at its deadline and at its signal", async (l, path) => {
  using _a = SeqSocket.connect(path);
  using s = l.accept()!;
  const late = await s.recv({ timeoutMs: 5 }).catch((e) => e);
  assertInstanceOf(late, SysError);
  assertEquals(late.errno, Errno.ETIMEDOUT);
  const stop = new AbortController();
  const aborted = s.recv({ signal: stop.signal }).catch((e) => e);
  stop.abort(new Error("enough"));
  assertEquals((await aborted).message, "enough");
});

socketTest(
  "SeqSocket.lastRecv() gives what came before, and the sender hears that nothing more is taken",
  (l, path) => {
    using a = SeqSocket.connect(path);
    using s = l.accept()!;
    a.sendSync(bytes(7));
    assertEquals(s.lastRecv(10), bytes(7));
    assertEquals(a.trySend(bytes(8)), -Errno.EPIPE);
    assertEquals(s.lastRecv(10), null);
  },
);

socketTest(
  "SeqSocket.onHangup() is called when the peer closes, and only then",
  async (l, path) => {
    const a = SeqSocket.connect(path);
    using s = l.accept()!;
    let hungUp = false;
    const seen = new Promise<void>((done) =>
      s.onHangup(() => {
        hungUp = true;
        done();
      })
    );
    a.sendSync(bytes(1));
    assertEquals(await s.recv(), bytes(1));
    assertEquals(hungUp, false);
    a.close();
    await seen;
  },
);

socketTest(
  "SeqSocket.onReadable() calls once each time, for what has come before as well",
  async (l, path) => {
    using a = SeqSocket.connect(path);
    using s = l.accept()!;
    let calls = 0;
    const readable = () =>
      new Promise<void>((done) =>
        s.onReadable(() => {
          calls += 1;
          done();
        })
      );
    for (let n = 1; n <= 3; n++) {
      a.sendSync(bytes(n));
      a.sendSync(bytes(n));
      await readable();
      assertEquals(s.tryRecv(10), bytes(n));
      // Nobody waits, so nobody is told of the second.
      await new Promise((done) => setTimeout(done, 0));
      assertEquals(calls, 2 * n - 1);
      await readable();
      assertEquals(s.tryRecv(10), bytes(n));
    }
    const first = () => assert(false, "it was replaced");
    s.onReadable(first);
    const hungUp = new Promise<void>((done) => s.onHangup(done));
    a.sendSync(bytes(9));
    a.close();
    await hungUp;
    assertEquals(s.tryRecv(10), bytes(9));
  },
);

socketTest("SeqSocket.sendSync() to a peer that is gone is an error, not a signal", (l, path) => {
  using a = SeqSocket.connect(path);
  l.accept()!.close();
  const e = assertThrows(() => a.sendSync(bytes(1)), SysError);
  assertEquals(e.errno, Errno.EPIPE);
});

socketTest("SeqSocket.tryConnect() gives null when the queue is full", async (l, path) => {
  l.close();
  using small = SeqListener.listen(path, 0o600, 0);
  const made: SeqSocket[] = [];
  for (;;) {
    const s = SeqSocket.tryConnect(path);
    if (s === null) break;
    made.push(s);
    assert(made.length < 10);
  }
  const late = await SeqSocket.connectAsync(path, { timeoutMs: 3 }).catch((e) => e);
  assertInstanceOf(late, SysError);
  assertEquals(late.errno, Errno.ETIMEDOUT);
  const soon = SeqSocket.connectAsync(path, { timeoutMs: 60_000 });
  small.accept()!.close();
  (await soon).close();
  for (const s of made) s.close();
});

Deno.test({
  name: "SeqSocket.connect() names the path it could not reach, and refuses paths that do not fit",
  sanitizeResources: false,
  fn() {
    const missing = assertThrows(() => SeqSocket.connect("/nowhere/s"), SysError);
    assertEquals(missing.errno, Errno.ENOENT);
    assertEquals(missing.object, "/nowhere/s");
    assertThrows(() => SeqSocket.connect("/" + "x".repeat(107)), SysError);
    assertThrows(() => SeqSocket.connect("/a\0b"), SysError);
  },
});

Deno.test({
  name: "EventSource calls back until the cause is gone, and not after close()",
  sanitizeResources: false,
  async fn() {
    const source = EventSource.get();
    using e = EventFd.open();
    let calls = 0;
    await new Promise<void>((done) => {
      const w = source.watch(e.raw, { read: true }, () => {
        calls += 1;
        if (calls === 3) {
          w.close();
          done();
        }
      });
      e.bump();
    });
    assertEquals(calls, 3);
    assertEquals(source.size, 0);
    await source.idle();
    assertEquals(calls, 3);
  },
});

Deno.test({
  name:
    "EventSource.after() calls back in the order of times while something is watched, unless called off",
  sanitizeResources: false,
  async fn() {
    const source = EventSource.get();
    using e = EventFd.open();
    const rang: number[] = [];
    const watch = source.watch(e.raw, { read: true }, () => {});
    source.after(60_000, () => rang.push(60_000))();
    await new Promise<void>((done) => {
      source.after(20, () => {
        rang.push(20);
        done();
      });
      source.after(1, () => rang.push(1));
      source.after(2, () => rang.push(2))();
    });
    assertEquals(rang, [1, 20]);
    watch.close();
    await source.idle();
  },
});

socketTest(
  "EventSource starves neither timers nor other threads while brisk events never pause",
  async (l, path) => {
    using a = SeqSocket.connect(path);
    using b = l.accept()!;
    let ticks = 0;
    const ticking = setInterval(() => ticks += 1, 1);
    const code = "onmessage = (e) => { for (let n = 0; n < 1e6; n++); postMessage(e.data + 1); }";
    const url = URL.createObjectURL(new Blob([code]));
    const worker = new Worker(url, { type: "module" });
    let answers = 0;
    worker.onmessage = (e) => {
      answers = e.data;
      worker.postMessage(answers);
    };
    worker.postMessage(0);
    let digests = 0;
    const digest = async () => {
      for (; digests < 3; digests++) await crypto.subtle.digest("SHA-256", new Uint8Array(1e5));
    };
    const digested = digest();
    const echo = async () => {
      for (let m = await b.recv(); m !== null; m = await b.recv()) b.sendSync(m);
    };
    const echoed = echo();
    // Without an end where one of them is starved.
    for (let n = 0; ticks < 3 || answers < 3 || digests < 3 || n < 200; n++) {
      a.sendSync(bytes(n & 0xff));
      assertEquals(await a.recv(), bytes(n & 0xff));
    }
    clearInterval(ticking);
    worker.terminate();
    URL.revokeObjectURL(url);
    await digested;
    a.close();
    await echoed;
    await EventSource.get().idle();
  },
);

Deno.test({
  name: "EventSource.watch() does not call back before it has returned, modify() changes interest",
  sanitizeResources: false,
  async fn() {
    const source = EventSource.get();
    using e = EventFd.open();
    using other = EventFd.open();
    e.bump();
    let calls = 0;
    const w = source.watch(e.raw, { read: true }, () => calls += 1);
    assertEquals(calls, 0);
    w.modify({});
    await new Promise<void>((done) => {
      const w2 = source.watch(other.raw, { write: true }, () => {
        w2.close();
        done();
      });
    });
    assertEquals(calls, 0);
    w.close();
    await source.idle();
  },
});

Deno.test({
  name: "Fd.raw throws after close(), and close() is idempotent",
  sanitizeResources: false,
  fn() {
    const before = Fd.live;
    const e = EventFd.open();
    assertEquals(Fd.live, before + 1);
    e.close();
    e.close();
    assertEquals(Fd.live, before);
    assertThrows(() => e.raw, SysError);
  },
});

socketTest("SeqListener.listen() never removes a socket that answers", (l, path) => {
  const e = assertThrows(() => SeqListener.listen(path, 0o600, 8), SysError);
  assertEquals(e.errno, Errno.EADDRINUSE);
  l.accept()?.close();
  using a = SeqSocket.connect(path);
  using s = l.accept()!;
  a.sendSync(bytes(3));
  assertEquals(s.lastRecv(10), bytes(3));
});
