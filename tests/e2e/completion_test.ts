/**
 * Completion in the shells themselves, fresh and without anybody's settings, as far as they are installed:
 * for every link, and for values that only a running node knows.
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { completionScript } from "../../commands/shells.ts";
import { allLinks } from "../../commands/table.ts";
import { ouro, TestNode } from "../support/node.ts";
import { run } from "../support/process.ts";

type Shell = "bash" | "zsh" | "fish";

function installed(shell: string): boolean {
  try {
    return new Deno.Command(shell, { args: ["-c", "true"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

/** A directory with the script of a shell, and `ouro` and its links as the shell will start them. */
class Links implements AsyncDisposable {
  private constructor(readonly dir: string) {}

  static async make(): Promise<Links> {
    const dir = await Deno.makeTempDir({ prefix: "ouro-completion-" });
    for (const name of ["ouro", ...allLinks().map((link) => link.name)]) {
      const words = ouro().map((word) => `'${word}'`).join(" ");
      // The name it is called by is a word of its own where the program runs from source.
      const called = name === "ouro" ? "" : `[ "$1" = --run ] || set -- ${name} "$@"\n`;
      await Deno.writeTextFile(`${dir}/${name}`, `#!/bin/sh\n${called}exec ${words} "$@"\n`, {
        mode: 0o755,
      });
    }
    for (const shell of ["bash", "zsh", "fish"]) {
      await Deno.writeTextFile(`${dir}/script.${shell}`, completionScript(shell)!);
    }
    return new Links(dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** Between the answers to two lines. */
const END = "-end-";

/** How each shell is asked; command lines are words, proposals come as lines. */
const ASK: Record<Shell, (dir: string, lines: readonly string[]) => string[]> = {
  bash: (dir, lines) => [
    "bash",
    "--norc",
    "-c",
    `source ${dir}/script.bash
     for line in "$@"; do
       COMP_WORDS=(); while IFS= read -r -d ' ' w; do COMP_WORDS+=("$w"); done <<< "$line "
       complete -p "\${COMP_WORDS[0]}" > /dev/null || exit 3
       COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _ouro
       printf '%s\\n' "\${COMPREPLY[@]}" ${END}
     done`,
    "bash",
    ...lines,
  ],
  // What zsh itself would show is what the function hands to compadd.
  zsh: (dir, lines) => [
    "zsh",
    "-f",
    "-c",
    `autoload -U compinit; compinit -u -D; source ${dir}/script.zsh
     compadd() { shift; print -rl -- "$@"; }
     for line in "$@"; do
       words=("\${(@s: :)line}"); CURRENT=$#words
       [ "$_comps[\${words[1]}]" = _ouro ] || exit 3
       _ouro; print -r -- ${END}
     done`,
    "zsh",
    ...lines,
  ],
  fish: (dir, lines) => [
    "fish",
    "--no-config",
    "-c",
    `source ${dir}/script.fish; for line in $argv; complete -C "$line"; echo ${END}; end`,
    ...lines,
  ],
};

/** The proposals for each of the lines. */
async function propose(
  shell: Shell,
  links: Links,
  lines: readonly string[],
  env = {},
): Promise<string[][]> {
  const { code, out, err } = await run(ASK[shell](links.dir, lines), {
    env: { PATH: `${links.dir}:/usr/bin:/bin`, HOME: links.dir, ...env },
  });
  assertEquals([code, err], [0, ""], shell);
  return out.split(`${END}\n`).slice(0, -1).map((answer) =>
    answer.split("\n").map((l) => l.split("\t")[0]!).filter((l) => l !== "").sort()
  );
}

for (const shell of ["bash", "zsh", "fish"] as const) {
  Deno.test({
    name: `${shell} completes commands, verbs, keys and values, after abbreviations too`,
    ignore: !installed(shell),
    fn: async () => {
      await using links = await Links.make();
      const cases: [string, string[]][] = [
        ["ouro op", ["operf", "oping"]],
        ["irm un", ["unbind"]],
        ["irm i boo name x type ud", ["udp4", "udp6"]],
        ["ouro irm wait lay", ["layer"]],
        ["irm ipcp enroll con", ["congestion", "connect"]],
        ["operf --te", ["--test"]],
        ["ouro completion f", ["fish"]],
        ["ouro bogus ", []],
      ];
      const got = await propose(shell, links, cases.map(([line]) => line));
      assertEquals(got, cases.map(([, wanted]) => wanted));
    },
  });

  Deno.test({
    name: `${shell} proposes names, IPCPs and layers that the node knows`,
    ignore: !installed(shell),
    fn: async () => {
      await using links = await Links.make();
      await using node = await TestNode.start();
      await node.must("irm", "name", "create", "web");
      await node.must("irm", "name", "create", "evil\x1b[31m");
      await node.must(..."irm ipcp bootstrap name n1 layer office type local".split(" "));
      const lines = ["oping -n ", "irm ipcp destroy name ", "irm wait layer "];
      const wanted = [["web"], ["n1"], ["office"]];
      // Nothing is proposed when the node does not answer within a second.
      let got: string[][] = [];
      for (let i = 0; i < 20 && got.flat().length < wanted.length; i++) {
        got = await propose(shell, links, lines, node.env);
      }
      assertEquals(got, wanted);
    },
  });

  Deno.test({
    name: `${shell} has the completion for every link`,
    ignore: !installed(shell),
    fn: async () => {
      const script = completionScript(shell)!;
      const file = await Deno.makeTempFile();
      await Deno.writeTextFile(file, script);
      const checked = await run([shell, "-n", file]);
      await Deno.remove(file);
      assertEquals([checked.code, checked.err], [0, ""]);
      for (const { name } of allLinks()) assertStringIncludes(script, ` ${name}`);
      assert(script.includes("--complete"));
    },
  });
}
