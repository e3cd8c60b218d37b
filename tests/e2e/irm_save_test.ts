/** `irm save`: the file makes the same state again, and says the same when it is saved again. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { until } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";

/** Names, IPCPs and their bindings, as far as they are to come back. */
async function shown(node: TestNode): Promise<unknown> {
  const ipcps = JSON.parse(await node.must("irm", "ipcp", "list", "--json")) as {
    name: string;
    type: string;
    layer: string | null;
    hash: string;
  }[];
  const names = JSON.parse(await node.must("irm", "name", "list", "--json")) as { name: string }[];
  return {
    ipcps: ipcps.map(({ name, type, layer, hash }) => ({ name, type, layer, hash }))
      .toSorted((a, b) => a.name < b.name ? -1 : 1),
    names: names.toSorted((a, b) => a.name < b.name ? -1 : 1),
  };
}

/** `irm save` once the configuration file was read to its end; until then it is refused. */
async function saved(node: TestNode): Promise<{ out: string; err: string }> {
  return await until("a node that can be saved", async () => {
    const { code, out, err } = await node.run(["irm", "save"]);
    if (code === 0) return { out, err };
    assertStringIncludes(err, "is still being made");
  });
}

const STATE = `
name create plain
name create rr lb round-robin
name create "odd name" lb spillover
name create keyed scrtpath KEY
bind program oping name plain
bind program oping name rr auto -- --listen "two words" ""
bind program oecho name plain auto -- -l
bind program ocbr name any-one any
bind program ocbr name mine user 65534
bind program obc name crew group 65534 auto -- x
ipcp bootstrap name low type local layer low hash SHA3_384
ipcp create name spare type local
ipcp bootstrap name u1 type unicast layer office dht_k 5 ls_t_update 20 congestion none routing lfa autobind
name register plain ipcp spare
name register u1 ipcp low
name register office ipcp low
name register rr ipcp u1
ipcp enroll name u2 layer office
bind ipcp u2 name second
ipcp connect name u2 dst u1 component mgmt
ipcp connect name u2 dst u1 component dt qos data
ipcp bootstrap name b1 type broadcast layer news autobind
`;

/** Words of a line; quotes keep them together. */
function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

Deno.test({
  name: "a node that is started with what irm save wrote is as it was, and saves the same",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using node = await TestNode.start();
    const key = `${node.prefix}/crt.pem`;
    await Deno.writeTextFile(key, "");
    for (const line of STATE.trim().split("\n")) {
      await node.must("irm", ...words(line.replace("KEY", key)));
    }
    const before = await shown(node);
    const file = `${node.prefix}/saved.conf`;
    assertEquals(await node.must("irm", "save", file), "");
    const text = await Deno.readTextFile(file);
    assertEquals(await node.must("irm", "save"), text);
    assertEquals((await Deno.stat(file)).mode! & 0o777, 0o644);
    for (const part of ['qos = "data"', "dht_k = 5", '"two words", ""', "[unicast.u2]"]) {
      assertStringIncludes(text, part);
    }
    await node.stopIrmd();

    await node.startIrmd("--config", file);
    for (const line of [/IPCP u2 runs/, /IPCP b1 runs/]) await node.irmd!.waitForLine(line);
    assertEquals((await saved(node)).out, text);
    assertEquals(await shown(node), before);
  },
});

Deno.test({
  name: "irm save says what it does not save, and what must be tried again does not end a node",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    const config = `[irmd]\nretry = true\ndirect = false\nconnections = 64\n
[local.low]\nbootstrap = "low"\n
[unicast.lost]\nenrol = "nobody"\nautobind = true\nconnect = [{ dst = "nobody", component = "dt" }]\n`;
    await using node = await TestNode.start({ config });
    await node.irmd!.waitForLine(/IPCP lost: .*trying again/);
    const oecho = node.spawn(["oecho", "-l"]);
    await oecho.waitForLine(/Starting/);
    await node.must("irm", "bind", "process", String(oecho.pid), "name", "fleeting");
    const { out, err } = await saved(node);
    const what = `process ${oecho.pid} (oecho) is bound to name "fleeting"`;
    assertStringIncludes(err, `Not saved: ${what}`);
    assertStringIncludes(out, `# Not saved: ${what}`);
    assertStringIncludes(out, "direct = false\nretry = true\nconnections = 64\n");
    assertStringIncludes(
      out,
      '[unicast.lost]\nenrol = "nobody"\nautobind = true\n' +
        'connect = [{ dst = "nobody", component = "dt", qos = "raw" }]\n',
    );
  },
});
