// irmRequest(), irmRequestSync() and AdminClient against a socket of this test that plays the IRMd.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { OuroError } from "../../../../lib/errno.ts";
import { type Instance, instanceOf, irmSocketPath } from "../../../../lib/instance.ts";
import { AdminClient } from "../../../../lib/irm/admin.ts";
import { FLOW_KEEP } from "../../../../lib/codes.ts";
import { irmRequest, irmRequestSync } from "../../../../lib/irm/client.ts";
import { KeptConnections } from "../../../../lib/irm/kept.ts";
import {
  decodeIrmMsg,
  encodeIrmMsg,
  IrmCode,
  type IrmMsg,
  type NameInfo,
} from "../../../../lib/irm/messages.ts";
import { SeqListener, type SeqSocket } from "../../../../lib/sys/socket.ts";
import { QOS } from "../../../../lib/qos.ts";

/** An instance in a temporary directory. */
function withInstance(run: (i: Instance) => void | Promise<void>): () => Promise<void> {
  return async () => {
    const dir = await Deno.makeTempDir();
    try {
      const instance = instanceOf(dir);
      await Deno.mkdir(instance.socketDir, { recursive: true });
      await run(instance);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  };
}

/** Answers every request with what `answer` gives; null closes, undefined leaves the connection open. */
function serve(
  i: Instance,
  answer: (m: IrmMsg, s: SeqSocket) => Uint8Array | null | undefined,
): Disposable & { seen: IrmMsg[] } {
  const seen: IrmMsg[] = [];
  const open = new Set<SeqSocket>();
  const listener = SeqListener.listen(irmSocketPath(i), 0o600, 8);
  const watch = listener.onConnection((s) => {
    open.add(s);
    s.recv({ maxBytes: 1 << 20 }).then((b) => {
      const m = decodeIrmMsg(b!) as IrmMsg;
      seen.push(m);
      const r = answer(m, s);
      if (r === undefined) return;
      if (r !== null) {
        s.setSendBuffer(r.length * 2);
        s.sendSync(r);
      }
      s.close();
      open.delete(s);
    });
  }, (e) => {
    throw e;
  });
  return {
    seen,
    [Symbol.dispose]() {
      watch.close();
      for (const s of open) s.close();
      listener.close();
    },
  };
}

const ok = (more: Partial<IrmMsg> = {}) =>
  encodeIrmMsg({ code: IrmCode.IRM_REPLY, result: 0, ...more });

async function codeOf(p: Promise<unknown>): Promise<OuroError> {
  return await assertRejects(() => p, OuroError) as OuroError;
}

Deno.test(
  "irmRequest() gives the reply whatever its result",
  withInstance(async (i) => {
    using irmd = serve(i, (m) => ok({ result: -(m.pid ?? 0) }));
    assertEquals((await irmRequest(i, { code: 12, pid: 5 })).result, -5);
    assertEquals((await irmRequest(i, { code: 12, pid: 1007 })).result, -1007);
    assertEquals(irmd.seen.length, 2);
  }),
);

Deno.test(
  "irmRequest() says that the IRMd is not running",
  withInstance(async (i) => {
    const e = await codeOf(irmRequest(i, { code: 4 }));
    assertEquals(e.code, -1002);
    assert(e.message.includes("IRMd is not running (start it with `ouro irmd`)"), e.message);
    serve(i, () => null)[Symbol.dispose](); // The socket file stays, nobody listens.
    assertEquals((await codeOf(irmRequest(i, { code: 4 }))).code, -1002);
    const sync = assertThrows(() => irmRequestSync(i, { code: 4 }), OuroError) as OuroError;
    assertEquals(sync.code, -1002);
  }),
);

Deno.test(
  "irmRequest() fails with -1002 on a closed connection and on a senseless answer",
  withInstance(async (i) => {
    const answers = [
      null,
      Uint8Array.fromHex("ffffffff"),
      encodeIrmMsg({ code: IrmCode.IRM_LIST_NAMES }),
      Uint8Array.fromHex("080f3a050a03616263"),
    ];
    let n = 0;
    using _irmd = serve(i, () => answers[n++]!);
    for (let k = 0; k < answers.length; k++) {
      assertEquals((await codeOf(irmRequest(i, { code: 4 }))).code, -1002);
    }
  }),
);

Deno.test(
  "irmRequest() ends with -110 at its deadline and with the reason of its signal",
  withInstance(async (i) => {
    using _irmd = serve(i, () => undefined);
    assertEquals((await codeOf(irmRequest(i, { code: 4 }, { timeoutMs: 20 }))).code, -110);
    const abort = new AbortController();
    const pending = irmRequest(i, { code: 4 }, { signal: abort.signal });
    abort.abort(new RangeError("enough"));
    await assertRejects(() => pending, RangeError, "enough");
    const before = irmRequest(i, { code: 4 }, { signal: abort.signal });
    await assertRejects(() => before, RangeError, "enough");
  }),
);

Deno.test(
  "irmRequest() gives a reply that came before its signal aborted: the IRMd holds it for delivered",
  withInstance(async (i) => {
    const abort = new AbortController();
    using _irmd = serve(i, (_, s) => {
      s.sendSync(ok({ pid: 77 }));
      abort.abort(); // before the client's event loop looks
      return undefined;
    });
    assertEquals((await irmRequest(i, { code: 4 }, { signal: abort.signal })).pid, 77);
  }),
);

Deno.test(
  "irmRequestSync() ends with -110 when nobody answers",
  withInstance((i) => {
    using _irmd = serve(i, () => undefined);
    const e = assertThrows(
      () => irmRequestSync(i, { code: 4 }, { timeoutMs: 20 }),
      OuroError,
    ) as OuroError;
    assertEquals(e.code, -110);
  }),
);

Deno.test(
  "irmRequest() reads replies beyond 10240 bytes",
  withInstance(async (i) => {
    const names: NameInfo[] = Array.from({ length: 5000 }, (_, n) => ({
      name: `name-${n}-${"x".repeat(20)}`,
      polLb: n % 2,
      skey: "",
      scrt: "",
      ckey: "",
      ccrt: "",
    }));
    const reply = ok({ names });
    assert(reply.length > 150_000);
    using _irmd = serve(i, () => reply);
    assertEquals((await irmRequest(i, { code: 17 })).names, names);
    assertEquals((await new AdminClient(i).listNames()).length, 5000);
  }),
);

Deno.test(
  "AdminClient sends what the C library sends, and rejects with the daemon's detail",
  withInstance(async (i) => {
    let result = 0;
    const error = { stage: "name", process: "irmd", cause: 'name "x" is not known here' };
    using irmd = serve(i, () => result === 0 ? ok() : ok({ result, error }));
    const admin = new AdminClient(i);
    const hex = async (call: Promise<unknown>) => {
      await call;
      return encodeIrmMsg(irmd.seen.pop()!).toHex();
    };
    // The same bytes as vectors msg/irm_msg/…
    assertEquals(await hex(admin.createIpcp("l1", 0)), "0801320a080012026c3118002000");
    assertEquals(await hex(admin.enrollIpcp(2058, "uni")), "08061894205a03756e69");
    assertEquals(await hex(admin.bindProcess(1960, "u1")), "080d18d01e22027531");
    assertEquals(await hex(admin.regName("u1", 1911)), "081218ee1d22027531");
    assertEquals(
      await hex(admin.bindProgram(["/opt/o7s/bin/oping"], "ping.srv", false)),
      "0809220870696e672e7372764a122f6f70742f6f37732f62696e2f6f70696e674a00800100",
    );
    assertEquals(
      await hex(admin.connectIpcp(2058, "u1", "Management", QOS.raw)),
      "08071894205a027531721a08ffffffff0f1000180020012801300038ffffffff0f40c0a907aa010a4d616e6167656d656e74",
    );
    await admin.unbindProgram("/opt/o7s/bin/oping", "n");
    assertEquals(irmd.seen.pop(), { code: IrmCode.IRM_UNBIND_PROGRAM, prog: "oping", name: "n" });
    result = -1007;
    const e = await codeOf(admin.regName("x", 5));
    assertEquals(e.code, -1007);
    assertEquals(e.detail, error);
    assertEquals(e.message, `Cannot register name "x" with IPCP 5: -1007: ${error.cause}`);
  }),
);

Deno.test(
  "AdminClient refuses bad arguments with -22 before it sends anything",
  withInstance(async (i) => {
    using irmd = serve(i, () => ok());
    const admin = new AdminClient(i);
    const long = "n".repeat(256);
    const info = { name: "n", polLb: 0, skey: "", scrt: "", ckey: "", ccrt: "" };
    for (
      const call of [
        () => admin.createIpcp(long, 0),
        () => admin.destroyIpcp(-1),
        () => admin.bindProcess(1.5, "n"),
        () => admin.bindProcess(1, "a\0b"),
        () => admin.destroyName("é".repeat(128)),
        () => admin.regName("\ud800", 1),
        () => admin.createName({ ...info, scrt: "p".repeat(512) }),
        () => admin.bindProgram([long], "n", false),
        () => admin.enrollIpcp(1, long),
      ]
    ) {
      assertEquals((await codeOf(call())).code, -22);
    }
    assertEquals(irmd.seen.length, 0);
  }),
);

/** Answers so many requests of each connection and leaves it open, then closes with the next one unread. */
function keeping(i: Instance, most: number): Disposable & { connections: number } {
  const open = new Set<SeqSocket>();
  const listener = SeqListener.listen(irmSocketPath(i), 0o600, 8);
  const irmd = { connections: 0, [Symbol.dispose]: () => {} };
  const next = (s: SeqSocket, left: number) =>
    s.onReadable(() => {
      if (left === 0 || !(s.tryRecv(10_240) instanceof Uint8Array)) {
        open.delete(s);
        return s.close();
      }
      s.sendSync(ok({ opts: FLOW_KEEP, pid: irmd.connections }));
      next(s, left - 1);
    });
  const watch = listener.onConnection((s) => {
    irmd.connections += 1;
    open.add(s);
    next(s, most);
  }, reportError);
  irmd[Symbol.dispose] = () => {
    watch.close();
    for (const s of open) s.close();
    listener.close();
  };
  return irmd;
}

Deno.test(
  "irmRequest() asks again on a connection that the IRMd keeps, and on another when that is closed unread",
  withInstance(async (i) => {
    using irmd = keeping(i, 2);
    const kept = new KeptConnections();
    const on = [];
    for (let n = 0; n < 5; n++) on.push((await irmRequest(i, { code: 23 }, { kept })).pid);
    assertEquals(on, [1, 1, 2, 2, 3]);
    kept.close();
    assertEquals((await irmRequest(i, { code: 23 }, { kept })).pid, 4);
    // Closed: nothing is kept any more.
    assertEquals((await irmRequest(i, { code: 23 }, { kept })).pid, 5);
    assertEquals(irmd.connections, 5);
  }),
);

Deno.test(
  "irmRequest() on a connection that the IRMd did not keep has a new one",
  withInstance(async (i) => {
    using irmd = serve(i, () => ok());
    const kept = new KeptConnections();
    await irmRequest(i, { code: 23 }, { kept });
    await irmRequest(i, { code: 23 }, { kept });
    assertEquals(irmd.seen.length, 2);
    assertEquals(kept.take(), undefined);
  }),
);
