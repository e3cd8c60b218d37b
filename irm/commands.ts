/** Which words lead to which command (spec 21 A1). The order of each table decides abbreviations. */

import * as bind from "./bind.ts";
import { type Context, printable, suggest, usage } from "./context.ts";
import { matchWord } from "./grammar.ts";
import * as ipcp from "./ipcp.ts";
import { bootstrap } from "./ipcp_bootstrap.ts";
import { connect, disconnect, enroll } from "./ipcp_links.ts";
import * as name from "./name.ts";
import { save } from "./save.ts";
import * as unbind from "./unbind.ts";
import { USAGE } from "./usage.ts";
import * as user from "./user.ts";
import * as wait from "./wait.ts";

/** A command: takes its words and answers with an exit code. */
type Command = (ctx: Context, args: readonly string[]) => Promise<number>;

/** The verbs of one object. */
interface Noun {
  /** Verbs in match order; `help` comes last. */
  readonly verbs: Readonly<Record<string, Command>>;
  /** What the message for an unknown verb recommends. */
  readonly hint: string;
  /** Whether the verb is also the first key of its options. */
  readonly verbIsKey: boolean;
}

/** The objects in match order. */
export const NOUNS: Readonly<
  Record<"ipcp" | "bind" | "unbind" | "name" | "wait" | "user", Noun>
> = {
  ipcp: {
    verbs: {
      create: ipcp.create,
      destroy: ipcp.destroy,
      bootstrap,
      enroll,
      connect,
      disconnect,
      list: ipcp.list,
    },
    hint: "irm ipcp help",
    verbIsKey: false,
  },
  bind: {
    verbs: { program: bind.program, process: bind.process, ipcp: bind.ipcp },
    hint: "irm bind help",
    verbIsKey: true,
  },
  unbind: {
    verbs: { program: unbind.program, process: unbind.process, ipcp: unbind.ipcp },
    hint: "irm unbind help",
    verbIsKey: true,
  },
  name: {
    verbs: {
      create: name.create,
      destroy: name.destroy,
      register: name.register,
      unregister: name.unregister,
      list: name.list,
    },
    hint: "irm name help",
    verbIsKey: false,
  },
  wait: {
    verbs: { name: wait.name, layer: wait.layer, ipcp: wait.ipcp, irmd: wait.irmd },
    hint: "irm wait help",
    verbIsKey: true,
  },
  user: { verbs: { list: user.list }, hint: "irm user help", verbIsKey: false },
};

const OBJECTS = ["ipcp", "bind", "unbind", "name", "wait", "user", "save", "help"] as const;

/** Commands that the prototype's hints name and it does not have. */
const ALIASES: ReadonlyMap<string, readonly string[]> = new Map([
  ["enroll_ipcp", ["ipcp", "enroll"]],
  ["unregister", ["name", "unregister"]],
]);

/** Words of every command. */
const FLAGS = ["--json", "--prefix", "--help"] as const;

/** Exit code of `irm` without a word. */
const NO_WORDS = 255;

/** Runs one command line without its common flags. */
export async function run(ctx: Context, args: readonly string[]): Promise<number> {
  const [first, second, ...rest] = args;
  if (first === undefined) {
    ctx.print(USAGE.irm);
    return NO_WORDS;
  }
  const as = first === undefined ? undefined : ALIASES.get(first);
  if (as !== undefined) return await run(ctx, [...as, ...args.slice(1)]);
  if (first === "reg" && second === "name") return await name.registerAsEver(ctx, args.slice(1));
  const asksHelp = first === "--help" || first === "-h";
  const object = asksHelp ? "help" : matchWord(first, OBJECTS);
  if (object === undefined) {
    ctx.complain(`"${printable(first)}" is unknown, try "irm help".`);
    suggest(ctx, first, [...OBJECTS, ...FLAGS]);
    return 1;
  }
  if (object === "help") {
    ctx.print(USAGE.irm);
    return 0;
  }
  if (object === "save") {
    if (second !== "help" && second !== "--help" && second !== "-h") {
      return await save(ctx, args.slice(1));
    }
    ctx.print(USAGE.save);
    return 0;
  }
  if (second === undefined) return usage(ctx, object);
  const noun = NOUNS[object];
  const verb = matchWord(second, [...Object.keys(noun.verbs), "help"]);
  if (verb === undefined) {
    ctx.complain(`"${printable(second)}" is unknown, try "${noun.hint}".`);
    suggest(ctx, second, Object.keys(noun.verbs));
    return 1;
  }
  if (verb === "help") {
    ctx.print(USAGE[object]);
    return 0;
  }
  return await noun.verbs[verb]!(ctx, noun.verbIsKey ? [second, ...rest] : rest);
}
