/** Every command has a help text, and the completion scripts know every word of the grammar. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { completionScript } from "../../completion/mod.ts";
import { IRM_KEYS, IRM_VERBS } from "../../completion/words.ts";
import { helpText } from "../../help/mod.ts";
import { COMMANDS } from "../../lib/commands.ts";
import { USAGE } from "../../irm/usage.ts";

Deno.test("helpText() knows every command and its lines fit a terminal", async () => {
  for (const command of Object.keys(COMMANDS)) {
    const text = await helpText([command]);
    assert(text !== undefined, command);
    assertStringIncludes(text!, "Usage: ");
    for (const line of text!.split("\n")) assert(line.length <= 110, `${command}: ${line}`);
  }
});

Deno.test("helpText() knows every object and verb of irm, abbreviated as irm reads them", async () => {
  for (const of of Object.keys(USAGE)) {
    if (of === "irm") continue;
    assertStringIncludes((await helpText(["irm", ...of.split(" ")]))!, `Usage: irm ${of}`);
  }
  assertStringIncludes((await helpText(["irm", "i", "boo"]))!, "irm ipcp bootstrap");
  assertStringIncludes((await helpText(["irm", "name", "list"]))!, "irm name list");
});

Deno.test("helpText() has nothing for words that are no command", async () => {
  for (const words of [[], ["bogus"], ["ipcpd-bogus"], ["irm", "x"], ["irm", "name", "x"]]) {
    assertEquals(await helpText(words), undefined);
  }
});

Deno.test("the completion scripts hold every command, verb and key", () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const script = completionScript(shell)!;
    const words = [
      ...Object.keys(COMMANDS),
      ...Object.values(IRM_VERBS).flat(),
      ...Object.values(IRM_KEYS).flat(),
    ];
    for (const word of words) assertStringIncludes(script, word);
    assert(!script.includes("undefined"), shell);
  }
  assertEquals(completionScript("tcsh"), undefined);
  assertEquals(completionScript(undefined), undefined);
});

Deno.test("IRM_KEYS has an entry for each verb of irm", () => {
  const verbs = Object.entries(IRM_VERBS)
    .flatMap(([object, list]) =>
      list.filter((verb) => verb !== "help").map((verb) => `${object} ${verb}`)
    );
  assertEquals(Object.keys(IRM_KEYS).sort(), verbs.sort());
});
