/**
 * Entry point of the one binary: picks the command by the name it was called by or the first word,
 * loads that command alone, and turns whatever escapes from it into one line and an exit code.
 *
 * Exit codes of its own: 1 for a failure, 2 for a command line it does not understand, 141 when
 * stdout was closed. `OURO_DEBUG=1` shows stacks.
 */

import config from "./deno.json" with { type: "json" };
import { choose, overview } from "./lib/commands.ts";
import { callName, form, selfFile } from "./lib/self.ts";

/** How each command is loaded; the module is not read before the command is chosen. */
const LOADERS: Readonly<Record<string, () => Promise<(args: string[]) => Promise<number>>>> = {
  irm: async () => (await import("./irm/main.ts")).main,
  irmd: async () => (await import("./irmd/main.ts")).main,
  oping: async () => (await import("./oping/main.ts")).main,
  operf: async () => (await import("./tools/operf/main.ts")).main,
  oecho: async () => (await import("./tools/oecho.ts")).main,
  ocbr: async () => (await import("./tools/ocbr/main.ts")).main,
  obc: async () => (await import("./tools/obc.ts")).main,
  ovpn: async () => (await import("./tools/ovpn/main.ts")).main,
  pki: async () => (await import("./pki/main.ts")).main,
};

/** What the runtime puts in place of bytes that are no UTF-8; nobody means it in a name. */
const REPLACEMENT = "\ufffd";

async function run(name: string, args: readonly string[]): Promise<number> {
  const loader = LOADERS[name];
  if (loader) return (await loader())([...args]);
  const { main } = await import("./ipcp/main.ts");
  return main(name.slice("ipcpd-".length), [...args]);
}

/** Writes text to a stream, however many writes that takes. */
function print(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
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
        print(Deno.stderr, `Failed to read the command line: word ${odd + 1} is not UTF-8\n`);
        return 1;
      }
      return await run(choice.name, choice.args);
    }
    case "help": {
      if (choice.words.length === 0) {
        print(Deno.stdout, overview());
        return 0;
      }
      const { helpText } = await import("./help/mod.ts");
      const text = await helpText(choice.words);
      if (text === undefined) break;
      print(Deno.stdout, text);
      return 0;
    }
    case "version":
      print(Deno.stdout, await version(choice.verbose));
      return 0;
    case "completion": {
      const { completionScript } = await import("./completion/mod.ts");
      const script = completionScript(choice.shell);
      if (script === undefined) {
        print(Deno.stderr, "ouro completion: the shell must be bash, zsh or fish\n");
        return 2;
      }
      print(Deno.stdout, script);
      return 0;
    }
    case "nothing":
      print(Deno.stderr, overview());
      return 2;
  }
  const word = choice.kind === "help" ? choice.words.join(" ") : choice.word;
  print(Deno.stderr, `ouro: "${printable(word ?? "")}" is not a command, try "ouro --help"\n`);
  return 2;
}

function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.slice(0, 255).replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}

/** The last line of a process that failed in a way nobody expected. Never a stack trace. */
function fail(error: unknown): never {
  if (error instanceof Deno.errors.BrokenPipe) Deno.exit(141);
  const text = error instanceof Error ? error.message || error.name : String(error);
  try {
    print(Deno.stderr, `ouro: ${printable(text.split("\n", 1)[0]!)}\n`);
    if (Deno.env.get("OURO_DEBUG") === "1" && error instanceof Error) {
      print(Deno.stderr, `${error.stack}\n`);
    }
  } catch {
    // Nobody reads stderr; the exit code still tells.
  }
  Deno.exit(1);
}

if (import.meta.main) {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail(event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    fail(event.error ?? event.message);
  });
  main().then((code) => Deno.exit(code), fail);
}
