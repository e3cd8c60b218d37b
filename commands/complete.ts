/**
 * What may come next on a command line: the one completion for all shells, made of what the commands say
 * about their words.
 */

import { type Grammar, oneOf, type Option, type Value } from "../lib/cli/manual.ts";
import { wordsOf } from "./choose.ts";
import { COMMANDS, findCommand, OWN_WORDS } from "./table.ts";

/** The shells that scripts are made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** Proposals for the last word; where the shell knows better, of what kind they are. */
export interface Proposals {
  readonly kind: "words" | "file" | "directory" | "program";
  readonly words: readonly string[];
}

/** Looks up what the node and the host have now; failing is an empty list. */
export type Ask = (kind: "name" | "ipcp" | "layer" | "device") => Promise<readonly string[]>;

/** The option that every command takes. */
const PREFIX: Option = { words: ["--prefix"], value: { kind: "directory" } };

const NOTHING: Proposals = { kind: "words", words: [] };

/** The grammar of `ouro` itself. The commands' own are loaded when they are entered. */
const ROOT: Grammar = {
  verbs: {
    ...Object.fromEntries([...COMMANDS.map(({ name }) => name)].map((name) => [name, {}])),
    ...Object.fromEntries(Object.keys(OWN_WORDS).map((name) => [name, {}])),
  },
  options: [{ words: ["--help"] }, { words: ["--version"] }],
};

function ownGrammar(word: string): Grammar {
  const commands = COMMANDS.map(({ name }) => name);
  switch (word) {
    case "completion":
      return { operands: [oneOf(SHELLS)] };
    case "help":
      return { operands: [oneOf([...commands, ...Object.keys(OWN_WORDS)])] };
    default:
      return { operands: [oneOf(commands)] };
  }
}

/** Proposals for the last of the words; the first is the program. */
export async function complete(words: readonly string[], ask: Ask): Promise<Proposals> {
  const [program, ...typed] = withoutEquals(words);
  const called = wordsOf(program!.slice(program!.lastIndexOf("/") + 1)) ?? [];
  const all = [...called, ...typed];
  const current = all.pop() ?? "";
  let [grammar, at] = [ROOT, 0];
  if (all.length > 0) {
    const [first] = all;
    const expanded = wordsOf(first!);
    if (expanded !== undefined) {
      all.splice(0, 1, ...expanded);
      grammar = (await findCommand(expanded[0]!)!.manual()).grammar;
      // "irm help irm": the words of help are those of the command.
    } else if (Object.hasOwn(OWN_WORDS, first!)) {
      grammar = ownGrammar(first!);
    } else return NOTHING;
    at = 1;
  }
  const place = walk(grammar, all.slice(at));
  if (place === undefined) return NOTHING;
  const equals = current.startsWith("--") ? current.indexOf("=") : -1;
  if (equals >= 0) {
    const option = optionOf(place.grammar, current.slice(0, equals));
    if (option?.value === undefined) return NOTHING;
    const { words } = await propose(option.value, current.slice(equals + 1), ask);
    return { kind: "words", words: words.map((word) => current.slice(0, equals + 1) + word) };
  }
  if (place.value !== undefined) return await propose(place.value, current, ask);
  return await nextWords(place, current, ask);
}

/** Where a command line stands: in which grammar, how many operands are there, whose value comes next. */
interface Place {
  readonly grammar: Grammar;
  readonly operands: number;
  readonly value: Value | undefined;
}

/** Follows the words of a grammar; undefined where the words are another program's. */
function walk(start: Grammar, words: readonly string[]): Place | undefined {
  let grammar = start;
  let operands = 0;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "--" && grammar.rest) return undefined;
    const option = optionOf(grammar, word);
    if (option !== undefined) {
      if (option.value === undefined) continue;
      if (++i === words.length) return { grammar, operands, value: option.value };
      continue;
    }
    const verbs = grammar.verbs ?? {};
    const verb = Object.keys(verbs).find((v) => word !== "" && v.startsWith(word));
    if (verb !== undefined) [grammar, operands] = [verbs[verb]!, 0];
    else operands++;
  }
  return { grammar, operands, value: undefined };
}

/** The option that a word means. Words without a dash may be shortened, as those of `irm`. */
function optionOf(grammar: Grammar, word: string): Option | undefined {
  const options = [...grammar.options ?? [], PREFIX];
  // A key of irm comes after the operands; before them the word is an operand.
  return options.find(({ words }) => words.includes(word)) ??
    options.find(({ words }) =>
      word !== "" && !word.startsWith("-") && words.some((w) => w.startsWith(word))
    );
}

async function nextWords(place: Place, current: string, ask: Ask): Promise<Proposals> {
  const { grammar, operands } = place;
  const wanted = grammar.operands?.[operands] ??
    (grammar.more ? grammar.operands?.at(-1) : undefined);
  const dashed = current.startsWith("-");
  if (wanted !== undefined && !dashed) {
    const proposals = await propose(wanted, current, ask);
    if (!grammar.more || proposals.kind !== "words") return proposals;
    return { kind: "words", words: [...proposals.words] };
  }
  const verbs = operands === 0 ? Object.keys(grammar.verbs ?? {}) : [];
  // Long words say more; -- alone goes with the keys.
  const options = [...grammar.options ?? [], PREFIX].map(({ words }) => words.at(-1)!);
  return { kind: "words", words: [...verbs, ...options].filter((w) => w.startsWith(current)) };
}

async function propose(value: Value, current: string, ask: Ask): Promise<Proposals> {
  switch (value.kind) {
    case "words": {
      const words = value.words.filter((w) => w.startsWith(current));
      return value.orFile && words.length === 0
        ? { kind: "file", words: [] }
        : { kind: "words", words };
    }
    case "name":
    case "ipcp":
    case "layer":
    case "device": {
      const words = await ask(value.kind);
      return { kind: "words", words: words.filter((w) => w.startsWith(current)) };
    }
    case "file":
    case "directory":
    case "program":
      return { kind: value.kind, words: [] };
    case "text":
      return NOTHING;
  }
}

/** bash hands `--qos=ra` on as three words; so does a value that is still empty as two. */
function withoutEquals(words: readonly string[]): string[] {
  const out: string[] = [];
  words.forEach((word, i) => {
    const after = i > 1 && words[i - 1]!.startsWith("--");
    if (word !== "=" || !after) out.push(word);
    else if (i === words.length - 1) out.push("");
  });
  return out;
}
