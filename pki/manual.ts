/** What `ouro pki` says about itself, and its words. */

import {
  DIRECTORY,
  FILE,
  type Grammar,
  type Manual,
  NAME,
  oneOf,
  type Option,
  TEXT,
  type Value,
} from "../lib/cli/manual.ts";
import { CIPHERS, KEXES } from "../lib/wire/oap_ids.ts";
import { KEY_TYPES } from "./key_types.ts";
import { USAGE } from "./usage.ts";

/** Options that take a value. */
export const PKI_STRINGS = [
  "security",
  "prefix",
  "key",
  "days",
  "org",
  "as",
  "kex",
  "cipher",
  "trust",
  "untrusted",
  "revoked",
  "name",
  "at",
  "alt",
  "out",
  "private",
  "passphrase-file",
] as const;

/** Options that take none. */
export const PKI_SWITCHES = ["encrypt", "require-auth", "force", "json", "help"] as const;

type Word = typeof PKI_STRINGS[number] | typeof PKI_SWITCHES[number];

const COMMON: readonly Word[] = ["security", "prefix", "json", "help"];
const CA: readonly Word[] = ["private", "passphrase-file"];
const SETTINGS: readonly Word[] = ["encrypt", "kex", "cipher", "require-auth"];
const LEAF: readonly Word[] = ["key", "days", "org", "alt", "force", ...SETTINGS, ...CA];

/** The options that each command obeys, beside those of all; others would be passed over. */
const OWN: Readonly<Record<string, readonly Word[]>> = {
  init: ["key", "days", "org", "force", ...CA],
  server: LEAF,
  client: [...LEAF, "as"],
  request: ["key", "org", "alt", "as", "force"],
  sign: ["days", "org", "alt", "out", "force", ...CA],
  renew: ["days", ...CA],
  list: [],
  revoke: [],
  unrevoke: [],
  kem: ["kex", "force"],
  show: [],
  verify: ["trust", "untrusted", "revoked", "name", "at"],
  check: [],
};

/** Whether a command obeys an option. */
export function takes(command: string, word: string): boolean {
  return [...COMMON, ...OWN[command] ?? []].some((w) => w === word);
}

const VALUES: Partial<Record<typeof PKI_STRINGS[number], Value>> = {
  security: DIRECTORY,
  prefix: DIRECTORY,
  key: oneOf(KEY_TYPES),
  kex: oneOf(KEXES.map(({ word }) => word)),
  cipher: oneOf(CIPHERS.map(({ word }) => word)),
  trust: DIRECTORY,
  untrusted: DIRECTORY,
  revoked: DIRECTORY,
  name: NAME,
  out: FILE,
  private: DIRECTORY,
  "passphrase-file": FILE,
};

const OPTIONS: readonly Option[] = [
  ...PKI_STRINGS.map((word) => ({ words: [`--${word}`], value: VALUES[word] ?? TEXT })),
  ...PKI_SWITCHES.map((word) => ({ words: [`--${word}`] })),
];

/** A command with these operands and the options that it obeys. */
function verb(command: string, ...operands: Value[]): Grammar {
  const options = OPTIONS.filter(({ words: [word] }) => takes(command, word!.slice(2)));
  return operands.length === 0 ? { options } : { operands, options };
}

const SIDE = oneOf(["server", "client"]);

export const MANUAL: Manual = {
  help: (words) => words.length === 0 ? USAGE : undefined,
  grammar: {
    verbs: {
      init: verb("init"),
      server: verb("server", NAME),
      client: verb("client", NAME),
      request: verb("request", SIDE, TEXT),
      sign: verb("sign", SIDE, FILE),
      renew: verb("renew", oneOf(["root", "intermediate", "server", "client"]), TEXT),
      list: verb("list"),
      revoke: verb("revoke", SIDE, TEXT),
      unrevoke: verb("unrevoke", SIDE, TEXT),
      kem: verb("kem", NAME),
      show: verb("show", FILE),
      verify: verb("verify", FILE),
      check: verb("check", NAME),
    },
    options: OPTIONS,
  },
  exits: [["0", "done, or all is right"], ["1", "failed, or something is wrong"], [
    "2",
    "words that make no sense",
  ]],
  seeAlso: ["irm", "ouro"],
};
