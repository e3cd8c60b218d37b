/** Every command that a text of ours recommends is one that works: all texts of the source are walked. */

import { assert, assertEquals } from "@std/assert";
import { helpText } from "../../../commands/help.ts";
import { COMMANDS, findCommand, OWN_WORDS } from "../../../commands/table.ts";
import { USAGE } from "../../../irm/usage.ts";
import type { Grammar } from "../../../lib/cli/manual.ts";
import { shellWord } from "../../../lib/cli/shell_word.ts";
import { FakeAdmin } from "../../support/admin.ts";
import { fakeSystem, irm } from "./console.ts";

const ROOT = new URL("../../../", import.meta.url);
const ROOMS = ["commands", "ipcp", "irm", "irmd", "lib", "oping", "pki", "security", "tools"];

/** What stands for something that the user fills in. */
const PLACES: Readonly<Record<string, string>> = {
  PROG: "/bin/srv",
  PROGRAM: "/bin/srv",
  PID: "4001",
  USER: "root",
  TYPE: "local",
};

/** Files of a room, without those that are data for pages of help. */
function* sources(dir: URL): Generator<URL> {
  for (const entry of Deno.readDirSync(dir)) {
    const at = new URL(`${entry.name}${entry.isDirectory ? "/" : ""}`, dir);
    if (entry.isDirectory) yield* sources(at);
    else if (entry.name.endsWith(".ts") && !/^(manual|usage)\.ts$/.test(entry.name)) yield at;
  }
}

/** Commands of `irm` and `ouro` in the texts of a file; what is put in at run time is a word. */
function hintsOf(source: string): string[] {
  const hints: string[] = [];
  const code = source.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "")
    .replace(/\$\{[^{}]*\}/g, "7").replace(/`\s*\+\s*`/g, "");
  for (const [text] of code.matchAll(/"(?:[^"\\\n]|\\.)*"|`[^`]*`/g)) {
    for (
      const [hint] of text.matchAll(
        /(?:\b(?<!-)irm|(?<=["'`(])ouro|\bouro(?= pki )) [a-z_-]+[^"'`().,;:\\\n]*/g,
      )
    ) {
      hints.push(hint.trim());
    }
  }
  return hints;
}

/** A hint as somebody would type it. */
function typed(hint: string): string[] {
  return hint.split(/\s+/).map((word, i, all) =>
    all[i - 1] === "type" && word === "7"
      ? "local"
      : PLACES[word] ?? (/^[A-Z]+$/.test(word) ? "x" : word)
  );
}

Deno.test("every command that a text recommends is one that works", async () => {
  const found = new Map<string, string>();
  for (const room of ROOMS) {
    for (const file of sources(new URL(`${room}/`, ROOT))) {
      for (const hint of hintsOf(await Deno.readTextFile(file))) found.set(hint, file.pathname);
    }
  }
  const irms = [...found].filter(([hint]) => hint.startsWith("irm "));
  assert(irms.length > 15, `the walk finds no hints: ${irms.map(([h]) => h).join(", ")}`);
  const system = fakeSystem({ "/bin/srv": true, "/usr/bin/oping": true, "/usr/bin/ocat": true });
  for (const [hint, file] of irms) {
    const words = typed(hint).slice(1);
    const admin = new FakeAdmin();
    const { out, err } = await irm(words, admin, system);
    assert(
      !/is unknown|Unknown|no value after|given \(/.test(out + err),
      `${file}: ${hint}\n${err}`,
    );
  }
  const own = new Set([...COMMANDS.map(({ name }) => name), ...Object.keys(OWN_WORDS)]);
  for (const [hint, file] of found) {
    const [program, word, verb = "--help"] = hint.split(" ");
    if (program !== "ouro" || word!.startsWith("--")) continue;
    assert(own.has(word!), `${file}: ${hint}`);
    const { verbs } = await grammarOf(word!);
    assert(verb.startsWith("--") || verbs === undefined || verb in verbs, `${file}: ${hint}`);
  }
});

async function grammarOf(command: string): Promise<Grammar> {
  return (await findCommand(command)?.manual())?.grammar ?? {};
}

Deno.test("every command that a help gives as an example is one that works", async () => {
  const pages = [
    ...COMMANDS.map(({ name }) => [name]),
    ...Object.keys(USAGE).filter((of) => of !== "irm").map((of) => ["irm", ...of.split(" ")]),
  ];
  const examples = new Map<string, string>();
  for (const page of pages) {
    const text = (await helpText(page))!.replace(/^Usage: .*$/gm, "");
    for (
      const [found] of text.matchAll(/(?<!help )\birm (?:ipcp|bind|name|save|wait) [^";\n()]*/g)
    ) {
      const example = found.split(/ {2,}/)[0]!.replace(/\.$/, "").trim();
      if (!/[[|<…]/.test(example)) examples.set(example, page.join(" "));
    }
  }
  assert(examples.size > 15, [...examples.keys()].join("\n"));
  const system = fakeSystem({ "/bin/srv": true });
  for (const [example, page] of examples) {
    const words = typed(example).slice(1);
    // Nothing is waited for.
    if (words.includes("connect")) words.push("wait", "0");
    const { out, err } = await irm(words, new FakeAdmin(), system);
    assert(
      !/is unknown|Unknown|no value after|given \(/.test(out + err),
      `${page}: ${example}\n${err}`,
    );
  }
});

Deno.test("the hints of the prototype's words work, too", async () => {
  for (
    const words of [["enroll_ipcp", "name", "c", "dst", "x"], ["unregister", "x", "ipcp", "y"]]
  ) {
    const { err } = await irm(words);
    assert(!err.includes("unknown"), err);
  }
});

Deno.test("unknown keys, types and parameters name the nearest word", async () => {
  const cases: [string, string][] = [
    ["ipcp bootstrap name a layer l type ethdix", "eth-dix"],
    ["ipcp bootstrap nmae a layer l", "name"],
    ["ipcp bootstrap name a layer l type local hash SHA3_265", "SHA3_256"],
    ["ipcp bootstrap name a layer l type unicast routing linkstate", "link_state"],
    ["ipcp create nmae a", "name"],
    ["ipcp enroll name a dst b tpye unicast", "type"],
    ["ipcp enroll name a dst b type unicats", "unicast"],
    ["ipcp connect name a dts b", "dst"],
    ["bind program /bin/srv nmae x", "name"],
    ["unbind program srv nmae x", "name"],
    ["name register x lyaer l", "layer"],
    ["wait layer x membres 2", "members"],
    ["name list lsit x", "list"],
    ["nmae list", "name"],
    ["ipcp lsit", "list"],
  ];
  for (const [line, word] of cases) {
    const { code, err } = await irm(line.split(" "), new FakeAdmin(), fakeSystem());
    assertEquals(code, 1, line);
    assert(err.toLowerCase().includes(`did you mean "${word.toLowerCase()}"?`), `${line}: ${err}`);
  }
});

Deno.test("shellWord() is read back by a shell as it was", async () => {
  for (const text of ["plain", "two words", "it's", "$HOME", "a;b", "", "`x`", '"', "\\", "ä*"]) {
    const command = new Deno.Command("sh", { args: ["-c", `printf %s ${shellWord(text)}`] });
    assertEquals(new TextDecoder().decode((await command.output()).stdout), text);
  }
});

Deno.test("a slip in a flag before the command is answered with the flag", async () => {
  const { code, err } = await irm(["--jason", "name", "list"]);
  assertEquals([code, err], [1, '"--jason" is unknown, try "irm help".\nDid you mean "--json"?\n']);
});
