/**
 * The flags that `irm` has beyond the prototype's words: `--prefix DIR` and `--json`, anywhere before
 * a `--`.
 */

import { splitPrefix } from "../lib/prefix.ts";

/** A command line without its flags. */
export interface IrmWords {
  readonly args: string[];
  readonly prefix: string | undefined;
  readonly json: boolean;
  readonly missingPrefix: boolean;
}

/** Takes the flags out. Pure. */
export function splitFlags(args: readonly string[]): IrmWords {
  const { args: rest, prefix, missingValue } = splitPrefix(args);
  const end = rest.indexOf("--");
  const head = end < 0 ? rest : rest.slice(0, end);
  const words = head.filter((word) => word !== "--json");
  return {
    args: end < 0 ? words : [...words, ...rest.slice(end)],
    prefix,
    json: words.length !== head.length,
    missingPrefix: missingValue,
  };
}
