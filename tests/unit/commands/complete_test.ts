/** What completion proposes, and the scripts of the shells. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { complete } from "../../../commands/complete.ts";
import { answer, completionScript } from "../../../commands/shells.ts";
import { allLinks, COMMANDS } from "../../../commands/table.ts";

const KNOWN = {
  name: ["web", "mail"],
  ipcp: ["n1", "u1"],
  layer: ["office"],
  device: ["eth0"],
};

async function propose(line: string): Promise<readonly string[] | string> {
  const { kind, words } = await complete(line.split(" "), (of) => Promise.resolve(KNOWN[of]));
  return kind === "words" ? words : kind;
}

Deno.test("complete() proposes commands, verbs, keys, values, and what the node knows", async () => {
  const cases: [string, readonly string[] | string][] = [
    ["ouro op", ["oping", "operf"]],
    ["/usr/bin/ouro irm un", ["unbind"]],
    ["irm un", ["unbind"]],
    ["irm i bo", ["bootstrap"]],
    ["irm i boo name x type ud", ["udp4", "udp6"]],
    ["irm i boo ty ud", ["udp4", "udp6"]],
    ["irm ipcp bootstrap dht_k", ["dht_k"]],
    ["irm ipcp bootstrap layer ", ["office"]],
    ["irm ipcp bootstrap dev ", ["eth0"]],
    ["irm ipcp enroll con", ["connect", "congestion"]],
    ["irm ipcp bootstrap routing l", ["link_state", "lfa"]],
    ["irm ipcp bootstrap routing ./", "file"],
    ["irm ipcp bootstrap forwarding ", "file"],
    ["irm ipcp enroll name ", ["n1", "u1"]],
    ["irm wait ", ["name", "layer", "ipcp", "irmd", "help", "--prefix"]],
    ["irm wait layer ", ["office"]],
    ["irm wait layer office m", ["members"]],
    ["irm bind program ", "program"],
    ["irm bind program oping n", ["name"]],
    ["irm bind program oping name w", ["web"]],
    ["irm bind program oping name web auto -- -", []],
    ["irm name create x sen", ["sencpath"]],
    ["irm name create x sencpath ", "file"],
    ["irm name unregister w", ["web"]],
    ["operf --te", ["--test"]],
    ["ouro operf -t b", ["bi"]],
    ["operf --test=b", ["--test=bi"]],
    ["operf --test = b", ["bi"]],
    ["operf --test =", ["uni", "bi", "report", "reverse"]],
    ["oping -q v", ["video", "voice"]],
    ["oping -n w", ["web"]],
    ["ouro completion f", ["fish"]],
    ["ouro help ipc", ["ipcp"]],
    ["ouro man pk", ["pki"]],
    ["ouro ipcp eth", ["eth-llc", "eth-dix"]],
    ["ouro irm --prefix ", "directory"],
    ["irmd --config ", "file"],
    ["ouro pki sig", ["sign"]],
    ["ouro pki renew r", ["root"]],
    ["ouro pki init --key ed255", ["ed25519"]],
    ["ouro bogus ", []],
  ];
  for (const [line, wanted] of cases) assertEquals(await propose(line), wanted, line);
});

Deno.test("complete() knows words for every command and link", async () => {
  for (const { name } of [...COMMANDS, ...allLinks()]) {
    const words = await propose(`ouro ${name} `);
    assert(words.length > 0, name);
  }
});

Deno.test("complete() takes any words", async () => {
  const word = fc.oneof(
    fc.constantFrom("ouro", "irm", "ipcp", "bootstrap", "--", "=", "", "name", "--qos", "oping"),
    fc.string({ maxLength: 6 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(word, { minLength: 1, maxLength: 6 }), async (words) => {
      const { words: proposed } = await complete(words, () => Promise.resolve(["a"]));
      assert(Array.isArray(proposed));
    }),
  );
});

Deno.test("an answer says first who knows the words", () => {
  assertEquals(answer({ kind: "words", words: ["a", "b"] }), ":words\na\nb\n");
  assertEquals(answer({ kind: "file", words: [] }), ":file\n");
});

Deno.test("the scripts name every link, and there is none for another shell", () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    for (const { name } of allLinks()) assertStringIncludes(completionScript(shell)!, ` ${name}`);
  }
  assertEquals(completionScript("tcsh"), undefined);
  assertEquals(completionScript(undefined), undefined);
});
