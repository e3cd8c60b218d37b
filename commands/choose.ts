/**
 * Which command a command line means: by the name the binary is called by (a link) or else by the first
 * word; and the text of `ouro --help`.
 */

import { RUN_WORD } from "../lib/self.ts";
import { allLinks, COMMANDS, findCommand, OWN_WORDS } from "./table.ts";

/** What a command line asks for. */
export type Choice =
  | {
    readonly kind: "command";
    readonly name: string;
    readonly args: readonly string[];
    /** What the process is called in lists of processes. */
    readonly title: string;
  }
  | { readonly kind: "help"; readonly words: readonly string[] }
  | { readonly kind: "man"; readonly words: readonly string[] }
  | { readonly kind: "version"; readonly verbose: boolean }
  | { readonly kind: "completion"; readonly shell: string | undefined }
  /** What the completion scripts ask: the words of a command line, the last one unfinished. */
  | { readonly kind: "complete"; readonly words: readonly string[] }
  /** What the install script asks: the links that there are. */
  | { readonly kind: "links" }
  | { readonly kind: "nothing" }
  | { readonly kind: "unknown"; readonly word: string };

/** Words of scripts, which no list shows. */
export const COMPLETE_WORD = "--complete";
export const LINKS_WORD = "--links";

/** The words that a name stands for; undefined for a name that is none of ours. */
export function wordsOf(name: string): readonly string[] | undefined {
  return allLinks().find((link) => link.name === name)?.words ??
    (findCommand(name) === undefined ? undefined : [name]);
}

/** Chooses by the name called by, else by the first word. */
export function choose(callName: string, args: readonly string[]): Choice {
  if (args[0] === RUN_WORD) return choose("", args.slice(1));
  const called = wordsOf(callName);
  if (called !== undefined) return command(called, args);
  const [word, ...rest] = args;
  if (word === undefined) return { kind: "nothing" };
  const named = wordsOf(word);
  if (named !== undefined) return command(named, rest);
  if (Object.hasOwn(OWN_WORDS, word) && (rest[0] === "-h" || rest[0] === "--help")) {
    return { kind: "help", words: [word] };
  }
  switch (word) {
    case "-h":
    case "--help":
    case "help":
      return { kind: "help", words: rest };
    case "man":
      return { kind: "man", words: rest };
    case "-V":
    case "--version":
      return { kind: "version", verbose: rest.includes("-v") || rest.includes("--verbose") };
    case "completion":
      return { kind: "completion", shell: rest.length === 1 ? rest[0] : undefined };
    case COMPLETE_WORD:
      return { kind: "complete", words: rest };
    case LINKS_WORD:
      return { kind: "links" };
  }
  return { kind: "unknown", word };
}

function command(words: readonly string[], more: readonly string[]): Choice {
  const [name, ...args] = [...words, ...more];
  // An IPCP is called after its type, as where it is a program of its own.
  const type = name === "ipcp" ? args[0] : undefined;
  const known = type !== undefined && wordsOf(`ipcpd-${type}`) !== undefined;
  return { kind: "command", name: name!, args, title: known ? `ipcpd-${type}` : name! };
}

/** The words that may stand first. */
export function commandWords(): string[] {
  return [...COMMANDS.map(({ name }) => name), ...Object.keys(OWN_WORDS)];
}

/** The text of `ouro --help`. */
export function overview(): string {
  const line = ([name, text]: readonly [string, string]) => `  ${name.padEnd(17)}${text}`;
  return [
    "Usage: ouro COMMAND [ARGUMENT]...",
    "",
    "The Ouroboros recursive network in one binary.",
    "",
    "Commands:",
    ...COMMANDS.map(({ name, summary }) => line([name, summary])),
    ...Object.entries(OWN_WORDS).map(([name, { summary }]) => line([name, summary])),
    "",
    "Options:",
    line(["--help", "show this text"]),
    line(["--version [-v]", "show the version, with -v what it runs on"]),
    line(["--prefix DIR", "with each command: use the node that lives below DIR (or OURO_PREFIX)"]),
    "",
    "A link to this binary with the name of a command behaves as that command,",
    "one called ipcpd-TYPE as ouro ipcp TYPE.",
    "",
  ].join("\n");
}
