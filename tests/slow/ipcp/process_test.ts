// The common part of every IPCP in the test's own process: its life, its socket, and what each command makes of a type.

import { assert, assertEquals } from "@std/assert";
import { IpcpProcess } from "../../../ipcp/process.ts";
import type { IpcpContext, IpcpType } from "../../../ipcp/type.ts";
import { Errno } from "../../../lib/errno.ts";
import { ipcpSocketPath } from "../../../lib/instance.ts";
import {
  decodeIpcpMsg,
  encodeIpcpMsg,
  IpcpCode,
  type IpcpMsg,
  IpcpState,
  IpcpType as TypeNumber,
  IrmCode,
  refusalDetail,
} from "../../../lib/irm/messages.ts";
import { FLOW_IDS_MAX } from "../../../lib/limits.ts";
import { Logger } from "../../../lib/log.ts";
import { QOS, QOS_NP1 } from "../../../lib/qos.ts";
import { SeqSocket } from "../../../lib/sys/socket.ts";
import { isWireError } from "../../../lib/wire/mod.ts";
import { until } from "../../support/deadline.ts";
import { unicastConf } from "../../support/members.ts";
import { ThreadIrmd } from "../../support/thread_irmd.ts";

const CONF = unicastConf("lay", 0n);
const HASH = new Uint8Array(32).fill(5);
const PK = Uint8Array.of(1, 2);
const EMPTY = new Uint8Array(0);

/** A type that does as it is told, and says what it was asked. */
class Script implements Required<IpcpType> {
  readonly type = "unicast";
  readonly asked: unknown[][] = [];
  /** The result of every operation that may fail with a reason. */
  result: number | { code: number; cause: string; stage?: string } = 0;
  /** What entering a layer comes to. */
  enter: () => ReturnType<IpcpType["bootstrap"]> = () => Promise.resolve(CONF.layerInfo);
  stops = 0;

  constructor(readonly context: IpcpContext) {}

  bootstrap(...args: Parameters<IpcpType["bootstrap"]>): ReturnType<IpcpType["bootstrap"]> {
    this.asked.push(["bootstrap", ...args]);
    return this.enter();
  }
  enroll(...args: unknown[]): ReturnType<IpcpType["bootstrap"]> {
    this.asked.push(["enroll", ...args]);
    return this.enter();
  }
  policies(): [{ kind: number; file: string }] {
    return [{ kind: 1, file: "p.ts" }];
  }
  #number(name: string, args: unknown[]): number {
    this.asked.push([name, ...args]);
    return typeof this.result === "number" ? this.result : this.result.code;
  }
  #any(name: string, args: unknown[]): Promise<number | { code: number; cause: string }> {
    this.asked.push([name, ...args]);
    return Promise.resolve(this.result);
  }
  register(...args: unknown[]): number {
    return this.#number("register", args);
  }
  unregister(...args: unknown[]): number {
    return this.#number("unregister", args);
  }
  query(...args: unknown[]): Promise<number | { code: number; cause: string }> {
    return this.#any("query", args);
  }
  flowAlloc(...args: unknown[]): Promise<number | { code: number; cause: string }> {
    return this.#any("flowAlloc", args);
  }
  flowJoin(...args: unknown[]): Promise<number> {
    return Promise.resolve(this.#number("flowJoin", args));
  }
  flowAllocResp(...args: unknown[]): Promise<number | { code: number; cause: string }> {
    return this.#any("flowAllocResp", args);
  }
  flowDealloc(...args: unknown[]): number {
    return this.#number("flowDealloc", args);
  }
  flowLosses(...args: unknown[]): { sent: number; received: number } {
    this.asked.push(["flowLosses", ...args]);
    return { sent: 3, received: 4 };
  }
  connect(...args: unknown[]): Promise<number | { code: number; cause: string }> {
    return this.#any("connect", args);
  }
  countMembers(): number {
    return 6;
  }
  disconnect(...args: unknown[]): Promise<number | { code: number; cause: string }> {
    return this.#any("disconnect", args);
  }
  rib(): [] {
    return [];
  }
  stop(): Promise<void> {
    this.stops += 1;
    return Promise.resolve();
  }
}

/** A running IPCP, and how to speak to it. */
class Running {
  readonly lines: string[] = [];
  type!: Script;
  everywhere = 0;
  exit!: Promise<number>;
  readonly path: string;

  constructor(readonly irmd: ThreadIrmd) {
    this.path = ipcpSocketPath(irmd.instance, Deno.pid);
  }

  begin(): this {
    const log = new Logger((level, _, text) => this.lines.push(`${level} ${text}`), "t", true);
    const confinement = {
      thread: () => {},
      everywhere: () => {
        this.everywhere += 1;
        return Promise.resolve(true);
      },
    };
    const make = (context: IpcpContext) => this.type = new Script(context);
    const { instance } = this.irmd;
    const ipcp = new IpcpProcess(instance, "unicast", "i", Deno.pid, log, make, confinement);
    this.exit = ipcp.run("ipcpd-unicast");
    return this;
  }

  /** One packet and its answer; null if there is none. */
  async raw(bytes: Uint8Array): Promise<IpcpMsg | null> {
    using s = await SeqSocket.connectAsync(this.path, { timeoutMs: 60_000 });
    s.sendSync(bytes);
    const reply = await s.recv({ timeoutMs: 60_000 });
    if (reply === null || reply.length === 0) return null;
    const m = decodeIpcpMsg(reply);
    if (isWireError(m)) throw m;
    return m;
  }

  async command(m: IpcpMsg): Promise<IpcpMsg> {
    const reply = await this.raw(encodeIpcpMsg(m));
    if (reply === null) throw new Error("no reply");
    assertEquals(reply.code, IpcpCode.IPCP_REPLY);
    return reply;
  }

  async result(m: IpcpMsg): Promise<number | undefined> {
    return (await this.command(m)).result;
  }

  bootstrap(): Promise<IpcpMsg> {
    return this.command({ code: IpcpCode.IPCP_BOOTSTRAP, conf: CONF });
  }

  /** What the type was asked since it was looked at last. */
  asked(): unknown[][] {
    return this.type.asked.splice(0);
  }

  /** The type cannot go on. */
  async end(): Promise<number> {
    this.type.context.fatal("the end of the test");
    return await this.exit;
  }
}

function processTest(name: string, use: (p: Running) => Promise<void>): void {
  Deno.test({
    name,
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using irmd = await ThreadIrmd.start();
      await use(new Running(irmd));
    },
  });
}

processTest(
  "an IPCP announces itself, listens, reports, and ends with a signal of the IRMd",
  async (p) => {
    p.begin();
    const report = await p.irmd.heard(IrmCode.IPCP_CREATE_R);
    const { pid } = Deno;
    assertEquals(report.ipcpInfo, {
      type: TypeNumber.UNICAST,
      name: "i",
      pid,
      state: IpcpState.BOOT,
    });
    assertEquals(p.irmd.said[0], { code: IrmCode.IRM_PROC_ANNOUNCE, pid, prog: "ipcpd-unicast" });
    assertEquals([p.type.context.pid, p.type.context.life.state], [pid, "boot"]);
    assertEquals((await p.bootstrap()).result, 0);
    // It goes on after what ends others.
    Deno.kill(pid, "SIGPIPE");
    assertEquals(await p.result({ code: IpcpCode.IPCP_QUERY, hash: HASH }), 0);
    Deno.kill(pid, "SIGTERM");
    assertEquals(await p.exit, 0);
    assertEquals([p.type.stops, p.type.context.life.state], [1, "null"]);
    assertEquals(await fileGone(p.path), true);
    await p.irmd.heard(IrmCode.IRM_PROC_EXIT);
  },
);

async function fileGone(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => false, () => true);
}

processTest(
  "an IRMd that does not want it, and a type that cannot go on, end it with status 1",
  async (p) => {
    p.begin();
    await p.irmd.heard(IrmCode.IPCP_CREATE_R);
    assertEquals([await p.end(), p.type.stops], [1, 1]);
    assert(p.lines.includes("EE Cannot go on: the end of the test"));
    const error = { stage: "x", process: "irmd", cause: "unknown process" };
    await p.irmd.answer(IrmCode.IPCP_CREATE_R, { result: -Errno.EPERM, error });
    const second = new Running(p.irmd).begin();
    assertEquals([await second.exit, second.type.stops], [1, 1]);
    assert(second.lines.includes("EE Failed to notify IRMd we are initialized."));
    assertEquals(await fileGone(p.path), true);
    await p.irmd.answer(IrmCode.IRM_PROC_ANNOUNCE, { result: -Errno.EPERM });
    const third = new Running(p.irmd).begin();
    assertEquals([await third.exit, third.type.stops], [1, 0]);
  },
);

processTest("what is no command is not answered, or with -22", async (p) => {
  p.begin();
  await p.irmd.heard(IrmCode.IPCP_CREATE_R);
  assertEquals(await p.raw(Uint8Array.of(0xff, 0xff)), null);
  assertEquals(await p.result({ code: 55 }), -Errno.EPERM);
  assert(p.lines.includes("EE Unknown message code: 55."));
  // A hash longer than any.
  const long = { code: IpcpCode.IPCP_QUERY, hash: new Uint8Array(100) };
  const answer = await p.raw(encodeIpcpMsg(long));
  assert(answer === null || answer.result! < 0);
  assertEquals(p.asked(), []);
  await p.end();
});

processTest(
  "in no layer yet, a unicast IPCP takes what brings it into one and nothing else",
  async (p) => {
    p.begin();
    await p.irmd.heard(IrmCode.IPCP_CREATE_R);
    const early = await p.command({
      code: IpcpCode.IPCP_FLOW_ALLOC,
      flowId: 3,
      pid: 9,
      hash: HASH,
      qos: QOS.raw,
    });
    assertEquals([early.result, early.error], [-Errno.EIPCPSTATE, {
      stage: "allocate a flow",
      process: "ipcpd-unicast i",
      cause: "it is in no layer yet (bootstrap or enroll it first)",
    }]);
    const join = await p.command({ code: IpcpCode.IPCP_FLOW_JOIN, flowId: 3, pid: 9, hash: HASH });
    assertEquals([join.result, join.error?.cause], [
      -Errno.ENOTSUP,
      "a layer of type unicast is no broadcast layer",
    ]);
    assertEquals(await p.result({ code: IpcpCode.IPCP_BOOTSTRAP }), -Errno.EINVAL);
    assertEquals(await p.result({ code: IpcpCode.IPCP_ENROLL }), -Errno.EINVAL);
    const local = { layerInfo: CONF.layerInfo, ipcpType: TypeNumber.LOCAL };
    const other = await p.command({ code: IpcpCode.IPCP_BOOTSTRAP, conf: local });
    assertEquals([other.result, other.error], [-Errno.EIPCPTYPE, {
      stage: "bootstrap",
      process: "ipcpd-unicast i",
      cause: "Configuration is not for unicast",
    }]);
    const layerInfo = { name: "lay", dirHashAlgo: 99 };
    assertEquals(
      await p.result({ code: IpcpCode.IPCP_BOOTSTRAP, conf: { ...CONF, layerInfo } }),
      -Errno.EINVAL,
    );
    assertEquals([p.asked(), p.everywhere], [[], 0]);
    await p.end();
  },
);

processTest("entering a layer: why it fails, what is cleaned up, and once is enough", async (p) => {
  p.begin();
  await p.irmd.heard(IrmCode.IPCP_CREATE_R);
  p.type.enter = () => Promise.resolve({ code: -77, cause: "It is so.", stage: "there" });
  const failed = await p.command({ code: IpcpCode.IPCP_ENROLL, dst: "n" });
  const process = "ipcpd-unicast i";
  assertEquals([failed.result, failed.error], [-77, {
    stage: "there",
    process,
    cause: "It is so",
  }]);
  assertEquals([p.asked(), p.type.stops], [[["enroll", "n", []]], 0]);
  p.type.enter = () => Promise.reject(new Error("unforeseen"));
  const thrown = await p.bootstrap();
  assertEquals([thrown.result, thrown.error?.cause, p.type.stops], [-Errno.EPERM, "unforeseen", 1]);
  p.type.enter = () => Promise.resolve(CONF.layerInfo);
  assertEquals([p.type.context.life.state, p.everywhere], ["boot", 0]);
  const policies = [{ kind: 1, file: "p.ts" }];
  p.asked();
  assertEquals(await p.command({ code: IpcpCode.IPCP_ENROLL, dst: "n", policies }), {
    code: IpcpCode.IPCP_REPLY,
    result: 0,
    layerInfo: CONF.layerInfo,
    policies,
  });
  assertEquals(p.asked(), [["enroll", "n", policies]]);
  assertEquals([p.type.context.life.state, p.everywhere], ["operational", 1]);
  const again = await p.bootstrap();
  assertEquals([again.result, again.error?.cause], [
    -Errno.EIPCPSTATE,
    "it is in a layer already",
  ]);
  assertEquals(p.asked(), []);
  await p.end();
});

processTest("two that enter at once: the second is taken back", async (p) => {
  p.begin();
  await p.irmd.heard(IrmCode.IPCP_CREATE_R);
  const both = Promise.withResolvers<typeof CONF.layerInfo>();
  p.type.enter = () => both.promise;
  const results = [p.bootstrap(), p.bootstrap()];
  await until("both", () => p.type.asked.length === 2);
  both.resolve(CONF.layerInfo);
  assertEquals((await Promise.all(results)).map(({ result }) => result).sort(), [
    -Errno.EIPCPSTATE,
    0,
  ]);
  assertEquals([p.type.stops, p.everywhere], [1, 1]);
  await p.end();
});

processTest(
  "each command comes to its type with what it says, and its result goes back",
  async (p) => {
    p.begin();
    await p.irmd.heard(IrmCode.IPCP_CREATE_R);
    await p.bootstrap();
    p.asked();
    const flow = { flowId: 3, pid: 9, uid: 1000 };
    const hash = HASH;
    const cases: readonly (readonly [m: IpcpMsg, asked: unknown[]])[] = [
      [{ code: IpcpCode.IPCP_REG, hash }, ["register", HASH]],
      [{ code: IpcpCode.IPCP_UNREG, hash }, ["unregister", HASH]],
      [{ code: IpcpCode.IPCP_QUERY, hash }, ["query", HASH]],
      [{ code: IpcpCode.IPCP_QUERY }, ["query", EMPTY]],
      [{ code: IpcpCode.IPCP_FLOW_ALLOC, ...flow, hash, qos: QOS.video, pk: PK }, [
        "flowAlloc",
        flow,
        HASH,
        { ...QOS.video },
        PK,
      ]],
      [{ code: IpcpCode.IPCP_FLOW_ALLOC, flowId: 3, pid: 9, hash, qos: QOS.video }, [
        "flowAlloc",
        { ...flow, uid: 0 },
        HASH,
        { ...QOS.video },
        EMPTY,
      ]],
      [{ code: IpcpCode.IPCP_FLOW_ALLOC_RESP, ...flow, response: 0, pk: PK }, [
        "flowAllocResp",
        flow,
        { response: 0, data: PK, cause: undefined },
      ]],
      [{
        code: IpcpCode.IPCP_FLOW_ALLOC_RESP,
        ...flow,
        response: -7,
        error: refusalDetail("closed"),
      }, [
        "flowAllocResp",
        flow,
        { response: -7, data: EMPTY, cause: "closed" },
      ]],
      [{ code: IpcpCode.IPCP_FLOW_ALLOC_RESP, flowId: 3 }, [
        "flowAllocResp",
        { flowId: 3, pid: -1, uid: 0 },
        { response: -Errno.EPERM, data: EMPTY, cause: undefined },
      ]],
      [{ code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: 3, timeoSec: 7 }, ["flowDealloc", 3, 7]],
      [{ code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: 3 }, ["flowDealloc", 3, 0]],
      [{ code: IpcpCode.IPCP_CONNECT, dst: "n", comp: "dt", qos: QOS.video }, [
        "connect",
        "n",
        "dt",
        { ...QOS.video },
      ]],
      [{ code: IpcpCode.IPCP_CONNECT, dst: "n", comp: "dt" }, ["connect", "n", "dt", QOS_NP1]],
      [{ code: IpcpCode.IPCP_DISCONNECT, dst: "n", comp: "dt" }, ["disconnect", "n", "dt"]],
    ];
    for (const result of [0, -9]) {
      p.type.result = result;
      for (const [m, asked] of cases) {
        assertEquals(await p.command(m), { code: IpcpCode.IPCP_REPLY, result });
        assertEquals(p.asked(), [asked]);
      }
    }
    p.type.result = { code: -8, cause: "so" };
    const error = { stage: "connect", process: "ipcpd-unicast i", cause: "so" };
    assertEquals(await p.command({ code: IpcpCode.IPCP_CONNECT, dst: "n", comp: "dt" }), {
      code: IpcpCode.IPCP_REPLY,
      result: -8,
      error,
    });
    p.asked();
    assertEquals((await p.command({ code: IpcpCode.IPCP_COUNT_MEMBERS })).response, 6);
    const losses = await p.command({ code: IpcpCode.IPCP_FLOW_LOSSES, flowId: 3 });
    assertEquals([losses.result, losses.losses, p.asked()], [
      0,
      { sent: 3, received: 4 },
      [["flowLosses", 3]],
    ]);
    await p.end();
  },
);

processTest("a command that lacks something never comes to its type", async (p) => {
  p.begin();
  await p.irmd.heard(IrmCode.IPCP_CREATE_R);
  await p.bootstrap();
  p.asked();
  const alloc = { code: IpcpCode.IPCP_FLOW_ALLOC, flowId: 3, pid: 9, hash: HASH, qos: QOS.raw };
  const { pid: _, ...noPid } = alloc;
  const { qos: _qos, ...noQos } = alloc;
  for (
    const m of [
      ...[0, -1, FLOW_IDS_MAX].map((flowId) => ({ ...alloc, flowId })),
      { code: IpcpCode.IPCP_FLOW_ALLOC, pid: 9, hash: HASH, qos: QOS.raw },
      noPid,
      noQos,
      { code: IpcpCode.IPCP_FLOW_ALLOC_RESP, flowId: FLOW_IDS_MAX },
      { code: IpcpCode.IPCP_FLOW_DEALLOC },
      ...[0, FLOW_IDS_MAX].map((flowId) => ({ code: IpcpCode.IPCP_FLOW_LOSSES, flowId })),
      { code: IpcpCode.IPCP_FLOW_LOSSES },
      { code: IpcpCode.IPCP_CONNECT, comp: "dt" },
      { code: IpcpCode.IPCP_CONNECT, dst: "n" },
      { code: IpcpCode.IPCP_DISCONNECT, comp: "dt" },
      { code: IpcpCode.IPCP_DISCONNECT, dst: "n" },
    ] satisfies IpcpMsg[]
  ) assertEquals(await p.result(m), -Errno.EINVAL, Deno.inspect(m));
  assertEquals(p.asked(), []);
  const last = { ...alloc, flowId: FLOW_IDS_MAX - 1 };
  assertEquals(await p.result(last), 0);
  await p.end();
});

processTest(
  "a slow command stops no other, one that fails is answered, and the end waits for both",
  async (p) => {
    p.begin();
    await p.irmd.heard(IrmCode.IPCP_CREATE_R);
    await p.bootstrap();
    const slow = Promise.withResolvers<number>();
    p.type.query = () => slow.promise;
    p.type.connect = () => Promise.reject(new Error("unforeseen"));
    const first = p.result({ code: IpcpCode.IPCP_QUERY, hash: HASH });
    assertEquals(
      await p.result({ code: IpcpCode.IPCP_CONNECT, dst: "n", comp: "dt" }),
      -Errno.EPERM,
    );
    assert(p.lines.includes("EE Command failed: unforeseen"));
    p.type.stop = () => {
      slow.resolve(5);
      return Promise.resolve();
    };
    assertEquals(await p.end(), 1);
    assertEquals(await first, 5);
  },
);
