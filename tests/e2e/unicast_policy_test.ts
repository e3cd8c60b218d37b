// deno-lint-ignore-file camelcase -- the vectors have these names
// Policies as files in live unicast layers: the worked examples run, what fails is left, what others may write is refused.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { until } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";
import { first, joins, Loopback, pinged, pingServer } from "../support/unicast_layer.ts";

const THREE = /3 packets transmitted, 3 received/;

/** A directory of a node in which policies may lie, and a policy there. */
async function policyFile(node: TestNode, name: string, text: string): Promise<string> {
  const dir = `${node.prefix}/etc/policies`;
  await Deno.mkdir(dir, { recursive: true, mode: 0o755 });
  await Deno.writeTextFile(`${dir}/${name}`, text, { mode: 0o644 });
  return `${dir}/${name}`;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

function example(name: string): Promise<string> {
  return Deno.readTextFile(
    fromFileUrl(new URL(`../../examples/policies/${name}`, import.meta.url)),
  );
}

Deno.test("the worked examples run in a chain of three", async () => {
  await using lab = await Loopback.make([["net.a"], ["net.b"], ["net.c"]]);
  const [a, b, c] = lab.nodes;
  const routing = await example("distance_vector.ts");
  const congestion = await example("one_bit.ts");
  const words = await Promise.all(lab.nodes.map(async (node) => [
    "routing",
    await policyFile(node, "distance_vector.ts", routing),
    "congestion",
    await policyFile(node, "one_bit.ts", congestion),
  ]));
  await first(a!, "net.a", "net", "wire", words[0]);
  await joins(b!, "net.b", "net", "wire", "net.a", words[1]);
  await joins(c!, "net.c", "net", "wire", "net.b", words[2]);
  await pingServer(a!, "ping.a", "net");
  assertMatch((await pinged(c!, "ping.a")).out, THREE);
  const list = JSON.parse(await c!.must("irm", "ipcp", "list", "--json"));
  const { policies, note } = list.find(({ name }: { name: string }) => name === "net.c");
  assertMatch(
    policies,
    /^routing distance_vector\.ts \(sha256 [0-9a-f]{12}…\), congestion one_bit/,
  );
  assertEquals(note, undefined);
});

Deno.test("the short examples run in a ring of four: addresses, both ways round, names without a DHT", async () => {
  const shown = Deno.uid() === 0 && await exists("/dev/fuse");
  const names = ["net.1", "net.2", "net.3", "net.4"];
  await using lab = await Loopback.make(
    names.map((name) => [name]),
    undefined,
    shown ? ["--rib", "on"] : [],
  );
  const files = ["addr_auth address_of_name", "forwarding spread", "directory told_to_all"];
  const words = await Promise.all(lab.nodes.map(async (node) => {
    const named = await Promise.all(files.map(async (line) => {
      const [word, name] = line.split(" ") as [string, string];
      return [word, await policyFile(node, `${name}.ts`, await example(`${name}.ts`))];
    }));
    return ["routing", "ecmp", ...named.flat()];
  }));
  await first(lab.nodes[0]!, names[0]!, "net", "wire", words[0]);
  for (let i = 1; i < 4; i++) {
    const own = words[i]!.slice(2); // Enrolling learns of the shipped ones.
    await joins(lab.nodes[i]!, names[i]!, "net", "wire", names[i - 1]!, own);
  }
  const last = lab.nodes[3]!;
  await last.run(["irm", "name", "create", names[0]!]);
  await last.must("irm", "ipcp", "connect", "name", names[3]!, "dst", names[0]!);
  for (const node of lab.nodes) {
    await node.must("irm", "wait", "layer", "net", "members", "4", "timeout", "60");
  }
  await pingServer(lab.nodes[2]!, "ping.3", "net");
  /** Packets that net.1 sent to each of its neighbours. */
  const sent = async () => {
    const dir = `${lab.nodes[0]!.prefix}/tmp/ouroboros/net.1/dt.01.00.01.00`;
    const files = (await Array.fromAsync(Deno.readDir(dir))).filter((e) => !/^[01]$/.test(e.name));
    const texts = await Promise.all(files.map((e) => Deno.readTextFile(`${dir}/${e.name}`)));
    return texts.map((text) => Number(/ sent \(packets\): +(\d+)/.exec(text)![1]));
  };
  const before = shown ? await sent() : [];
  assertMatch((await pinged(lab.nodes[0]!, "ping.3", 3)).out, THREE);
  if (shown) {
    const after = await sent();
    assertEquals(after.length, 2);
    after.forEach((n, i) => assertEquals(n > before[i]!, true, `${before} ${after}`));
  }
  for (const node of lab.nodes) {
    const { note, policies } = (await node.admin().listIpcps()).find(({ layer }) =>
      layer === "net"
    )!;
    assertEquals(note, undefined);
    for (const line of files) assertStringIncludes(policies!, `${line}.ts (sha256 `);
  }
});

Deno.test("what others may write is refused, and who joins needs the file of the layer", async () => {
  await using lab = await Loopback.make([["net.a"], ["net.b"]]);
  const [a, b] = lab.nodes;
  const text = await example("distance_vector.ts");
  const file = await policyFile(a!, "dv.ts", text);
  const bootstrap = async (...words: string[]) => {
    const who = ["type", "unicast", "name", "net.a", "layer", "net", "autobind"];
    const r = await a!.run(["irm", "ipcp", "bootstrap", ...who, ...words]);
    assertEquals(r.code, 1);
    return r.err;
  };
  await Deno.chmod(file, 0o646);
  assertMatch(await bootstrap("routing", file), /dv\.ts can be changed by others \(mode 0646/);
  await Deno.chmod(file, 0o644);
  await Deno.chmod(`${a!.prefix}/etc/policies`, 0o777);
  assertMatch(await bootstrap("routing", file), /policies can be changed by others \(mode 0777/);
  await Deno.chmod(`${a!.prefix}/etc/policies`, 0o755);
  if (Deno.uid() === 0) {
    await Deno.chown(file, 65534, 65534);
    assertMatch(await bootstrap("routing", file), /dv\.ts belongs to uid 65534/);
    await Deno.chown(file, 0, 0);
  }
  assertMatch(await bootstrap("routing", `${file}.not`), /No such file/);
  assertMatch(await bootstrap("congestion", file), /does not export congestion, an object/);
  // After all of that the IPCP can still be bootstrapped.
  await first(a!, "net.a", "net", "wire", ["routing", file]);

  for (const name of ["net.a", "net", "net.b"]) await b!.must("irm", "name", "create", name);
  const enroll = (...words: string[]) => {
    const who = ["type", "unicast", "name", "net.b", "layer", "net", "dst", "net.a"];
    return b!.run(["irm", "ipcp", "enroll", ...who, ...words]);
  };
  const without = await enroll();
  assertEquals(without.code, 1);
  assertMatch(without.err, /the layer has routing dv\.ts \(sha256 .*name the same file here/);
  const changed = await policyFile(b!, "dv.ts", text + "// Changed.\n");
  const other = await enroll("routing", changed);
  assertMatch(
    other.err,
    /which routing dv\.ts \(sha256 [0-9a-f]{12}…\) is not: name the same file/,
  );
  // It does not try again and again what cannot become better by itself.
  const whole = await enroll("connect", "wait", "600", "routing", changed);
  assertMatch(whole.err, /which routing dv\.ts/);
  const same = await policyFile(b!, "same.ts", text);
  assertEquals((await enroll("routing", same)).code, 0);
});

Deno.test("policies that throw, do not return or say nonsense are left, and the layer goes on", async () => {
  await using lab = await Loopback.make([["net.a"], ["net.b"]]);
  const texts = {
    routing: `
      export const routing = () => {
        const nothing = () => undefined;
        return {
          poll: nothing, onTimer: nothing, deadlineUs: () => Infinity, managementUp: nothing,
          managementDown: nothing, transferGone: nothing, transferState: nothing, onPacket: nothing,
          transferUp() { for (;;); },
        };
      };`,
    directory: "export const directory = () => { throw new Error('no directory'); };",
    congestion: `
      export const congestion = {
        flow: () => ({ onSend() { while (true) {} }, onReceive: () => -1, onUpdate() {} }),
        mark: () => 0,
      };`,
    addr_auth: "export const address = () => 'here';",
  };
  const words = (node: TestNode) => {
    return Promise.all(
      Object.entries(texts).map(async ([kind, text]) => {
        return [kind, await policyFile(node, `${kind}.js`, text)];
      }),
    );
  };
  const [a, b] = lab.nodes;
  await first(a!, "net.a", "net", "wire", (await words(a!)).flat());
  await joins(b!, "net.b", "net", "wire", "net.a", (await words(b!)).flat());
  await pingServer(a!, "ping.a", "net");
  assertMatch((await pinged(b!, "ping.a")).out, THREE);
  // Both log it once; the list says it.
  const noteOf = async (node: TestNode) => {
    return (await node.admin().listIpcps()).find(({ name }) => name.startsWith("net."))?.note ?? "";
  };
  for (const node of [a!, b!]) {
    for (
      const [kind, why] of [
        ["addr_auth", /address: here is not 65536 to 4294967295; a random address takes its place/],
        ["directory", /threw in directory: Error: no directory.*; the DHT takes its place/],
        [
          "routing",
          /threw in transferUp: .*does not come to an end.*; link state \(simple\) takes/,
        ],
        ["congestion", /threw in onSend: .*does not come to an end.*; mb-ecn takes its place/],
      ] as const
    ) {
      await until(`${kind} is noted`, async () => why.test(await noteOf(node)));
      const lines = () => node.irmd!.out.split(`Policy ${kind} ${kind}.js is left`).length - 1;
      // What is logged may come a little after what is told.
      await until(`${kind} is logged`, () => lines() > 0);
      assertEquals(lines(), 1, kind);
    }
  }
});

Deno.test("the configuration file names policies; whole paths only", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ouro-policies-" });
  try {
    await Deno.chmod(dir, 0o755);
    const file = `${dir}/one_bit.ts`;
    await Deno.writeTextFile(file, await example("one_bit.ts"), { mode: 0o644 });
    const config = `[unicast.u]\nbootstrap = "net"\ncongestion = "${file}"\n`;
    await using node = await TestNode.start({ config });
    const policiesOf = async () => {
      return (await node.admin().listIpcps()).find(({ layer }) => layer === "net")?.policies ?? "";
    };
    await until("it is bootstrapped", async () => (await policiesOf()) !== "");
    assertStringIncludes(await policiesOf(), "congestion one_bit.ts (sha256 ");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
