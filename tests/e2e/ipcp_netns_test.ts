// The shims between two network namespaces on a veth pair, under an IRMd of the test's own: every type, MTUs,
// and the faults of a network: cable, interface, duplicates, order, a dead peer, forged frames.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { IpcpCode, IrmCode } from "../../lib/irm/messages.ts";
import { parseInet4, parseInet6 } from "../../lib/inet.ts";
import { QOS } from "../../lib/qos.ts";
import { kill } from "../../lib/sys/process.ts";
import {
  interfaceOf,
  MessageBatch,
  NAME_BYTES,
  type NetSocket,
  openPacket,
  openUdp,
  sockaddrIn,
  sockaddrLl,
} from "../../lib/sys/netsock.ts";
import * as frame from "../../lib/wire/eth_frame.ts";
import { dixMgmt } from "../../lib/wire/eth_mgmt.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import type { ShimMgmt } from "../../lib/wire/shim_mgmt.ts";
import { type FakeIpcp, FakeIrmd } from "../support/scripted_irmd.ts";
import { connect, disconnect, OAP, ping } from "../support/ipcp_pair.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { until } from "../support/deadline.ts";
import { loopbackNet } from "../support/loopback.ts";
import { canMakeNetns, NetLab } from "../support/netns.ts";
import { run } from "../support/process.ts";

const ignore = !canMakeNetns();
type ShimType = "udp4" | "udp6" | "eth-dix" | "eth-llc";
const TYPES: ShimType[] = ["udp4", "udp6", "eth-dix", "eth-llc"];
const IP = { A: "10.77.0.1", B: "10.77.0.2" };
const IP6 = { A: "fd77::1", B: "fd77::2" };

const number4 = (b: Uint8Array) => (b[0]! | b[1]! << 8 | b[2]! << 16 | b[3]! << 24) >>> 0;

function confOf(type: ShimType, side: "A" | "B"): object {
  const port = 3435;
  switch (type) {
    case "udp4":
      return { udp4: { ipAddr: number4(parseInet4(IP[side])!), port, dnsAddr: 0 } };
    case "udp6":
      return { udp6: { ipAddr: parseInet6(IP6[side])!, port, dnsAddr: new Uint8Array(16) } };
    default:
      return { eth: { dev: `veth${side}`, ethertype: 0xa000 } };
  }
}

class Lab implements AsyncDisposable {
  readonly irmd = new FakeIrmd();
  readonly net = new NetLab();
  readonly hash: Uint8Array;
  a!: FakeIpcp;
  b!: FakeIpcp;
  ns = { A: "", B: "" };

  private constructor(readonly type: ShimType) {
    const n = type.startsWith("udp") ? 16 : 32;
    this.hash = crypto.getRandomValues(new Uint8Array(n));
  }

  static async start(type: ShimType): Promise<Lab> {
    const lab = new Lab(type);
    try {
      lab.ns = { A: await lab.net.namespace("a"), B: await lab.net.namespace("b") };
      await lab.net.link(
        { ns: lab.ns.A, dev: "vethA", addr: [`${IP.A}/24`, `${IP6.A}/64`] },
        { ns: lab.ns.B, dev: "vethB", addr: [`${IP.B}/24`, `${IP6.B}/64`] },
      );
      const hosts = `${type === "udp6" ? IP6.B : IP.B} ${lab.hash.toHex()}\n`;
      await Deno.writeTextFile(`${lab.irmd.instance.configDir}/hosts`, hosts);
      lab.a = await lab.boot("A");
      lab.b = await lab.boot("B");
      return lab;
    } catch (e) {
      await lab[Symbol.asyncDispose]();
      throw e;
    }
  }

  async boot(side: "A" | "B", name = side.toLowerCase()): Promise<FakeIpcp> {
    const algo = this.type.startsWith("udp") ? 5 : 1;
    const { irmd, type } = this;
    const ipcp = await irmd.bootstrapped(type, name, confOf(type, side), algo, this.ns[side]);
    if (side === "B") {
      const reg = { code: IpcpCode.IPCP_REG, hash: this.hash };
      assertEquals(await irmd.result(ipcp, reg), 0);
    }
    return ipcp;
  }

  connect() {
    return connect(this.irmd, this.a, this.b, this.hash);
  }

  async ip(side: "A" | "B", ...args: string[]): Promise<void> {
    const r = await run(["ip", "-n", this.ns[side], ...args]);
    if (r.code !== 0) throw new Error(`ip ${args.join(" ")}: ${r.err}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.irmd[Symbol.asyncDispose]();
    await this.net[Symbol.asyncDispose]();
  }
}

function filled(n: number): Uint8Array {
  return Uint8Array.from({ length: n }, (_, i) => i * 5);
}

for (const type of TYPES) {
  Deno.test({
    name: `${type} between two namespaces: several flows, both ways, dealloc from either side`,
    ignore,
    async fn() {
      await using lab = await Lab.start(type);
      const [c1, s1] = await lab.connect();
      const [c2, s2] = await lab.connect();
      for (const n of [0, 1, 46, 64, 1400]) {
        await ping(c1, s1, filled(n));
        await ping(s2, c2, filled(n));
      }
      await disconnect(lab.irmd, lab.a, c1);
      await disconnect(lab.irmd, lab.b, s2);
      const [c3, s3] = await lab.connect();
      await ping(c3, s3, filled(9));
      await ping(s3, c3, filled(9));
      assertEquals([s1.tryRead(), c2.tryRead()], [undefined, undefined]);
    },
  });

  Deno.test({
    name: `${type}: a peer that is killed stops nothing, and serves again after a restart`,
    ignore,
    async fn() {
      await using lab = await Lab.start(type);
      const [c, s] = await lab.connect();
      await ping(c, s, filled(3));
      kill(lab.b.pid, 9);
      await lab.b.exit;
      for (let i = 0; i < 50; i++) assertEquals(c.write(filled(10)), 0);
      await until("packets taken", () => c.tx.queued() === 0);
      await disconnect(lab.irmd, lab.a, c);
      lab.b = await lab.boot("B", "b2");
      const [c2, s2] = await lab.connect();
      await ping(c2, s2, filled(4));
    },
  });
}

/** What an IPCP tells of a flow at MTU 1500 and 9000: the longest packet, and the longest in one piece. */
const TOLD: Record<ShimType, [number, number | undefined][]> = {
  udp4: [[8976, 1468], [8976, 8968]],
  udp6: [[8948, 1448], [8948, undefined]],
  "eth-dix": [[1496, undefined], [8996, undefined]],
  "eth-llc": [[1497, undefined], [1497, undefined]], // LLC lengths end at 1500.
};

for (const type of TYPES) {
  Deno.test({
    name: `${type} tells the IRMds at both ends what it carries, and carries that and no more`,
    ignore,
    async fn() {
      await using lab = await Lab.start(type);
      for (const [i, [most, whole]] of TOLD[type].entries()) {
        if (i === 1) {
          for (const side of ["A", "B"] as const) {
            await lab.ip(side, "link", "set", `veth${side}`, "mtu", "9000");
          }
          if (type === "eth-dix") {
            const told = (ipcp: FakeIpcp) =>
              until("MTU seen", () => / 8996 bytes now/.test(lab.irmd.log(ipcp)));
            await Promise.all([told(lab.a), told(lab.b)]);
          }
        }
        const asked = lab.irmd.said.length;
        const [c, s] = await lab.connect();
        // An IPCP says other things, too, such as the state of its device.
        const infos = lab.irmd.said.slice(asked).flatMap((m) => m.flowInfo ?? []);
        const limits = infos.map((f) => [f.sduBytesMax, f.sduBytesWhole]);
        assertEquals(limits, [[most, whole], [most, whole]]);
        await ping(c, s, filled(most));
        await ping(s, c, filled(most));
        c.write(filled(most + 1));
        s.write(filled(most + 1));
        await ping(c, s, filled(1)); // The longer ones have not come.
        await ping(s, c, filled(1));
        if (i > 0) continue;
        // What an application that does not know the limit sends too long is logged, at first and then seldom.
        for (const [ipcp, flow] of [[lab.a, c], [lab.b, s]] as const) {
          const line = `Dropped a packet of ${most + 1} bytes of flow ${flow.id}: ` +
            `the layer carries at most ${most}.`;
          await until(line, () => lab.irmd.log(ipcp).includes(line));
        }
      }
      for (const ipcp of [lab.a, lab.b]) {
        assertEquals(lab.irmd.log(ipcp).match(/Dropped/g)?.length, 1);
      }
    },
  });
}

for (const type of ["eth-dix", "eth-llc"] as const) {
  const max = type === "eth-dix" ? 1496 : 1497;
  Deno.test({
    name:
      `${type}: packets up to ${max} bytes pass, longer ones do not, and MTU changes are followed`,
    ignore,
    async fn() {
      await using lab = await Lab.start(type);
      const [c, s] = await lab.connect();
      await ping(c, s, filled(max));
      c.write(filled(max + 1));
      await ping(c, s, filled(1)); // The longer one has not come.
      for (const side of ["A", "B"] as const) {
        await lab.ip(side, "link", "set", `veth${side}`, "mtu", "9000");
      }
      if (type === "eth-llc") return await ping(c, s, filled(max)); // LLC lengths end at 1500.
      await until("jumbo", () => {
        c.write(filled(8996));
        return s.tryRead()?.length === 8996;
      });
      for (const side of ["A", "B"] as const) {
        await lab.ip(side, "link", "set", `veth${side}`, "mtu", "600");
      }
      await until("small MTU", () => {
        while (s.tryRead() !== undefined);
        c.write(filled(700));
        c.write(filled(10));
        return until("packet", () => s.tryRead()).then((p) => p.length === 10);
      });
    },
  });

  Deno.test({
    name: `${type}: a cable that is pulled takes the flows down, and up when it is put back`,
    ignore,
    async fn() {
      await using lab = await Lab.start(type);
      const [c, s] = await lab.connect();
      await ping(c, s, filled(3));
      lab.irmd.clearEvents(c.pid);
      await lab.ip("B", "link", "set", "vethB", "down");
      await until("flow down", () => (c.rx.acl() & 2) !== 0);
      await until("event", () => lab.irmd.clearEvents(c.pid).some(([, e]) => e === 2));
      await lab.ip("B", "link", "set", "vethB", "up");
      await until("flow up", () => c.rx.acl() === 0 && s.rx.acl() === 0);
      await until("event", () => lab.irmd.clearEvents(c.pid).some(([, e]) => e === 4));
      await ping(c, s, filled(4));
      await ping(s, c, filled(5));
    },
  });

  Deno.test({
    name: `${type}: a device that is set up before, during or after the bootstrap is used at once`,
    ignore: ignore || type.startsWith("udp"),
    async fn() {
      await using lab = await Lab.start(type);
      const query = { code: IpcpCode.IPCP_QUERY, hash: lab.hash };
      const setUp = () => lab.ip("A", "link", "set", "vethA", "up");
      for (const when of ["before", "during", "after"] as const) {
        await lab.ip("A", "link", "set", "vethA", "down");
        const late = await lab.irmd.start(type, when, lab.ns.A);
        // The kernel writes the carrier into the device's flags up to a second after it is there.
        if (when === "before") await setUp();
        const made = lab.irmd.bootstrap(late, confOf(type, "A"));
        if (when === "during") await setUp();
        assertEquals((await made)?.result, 0);
        if (when === "after") await setUp();
        const first = await lab.irmd.command(late, query);
        assert(!/is down/.test(first?.error?.cause ?? ""), when);
        // The peer's end may still be deaf.
        await until("found", async () => await lab.irmd.result(late, query) === 0);
        assertEquals(await lab.irmd.stop(late), 0);
      }
    },
  });

  Deno.test({
    name: `${type}: an interface that is deleted takes the flows down and the IPCP still obeys`,
    ignore,
    async fn() {
      await using lab = await Lab.start(type);
      const [c] = await lab.connect();
      await lab.ip("A", "link", "del", "vethA");
      await until("flow down", () => (c.rx.acl() & 2) !== 0);
      await disconnect(lab.irmd, lab.a, c);
      assertEquals(await lab.irmd.result(lab.a, { code: 99 }), -1);
      assertEquals(await lab.irmd.stop(lab.a), 0);
      assertEquals(await lab.irmd.stop(lab.b), 0);
    },
  });
}

for (const type of ["eth-dix", "eth-llc"] as const) {
  Deno.test({
    name:
      `${type}: flows of a MAC that was changed end at both sides at once, new ones use the new MAC`,
    ignore,
    async fn() {
      await using lab = await Lab.start(type);
      for (const [i, isDown] of [false, true].entries()) {
        const [c, s] = await lab.connect();
        await ping(c, s, filled(3));
        if (isDown) await lab.ip("A", "link", "set", "vethA", "down");
        await lab.ip("A", "link", "set", "vethA", "address", `02:00:00:00:77:0${i + 1}`);
        if (isDown) await lab.ip("A", "link", "set", "vethA", "up");
        for (const flow of [c, s]) {
          const isEnd = ([, event]: [number, number]) => event === FlowEvent.DEALLOC;
          await until("ended", () => lab.irmd.clearEvents(flow.pid).some(isEnd));
          assertEquals(flow.rx.acl() & 2, 2);
        }
        await disconnect(lab.irmd, lab.a, c);
        await disconnect(lab.irmd, lab.b, s);
      }
      const [c, s] = await lab.connect();
      await ping(c, s, filled(9));
      await ping(s, c, filled(8));
    },
  });

  Deno.test({
    name: `${type}: an interface that is deleted is said, and taken up again when it is made anew`,
    ignore,
    async fn() {
      await using lab = await Lab.start(type);
      const [c, s] = await lab.connect();
      await ping(c, s, filled(3));
      const query = { code: IpcpCode.IPCP_QUERY, hash: lab.hash };
      await lab.ip("A", "link", "set", "vethA", "down");
      await until("flow down", () => (c.rx.acl() & 2) !== 0);
      const down = await lab.irmd.command(lab.a, query);
      assertEquals([down?.result, down?.error?.cause], [-1, "device vethA is down"]);
      await lab.ip("A", "link", "del", "vethA");
      await until("gone", () => lab.irmd.log(lab.a).includes("Device vethA is gone"));
      const gone = await lab.irmd.command(lab.a, query);
      assertEquals(gone?.result, -1);
      assertMatch(gone?.error?.cause ?? "", /^device vethA is gone/);

      const { A, B } = lab.ns;
      await lab.net.link({ ns: A, dev: "vethA" }, { ns: B, dev: "vethB" });
      const isBack = (ipcp: FakeIpcp) => {
        const log = lab.irmd.log(ipcp);
        return log.slice(log.indexOf(" is gone")).includes(" is up.");
      };
      await until("back", () => isBack(lab.a) && isBack(lab.b));
      const [c2, s2] = await lab.connect();
      await ping(c2, s2, filled(40));
      await ping(s2, c2, filled(41));
      // The peer of the old flow is another station now: it does not come up again.
      assertEquals([c.rx.acl() & 2, c2.rx.acl()], [2, 0]);
    },
  });
}

for (const type of ["udp4", "udp6"] as const) {
  Deno.test({
    name: `${type}: an address that the host has lost is said, and used again when it is back`,
    ignore,
    async fn() {
      await using lab = await Lab.start(type);
      const address = type === "udp4" ? IP.A : IP6.A;
      const prefix = type === "udp4" ? `${address}/24` : `${address}/64`;
      const noDad = type === "udp4" ? [] : ["nodad"];
      const [c, s] = await lab.connect();
      await ping(c, s, filled(3));
      await lab.ip("A", "addr", "del", prefix, "dev", "vethA");
      await until("the flow is down", () => (c.rx.acl() & 2) !== 0);
      assertEquals(s.rx.acl() & 2, 0);
      const lost = await lab.irmd.command(lab.a, { code: IpcpCode.IPCP_QUERY, hash: lab.hash });
      const cause = `this host has no address ${address} at the moment`;
      assertEquals([lost?.result, lost?.error?.cause], [-1, cause]);
      await lab.ip("A", "addr", "add", prefix, "dev", "vethA", ...noDad);
      await until("the flow is up", () => (c.rx.acl() & 2) === 0);
      await ping(c, s, filled(4));
      const [c2, s2] = await lab.connect();
      await ping(c2, s2, filled(5));
    },
  });
}

for (const type of ["udp4", "udp6"] as const) {
  Deno.test({
    name:
      `${type}: an address that the device has got in place of the lost one is used from then on`,
    ignore,
    async fn() {
      await using lab = await Lab.start(type);
      const prefixBits = type === "udp4" ? "/24" : "/64";
      const noDad = type === "udp4" ? [] : ["nodad"];
      const old = type === "udp4" ? IP.A : IP6.A;
      const other = type === "udp4" ? "10.77.0.77" : "fd77::77";
      const change = (verb: "add" | "del", address: string) =>
        lab.ip(
          "A",
          "addr",
          verb,
          `${address}${prefixBits}`,
          "dev",
          "vethA",
          ...verb === "add" ? noDad : [],
        );
      const [c, s] = await lab.connect();
      await ping(c, s, filled(3));
      await change("del", old);
      await until("the flow is down", () => (c.rx.acl() & 2) !== 0);
      await change("add", other);
      const moved = `This host has no address ${old} any more: at ${other} from now on.`;
      await until("moved", () => lab.irmd.log(lab.a).includes(moved));
      // No peer knows the flow by that address.
      const isEnd = ([, event]: [number, number]) => event === FlowEvent.DEALLOC;
      await until("ended", () => lab.irmd.clearEvents(c.pid).some(isEnd));
      const [c2, s2] = await lab.connect();
      await ping(c2, s2, filled(5));
      await ping(s2, c2, filled(6));
    },
  });
}

/** A raw socket of the test on its own end of a veth, as a station of the network. */
class Station implements Disposable {
  readonly dev: string;
  readonly #socket;
  readonly #to: Uint8Array;
  /** One at a time: none of several that came together is lost. */
  readonly #batch = new MessageBatch(1, 2048, 20);
  readonly mac: Uint8Array;

  constructor(dev: string, readonly ethertype: number) {
    this.dev = dev;
    const device = interfaceOf(dev);
    this.mac = device.mac;
    this.#socket = openPacket(device.index, ethertype);
    this.#to = sockaddrLl(device.index, ethertype, new Uint8Array(6));
  }
  /** Send bytes as a frame. */
  raw(bytes: Uint8Array): void {
    assertEquals(this.#socket.sendTo(bytes, this.#to), 0);
  }
  send(to: Uint8Array, eid: number, payload: Uint8Array, from = this.mac, length = payload.length) {
    const b = new Uint8Array(18 + payload.length);
    frame.encodeDix(to, from, this.ethertype, eid, length, b, 0);
    b.set(payload, 18);
    this.raw(b);
  }
  mgmt(to: Uint8Array, m: ShimMgmt, from = this.mac): void {
    const b = new Uint8Array(dixMgmt.encodedLength(m));
    assert(!isWireError(dixMgmt.encode(m, b, 0)));
    this.send(to, 0, b, from);
  }
  /** The next management message. */
  receive(): Promise<ShimMgmt> {
    return until("frame", () => {
      const n = this.#socket.receive(this.#batch);
      if (n <= 0) return undefined;
      const out = { deid: 0, seid: 0, start: 0, end: 0 };
      const bad = frame.parseDix(this.#batch.data, 0, this.#batch.length(0), this.ethertype, out);
      const m = dixMgmt.parse(this.#batch.data.subarray(out.start, out.end), 32);
      this.#batch.rearm(n);
      return bad !== 0 || isWireError(m) ? undefined : m;
    });
  }
  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** Passes messages on, every other one twice, every third one after its successor. */
class Shuffler implements Disposable {
  readonly #timer: ReturnType<typeof setInterval>;
  #n = 0;
  #held: (() => void) | undefined;

  /** @param take sends what has arrived since, through `pass`. */
  constructor(take: (pass: (send: () => void) => void) => void) {
    this.#timer = setInterval(() => {
      take((send) => this.#pass(send));
      this.#held?.();
      this.#held = undefined;
    }, 1);
  }
  #pass(send: () => void): void {
    const n = this.#n++;
    if (n % 3 === 0 && this.#held === undefined) {
      this.#held = send;
      return;
    }
    send();
    if (n % 2 === 0) send();
    this.#held?.();
    this.#held = undefined;
  }
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Flows over a network that shuffles: each request makes one flow, every packet arrives at least once. */
async function throughShuffler(
  irmd: FakeIrmd,
  a: FakeIpcp,
  b: FakeIpcp,
  hash: Uint8Array,
): Promise<void> {
  for (let round = 0; round < 6; round++) {
    const [c, s] = await connect(irmd, a, b, hash);
    const order: number[] = [];
    for (let i = 0; i < 60; i++) c.write(Uint8Array.of(i));
    await until("all packets", () => {
      for (let p = s.tryRead(); p !== undefined; p = s.tryRead()) order.push(p[0]!);
      return new Set(order).size === 60;
    });
    assert(order.length > 60, "nothing was duplicated");
    assert(order.some((x, i) => i > 0 && x < order[i - 1]!), "nothing was reordered");
    await disconnect(irmd, a, c);
    await disconnect(irmd, b, s);
  }
  const asked = irmd.said.filter((m) => m.code === IrmCode.IPCP_FLOW_REQ_ARR);
  assertEquals(asked.length, 6);
}

Deno.test({
  name: "eth-dix: duplicated and reordered frames make one flow each and lose nothing",
  ignore,
  async fn() {
    await using irmd = new FakeIrmd();
    await using net = new NetLab();
    const batch = new MessageBatch(32, 2048, 20);
    const sockets: { socket: NetSocket; to: Uint8Array }[] = [];
    const ipcps: FakeIpcp[] = [];
    for (const side of ["A", "B"] as const) {
      const ns = await net.namespace(side.toLowerCase());
      const dev = `ou${Deno.pid % 100000}${side}`;
      const made = ["link", "add", dev, "type", "veth", "peer", "name", `veth${side}`];
      assertEquals((await run(["ip", ...made, "netns", ns])).code, 0);
      await run(["ip", "link", "set", dev, "promisc", "on", "up"]);
      await run(["ip", "-n", ns, "link", "set", `veth${side}`, "up"]);
      ipcps.push(await irmd.bootstrapped("eth-dix", side, confOf("eth-dix", side), 1, ns));
      const { index, mac } = interfaceOf(dev);
      sockets.push({ socket: openPacket(index, 0xa000), to: sockaddrLl(index, 0xa000, mac) });
    }
    // The test is the cable: frames of one end go out of the other as they are.
    using _shuffler = new Shuffler((pass) => {
      for (const [from, into] of [[0, 1], [1, 0]] as const) {
        const n = sockets[from]!.socket.receive(batch);
        for (let i = 0; i < n; i++) {
          const bytes = batch.data.slice(i * 2048, i * 2048 + batch.length(i));
          pass(() => sockets[into]!.socket.sendTo(bytes, sockets[into]!.to));
        }
        batch.rearm(Math.max(0, n));
      }
    });
    const hash = new Uint8Array(32).fill(3);
    await irmd.result(ipcps[1]!, { code: IpcpCode.IPCP_REG, hash });
    await throughShuffler(irmd, ipcps[0]!, ipcps[1]!, hash);
    for (const { socket } of sockets) socket.close();
  },
});

Deno.test("udp4: duplicated and reordered datagrams make one flow each and lose nothing", async () => {
  await using irmd = new FakeIrmd();
  const net = loopbackNet();
  const ip = (k: number) => Uint8Array.of(...net, k);
  const conf = (k: number) => ({ udp4: { ipAddr: number4(ip(k)), port: 3435, dnsAddr: 0 } });
  const a = await irmd.bootstrapped("udp4", "a", conf(1), 5);
  const b = await irmd.bootstrapped("udp4", "b", conf(2), 5);
  const hash = new Uint8Array(16).fill(3);
  await Deno.writeTextFile(
    `${irmd.instance.configDir}/hosts`,
    `${ip(3).join(".")} ${hash.toHex()}\n`,
  );
  await irmd.result(b, { code: IpcpCode.IPCP_REG, hash });
  using relay = openUdp(sockaddrIn(ip(3), 3435));
  const batch = new MessageBatch(32, 2048, 16);
  using _shuffler = new Shuffler((pass) => {
    const n = relay.receive(batch);
    for (let i = 0; i < n; i++) {
      const bytes = batch.data.slice(i * 2048, i * 2048 + batch.length(i));
      const fromA = batch.names[i * NAME_BYTES + 7] === 1;
      pass(() => relay.sendTo(bytes, sockaddrIn(ip(fromA ? 2 : 1), 3435)));
    }
    batch.rearm(Math.max(0, n));
  });
  await throughShuffler(irmd, a, b, hash);
});

Deno.test({
  name: "eth-dix: forged, foreign, truncated and unasked frames reach nobody",
  ignore,
  async fn() {
    await using irmd = new FakeIrmd();
    await using net = new NetLab();
    const ns = await net.namespace("a");
    const dev = `ou${Deno.pid % 100000}x`;
    const made = ["link", "add", dev, "type", "veth", "peer", "name", "vethA", "netns", ns];
    assertEquals((await run(["ip", ...made])).code, 0); // Vanishes with the namespace.
    await run(["ip", "link", "set", dev, "up"]);
    await run(["ip", "-n", ns, "link", "set", "vethA", "up"]);
    const ipcp = await irmd.bootstrapped("eth-dix", "a", confOf("eth-dix", "A"), 1, ns);
    const hash = new Uint8Array(32).fill(7);
    const other = new Uint8Array(32).fill(8);
    await irmd.result(ipcp, { code: IpcpCode.IPCP_REG, hash });
    const shown = await run(["ip", "-n", ns, "-o", "link", "show", "vethA"]);
    const own = Uint8Array.fromHex(shown.out.match(/ether ([0-9a-f:]+)/)![1]!.replaceAll(":", ""));
    using peer = new Station(dev, 0xa000);
    const evil = Uint8Array.of(2, 6, 6, 6, 6, 6);
    const broadcast = new Uint8Array(6).fill(255);

    // Names: asked for by broadcast and answered; not asked for and not believed.
    peer.mgmt(broadcast, { kind: "name_query", hash });
    assertEquals(await peer.receive(), { kind: "name_reply", hash });
    peer.mgmt(broadcast, { kind: "name_reply", hash: other });
    const query = irmd.result(ipcp, { code: IpcpCode.IPCP_QUERY, hash: other });
    assertEquals(await peer.receive(), { kind: "name_query", hash: other });
    // To a MAC that is not its own: not for it.
    peer.mgmt(evil, { kind: "name_reply", hash: other });
    peer.mgmt(own, { kind: "name_reply", hash: other });
    assertEquals(await query, 0);

    // A flow to the peer; replies from elsewhere or for other ids are not believed.
    const client = irmd.flow(ipcp);
    const alloc = { code: IpcpCode.IPCP_FLOW_ALLOC, flowId: client.id, pid: client.pid, uid: 0 };
    await irmd.result(ipcp, { ...alloc, hash: other, qos: QOS.raw, pk: OAP });
    let request = await peer.receive();
    while (request.kind === "name_query") request = await peer.receive(); // Repeated meanwhile.
    if (request.kind !== "flow_req") throw new Error(request.kind);
    const { requesterEid } = request;
    const reply = { kind: "flow_reply", responderEid: 99, response: 0, data: OAP } as const;
    peer.mgmt(own, { ...reply, requesterEid }, evil);
    for (let guess = 1; guess < 300; guess++) {
      if (guess !== requesterEid) peer.mgmt(own, { ...reply, requesterEid: guess });
    }
    peer.mgmt(own, { ...reply, requesterEid });
    peer.mgmt(own, { ...reply, requesterEid, responderEid: 100 });
    await irmd.heard("reply", (m) => m.code === IrmCode.IPCP_FLOW_ALLOC_REPLY);

    // Data: only the peer's, to the right id, with a length that the frame has.
    peer.send(own, requesterEid, filled(20), evil);
    peer.send(own, requesterEid ^ 1, filled(21));
    peer.send(broadcast, requesterEid, filled(22));
    peer.send(evil, requesterEid, filled(23));
    peer.send(own, requesterEid, filled(24), peer.mac, 25);
    peer.send(own, requesterEid, filled(24), peer.mac, 65535);
    for (let n = 14; n < 60; n++) {
      const b = new Uint8Array(n).fill(0xff);
      frame.encodeDix(
        own,
        peer.mac,
        0xa000,
        n % 2,
        9999,
        b.length < 18 ? new Uint8Array(18) : b,
        0,
      );
      b.set(own);
      b.set(peer.mac, 6);
      b[12] = 0xa0;
      b[13] = 0;
      peer.raw(b);
    }
    peer.send(own, requesterEid, filled(26));
    assertEquals(await client.read(), filled(26));
    assertEquals(client.tryRead(), undefined);
    const replies = irmd.said.filter((m) => m.code === IrmCode.IPCP_FLOW_ALLOC_REPLY);
    assertEquals(replies.length, 1);

    // The open flow still goes to the id of the first reply.
    const seen = new MessageBatch(16, 2048, 20);
    using sniff = openPacket(interfaceOf(dev).index, 0xa000);
    client.write(filled(5));
    await until("data frame", () => {
      const n = sniff.receive(seen);
      for (let i = 0; i < n; i++) {
        const at = i * seen.slotBytes;
        const deid = seen.data[at + 14]! << 8 | seen.data[at + 15]!;
        assert(deid !== 100);
        if (deid === 99) return true;
      }
      seen.rearm(Math.max(n, 0));
      return false;
    });
  },
});
