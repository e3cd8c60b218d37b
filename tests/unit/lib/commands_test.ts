/** Which command a command line means, and how the program starts itself. */

import { assert, assertEquals } from "@std/assert";
import { choose, COMMANDS, overview } from "../../../lib/commands.ts";
import { form, selfCommand } from "../../../lib/self.ts";

Deno.test("choose() takes the name of a link before the first word", () => {
  assertEquals(choose("irm", ["name", "list"]), {
    kind: "command",
    name: "irm",
    args: ["name", "list"],
  });
  assertEquals(choose("ouro", ["irm", "name"]), { kind: "command", name: "irm", args: ["name"] });
  assertEquals(choose("", ["ipcpd-udp4", "7"]), {
    kind: "command",
    name: "ipcpd-udp4",
    args: ["7"],
  });
});

Deno.test("choose() obeys --run whatever the name", () => {
  assertEquals(choose("irmd", ["--run", "oping", "-l"]), {
    kind: "command",
    name: "oping",
    args: ["-l"],
  });
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
  for (const name of Object.keys(COMMANDS)) assert(overview().includes(`  ${name} `), name);
});

Deno.test("selfCommand() from source runs main.ts", () => {
  assertEquals(form(), "source");
  const argv = selfCommand("irm", "name list");
  assertEquals(argv[0], Deno.execPath());
  assertEquals(argv.slice(-2), ["irm", "name list"]);
  assert(argv.at(-3)!.endsWith("/main.ts"));
});
