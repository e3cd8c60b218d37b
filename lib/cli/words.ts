/** Sentences about words of a command line that are not known, the same in every program. Pure. */

import { QOS_WORDS } from "../qos.ts";
import { didYouMean } from "./nearest.ts";

/** Why a word is no QoS. */
export function qosRefusal(word: string): string {
  return `"${word}" is no QoS (${QOS_WORDS.join(", ")})${didYouMean(word, QOS_WORDS)}`;
}

/** Why an option is refused, with the nearest one that there is. */
export function unknownOption(word: string, known: readonly string[]): string {
  const bare = word.split("=", 1)[0]!;
  if (bare !== word && known.includes(bare)) return `Option ${bare} takes no value`;
  return `Unknown option: ${word}${didYouMean(bare, known.filter((k) => k.startsWith("--")))}`;
}
