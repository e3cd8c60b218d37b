/**
 * Manual pages, made of what a command says about itself: its help text becomes synopsis, description and
 * options, its words become the list of subcommands. Format: man(7).
 */

import type { Grammar, Manual } from "../lib/cli/manual.ts";
import { choose, overview } from "./choose.ts";
import { allLinks, type Command, COMMANDS, findCommand } from "./table.ts";

/** What stands in every page. */
const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["OURO_PREFIX", "directory of the node to use, as --prefix; unset: the node of the system"],
  ["OURO_CACHE", "directory where the portable form unpacks itself"],
  ["OURO_DEBUG", "1: more in logs, and stacks of defects"],
  ["NO_COLOR", "set: no colours at a terminal"],
];

const EXITS: NonNullable<Manual["exits"]> = [["0", "done"], ["1", "failed or refused"]];

/** The first line of every page that is made here, by which `scripts/install --uninstall` knows them. */
export const MARK = '.\\" Made by "ouro man".';

/** The page for a command or link, in man(7); undefined for what is none. */
export async function manPage(word: string, version: string): Promise<string | undefined> {
  if (word === "ouro") return overviewPage(version);
  const choice = choose("", [word]);
  if (choice.kind !== "command") return undefined;
  const command = findCommand(choice.name)!;
  return page(command, await command.manual(), version);
}

/** The file name of the page of each command, e.g. `man1/oping.1`, with the word to ask for. */
export function manFiles(): { readonly file: string; readonly word: string }[] {
  return [
    { file: "man1/ouro.1", word: "ouro" },
    ...COMMANDS.map(({ name, section }) => ({
      file: `man${section}/${pageName(name)}.${section}`,
      word: name,
    })),
  ];
}

/** Pages of what has no link of its own carry the name of the binary. */
function pageName(name: string): string {
  return allLinks().some((link) => link.name === name) ? name : `ouro-${name}`;
}

function escaped(text: string): string {
  const plain = text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
  return /^[.']/.test(plain) ? `\\&${plain}` : plain;
}

function head(name: string, section: number, summary: string, version: string): string[] {
  return [
    MARK,
    `.TH ${name.toUpperCase()} ${section} "" "ouro ${version}" "Ouroboros"`,
    ".SH NAME",
    `${escaped(name)} \\- ${escaped(summary)}`,
  ];
}

function overviewPage(version: string): string {
  return [
    ...head("ouro", 1, "the Ouroboros recursive network in one binary", version),
    ...description(overview()),
    ...environment(),
    ".SH SEE ALSO",
    COMMANDS.map(({ name, section }) => reference(pageName(name), section)).join(",\n"),
    "",
  ].join("\n");
}

function page(command: Command, manual: Manual, version: string): string {
  const lines = [
    ...head(pageName(command.name), command.section, command.summary, version),
    ...description(manual.help([])!),
    ...parts(command.name, manual),
    ...environment(),
    ".SH EXIT STATUS",
    ...(manual.exits ?? EXITS).flatMap((
      [code, meaning],
    ) => [".TP", `.B ${code}`, escaped(meaning)]),
  ];
  const others = manual.seeAlso.map((name) =>
    name === "ouro" ? reference("ouro", 1) : reference(pageName(name), findCommand(name)!.section)
  );
  if (others.length > 0) lines.push(".SH SEE ALSO", others.join(",\n"));
  return [...lines, ""].join("\n");
}

function reference(name: string, section: number): string {
  return `.BR ${escaped(name)} (${section})`;
}

function environment(): string[] {
  return [
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(([name, text]) => [".TP", `.B ${name}`, escaped(text)]),
  ];
}

/** The help of subcommands, where there is one of their own. */
function parts(name: string, manual: Manual): string[] {
  const texts: [string, string][] = [];
  const visit = (grammar: Grammar, words: readonly string[]) => {
    for (const [verb, below] of Object.entries(grammar.verbs ?? {})) {
      const path = [...words, verb];
      const text = manual.help(path);
      const leaf = below.verbs === undefined;
      if (text !== undefined && leaf && !texts.some(([, t]) => t === text)) {
        texts.push([[name, ...path].join(" "), text]);
      }
      visit(below, path);
    }
  };
  visit(manual.grammar, []);
  if (texts.length === 0) return [];
  return [
    ".SH COMMANDS",
    ...texts.flatMap(([title, text]) => [`.SS ${escaped(title)}`, ...verbatim(text.split("\n"))]),
  ];
}

function verbatim(lines: readonly string[]): string[] {
  const first = lines.findIndex((line) => line !== "");
  const last = lines.findLastIndex((line) => line !== "");
  return first < 0 ? [] : [".nf", ...lines.slice(first, last + 1).map(escaped), ".fi"];
}

/** `  -x, --long   text`: what stands left of a gap is explained by what stands right of it. */
const TWO_COLUMNS = /^ {2,}(\S.*?) {2,}(\S.*)$/;

/** A help text: usage as synopsis, two columns as tagged paragraphs, other indented lines as they are. */
function description(text: string): string[] {
  const lines = text.trimEnd().split("\n");
  const out: string[] = [".SH SYNOPSIS"];
  let at = 0;
  for (
    ;
    at < lines.length && (lines[at]!.startsWith("Usage: ") || /^ {5,}/.test(lines[at]!));
    at++
  ) {
    const usage = lines[at]!.replace(/^Usage: /, "").trim();
    if (at > 0) out.push(".br");
    out.push(`.B ${escaped(usage)}`);
  }
  out.push(".SH DESCRIPTION");
  let plain: string[] = [];
  const flush = () => {
    if (plain.length > 0) out.push(...verbatim(plain));
    plain = [];
  };
  for (; at < lines.length; at++) {
    const line = lines[at]!;
    const columns = TWO_COLUMNS.exec(line);
    if (line === "") {
      flush();
      if (out.at(-1) !== ".PP") out.push(".PP");
    } else if (columns !== null) {
      flush();
      out.push(".TP", `.B ${escaped(columns[1]!)}`, escaped(columns[2]!));
      const gap = line.length - columns[2]!.length;
      while (lines[at + 1] !== undefined && indentOf(lines[at + 1]!) >= gap) {
        out.push(escaped(lines[++at]!.trim()));
      }
    } else if (line.startsWith(" ")) {
      plain.push(line);
    } else if (line.endsWith(":") && !line.includes(",")) {
      flush();
      out.push(`.SS ${escaped(line.slice(0, -1))}`);
    } else {
      flush();
      out.push(escaped(line));
    }
  }
  flush();
  return out;
}

function indentOf(line: string): number {
  return line === "" ? 0 : line.length - line.trimStart().length;
}
