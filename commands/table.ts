/**
 * The commands of the one binary, in the one place where they are listed. Dispatch, help, completion, man
 * pages and the links that `scripts/install` makes come from this table: a new tool is a row here and a
 * folder of its own.
 */

import type { Manual } from "../lib/cli/manual.ts";
import { IPCP_TYPE_WORDS } from "../lib/codes.ts";

/** A command: takes its words and answers with an exit code. */
export type Main = (args: string[]) => Promise<number>;

/** One row. What is loaded is not read before it is needed. */
export interface Command {
  readonly name: string;
  /** One line for lists. */
  readonly summary: string;
  /** Links that are installed, and where; a link behaves as the words that it stands for. */
  readonly links: readonly Link[];
  /** Section of the manual. */
  readonly section: 1 | 8;
  readonly load: () => Promise<Main>;
  readonly manual: () => Promise<Manual>;
}

/** A name that the binary may be called by. */
export interface Link {
  readonly name: string;
  readonly dir: "bin" | "sbin";
  /** Words that it stands for. */
  readonly words: readonly string[];
}

function link(name: string, dir: Link["dir"]): readonly Link[] {
  return [{ name, dir, words: [name] }];
}

/** All commands, in the order help shows them. */
export const COMMANDS: readonly Command[] = [
  {
    name: "irm",
    summary: "administer names, bindings and IPCPs of the running IRMd",
    links: link("irm", "sbin"),
    section: 8,
    load: async () => {
      const { main } = await import("../irm/main.ts");
      return (args) => main(args, tools());
    },
    manual: async () => (await import("../irm/manual.ts")).MANUAL,
  },
  {
    name: "irmd",
    summary: "run the IPC Resource Manager daemon",
    links: link("irmd", "sbin"),
    section: 8,
    load: async () => {
      const { main } = await import("../irmd/main.ts");
      return (args) => main(args, COMMANDS.map(({ name }) => name));
    },
    manual: async () => (await import("../irmd/manual.ts")).MANUAL,
  },
  {
    name: "oping",
    summary: "measure the round-trip time to names, or answer such pings",
    links: link("oping", "bin"),
    section: 1,
    load: async () => (await import("../oping/main.ts")).main,
    manual: async () => (await import("../oping/manual.ts")).MANUAL,
  },
  {
    name: "operf",
    summary: "measure the bandwidth to a name, or be the other side",
    links: link("operf", "bin"),
    section: 1,
    load: async () => (await import("../tools/operf/main.ts")).main,
    manual: async () => (await import("../tools/manual.ts")).OPERF,
  },
  {
    name: "oecho",
    summary: "say hi to the name oecho and print the answer, or answer",
    links: link("oecho", "bin"),
    section: 1,
    load: async () => (await import("../tools/oecho.ts")).main,
    manual: async () => (await import("../tools/manual.ts")).OECHO,
  },
  {
    name: "ocbr",
    summary: "send at a constant bit rate to a name, or measure what arrives",
    links: link("ocbr", "bin"),
    section: 1,
    load: async () => (await import("../tools/ocbr/main.ts")).main,
    manual: async () => (await import("../tools/manual.ts")).OCBR,
  },
  {
    name: "obc",
    summary: "send a message to a broadcast layer, or print what is sent there",
    links: link("obc", "bin"),
    section: 1,
    load: async () => (await import("../tools/obc.ts")).main,
    manual: async () => (await import("../tools/manual.ts")).OBC,
  },
  {
    name: "ocat",
    summary: "join a flow to standard input and output, a command or a TCP connection",
    links: link("ocat", "bin"),
    section: 1,
    load: async () => (await import("../tools/ocat/main.ts")).main,
    manual: async () => (await import("../tools/manual.ts")).OCAT,
  },
  {
    name: "ovpn",
    summary: "carry IP traffic over a flow, through a TUN device at each end",
    links: link("ovpn", "bin"),
    section: 1,
    load: async () => (await import("../tools/ovpn/main.ts")).main,
    manual: async () => (await import("../tools/manual.ts")).OVPN,
  },
  {
    name: "pki",
    summary: "make and check certificates and keys for names",
    links: [],
    section: 8,
    load: async () => (await import("../pki/main.ts")).main,
    manual: async () => (await import("../pki/manual.ts")).MANUAL,
  },
  {
    name: "ipcp",
    summary: "be an IPC process of a type (started by the IRMd)",
    links: IPCP_TYPE_WORDS.map((type) => ({
      name: `ipcpd-${type}`,
      dir: "sbin",
      words: ["ipcp", type],
    })),
    section: 8,
    load: async () => (await import("../ipcp/main.ts")).main,
    manual: async () => (await import("../ipcp/manual.ts")).MANUAL,
  },
];

/** Words that the binary answers itself: what they do in one line, and their help. */
export const OWN_WORDS: Readonly<
  Record<string, { readonly summary: string; readonly help: string }>
> = {
  help: {
    summary: "show the help of a command",
    help: `Usage: ouro help [COMMAND [WORD]...]
Shows what a command does, or a part of it: ouro help irm ipcp list.
`,
  },
  man: {
    summary: "print the manual page of a command, for man -l -",
    help: `Usage: ouro man [COMMAND]
       ouro man --to DIR
Prints a page of the manual, ouro(1) without a word: ouro man oping | man -l -.
With --to all pages are written below DIR (man1, man8), and their files printed.
`,
  },
  completion: {
    summary: "print the completion script for bash, zsh or fish",
    help: `Usage: ouro completion bash|zsh|fish
Prints the script that completes command lines in a shell, for ouro and the links to it.
scripts/install puts it where each shell looks for it; in a bash that runs:
eval "$(ouro completion bash)".
`,
  },
};

/** The command of that name, if there is one. */
export function findCommand(name: string): Command | undefined {
  return COMMANDS.find((command) => command.name === name);
}

/** Names of the commands that people run for themselves, and bind to names. */
export function tools(): string[] {
  return allLinks().filter(({ dir }) => dir === "bin").map(({ name }) => name);
}

/** All links. */
export function allLinks(): Link[] {
  return COMMANDS.flatMap(({ links }) => links);
}
