/**
 * Every command has a help text and a manual page, and every word that help and completion offer is one
 * that the command takes: the table is walked.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { choose } from "../../../commands/choose.ts";
import { helpText } from "../../../commands/help.ts";
import { manFiles, manPage, MARK } from "../../../commands/man.ts";
import { allLinks, COMMANDS, OWN_WORDS } from "../../../commands/table.ts";
import { NOUNS } from "../../../irm/commands.ts";
import { USAGE } from "../../../irm/usage.ts";
import type { Grammar, Option, Value } from "../../../lib/cli/manual.ts";
import { parseOptions as parseOping } from "../../../oping/options.ts";
import { parseObc } from "../../../tools/obc.ts";
import { parseOcat } from "../../../tools/ocat/options.ts";
import { parseOcbr } from "../../../tools/ocbr/options.ts";
import { parseOecho } from "../../../tools/oecho.ts";
import { parseOperf } from "../../../tools/operf/options.ts";
import { parseOvpn } from "../../../tools/ovpn/options.ts";
import { irm } from "../irm/console.ts";

Deno.test("helpText() knows every command and link, and its lines fit a terminal", async () => {
  for (const { name } of [...COMMANDS, ...allLinks()]) {
    const text = await helpText([name]);
    assert(text !== undefined, name);
    assertStringIncludes(text!, "Usage: ");
    for (const line of text!.split("\n")) assert(line.length <= 110, `${name}: ${line}`);
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

Deno.test("the words that the binary answers itself have a help, which --help shows, too", async () => {
  for (const word of Object.keys(OWN_WORDS)) {
    assertStringIncludes((await helpText([word]))!, `Usage: ouro ${word} `);
    for (const help of ["--help", "-h"]) {
      assertEquals(choose("", [word, help]), { kind: "help", words: [word] });
    }
  }
});

Deno.test("what an option does stands in a column of its own, which makes it a paragraph of the page", async () => {
  for (const { name } of COMMANDS) {
    const page = (await manPage(name, "1"))!;
    const text = (await helpText([name]))!;
    for (const line of text.split("\n").filter((l) => /^ {2,6}\[?--?[a-z]/.test(l))) {
      const [words, what] = line.trim().split(/ {2,}/);
      const tag = words!.replaceAll("-", "\\-");
      assert(what !== undefined && page.includes(`\n.TP\n.B ${tag}\n`), `${name}: ${line}`);
    }
  }
});

Deno.test("helpText() has nothing for words that are no command", async () => {
  for (
    const words of [
      [],
      ["bogus"],
      ["ipcpd-bogus"],
      ["irm", "x"],
      ["irm", "name", "x"],
      ["oping", "x"],
      ["ipcp", "x"],
      ["ipcpd-udp4", "x"],
    ]
  ) {
    assertEquals(await helpText(words), undefined, words.join(" "));
  }
});

Deno.test("every command and link has a manual page with the parts that pages have", async () => {
  for (const { name } of [{ name: "ouro" }, ...COMMANDS, ...allLinks()]) {
    const page = (await manPage(name, "1.2.3"))!;
    assert(page.startsWith(`${MARK}\n.TH `), name);
    for (const part of ["NAME", "SYNOPSIS", "DESCRIPTION", "ENVIRONMENT", "SEE ALSO"]) {
      assertStringIncludes(page, `\n.SH ${part}\n`, name);
    }
    assert(!page.includes("undefined"), name);
    // A line that begins with a dot is a request, and only these are used.
    for (const line of page.split("\n").filter((l) => /^[.']/.test(l))) {
      assert(/^\.(\\"|TH|SH|SS|TP|PP|B|BR|br|nf|fi)( |$)/.test(line), `${name}: ${line}`);
    }
  }
  assertEquals(await manPage("bogus", "1"), undefined);
  const files = manFiles().map(({ file }) => file);
  assertEquals(new Set(files).size, COMMANDS.length + 1);
  assert(files.includes("man8/irm.8") && files.includes("man8/ouro-pki.8"));
});

Deno.test("the page of oping has its options as tagged paragraphs", async () => {
  const page = (await manPage("oping", "1"))!;
  assertStringIncludes(page, "\n.TP\n.B \\-c, \\-\\-count\nNumber of packets\n");
  assertStringIncludes(page, "\n.SH SYNOPSIS\n.B oping ");
});

Deno.test("every option in a help text is one that completion knows, and the other way round", async () => {
  for (const { name, manual } of COMMANDS) {
    const { grammar, help } = await manual();
    const known = new Set(allOptions(grammar).flatMap(({ words }) => words));
    const text = help([])!;
    for (const [, word] of text.matchAll(/(?<![\w-])(--[a-z0-9][\w-]*)/g)) {
      if (word === "--prefix" || word === "--listen" && name === "irm") continue;
      assert(known.has(word!), `${name}: the help says ${word}`);
    }
    if (name === "irm") continue;
    for (const word of known) {
      if (
        !word.startsWith("--") ||
        ["--help", "--help-all", "--version", "--server-name"].includes(word)
      ) {
        continue;
      }
      assertStringIncludes(text, word, `${name}: the help does not say ${word}`);
    }
  }
});

function allOptions(grammar: Grammar): Option[] {
  return [
    ...grammar.options ?? [],
    ...Object.values(grammar.verbs ?? {}).flatMap(allOptions),
  ];
}

/** Something that a value may be. */
function examples(value: Value | undefined): readonly string[] {
  if (value === undefined) return [];
  if (value.kind !== "words") return [value.kind === "file" ? "./7" : "7"];
  return value.orFile ? [...value.words, "./7"] : value.words;
}

/** How each tool reads its words. */
const PARSERS: Record<
  string,
  (words: string[]) => { kind: string; err?: string; reason?: string }
> = {
  oping: parseOping,
  operf: parseOperf,
  oecho: parseOecho,
  ocbr: parseOcbr,
  obc: parseObc,
  ocat: (words) => parseOcat(["x", ...words]),
  ovpn: parseOvpn,
};

Deno.test("the tools take every option that is offered, with every value", async () => {
  for (const [name, parse] of Object.entries(PARSERS)) {
    const { grammar } = await COMMANDS.find((c) => c.name === name)!.manual();
    for (const { words, value } of grammar.options!) {
      for (const word of words) {
        for (const example of value === undefined ? [[]] : examples(value).map((e) => [e])) {
          const got = parse([word, ...example]);
          const said = got.err ?? got.reason ?? "";
          assert(
            !/[Uu]nknown option|unrecognized|needs a value|is no QoS/.test(said),
            `${name}: ${said}`,
          );
        }
      }
    }
  }
});

Deno.test("an option without its value is named as it was typed, in every tool", async () => {
  for (const [name, parse] of Object.entries(PARSERS)) {
    const { grammar } = await COMMANDS.find((c) => c.name === name)!.manual();
    for (const { words, value } of grammar.options!) {
      if (value === undefined) continue;
      for (const word of words) {
        const got = parse([word]);
        const said = got.err ?? got.reason ?? "";
        // The prototype's own words where it has some.
        const named = word.startsWith("--") ? `'${word}'` : `'${word[1]}'`;
        const texts = [`Option ${word} needs a value`, `${named} requires`, `argument -- ${named}`];
        assert(
          got.kind === "exit" && texts.some((t) => said.includes(t)),
          `${name} ${word}: ${said}`,
        );
      }
    }
  }
});

Deno.test("the words of irm are its objects and verbs, in match order", async () => {
  const { grammar } = await COMMANDS.find((c) => c.name === "irm")!.manual();
  const offered = Object.entries(grammar.verbs!).filter(([, { verbs }]) => verbs !== undefined)
    .map(([object, { verbs }]) => [object, Object.keys(verbs!)]);
  const there = Object.entries(NOUNS)
    .map(([object, { verbs }]) => [object, [...Object.keys(verbs), "help"]]);
  assertEquals(offered, there);
});

Deno.test("irm takes every key that is offered, with every value", async () => {
  const { grammar } = await COMMANDS.find((c) => c.name === "irm")!.manual();
  for (const [object, { verbs }] of Object.entries(grammar.verbs!)) {
    for (const [verb, { operands = [], options = [] }] of Object.entries(verbs ?? {})) {
      const before = [object, verb, ...operands.map(() => "7")];
      for (const { words: [word], value } of options) {
        for (const example of value === undefined ? [[]] : examples(value).map((e) => [e])) {
          // What waits waits no time at all.
          const patience = options.map(({ words }) => words[0]!)
            .find((key) => key === "timeout" || key === "wait");
          const rest = patience === undefined ? [] : [patience, "0"];
          const got = await irm([...before, word!, ...example, ...rest]);
          const said = got.out + got.err;
          assert(
            !/is unknown|Unknown (option|parameter|QoS)|no value after/.test(said),
            `irm ${[...before, word, ...example].join(" ")}: ${said}`,
          );
        }
      }
    }
  }
});
