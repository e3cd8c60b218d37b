/** Which command a command line means, and how the program starts itself. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { choose, overview } from "../../../commands/choose.ts";
import { allLinks, COMMANDS } from "../../../commands/table.ts";
import { IPCP_TYPE_WORDS } from "../../../lib/irm/messages.ts";
import { form, selfCommand } from "../../../lib/self.ts";

function command(name: string, args: string[], title = name) {
  return { kind: "command", name, args, title } as const;
}

Deno.test("choose() takes the name of a link before the first word", () => {
  assertEquals(choose("irm", ["name", "list"]), command("irm", ["name", "list"]));
  assertEquals(choose("ouro", ["irm", "name"]), command("irm", ["name"]));
  assertEquals(choose("irmd", ["--run", "oping", "-l"]), command("oping", ["-l"]));
});

Deno.test("choose() takes an IPCP by its type, by its old name and by a link", () => {
  const wanted = command("ipcp", ["udp4", "7", "n"], "ipcpd-udp4");
  assertEquals(choose("", ["ipcp", "udp4", "7", "n"]), wanted);
  assertEquals(choose("", ["ipcpd-udp4", "7", "n"]), wanted);
  assertEquals(choose("ipcpd-udp4", ["7", "n"]), wanted);
  assertEquals(choose("", ["ipcp"]), command("ipcp", []));
  assertEquals(choose("", ["ipcp", "x"]), command("ipcp", ["x"]));
});

Deno.test("choose() leaves --help and --version of a command to the command", () => {
  assertEquals(choose("oping", ["--version"]).kind, "command");
  assertEquals(choose("ouro", ["--version", "-v"]), { kind: "version", verbose: true });
  assertEquals(choose("ouro", ["help", "irm"]), { kind: "help", words: ["irm"] });
});

Deno.test("choose() knows nothing by the names of object members", () => {
  for (const word of ["constructor", "toString", "__proto__", "irm "]) {
    assertEquals(choose("", [word]), { kind: "unknown", word });
    assertEquals(choose(word, []), { kind: "nothing" });
  }
});

Deno.test("overview() names every command", () => {
  for (const { name } of COMMANDS) assert(overview().includes(`  ${name} `), name);
});

Deno.test("every command loads, every link means a command, every type of IPCP has one", async () => {
  for (const { name, load } of COMMANDS) assertEquals(typeof await load(), "function", name);
  for (const { name } of allLinks()) assertEquals(choose(name, []).kind, "command", name);
  const types = allLinks().filter(({ words }) => words[0] === "ipcp").map(({ words }) => words[1]);
  assertEquals(types.sort(), [...IPCP_TYPE_WORDS].sort());
});

Deno.test("names of processes fit the kernel's 15 bytes", () => {
  for (const { name } of allLinks()) assertMatch(name, /^.{1,15}$/);
});

Deno.test("selfCommand() from source runs main.ts", () => {
  assertEquals(form(), "source");
  const argv = selfCommand("irm", "name list");
  assertEquals(argv[0], Deno.execPath());
  assertEquals(argv.slice(-2), ["irm", "name list"]);
  assert(argv.at(-3)!.endsWith("/main.ts"));
});
