/**
 * What a command says about itself, once: its help and its words. Help, completion and man pages are
 * made of it, and a test walks it to see that every word that is offered is taken. Pure.
 */

/** What a word that follows an option, or stands alone, is taken for. */
export type Value =
  | {
    readonly kind: "words";
    readonly words: readonly string[];
    /** A file may stand in the place of a word. */
    readonly orFile?: boolean;
  }
  /** What the node knows now: names, IPCPs, layers; network devices of the host. */
  | { readonly kind: "name" | "ipcp" | "layer" | "device" }
  /** What the shell knows. */
  | { readonly kind: "file" | "directory" | "program" }
  /** Anything. */
  | { readonly kind: "text" };

/** One of these words, in the order in which they are offered. */
export function oneOf(words: readonly string[]): Value {
  return { kind: "words", words };
}

/** One of these words, or a file. */
export function oneOfOrFile(words: readonly string[]): Value {
  return { kind: "words", words, orFile: true };
}

/** Any of the other kinds. */
export const NAME: Value = { kind: "name" };
export const IPCP: Value = { kind: "ipcp" };
export const LAYER: Value = { kind: "layer" };
export const DEVICE: Value = { kind: "device" };
export const FILE: Value = { kind: "file" };
export const DIRECTORY: Value = { kind: "directory" };
export const PROGRAM: Value = { kind: "program" };
export const TEXT: Value = { kind: "text" };

/** One option, or one key of `irm`. */
export interface Option {
  /** Words that mean it, e.g. `["-d", "--duration"]`. */
  readonly words: readonly string[];
  /** What follows; absent: nothing. */
  readonly value?: Value;
}

/** The words of a command or of a part of it. */
export interface Grammar {
  /** The next word chooses one of these, in match order; it may be shortened. */
  readonly verbs?: Readonly<Record<string, Grammar>>;
  /** Words that stand before the options. */
  readonly operands?: readonly Value[];
  /** Whether the last of the operands may come again. */
  readonly more?: boolean;
  readonly options?: readonly Option[];
  /** Words after `--` are another program's. */
  readonly rest?: boolean;
}

/** What a command says about itself. */
export interface Manual {
  /** The help text for the words after the command; undefined for words that mean nothing. */
  help(words: readonly string[]): string | undefined;
  readonly grammar: Grammar;
  /** What its exit codes mean, a line each, where 0 and 1 do not say it. */
  readonly exits?: readonly (readonly [code: string, meaning: string])[];
  /** Further pages of the manual that help. */
  readonly seeAlso: readonly string[];
}
