/** The completion scripts in the shells themselves, as far as they are installed. */

import { assertEquals } from "@std/assert";
import { completionScript } from "../../completion/mod.ts";

function installed(shell: string): boolean {
  try {
    return new Deno.Command(shell, { args: ["-c", "true"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

/** The proposals of bash for the last of the words. */
async function complete(words: readonly string[]): Promise<string[]> {
  const dir = await Deno.makeTempDir({ prefix: "ouro-completion-" });
  try {
    await Deno.writeTextFile(`${dir}/script`, completionScript("bash")!);
    const code = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ouro; ' +
      'printf "%s\\n" "${COMPREPLY[@]}"';
    const { stdout, success } = await new Deno.Command("bash", {
      args: ["--norc", "-c", code, `${dir}/script`, ...words],
    }).output();
    assertEquals(success, true);
    return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test({
  name: "bash completes commands, verbs, keys and values, after abbreviations too",
  ignore: !installed("bash"),
  fn: async () => {
    assertEquals(await complete(["ouro", "op"]), ["oping", "operf"]);
    assertEquals(await complete(["irm", "u"]), ["unbind"]);
    assertEquals(await complete(["/usr/bin/ouro", "irm", "i", "bo"]), ["bootstrap"]);
    assertEquals(await complete(["irm", "i", "boo", "name", "x", "type", "ud"]), ["udp4", "udp6"]);
    assertEquals(await complete(["irm", "i", "boo", "dht_k"]), ["dht_k"]);
    assertEquals(await complete(["operf", "--te"]), ["--test"]);
    assertEquals(await complete(["ouro", "operf", "-t", "b"]), ["bi"]);
    assertEquals(await complete(["ouro", "completion", "f"]), ["fish"]);
    assertEquals(await complete(["ouro", "bogus", ""]), []);
  },
});

Deno.test({
  name: "fish completes commands, verbs, keys and values, without a word on stderr",
  ignore: !installed("fish"),
  fn: async () => {
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, completionScript("fish")!);
    const propose = async (line: string): Promise<string[]> => {
      const code = `source ${file}; complete -C'${line}'`;
      const { stdout, stderr } = await new Deno.Command("fish", {
        args: ["--no-config", "-c", code],
      }).output();
      assertEquals(new TextDecoder().decode(stderr), "");
      return new TextDecoder().decode(stdout).split("\n").map((l) => l.split("\t")[0]!)
        .filter((l) => l !== "").sort();
    };
    try {
      assertEquals(await propose("ouro op"), ["operf", "oping"]);
      assertEquals(await propose("irm u"), ["unbind"]);
      assertEquals(await propose("ouro irm ipcp bo"), ["bootstrap"]);
      assertEquals(await propose("ouro irm ipcp bootstrap name x type ud"), ["udp4", "udp6"]);
      assertEquals(await propose("irm ipcp bootstrap dht_k"), ["dht_k"]);
      assertEquals(await propose("ouro operf --te"), ["--test"]);
      assertEquals(await propose("operf --te"), ["--test"]);
      assertEquals(await propose("ouro completion f"), ["fish"]);
    } finally {
      await Deno.remove(file);
    }
  },
});

Deno.test({
  name: "zsh takes its completion script",
  ignore: !installed("zsh"),
  fn: async () => {
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, completionScript("zsh")!);
    const { success, stderr } = await new Deno.Command("zsh", { args: ["-n", file] }).output();
    await Deno.remove(file);
    assertEquals(success, true, new TextDecoder().decode(stderr));
  },
});
