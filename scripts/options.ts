// deno-lint-ignore-file no-console -- programs of their own, which print
/** Options of the tasks of `deno.json`: what is unknown or no number ends a task at once with its usage. */

import { parseWhole } from "../lib/cli/numbers.ts";

/** For `parseArgs`: what a task does at options that it does not have. `--help` is answered. */
export function otherOptions(usage: string): (word: string) => boolean {
  return (word) => {
    if (!word.startsWith("-")) return true;
    if (word === "--help" || word === "-h") {
      console.log(usage);
      Deno.exit(0);
    }
    return refuse(`unknown option ${word}`, usage);
  };
}

/** The same for a task that takes no words. */
export function otherWords(usage: string): (word: string) => boolean {
  const options = otherOptions(usage);
  return (word) => options(word) && refuse(`a word too many: ${word}`, usage);
}

/** A whole number between two others. */
export function wholeOption(
  name: string,
  text: string,
  least: number,
  most: number,
  usage: string,
): number {
  return parseWhole(text, least, most) ??
    refuse(`--${name} ${text}: wants a whole number from ${least} to ${most}`, usage);
}

/** Ends the task. */
export function refuse(reason: string, usage: string): never {
  console.error(`${reason}\n${usage}`);
  Deno.exit(2);
}
