/** The texts of `ouro help COMMAND`. What a command says is loaded only when it is asked for. */

import { wordsOf } from "./choose.ts";
import { findCommand, OWN_WORDS } from "./table.ts";

/** The help for a command line of words, e.g. `["irm", "name"]`; undefined if there is none. */
export async function helpText(words: readonly string[]): Promise<string | undefined> {
  const [first, ...rest] = words;
  if (rest.length === 0 && Object.hasOwn(OWN_WORDS, first ?? "")) return OWN_WORDS[first!]!.help;
  const [name, ...more] = first === undefined ? [] : wordsOf(first) ?? [];
  if (name === undefined) return undefined;
  const manual = await findCommand(name)!.manual();
  return manual.help([...more, ...rest]);
}
