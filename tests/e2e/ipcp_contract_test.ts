// What every type of IPCP promises its IRMd, the same list for all of them: real IPCP processes under an IRMd of the
// test's own. Types that reach other hosts talk over the loopback, a unicast node with itself; a broadcast IPCP has a
// list of its own, since it has no names.

import { assert, assertEquals } from "@std/assert";
import { nameHash } from "../../lib/hash.ts";
import { HashAlgo, IpcpCode, type IpcpMsg, IrmCode, type IrmMsg } from "../../lib/irm/messages.ts";
import { QOS } from "../../lib/qos.ts";
import { type TypeName, typeNumber } from "../../ipcp/state.ts";
import { type FakeFlow, type FakeIpcp, FakeIrmd } from "../support/scripted_irmd.ts";
import { findName } from "../support/ipcp_pair.ts";
import { until } from "../support/deadline.ts";
import { loopbackHosts } from "../support/loopback.ts";

const root = Deno.uid() === 0;
/** Stands for OAP data, which an IPCP does not look at. */
const OAP = Uint8Array.from({ length: 36 }, (_, i) => i + 1);

/** A type of IPCP in the list of promises. */
interface Kind {
  readonly type: TypeName;
  readonly needsRoot?: boolean;
  readonly hashBytes: number;
  readonly algo: number;
  /** Configurations of A and B; the same one if one IPCP is both. */
  confs(): readonly [object, object];
  /** Tell A where B's names are, if that needs telling. */
  prepare?(irmd: FakeIrmd, hash: Uint8Array, b: object): void;
  /** Whether names are taken before the layer is known. */
  readonly namesInBoot: boolean;
}

/** For ports and ethertypes of this test, so that tests side by side do not meet. */
const salt = crypto.getRandomValues(new Uint8Array(4));
const loopback = loopbackHosts();
const hosts = (irmd: FakeIrmd, address: string, hash: Uint8Array) => {
  const line = `${address} ${hash.toHex()}\n`;
  Deno.writeTextFileSync(`${irmd.instance.configDir}/hosts`, line, { append: true });
};

function udp4(): { udp4: { ipAddr: number; port: number; dnsAddr: number } } {
  const ipAddr = new DataView(loopback().buffer).getUint32(0, true);
  return { udp4: { ipAddr, port: 3435, dnsAddr: 0 } };
}

const UDP = { hashBytes: 16, algo: HashAlgo.MD5, namesInBoot: true };
const ETH = { hashBytes: 32, algo: HashAlgo.SHA3_256, namesInBoot: true, needsRoot: true };

const KINDS: readonly Kind[] = [
  {
    type: "local",
    hashBytes: 32,
    algo: HashAlgo.SHA3_256,
    namesInBoot: true,
    confs: () => {
      const conf = {};
      return [conf, conf];
    },
  },
  {
    ...UDP,
    type: "udp4",
    confs: () => [udp4(), udp4()],
    prepare: (irmd, hash, b) => {
      const n = (b as ReturnType<typeof udp4>).udp4.ipAddr;
      hosts(irmd, [n, n >>> 8, n >>> 16, n >>> 24].map((x) => x & 255).join("."), hash);
    },
  },
  {
    ...UDP,
    type: "udp6",
    // ::1 is the only address of the IPv6 loopback.
    confs: () => {
      const ipAddr = Uint8Array.from({ length: 16 }, (_, i) => Number(i === 15));
      const port = 10_000 + ((salt[2]! << 8) | salt[3]!) % 50_000;
      const conf = { udp6: { ipAddr, port, dnsAddr: new Uint8Array(16) } };
      return [conf, conf];
    },
    prepare: (irmd, hash) => hosts(irmd, "::1", hash),
  },
  ...(["eth-dix", "eth-llc"] as const).map((type): Kind => ({
    ...ETH,
    type,
    confs: () => {
      const conf = {
        eth: { dev: "lo", ethertype: 0xb000 + (((salt[2]! << 8) | salt[3]!) & 0xfff) },
      };
      return [conf, conf];
    },
  })),
  {
    type: "unicast",
    hashBytes: 32,
    algo: HashAlgo.SHA3_256,
    namesInBoot: false,
    confs: () => {
      const routing = { pol: 0, ls: { pol: 0, tRecalc: 4, tUpdate: 15, tTimeo: 60 } };
      const times = { tExpire: 86_400, tRefresh: 900, tReplicate: 900 };
      const conf = {
        unicast: {
          dt: { addrSize: 4, eidSize: 8, maxTtl: 60, routing },
          dir: { pol: 0, dht: { alpha: 3, k: 8, ...times, peer: 0n } },
          addrAuthType: 0,
          congAvoid: 0,
        },
      };
      return [conf, conf];
    },
  },
];

/** IPCPs A and B of one layer, maybe the same, and what applications and the IRMd do with them. */
class World {
  readonly hash: Uint8Array;
  constructor(
    readonly irmd: FakeIrmd,
    readonly kind: Kind,
    readonly a: FakeIpcp,
    readonly b: FakeIpcp,
  ) {
    this.hash = crypto.getRandomValues(new Uint8Array(kind.hashBytes));
  }

  command(ipcp: FakeIpcp, code: number, more: Omit<IpcpMsg, "code"> = {}): Promise<
    number | undefined
  > {
    return this.irmd.result(ipcp, { code, ...more });
  }

  register(hash: Uint8Array, ipcp = this.b): Promise<number | undefined> {
    return this.command(ipcp, IpcpCode.IPCP_REG, { hash });
  }

  query(hash: Uint8Array): Promise<number | undefined> {
    return this.command(this.a, IpcpCode.IPCP_QUERY, { hash });
  }

  /** FLOW_ALLOC at A: its result, or what FLOW_ALLOC_REPLY says, and how much the layer carries. */
  async alloc(client: FakeFlow, hash = this.hash): Promise<{ result?: number; reply?: IrmMsg }> {
    const from = this.irmd.said.length;
    const { id: flowId, pid } = client;
    const more = { flowId, pid, uid: 0, qos: QOS.raw, hash, pk: OAP };
    const result = await this.command(this.a, IpcpCode.IPCP_FLOW_ALLOC, more);
    if (result !== 0) return result === undefined ? {} : { result };
    const reply = await until(`reply of flow ${flowId}`, () => {
      return this.irmd.said.slice(from).find((m) => {
        return m.code === IrmCode.IPCP_FLOW_ALLOC_REPLY && m.flowInfo?.id === flowId;
      });
    });
    return { result: reply.response ?? 0, reply };
  }

  /** FLOW_ALLOC_RESP at B. */
  respond(server: FakeFlow, response: number): Promise<number | undefined> {
    const { id: flowId, pid } = server;
    const pk = response === 0 ? { pk: OAP } : {};
    return this.command(this.b, IpcpCode.IPCP_FLOW_ALLOC_RESP, {
      ...{ flowId, pid, uid: 0, response },
      ...pk,
    });
  }

  /** A flow from A that an application at B takes: both ends, and what the IRMd was told. */
  async open(): Promise<[FakeFlow, FakeFlow, { question: IrmMsg; reply: IrmMsg }]> {
    const client = this.irmd.flow(this.a);
    const server = this.irmd.flow(this.b);
    let question: IrmMsg | undefined;
    let verdict: Promise<number | undefined> | undefined;
    this.irmd.onRequest = (m) => {
      question = m;
      // It may overtake the answer to the question.
      verdict = this.respond(server, 0);
      return server;
    };
    await findName(this.irmd, this.a, this.hash);
    const { result, reply } = await this.alloc(client);
    assertEquals([result, await verdict, reply?.pk], [0, 0, OAP]);
    assertEquals([question?.hash, question?.pk], [this.hash, OAP]);
    return [client, server, { question: question!, reply: reply! }];
  }

  dealloc(ipcp: FakeIpcp, flow: FakeFlow, timeoSec = 0): Promise<number | undefined> {
    return this.command(ipcp, IpcpCode.IPCP_FLOW_DEALLOC, { flowId: flow.id, timeoSec });
  }

  /** Whether the IRMd has the id of a flow back. */
  isFreed(flow: FakeFlow): boolean {
    return this.irmd.said.some((m) => {
      return m.code === IrmCode.IPCP_FLOW_DEALLOC && m.flowInfo?.id === flow.id;
    });
  }

  /** Close both ends. */
  async close(client: FakeFlow, server: FakeFlow): Promise<void> {
    for (const [ipcp, flow] of [[this.a, client], [this.b, server]] as const) {
      assertEquals(await this.dealloc(ipcp, flow), 0);
      await until(`flow ${flow.id} freed`, () => this.isFreed(flow));
    }
  }
}

/** Whether the process above is told that its flow is down. */
const isDown = (flow: FakeFlow) => (flow.rx.acl() & 2) !== 0;

const packet = (n: number, first: number) => Uint8Array.from({ length: n }, (_, i) => first + i);

async function crosses(from: FakeFlow, to: FakeFlow, bytes: Uint8Array): Promise<void> {
  assertEquals(from.write(bytes), 0);
  assertEquals(await to.read(), bytes);
}

/** Maps of shared memory that a process holds. */
function maps(ipcp: FakeIpcp): number {
  const text = Deno.readTextFileSync(`/proc/${ipcp.pid}/maps`);
  return text.split("\n").filter((l) => l.includes("/dev/shm/")).length;
}

/** Promises of an IPCP that is in no layer yet. */
async function beforeTheLayer(irmd: FakeIrmd, kind: Kind, ipcp: FakeIpcp): Promise<void> {
  const w = new World(irmd, kind, ipcp, ipcp);
  const flow = irmd.flow(ipcp);
  assertEquals(await w.query(w.hash), -1004);
  assertEquals((await w.alloc(flow)).result, -1004);
  assertEquals([await w.respond(flow, 0), await w.dealloc(ipcp, flow)], [-1004, -1004]);
  assertEquals(await w.register(w.hash), kind.namesInBoot ? 0 : -1004);
  const enroll = await irmd.result(ipcp, { code: IpcpCode.IPCP_ENROLL });
  assertEquals(enroll, kind.type === "unicast" ? -22 : -95);
  // A configuration for another type; then its own is still taken.
  const other = kind.type === "udp4" ? typeNumber("eth-dix") : typeNumber("udp4");
  const part = kind.type === "udp4" ? { eth: { dev: "lo", ethertype: 0xb000 } } : udp4();
  assertEquals(
    (await irmd.bootstrap(ipcp, { ...part, ipcpType: other }, kind.algo))?.result,
    -1001,
  );
}

type Promised = (w: World) => Promise<void>;

const PROMISES: Readonly<Record<string, Promised>> = {
  "is bootstrapped once": async ({ irmd, kind, a }) => {
    const again = await irmd.bootstrap(a, kind.confs()[0], kind.algo);
    assertEquals(again?.result, -1004);
  },

  "takes names, finds them, forgets them": async (w) => {
    const name = crypto.getRandomValues(new Uint8Array(w.kind.hashBytes));
    assert((await w.query(name) ?? 0) < 0, "a name that nobody has");
    w.kind.prepare?.(w.irmd, name, w.kind.confs()[1]);
    assertEquals([await w.register(name), await w.register(name)], [0, 0]);
    await findName(w.irmd, w.a, name);
    const unregister = () => w.command(w.b, IpcpCode.IPCP_UNREG, { hash: name });
    // A second time is success for all but unicast, which answers as the prototype.
    assertEquals([await unregister(), await unregister()], [
      0,
      w.kind.type === "unicast" ? -12 : 0,
    ]);
    const bad = new Uint8Array(w.kind.hashBytes + 1);
    assertEquals(await w.register(bad), -22);
    // Nobody is asked for a name that is not there any more.
    const asked = () => w.irmd.said.filter((m) => m.code === IrmCode.IPCP_FLOW_REQ_ARR).length;
    const before = asked();
    // Who knows where it was is refused at once, not after the patience of an IRMd.
    const { result } = await w.alloc(w.irmd.flow(w.a), name);
    assert(result! < 0, `allocated ${result}`);
    assertEquals(asked(), before);
  },

  "carries packets both ways": async (w) => {
    const [client, server] = await w.open();
    for (const n of [1, 64, 1400]) {
      await crosses(client, server, packet(n, 3));
      await crosses(server, client, packet(n, 5));
    }
    await w.close(client, server);
  },

  "passes on the refusal of an acceptor": async (w) => {
    const client = w.irmd.flow(w.a), server = w.irmd.flow(w.b);
    let verdict: Promise<number | undefined> | undefined;
    w.irmd.onRequest = () => {
      verdict = w.respond(server, -1009);
      return server;
    };
    await findName(w.irmd, w.a, w.hash);
    assertEquals([(await w.alloc(client)).result, await verdict], [-1009, 0]);
    assertEquals(await w.dealloc(w.b, server), -1);
  },

  "passes on the refusal of the IRMd, and can use the flow id again": async (w) => {
    const refused = w.irmd.flow(w.a);
    w.irmd.onRequest = () => -1007;
    await findName(w.irmd, w.a, w.hash);
    assertEquals((await w.alloc(refused)).result, -1007);
    const client = w.irmd.again(refused);
    const server = w.irmd.flow(w.b);
    w.irmd.onRequest = () => {
      void w.respond(server, 0);
      return server;
    };
    assertEquals((await w.alloc(client)).result, 0);
    await crosses(client, server, packet(10, 1));
    await w.close(client, server);
  },

  "tells the other end that a flow was closed, whichever side closes": async (w) => {
    for (const side of ["client", "server"]) {
      const [client, server] = await w.open();
      const first = side === "client", bytes = packet(20, 9);
      const [closes, hears] = first ? [client, server] : [server, client];
      const [ipcp, other] = first ? [w.a, w.b] : [w.b, w.a];
      // What was written before arrives before the news.
      assertEquals(closes.write(bytes), 0);
      assertEquals(await w.dealloc(ipcp, closes), 0);
      assertEquals(await hears.read(), bytes);
      await until(`the other of ${side} hears`, () => isDown(hears));
      await until("freed", () => w.isFreed(closes));
      assertEquals(w.isFreed(hears), false);
      assertEquals([await w.dealloc(ipcp, closes), await w.dealloc(other, hears)], [-1, 0]);
      await until("freed", () => w.isFreed(hears));
    }
  },

  "keeps a flow id while its process lingers, and no longer": async (w) => {
    const [client, server] = await w.open();
    assertEquals(await w.dealloc(w.a, client, 600), 0);
    assertEquals(await w.dealloc(w.b, server), 0);
    await until("the other side is freed", () => w.isFreed(server));
    assertEquals(w.isFreed(client), false);
    assertEquals(await w.dealloc(w.a, client, 0), 0);
    await until("freed", () => w.isFreed(client));
    assertEquals(await w.dealloc(w.a, client, 0), -1);
  },

  "keeps flows apart": async (w) => {
    const [c1, s1] = await w.open();
    const [c2, s2] = await w.open();
    for (let i = 0; i < 20; i++) {
      assertEquals([c1.write(packet(8, i)), c2.write(packet(8, 100 + i))], [0, 0]);
      assertEquals([s1.write(packet(8, 50 + i)), s2.write(packet(8, 150 + i))], [0, 0]);
    }
    for (let i = 0; i < 20; i++) {
      assertEquals([await s1.read(), await s2.read()], [packet(8, i), packet(8, 100 + i)]);
      assertEquals([await c1.read(), await c2.read()], [packet(8, 50 + i), packet(8, 150 + i)]);
    }
    await w.close(c1, s1);
    await crosses(c2, s2, packet(9, 7));
    assertEquals([isDown(c2), isDown(s2)], [false, false]);
    await w.close(c2, s2);
  },

  "says how long a packet may be, and keeps to it": async (w) => {
    const [client, server, { question, reply }] = await w.open();
    const limits = [question, reply].map((m) => m.flowInfo?.sduBytesMax);
    const max = limits[0];
    assertEquals(limits, [max, max]);
    if (max !== undefined) {
      assert(max >= 1400);
      await crosses(client, server, packet(max, 1));
      await crosses(server, client, packet(max, 2));
      // Longer than that is dropped, and nothing else with it; the pool may have no such block.
      client.write(packet(max + 1, 3));
    }
    await crosses(client, server, packet(11, 4));
    await w.close(client, server);
  },

  "refuses flows that cannot be": async (w) => {
    const alloc = (flowId: number, pid: number) => {
      const more = { flowId, pid, uid: 0, qos: QOS.raw, hash: w.hash, pk: OAP };
      return w.command(w.a, IpcpCode.IPCP_FLOW_ALLOC, more);
    };
    assertEquals([await alloc(0, 4711), await alloc(10_240, 4711)], [-22, -22]);
    assertEquals(await alloc(9000, 4711), -1005); // it has no memory
    const [client, server] = await w.open();
    assertEquals(await alloc(client.id, client.pid), -17);
    assertEquals(await w.respond(server, 0), -1); // its verdict has been given
    const nobody = w.irmd.flow(w.b);
    assertEquals([await w.respond(nobody, 0), await w.dealloc(w.b, nobody)], [-1, -1]);
    await crosses(client, server, packet(5, 1));
    await w.close(client, server);
  },
};

for (const kind of KINDS) {
  Deno.test({
    name: `${kind.type} keeps the promises of every IPCP`,
    ignore: kind.needsRoot === true && !root,
    async fn(t) {
      await using irmd = new FakeIrmd();
      const [ca, cb] = kind.confs();
      const same = ca === cb;
      const [a, b] = await Promise.all([
        irmd.start(kind.type, "a"),
        same ? undefined : irmd.start(kind.type, "b"),
      ]);
      await t.step("refuses what needs a layer before it is in one", async () => {
        await beforeTheLayer(irmd, kind, a);
      });
      assertEquals((await irmd.bootstrap(a, ca, kind.algo))?.result, 0, irmd.log(a));
      if (b !== undefined) assertEquals((await irmd.bootstrap(b, cb, kind.algo))?.result, 0);
      const w = new World(irmd, { ...kind, confs: () => [ca, cb] }, a, b ?? a);
      kind.prepare?.(irmd, w.hash, cb);
      assertEquals(await w.register(w.hash), 0);
      const [warm, up] = await w.open(); // what is made once is made now
      await w.close(warm, up);
      const before = [a, w.b].map(maps);
      for (const [name, promise] of Object.entries(PROMISES)) {
        await t.step(name, () => promise(w));
      }
      await t.step("holds no memory of flows that are gone", async () => {
        await until("as little as before", () => {
          return [a, w.b].map(maps).every((n, i) => n <= before[i]!);
        });
      });
      await t.step("ends when it is told to, and its flows with it", async () => {
        const [client, server] = await w.open();
        const ends = [irmd.stop(a), b === undefined ? 0 : irmd.stop(b)];
        assertEquals(await Promise.all(ends), [0, 0]);
        assertEquals([isDown(client), isDown(server)], [true, true]);
        await Promise.all([a.exit, b?.exit]);
      });
    },
  });
}

Deno.test("broadcast keeps the promises of every IPCP that apply to it", async (t) => {
  await using irmd = new FakeIrmd();
  const ipcp = await irmd.start("broadcast", "a");
  const hash = nameHash(HashAlgo.SHA3_256, "layer-a") as Uint8Array;
  const join = (flow: FakeFlow, of = hash) => {
    const { id: flowId, pid } = flow;
    return irmd.result(ipcp, { code: IpcpCode.IPCP_FLOW_JOIN, flowId, pid, uid: 0, hash: of });
  };
  const dealloc = (flow: FakeFlow) => {
    return irmd.result(ipcp, { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: flow.id, timeoSec: 0 });
  };
  await t.step("refuses what needs a layer before it is in one", async () => {
    const flow = irmd.flow(ipcp);
    assertEquals([await join(flow), await dealloc(flow)], [-1004, -1004]);
  });
  await t.step("is bootstrapped once", async () => {
    assertEquals((await irmd.bootstrap(ipcp, {}))?.result, 0, irmd.log(ipcp));
    assertEquals((await irmd.bootstrap(ipcp, {}))?.result, -1004);
  });
  await t.step("has no names and no flows between two", async () => {
    const flow = irmd.flow(ipcp);
    for (const code of [IpcpCode.IPCP_REG, IpcpCode.IPCP_UNREG, IpcpCode.IPCP_QUERY]) {
      assertEquals(await irmd.result(ipcp, { code, hash }), -95);
    }
    const more = { flowId: flow.id, pid: flow.pid, uid: 0, qos: QOS.raw, hash, pk: OAP };
    assertEquals(await irmd.result(ipcp, { code: IpcpCode.IPCP_FLOW_ALLOC, ...more }), -95);
  });
  const flows = [irmd.flow(ipcp), irmd.flow(ipcp), irmd.flow(ipcp)] as const;
  await t.step("refuses joins that cannot be", async () => {
    assertEquals(await join(flows[0], new Uint8Array(32)), -1007);
    const nobody = { code: IpcpCode.IPCP_FLOW_JOIN, flowId: 9000, pid: 4711, uid: 0, hash };
    assertEquals(await irmd.result(ipcp, nobody), -1005);
    assertEquals(await dealloc(flows[0]), -1);
  });
  await t.step("carries packets of each to all others", async () => {
    for (const flow of flows) assertEquals(await join(flow), 0);
    for (const [i, from] of flows.entries()) {
      assertEquals(from.write(packet(30, i)), 0);
      for (const to of flows) if (to !== from) assertEquals(await to.read(), packet(30, i));
      assertEquals(from.tryRead(), undefined);
    }
  });
  await t.step("lets one go, and the others stay", async () => {
    const [gone, one, two] = flows;
    assertEquals(await dealloc(gone), 0);
    await irmd.heard("freed", (m) => {
      return m.code === IrmCode.IPCP_FLOW_DEALLOC && m.flowInfo?.id === gone.id;
    });
    await crosses(one, two, packet(12, 1));
    assertEquals([isDown(gone), isDown(one), isDown(two)], [true, false, false]);
  });
  await t.step("ends when it is told to, and its flows with it", async () => {
    assertEquals(await irmd.stop(ipcp), 0);
    assertEquals(flows.map(isDown), [true, true, true]);
  });
});
