/**
 * The flag that all our programs share: `--prefix DIR` (or `--prefix=DIR`), which selects the
 * instance (lib/instance.ts) for this process and its children.
 *
 * It is taken out before a program reads its own words, so it may stand before or after them. What
 * follows a `--` belongs to somebody else and is left alone.
 */

/** What is left of a command line, and the prefix if it named one. */
export interface PrefixSplit {
  readonly args: string[];
  /** The directory as typed, or undefined when the flag is absent. */
  readonly prefix: string | undefined;
  /** The flag was the last word or its directory was empty. */
  readonly missingValue: boolean;
}

/** Takes `--prefix` out of a command line; the last one wins. Pure. */
export function splitPrefix(args: readonly string[]): PrefixSplit {
  const rest: string[] = [];
  let prefix: string | undefined;
  let missingValue = false;
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (word === "--") {
      rest.push(...args.slice(i));
      break;
    }
    if (word === "--prefix") {
      prefix = args[++i];
      missingValue = !prefix;
    } else if (word.startsWith("--prefix=")) {
      prefix = word.slice("--prefix=".length);
      missingValue = !prefix;
    } else {
      rest.push(word);
    }
  }
  return { args: rest, prefix, missingValue };
}

/**
 * Takes `--prefix` out of a command line and sets `OURO_PREFIX` for this process.
 *
 * Returns the other words, or undefined after a complaint on stderr when the directory is missing.
 */
export function takePrefix(args: readonly string[]): string[] | undefined {
  const split = splitPrefix(args);
  if (split.missingValue) {
    // deno-lint-ignore no-console -- the process ends, and has no log yet
    console.error("--prefix needs a directory.");
    return undefined;
  }
  if (split.prefix !== undefined) Deno.env.set("OURO_PREFIX", split.prefix);
  return split.args;
}
