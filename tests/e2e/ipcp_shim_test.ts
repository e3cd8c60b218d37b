// The shims as real processes under an IRMd of the test's own, over the loopback: allocation, data, and what an
// attacker or a bad configuration can send them. Whole nodes are in ipcp_udp_test.ts and ipcp_eth_test.ts.

import { assert, assertEquals } from "@std/assert";
import { IpcpCode, IrmCode } from "../../lib/irm/messages.ts";
import { QOS } from "../../lib/qos.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import * as udp from "../../lib/wire/udp_mgmt.ts";
import {
  MessageBatch,
  NAME_BYTES,
  type NetSocket,
  openUdp,
  sockaddrIn,
} from "../../lib/sys/netsock.ts";
import { type FakeIpcp, FakeIrmd } from "../support/scripted_irmd.ts";
import { connect, findName, OAP } from "../support/ipcp_pair.ts";
import { until } from "../support/deadline.ts";
import { loopbackHosts } from "../support/loopback.ts";

const root = Deno.uid() === 0;

const loopback = loopbackHosts();

const number4 = (ip: Uint8Array) => (ip[0]! | ip[1]! << 8 | ip[2]! << 16 | ip[3]! << 24) >>> 0;

function udp4(ip: Uint8Array, port = 3435): object {
  return { udp4: { ipAddr: number4(ip), port, dnsAddr: 0 } };
}

interface Side {
  ipcp: FakeIpcp;
  conf: object;
  algo: number;
}

interface Kind {
  type: "udp4" | "udp6" | "eth-dix" | "eth-llc";
  needsRoot: boolean;
  mplMs: number;
  hashBytes: number;
  /** Two configurations that reach each other. */
  confs(): [object, object];
  /** Tell A where B's names are, if that needs telling. */
  prepare(irmd: FakeIrmd, hash: Uint8Array, b: object): void;
}

const hostsOf = (text: (conf: object) => string): Kind["prepare"] => (irmd, hash, b) => {
  Deno.writeTextFileSync(`${irmd.instance.configDir}/hosts`, `${text(b)} ${hash.toHex()}\n`);
};

const PORT6 = 20000 + Deno.pid % 20000;
const KINDS: Kind[] = [
  {
    type: "udp4",
    needsRoot: false,
    mplMs: 5000,
    hashBytes: 16,
    confs: () => [udp4(loopback()), udp4(loopback())],
    prepare: hostsOf((b) => {
      const n = (b as { udp4: { ipAddr: number } }).udp4.ipAddr;
      return [n, n >>> 8, n >>> 16, n >>> 24].map((x) => x & 255).join(".");
    }),
  },
  {
    // ::1 is the only address of the IPv6 loopback, so one IPCP talks to itself.
    type: "udp6",
    needsRoot: false,
    mplMs: 5000,
    hashBytes: 16,
    confs: () => {
      const ipAddr = new Uint8Array(16);
      ipAddr[15] = 1;
      const conf = { udp6: { ipAddr, port: PORT6, dnsAddr: new Uint8Array(16) } };
      return [conf, conf];
    },
    prepare: hostsOf(() => "::1"),
  },
  ...(["eth-dix", "eth-llc"] as const).map((type): Kind => ({
    type,
    needsRoot: true,
    mplMs: 100,
    hashBytes: 32,
    confs: () => {
      const conf = { eth: { dev: "lo", ethertype: 0xa000 + Deno.pid % 0x1000 } };
      return [conf, conf];
    },
    prepare: () => {},
  })),
];

async function sides(irmd: FakeIrmd, kind: Kind): Promise<[Side, Side]> {
  const [ca, cb] = kind.confs();
  const algo = kind.hashBytes === 16 ? 5 : 1;
  const a = { ipcp: await irmd.bootstrapped(kind.type, "a", ca, algo), conf: ca, algo };
  if (ca === cb) return [a, a];
  return [a, { ipcp: await irmd.bootstrapped(kind.type, "b", cb, algo), conf: cb, algo }];
}

for (const kind of KINDS) {
  Deno.test({
    name: `${kind.type}: query, allocation, packets both ways, dealloc, over the loopback`,
    ignore: kind.needsRoot && !root,
    async fn() {
      await using irmd = new FakeIrmd();
      const [a, b] = await sides(irmd, kind);
      const hash = crypto.getRandomValues(new Uint8Array(kind.hashBytes));
      kind.prepare(irmd, hash, b.conf);
      assertEquals(await irmd.result(b.ipcp, { code: IpcpCode.IPCP_REG, hash }), 0);
      const [client, server] = await connect(irmd, a.ipcp, b.ipcp, hash);
      for (const n of [0, 1, 64, 1400]) {
        const bytes = Uint8Array.from({ length: n }, (_, i) => i * 3);
        client.write(bytes);
        assertEquals(await server.read(), bytes);
        server.write(bytes);
        assertEquals(await client.read(), bytes);
      }
      const [second, other] = await connect(irmd, a.ipcp, b.ipcp, hash);
      second.write(Uint8Array.of(2));
      assertEquals(await other.read(), Uint8Array.of(2));
      assertEquals(server.tryRead(), undefined);
      for (const [ipcp, flow] of [[a.ipcp, client], [b.ipcp, server]] as const) {
        const dealloc = { code: IpcpCode.IPCP_FLOW_DEALLOC, flowId: flow.id, timeoSec: 0 };
        assertEquals(await irmd.result(ipcp, dealloc), 0);
        await irmd.heard("dealloc", (m) => {
          return m.code === IrmCode.IPCP_FLOW_DEALLOC && m.flowInfo?.id === flow.id;
        });
        assertEquals(flow.rx.acl() & 2, 2);
      }
      second.write(Uint8Array.of(3));
      assertEquals(await other.read(), Uint8Array.of(3));
      assertEquals(await irmd.stop(a.ipcp), 0);
    },
  });

  Deno.test({
    name: `${kind.type}: a refusal of the far IRMd comes back at once with its code`,
    ignore: kind.needsRoot && !root,
    async fn() {
      await using irmd = new FakeIrmd();
      const [a, b] = await sides(irmd, kind);
      const hash = crypto.getRandomValues(new Uint8Array(kind.hashBytes));
      kind.prepare(irmd, hash, b.conf);
      await irmd.result(b.ipcp, { code: IpcpCode.IPCP_REG, hash });
      await findName(irmd, a.ipcp, hash);
      const client = irmd.flow(a.ipcp);
      irmd.onRequest = () => -1007;
      const { id: flowId, pid } = client;
      const alloc = { code: IpcpCode.IPCP_FLOW_ALLOC, flowId, pid, uid: 0, hash, pk: OAP };
      assertEquals(await irmd.result(a.ipcp, { ...alloc, qos: QOS.raw }), 0);
      const reply = await irmd.heard("reply", (m) => m.code === IrmCode.IPCP_FLOW_ALLOC_REPLY);
      assertEquals([reply.flowInfo?.id, reply.response], [flowId, -1007]);
    },
  });
}

Deno.test({
  name: "eth: a name that nobody has is -110 after 2 s, on udp -1 within the IRMd's 200 ms",
  ignore: !root,
  async fn() {
    await using irmd = new FakeIrmd();
    const [a] = await sides(irmd, KINDS[2]!);
    const hash = new Uint8Array(32).fill(7);
    assertEquals(await irmd.result(a.ipcp, { code: IpcpCode.IPCP_QUERY, hash }), -110);
    const u = await irmd.bootstrapped("udp4", "u", udp4(loopback()), 5);
    const short = new Uint8Array(16).fill(7);
    assertEquals(await irmd.result(u, { code: IpcpCode.IPCP_QUERY, hash: short }), -1);
  },
});

const BAD: [string, "udp4" | "eth-dix" | "eth-llc", object, RegExp][] = [
  ["no such device", "eth-dix", { eth: { dev: "nodev0", ethertype: 0xa000 } }, /nodev0.*no such/],
  ["a device name too long", "eth-llc", { eth: { dev: "x".repeat(40), ethertype: 0 } }, /xxx/],
  ["a bad ethertype", "eth-dix", { eth: { dev: "lo", ethertype: 1535 } }, /0x05FF/],
  ["an address not ours", "udp4", udp4(Uint8Array.of(192, 0, 2, 1)), /192\.0\.2\.1.*available/],
  ["port 0", "udp4", udp4(Uint8Array.of(127, 0, 0, 1), 0), /port 0/],
];

for (const [what, type, conf, line] of BAD) {
  Deno.test({
    name: `bootstrap with ${what} gives one clear line and can be repeated`,
    ignore: type !== "udp4" && !root,
    async fn() {
      await using irmd = new FakeIrmd();
      const ipcp = await irmd.start(type, "n");
      const fds = () => [...Deno.readDirSync(`/proc/${ipcp.pid}/fd`)].length;
      const reply = await irmd.bootstrap(ipcp, conf);
      const before = fds();
      for (let i = 0; i < 10; i++) assertEquals((await irmd.bootstrap(ipcp, conf))?.result, -1);
      assertEquals(reply?.result, -1);
      assert(line.test(reply?.error?.cause ?? ""), reply?.error?.cause);
      await until("the line in the log", () => line.test(irmd.log(ipcp)));
      // The runtime opens a few of its own now and then; ours would be ten.
      await until("descriptors closed", () => fds() <= before + 4);
      const good = type === "udp4" ? udp4(loopback()) : { eth: { dev: "lo", ethertype: 0xafff } };
      assertEquals((await irmd.bootstrap(ipcp, good, type === "udp4" ? 5 : 1))?.result, 0);
    },
  });
}

Deno.test("bootstrap on a port in use gives one clear line", async () => {
  await using irmd = new FakeIrmd();
  const ip = loopback();
  await irmd.bootstrapped("udp4", "a", udp4(ip), 5);
  const b = await irmd.start("udp4", "b");
  const reply = await irmd.bootstrap(b, udp4(ip), 5);
  assertEquals(reply?.result, -1);
  assert(/Couldn't bind to 127\..*:3435\. address in use/.test(reply?.error?.cause ?? ""));
});

/** A UDP socket of the test that plays a peer. */
class Peer implements Disposable {
  readonly ip = loopback();
  readonly #socket = openUdp(sockaddrIn(this.ip, 3435));
  readonly #batch = new MessageBatch(8, 4096, 16);
  constructor(readonly to: Uint8Array) {}
  send(bytes: Uint8Array): void {
    assertEquals(this.#socket.sendTo(bytes, sockaddrIn(this.to, 3435)), 0);
  }
  receive(): Promise<Uint8Array> {
    return until("datagram", () => {
      const n = this.#socket.receive(this.#batch);
      if (n <= 0) return undefined;
      const bytes = this.#batch.data.slice(0, this.#batch.length(0));
      this.#batch.rearm(n);
      return bytes;
    });
  }
  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

function encoded(m: Parameters<typeof udp.encode>[0]): Uint8Array {
  const b = new Uint8Array(udp.encodedLength(m));
  assert(!isWireError(udp.encode(m, b, 0)));
  return b;
}

const HASH = new Uint8Array(16).fill(9);

async function underAttack(irmd: FakeIrmd): Promise<{ ipcp: FakeIpcp; ip: Uint8Array }> {
  const ip = loopback();
  const ipcp = await irmd.bootstrapped("udp4", "a", udp4(ip), 5);
  await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash: HASH });
  return { ipcp, ip };
}

Deno.test("udp4 answers a request whose verdict is negative, as the vectors have it", async () => {
  await using irmd = new FakeIrmd();
  const { ipcp, ip } = await underAttack(irmd);
  using peer = new Peer(ip);
  const server = irmd.flow(ipcp);
  irmd.onRequest = () => server;
  const data = new Uint8Array(0);
  peer.send(
    encoded({ kind: "flow_req", requesterEid: 0x11223344, qos: QOS.raw, hash: HASH, data }),
  );
  await irmd.heard("question", (m) => m.code === IrmCode.IPCP_FLOW_REQ_ARR);
  const resp = { code: IpcpCode.IPCP_FLOW_ALLOC_RESP, flowId: server.id, pid: server.pid };
  await irmd.result(ipcp, { ...resp, uid: 0, response: -1009 });
  const reply = udp.parse(await peer.receive());
  if (isWireError(reply) || reply.kind !== "flow_reply") throw new Error("no reply");
  assertEquals([reply.requesterEid, reply.response, reply.data.length], [0x11223344, -1009, 0]);
});

Deno.test("udp4 survives runts, giants, garbage and floods, and then serves", async () => {
  await using irmd = new FakeIrmd();
  const { ipcp, ip } = await underAttack(irmd);
  using peer = new Peer(ip);
  irmd.onRequest = () => -1;
  for (let n = 0; n < 80; n++) peer.send(new Uint8Array(n));
  peer.send(new Uint8Array(9000));
  for (let i = 0; i < 2000; i++) {
    const bytes = crypto.getRandomValues(new Uint8Array(i % 200));
    if (i % 2) bytes.fill(0, 0, 4);
    peer.send(bytes);
  }
  for (const eid of [1, 64, 4095, 4096, 20000, 65535, 0xffffffff]) {
    const bytes = new Uint8Array(20);
    udp.encodeEid(eid, bytes, 0);
    peer.send(bytes);
    const reply = { requesterEid: eid, responderEid: eid, response: 0, data: OAP };
    peer.send(encoded({ kind: "flow_reply", ...reply }));
  }
  const data = OAP;
  const qos = QOS.raw;
  for (let eid = 1; eid < 500; eid++) {
    peer.send(encoded({ kind: "flow_req", requesterEid: eid, qos, hash: HASH, data }));
  }
  using good = new Peer(ip);
  const server = irmd.flow(ipcp);
  irmd.onRequest = (m) => m.pk?.[0] === 77 ? server : -1;
  const asked = irmd.said.length;
  const request = { kind: "flow_req", requesterEid: 5, qos, hash: HASH } as const;
  // During the flood it may be lost like any datagram, so it is sent until it is heard.
  await until("question", () => {
    good.send(encoded({ ...request, data: Uint8Array.of(77) }));
    return irmd.said.slice(asked).find((m) => m.pk?.[0] === 77);
  });
  const resp = { code: IpcpCode.IPCP_FLOW_ALLOC_RESP, flowId: server.id, pid: server.pid };
  assertEquals(await irmd.result(ipcp, { ...resp, uid: 0, response: 0, pk: OAP }), 0);
  const reply = udp.parse(await good.receive());
  assert(!isWireError(reply) && reply.kind === "flow_reply" && reply.response === 0);
});

Deno.test("udp4 does not serve a name that is not registered, nor a replayed request", async () => {
  await using irmd = new FakeIrmd();
  const { ipcp, ip } = await underAttack(irmd);
  using peer = new Peer(ip);
  irmd.onRequest = () => -1;
  const qos = QOS.raw;
  const data = OAP;
  const other = new Uint8Array(16).fill(8);
  peer.send(encoded({ kind: "flow_req", requesterEid: 8, qos, hash: other, data }));
  const request = encoded({ kind: "flow_req", requesterEid: 9, qos, hash: HASH, data });
  for (let i = 0; i < 10; i++) peer.send(request);
  // Requests are asked about in the order of their arrival: the last shows that all were seen.
  const last = Uint8Array.of(77);
  peer.send(encoded({ kind: "flow_req", requesterEid: 10, qos, hash: HASH, data: last }));
  const isQuestion = (m: { code?: number }) => m.code === IrmCode.IPCP_FLOW_REQ_ARR;
  await irmd.heard("the last question", (m) => isQuestion(m) && m.pk?.[0] === 77);
  assertEquals(irmd.said.filter(isQuestion).length, 2);
  assertEquals(await irmd.result(ipcp, { code: IpcpCode.IPCP_QUERY, hash: other }), -1);
});

/** A DNS server for one name: answers A questions for it, "no such name" for others. */
class DnsServer implements Disposable {
  readonly #socket: NetSocket;
  readonly #batch = new MessageBatch(8, 1024, 16);
  readonly #timer: ReturnType<typeof setInterval>;
  constructor(ip: Uint8Array, readonly name: string, readonly address: Uint8Array) {
    this.#socket = openUdp(sockaddrIn(ip, 53));
    this.#timer = setInterval(() => this.#serve(), 5);
  }
  #serve(): void {
    const n = Math.max(0, this.#socket.receive(this.#batch));
    for (let i = 0; i < n; i++) {
      const query = this.#batch.data.slice(i * 1024, i * 1024 + this.#batch.length(i));
      const from = this.#batch.names.slice(i * NAME_BYTES, i * NAME_BYTES + 16);
      const labels: string[] = [];
      let at = 12;
      for (let n = query[at]!; n > 0; n = query[at]!) {
        labels.push(new TextDecoder().decode(query.subarray(at + 1, at + 1 + n)));
        at += 1 + n;
      }
      const question = query.slice(12, at + 5);
      const found = labels.join(".") === this.name && query[at + 2] === 1;
      const flags = found ? [0x81, 0x80] : [0x81, 0x83];
      const head = [...query.slice(0, 2), ...flags, 0, 1, 0, found ? 1 : 0, 0, 0, 0, 0];
      const answer = found ? [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...this.address] : [];
      this.#socket.sendTo(Uint8Array.from([...head, ...question, ...answer]), from);
    }
    this.#batch.rearm(n);
  }
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#socket.close();
  }
}

Deno.test({
  name: "udp4 with a DNS server: registers there with nsupdate and finds names there",
  ignore: !root, // Port 53.
  async fn() {
    const tools = await Deno.makeTempDir({ prefix: "ouro-tools-" });
    const heard = `${tools}/heard`;
    // Reads to the end before it does anything, as the real one may.
    const script = `#!/bin/sh\ntext=$(cat)\nprintf '%s\\n--\\n' "$text" >> ${heard}\n`;
    await Deno.writeTextFile(`${tools}/nsupdate`, script, { mode: 0o755 });
    try {
      await using irmd = new FakeIrmd({ PATH: `${tools}:${Deno.env.get("PATH")}` });
      const dns = loopback();
      const ipA = loopback();
      const ipB = loopback();
      const conf = (ip: Uint8Array) => ({
        udp4: { ipAddr: number4(ip), port: 3435, dnsAddr: number4(dns) },
      });
      const hash = crypto.getRandomValues(new Uint8Array(16));
      using _server = new DnsServer(dns, hash.toHex(), ipB);
      const a = await irmd.bootstrapped("udp4", "a", conf(ipA), 5);
      const b = await irmd.bootstrapped("udp4", "b", conf(ipB), 5);
      assertEquals(await irmd.result(b, { code: IpcpCode.IPCP_REG, hash }), 0);
      const add = `server ${dns.join(".")}\nupdate add ${hash.toHex()} 86400 A ${ipB.join(".")}`;
      await until("nsupdate add", () => {
        return Deno.readTextFile(heard).then((t) => t.includes(add), () => false);
      });
      const [client, server] = await connect(irmd, a, b, hash);
      client.write(Uint8Array.of(4));
      assertEquals(await server.read(), Uint8Array.of(4));
      const other = new Uint8Array(16).fill(1);
      assertEquals(await irmd.result(a, { code: IpcpCode.IPCP_QUERY, hash: other }), -1);
      assertEquals(await irmd.result(b, { code: IpcpCode.IPCP_UNREG, hash }), 0);
      await until("nsupdate delete", async () => {
        return (await Deno.readTextFile(heard)).includes(`update delete ${hash.toHex()} A\nsend`);
      });
    } finally {
      await Deno.remove(tools, { recursive: true });
    }
  },
});
