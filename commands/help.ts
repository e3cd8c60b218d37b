/** The texts of `ouro help COMMAND`. What a command says is loaded only when it is asked for. */

import { wordsOf } from "./choose.ts";
import { findCommand } from "./table.ts";

/** The help for a command line of words, e.g. `["irm", "name"]`; undefined if there is none. */
export async function helpText(words: readonly string[]): Promise<string | undefined> {
  const [first, ...rest] = words;
  const [name, ...more] = first === undefined ? [] : wordsOf(first) ?? [];
  if (name === undefined) return undefined;
  const manual = await findCommand(name)!.manual();
  return manual.help([...more, ...rest]);
}
