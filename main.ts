/**
 * Entry point of the one binary: picks the command by the name it was called by or the first word,
 * loads that command alone, and turns whatever escapes from it into one line and an exit code.
 *
 * Exit codes of its own: 1 for a failure, 2 for a command line it does not understand, 141 when
 * stdout was closed. `OURO_DEBUG=1` shows stacks.
 */

import config from "./deno.json" with { type: "json" };
import { type Choice, choose, commandWords, overview } from "./commands/choose.ts";
import { allLinks, findCommand } from "./commands/table.ts";
import { stderr, stdout } from "./lib/cli/outlet.ts";
import { didYouMean } from "./lib/cli/nearest.ts";
import { lineOf, printable } from "./lib/cli/reason.ts";
import { callName, form, selfFile } from "./lib/self.ts";
import { spareStarts } from "./lib/sys/ffi.ts";
import { setTitle } from "./lib/sys/title.ts";

/** What the runtime puts in place of bytes that are no UTF-8; nobody means it in a name. */
const REPLACEMENT = "\ufffd";

/** Writes text to a stream. */
function print(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  stream.writeSync(new TextEncoder().encode(text));
}

async function version(verbose: boolean): Promise<string> {
  if (!verbose) return `ouro ${config.version}\n`;
  const { cipherBackend } = await import("./lib/crypt/mod.ts");
  const { deno, v8, typescript } = Deno.version;
  return [
    `ouro ${config.version}`,
    `form: ${form()}`,
    `file: ${selfFile() ?? Deno.mainModule}`,
    `runtime: ${Deno.execPath()}`,
    `deno ${deno}, v8 ${v8}, typescript ${typescript}`,
    `target: ${Deno.build.target}`,
    `packet ciphers: ${cipherBackend()}`,
    "",
  ].join("\n");
}

async function main(): Promise<number> {
  const choice = choose(callName(), Deno.args);
  switch (choice.kind) {
    case "command": {
      const odd = choice.args.findIndex((word) => word.includes(REPLACEMENT));
      if (odd >= 0) {
        print(stderr, `Failed to read the command line: word ${odd + 1} is not UTF-8\n`);
        return 1;
      }
      setTitle(choice.title, choice.name === "ipcp" ? choice.args.slice(1) : choice.args);
      return await (await findCommand(choice.name)!.load())([...choice.args]);
    }
    case "nothing":
      print(stderr, overview());
      return 2;
    case "unknown":
      return unknown(choice.word);
    default:
      return await answer(choice);
  }
}

/** What the binary answers itself. */
async function answer(
  choice: Exclude<Choice, { kind: "command" | "nothing" | "unknown" }>,
): Promise<number> {
  switch (choice.kind) {
    case "help": {
      const { helpText } = await import("./commands/help.ts");
      const text = choice.words.length === 0 ? overview() : await helpText(choice.words);
      if (text === undefined) return unknown(choice.words.join(" "));
      print(stdout, text);
      return 0;
    }
    case "man":
      return await man(choice.words);
    case "version":
      print(stdout, await version(choice.verbose));
      return 0;
    case "completion": {
      const { completionScript } = await import("./commands/shells.ts");
      const script = completionScript(choice.shell);
      if (script === undefined) {
        print(stderr, "ouro completion: the shell must be bash, zsh or fish\n");
        return 2;
      }
      print(stdout, script);
      return 0;
    }
    case "complete": {
      const { complete } = await import("./commands/complete.ts");
      const { askNode } = await import("./commands/ask.ts");
      const { answer: lines } = await import("./commands/shells.ts");
      print(stdout, lines(await complete(choice.words, askNode)));
      return 0;
    }
    case "links":
      for (const { dir, name } of allLinks()) print(stdout, `${dir} ${name}\n`);
      return 0;
  }
}

/** `ouro man WORD` prints a page, `ouro man --to DIR` writes all of them below a directory. */
async function man([word, dir, ...more]: readonly string[]): Promise<number> {
  const { manFiles, manPage } = await import("./commands/man.ts");
  if (word === "--to" && dir !== undefined && more.length === 0) {
    for (const { file, word } of manFiles()) {
      await Deno.mkdir(`${dir}/${file.slice(0, file.indexOf("/"))}`, { recursive: true });
      await Deno.writeTextFile(`${dir}/${file}`, (await manPage(word, config.version))!);
      print(stdout, `${file}\n`);
    }
    return 0;
  }
  const text = dir === undefined ? await manPage(word ?? "ouro", config.version) : undefined;
  if (text === undefined) return unknown([word, dir, ...more].filter(Boolean).join(" "));
  print(stdout, text);
  return 0;
}

/** Waits until what tools print was read, unless they were told to end. */
async function settle(): Promise<void> {
  await stdout.settle();
  await stderr.settle().catch(() => {});
}

function unknown(words: string): number {
  const meant = didYouMean(words, commandWords());
  print(stderr, `ouro: "${shown(words)}" is not a command, try "ouro --help"${meant}\n`);
  return 2;
}

/** What others wrote, as a part of a line. */
function shown(text: string): string {
  return printable(text.slice(0, 255));
}

/** The last line of a process that failed in a way nobody expected. Never a stack trace. */
function fail(error: unknown): never {
  if (error instanceof Deno.errors.BrokenPipe) Deno.exit(141);
  try {
    print(Deno.stderr, `ouro: ${shown(lineOf(error))}\n`);
    if (Deno.env.get("OURO_DEBUG") === "1" && error instanceof Error) {
      print(Deno.stderr, `${error.stack}\n`);
    }
  } catch {
    // Nobody reads stderr; the exit code still tells.
  }
  Deno.exit(1);
}

if (import.meta.main) {
  spareStarts();
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail(event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    fail(event.error ?? event.message);
  });
  main().then(async (code) => {
    await settle();
    Deno.exit(code);
  }).catch(fail);
}
