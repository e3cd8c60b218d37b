// How long a message may be over each layer, from application to application: two nodes on a veth pair with MTU 1500
// and 9000, flows of every kind, encrypted and not, both ways; and what the tools say of longer ones.

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { instanceOf } from "../../lib/instance.ts";
import { Errno, Flow, OuroError, OuroProcess, QOS } from "../../lib/mod.ts";
import { serve, type ShimType, twoNodes, TYPES } from "../support/two_nodes.ts";
import { first, joins } from "../support/unicast_layer.ts";
import { DEADLINE_MS, until, within } from "../support/deadline.ts";
import { canMakeNetns } from "../support/netns.ts";
import { ouro, PATIENT, TestNode } from "../support/node.ts";
import { canMakeTun } from "../support/tun.ts";

const ignore = !canMakeNetns();
const MASK = "255.255.255.0";

/** Longest packet of a flow, and longest in one piece, by type and MTU. */
const CARRIED: Record<ShimType, Record<number, [number, number]>> = {
  udp4: { 1500: [8976, 1468], 9000: [8976, 8968] },
  udp6: { 1500: [8948, 1448], 9000: [8948, 8948] },
  "eth-dix": { 1500: [1496, 1496], 9000: [8996, 8996] },
  "eth-llc": { 1500: [1497, 1497], 9000: [1497, 1497] },
};

/** Kinds of flows, and what each adds to a message; a CRC is asked for apart from the QoS. */
const FRCT = 12;
const CRC = 4;
const GCM = 12 + 16;
const KINDS = {
  raw: { qos: QOS.raw, crc: false, adds: 0 },
  "raw with CRC": { qos: QOS.raw_no_errors, crc: true, adds: CRC },
  "best effort": { qos: QOS.best, crc: false, adds: FRCT },
  data: { qos: QOS.data, crc: false, adds: FRCT },
  "data with CRC": { qos: QOS.data, crc: true, adds: FRCT + CRC },
} as const;

/** This process as an application of both nodes; at B it serves `srv`. */
async function applications(a: TestNode, b: TestNode): Promise<[OuroProcess, OuroProcess]> {
  const [left, right] = [a, b].map(({ prefix }) => {
    return OuroProcess.open({ instance: instanceOf(prefix), prog: "limits" });
  });
  const admin = b.admin();
  await b.must("irm", "name", "create", "srv");
  await admin.bindProcess(Deno.pid, "srv");
  await b.must("irm", "name", "register", "srv", "layer", "lay");
  await a.must("irm", "name", "create", "srv");
  return [left!, right!];
}

async function connect(
  left: OuroProcess,
  right: OuroProcess,
  kind: keyof typeof KINDS,
  name = "srv",
): Promise<[Flow, Flow]> {
  const { qos, crc } = KINDS[kind];
  const accepting = Flow.accept(right, { timeoutMs: DEADLINE_MS });
  const client = await Flow.alloc(left, name, { qos, crc, timeoutMs: DEADLINE_MS });
  return [client, await accepting];
}

function filled(n: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: n }, (_, i) => (i * 31) >> 3);
}

/** The longest message arrives whole; one byte more is refused with the limit in the text, and nothing arrives. */
async function probe(from: Flow, to: Flow, most: number, what: string): Promise<void> {
  assertEquals(from.messageBytesMax, most, what);
  assertEquals(await from.write(filled(most)), most);
  assertEquals(await to.read({ timeoutMs: DEADLINE_MS }), filled(most), what);
  assertEquals(from.writeSync(filled(most + 1)), -Errno.EMSGSIZE);
  const text = `Cannot write ${most + 1} bytes (a message of this flow holds at most ${most})`;
  const error = await assertRejects(() => from.write(filled(most + 1)), OuroError, text);
  assertEquals(error.code, -Errno.EMSGSIZE);
  await from.write(Uint8Array.of(7));
  assertEquals([...await to.read({ timeoutMs: DEADLINE_MS })], [7], what);
}

/** A stream arrives whole, in pieces of what goes in one packet. */
async function stream(from: Flow, to: Flow, piece: number): Promise<void> {
  const sent = filled(1_000_000);
  const got = new Uint8Array(sent.length);
  const writer = from.writable.getWriter();
  const writing = writer.write(sent);
  let at = 0;
  while (at < sent.length) {
    const message = await to.read({ timeoutMs: DEADLINE_MS });
    got.set(message, at);
    at += message.length;
    if (at < sent.length) assertEquals(message.length, piece);
  }
  await writing;
  writer.releaseLock();
  assertEquals(at, sent.length);
  assert(got.every((x, i) => x === sent[i]));
}

for (const type of TYPES) {
  for (const mtu of [1500, 9000]) {
    Deno.test({
      name:
        `${type} at MTU ${mtu}: messages up to the limit pass, longer ones say so, streams arrive`,
      ignore,
      // The thread that waits for events outlives a test shortly.
      sanitizeOps: false,
      sanitizeResources: false,
      async fn(t) {
        await twoNodes(type, { srv: "srv", back: "back" }, async (a, b) => {
          const [left, right] = await applications(a, b);
          using _left = left, _right = right;
          const security = `${a.prefix}/etc/security/client/srv`;
          const [most, whole] = CARRIED[type][mtu]!;
          for (const encrypted of [false, true]) {
            if (encrypted) {
              await Deno.mkdir(security, { recursive: true });
              await Deno.writeTextFile(`${security}/enc.conf`, "kex=X25519\ncipher=aes-256-gcm\n");
            }
            for (const kind of Object.keys(KINDS) as (keyof typeof KINDS)[]) {
              const what = `${kind}${encrypted ? ", encrypted" : ""}`;
              await t.step(what, async () => {
                const [client, server] = await connect(left, right, kind);
                const adds = KINDS[kind].adds + (encrypted ? GCM : 0);
                await probe(client, server, most - adds, `${what}, there`);
                await probe(server, client, most - adds, `${what}, back`);
                if (kind.startsWith("data")) {
                  await stream(client, server, whole - adds);
                  await stream(server, client, whole - adds);
                }
                await Promise.all([client.dealloc(), server.dealloc()]);
              });
            }
          }
        }, mtu);
      },
    });
  }
}

Deno.test({
  name:
    "a device that carries less: flows over it, and over a unicast layer above it, keep to that, and new ones begin so",
  ignore,
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await twoNodes("eth-dix", { srv: "srv", back: "back" }, async (a, b, net, ns) => {
      const [left, right] = await applications(a, b);
      using _left = left, _right = right;
      await first(b, "net.b", "net", "nB");
      await joins(a, "net.a", "net", "nA", "net.b");
      for (const node of [a, b]) await node.must("irm", "wait", "layer", "net", "members", "2");
      await b.must("irm", "name", "create", "deep");
      await b.admin().bindProcess(Deno.pid, "deep");
      await b.must("irm", "name", "register", "deep", "layer", "net");
      await a.must("irm", "name", "create", "deep");
      await a.must("irm", "wait", "name", "deep");
      const mtu = async (bytes: number) => {
        for (const side of ["A", "B"] as const) {
          const words = ["ip", "link", "set", `veth${side}`, "mtu", String(bytes)];
          assertEquals((await net.exec(ns[side], words)).code, 0);
        }
      };
      const [flat] = await connect(left, right, "raw");
      const layered = await connect(left, right, "data", "deep");
      const headBytes = flat.messageBytesMax - layered[0].messageBytesMax;
      assert(headBytes > 0 && headBytes < 64, `${headBytes}`);
      await mtu(600);
      await until(
        "flows hear of it",
        () => [flat, ...layered].every((flow) => flow.messageBytesMax <= 596),
      );
      assertEquals(flat.messageBytesMax, 596);
      await probe(layered[0], layered[1], 596 - headBytes, "there");
      await probe(layered[1], layered[0], 596 - headBytes, "back");
      await stream(layered[0], layered[1], 596 - headBytes);
      const fresh = await connect(left, right, "data", "deep");
      await probe(fresh[0], fresh[1], 596 - headBytes, "new");
      assert(a.irmd!.out.includes("Packets of flows may have"), a.irmd!.out);
      const told = async () => (await a.run(["irm", "ipcp", "list"])).err;
      // Both IPCPs: the one over the device, and the one above it.
      const fell = /packets of flows may have \d+ bytes now, not \d+/g;
      await until("the list says so", async () => [...(await told()).matchAll(fell)].length === 2);
      await mtu(1500);
      await until(
        "flows hear of that",
        () => [flat, ...layered].every((flow) => flow.messageBytesMax > 596),
      );
      await probe(layered[0], layered[1], 1496 - headBytes, "as before");
      await until("the list says so", async () => !(await told()).includes("packets of flows"));
    }, 1500);
  },
});

Deno.test({
  name: "oping, operf and ocbr say in one line that their packets are too long for the layer",
  ignore,
  async fn() {
    await twoNodes("eth-dix", { srv: "srv", back: "back" }, async (a, b) => {
      await serve(b, "srv", "lay");
      await a.must("irm", "name", "create", "srv");
      const ping = ["oping", "-n", "srv", "-c", "2", ...PATIENT, "-i", "5"];
      const good = await a.run([...ping, "-s", "1496"]);
      assert(good.out.includes("2 packets transmitted, 2 received"), good.out + good.err);
      const line = (bytes: number, most: number) =>
        `Cannot send packets of ${bytes} bytes (a message of this flow holds at most ${most})\n`;
      const raw = await a.run([...ping, "-s", "1497"]);
      assertEquals([raw.code, raw.out, raw.err], [1, "", line(1497, 1496)]);
      const data = await a.run([...ping, "-s", "1496", "-q", "data", "--strict-exit"]);
      assertEquals([data.code, data.out, data.err], [2, "", line(1496, 1484)]);
      const json = await a.run([...ping, "-s", "1500", "--json"]);
      assertEquals([json.code, json.err], [1, line(1500, 1496)]);
      assertEquals(JSON.parse(json.out).error, line(1500, 1496).trimEnd());

      const perf = b.spawn(["operf", "-l"]);
      await perf.waitForLine(/started/);
      await b.must("irm", "name", "create", "perf");
      await b.must("irm", "bind", "process", String(perf.pid), "name", "perf");
      await b.must("irm", "name", "register", "perf", "layer", "lay");
      await a.must("irm", "name", "create", "perf");
      const test = ["operf", "-n", "perf", "-t", "bi", "-d", "200ms"];
      const long = await a.run([...test, "-s", "1497"]);
      assertEquals([long.code, long.out, long.err], [1, "", line(1497, 1496)]);
      // The size that nobody asked for follows the layer.
      const usual = await within("operf", a.run(test));
      assertEquals(usual.code, 0, usual.err);
      assertMatch(usual.out, /Sending 1496 byte packets/);
      assertMatch(usual.out, /packets transmitted, [1-9]\d* received/);
      const cbr = await a.run(["ocbr", "-n", "perf", "-s", "1497", "-d", "1"]);
      assertEquals([cbr.code, cbr.err], [255, line(1497, 1496)]);
    }, 1500);
  },
});

Deno.test({
  name: "ovpn: the MTU of the tunnel is what the flow carries, unless another one is asked for",
  ignore: ignore || !canMakeTun(),
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await twoNodes("eth-llc", { srv: "srv", back: "back" }, async (a, b, net, ns) => {
      const [left, right] = await applications(a, b);
      using _left = left, _right = right;
      const words = ["ovpn", "-n", "srv", "-i", "10.99.0.1", "-m", MASK];
      const tunnel = async (...more: string[]) => {
        const accepting = Flow.accept(right, { timeoutMs: DEADLINE_MS });
        const client = a.spawnArgv(net.inside(ns.A, ouro(...words, ...more)));
        const [, name] = await client.waitForLine(/Tunnel device name is (\w+)/);
        const shown = await net.exec(ns.A, ["ip", "link", "show", name!]);
        const { err } = await client.stop("SIGTERM");
        await (await accepting).dealloc();
        return [/mtu \d+/.exec(shown.out)?.[0], err];
      };
      assertEquals(await tunnel(), ["mtu 1497", ""]);
      assertEquals(await tunnel("--mtu", "1400"), ["mtu 1400", ""]);
      const lost = "MTU 1600 is more than the flow carries: packets above 1497 are lost\n";
      assertEquals(await tunnel("--mtu", "1600"), ["mtu 1600", lost]);
    });
  },
});

Deno.test({
  name:
    "local: a message may be as long as a block of the other process's pool, what it is wrapped in included",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using node = await TestNode.start({ args: ["--no-direct"] });
    await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l", "layer", "lay");
    await node.must("irm", "name", "create", "srv");
    using process = OuroProcess.open({ instance: node.instance, prog: "limits" });
    await node.admin().bindProcess(Deno.pid, "srv");
    await node.must("irm", "name", "register", "srv", "layer", "lay");
    const block = process.packetBytesMax;
    for (const kind of ["raw", "data"] as const) {
      const [client, server] = await connect(process, process, kind);
      await probe(client, server, block - KINDS[kind].adds, `${kind}, there`);
      await probe(server, client, block - KINDS[kind].adds, `${kind}, back`);
      await Promise.all([client.dealloc(), server.dealloc()]);
    }
  },
});
