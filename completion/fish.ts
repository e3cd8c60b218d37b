/** The completion script for fish. */

import { COMMANDS, OWN_WORDS } from "../lib/commands.ts";
import { COMMON_FLAG, IRM_KEYS, IRM_VALUES, IRM_VERBS, OPTIONS, SHELLS } from "./words.ts";

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** The script. */
export function fishScript(): string {
  const lines = [
    '# fish completion for ouro and the links to it; made by "ouro completion fish"',
    "",
    "# The words after the command itself, without ouro.",
    "function __ouro_words",
    "  set -l words (commandline -opc)",
    "  test (path basename $words[1]) = ouro; and set -e words[1]",
    "  test (count $words) -gt 0; and set words[1] (path basename $words[1])",
    "  string join \\n $words",
    "end",
    "",
    "# Whether the words begin with these and are as many.",
    "function __ouro_at",
    "  set -l words (__ouro_words)",
    '  test (count $words) -eq (count $argv); and test "$words" = "$argv"',
    "end",
    "",
    "# Whether the words begin with these.",
    "function __ouro_in",
    "  set -l words (__ouro_words)",
    "  set -l n (count $argv)",
    "  test (count $words) -ge $n; or return 1",
    '  test "$words[1..$n]" = "$argv"',
    "end",
    "",
    "# Whether the last word is this.",
    "function __ouro_after",
    "  set -l words (__ouro_words)",
    "  test (count $words) -gt 0; and contains -- $words[-1] $argv",
    "end",
    "",
  ];
  for (const [name, text] of [...Object.entries(COMMANDS), ...Object.entries(OWN_WORDS)]) {
    lines.push(
      `complete -c ouro -f -n 'test (count (__ouro_words)) -eq 0' -a ${name} -d ${quote(text)}`,
    );
  }
  for (const flag of ["help", "version"]) {
    lines.push(`complete -c ouro -f -n 'test (count (__ouro_words)) -eq 0' -l ${flag}`);
  }
  lines.push(`complete -c ouro -f -n '__ouro_at completion' -a ${quote(SHELLS.join(" "))}`);
  lines.push(
    `complete -c ouro -f -n '__ouro_at help' -a ${quote(Object.keys(COMMANDS).join(" "))}`,
  );
  for (const command of ["ouro", "irm"]) {
    const add = (when: string, words: readonly string[]) => {
      if (words.length === 0) return;
      lines.push(`complete -c ${command} -f -n ${quote(when)} -a ${quote(words.join(" "))}`);
    };
    add("__ouro_at irm", Object.keys(IRM_VERBS));
    for (const [object, verbs] of Object.entries(IRM_VERBS)) add(`__ouro_at irm ${object}`, verbs);
    for (const [path, keys] of Object.entries(IRM_KEYS)) {
      const valued = Object.keys(IRM_VALUES).join(" ");
      add(`__ouro_in irm ${path}; and not __ouro_after ${valued}`, keys);
    }
    for (const [key, values] of Object.entries(IRM_VALUES)) {
      add(`__ouro_in irm; and __ouro_after ${key}`, values);
    }
  }
  for (const [command, options] of Object.entries(OPTIONS)) {
    for (const option of [...options, COMMON_FLAG]) {
      const long = option.slice(2);
      lines.push(`complete -c ouro -n '__ouro_in ${command}' -l ${long}`);
      lines.push(`complete -c ${command} -l ${long}`);
    }
  }
  return lines.join("\n") + "\n";
}
