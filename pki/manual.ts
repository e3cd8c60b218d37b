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

const SIDES: Grammar = { operands: [oneOf(["server", "client"]), TEXT], options: OPTIONS };
const NAMED: Grammar = { operands: [NAME], options: OPTIONS };
const FILED: Grammar = { operands: [FILE], options: OPTIONS };
const ALONE: Grammar = { options: OPTIONS };

export const MANUAL: Manual = {
  help: (words) => words.length === 0 ? USAGE : undefined,
  grammar: {
    verbs: {
      init: ALONE,
      server: NAMED,
      client: NAMED,
      request: SIDES,
      sign: { operands: [oneOf(["server", "client"]), FILE], options: OPTIONS },
      renew: {
        operands: [oneOf(["root", "intermediate", "server", "client"]), TEXT],
        options: OPTIONS,
      },
      list: ALONE,
      revoke: SIDES,
      unrevoke: SIDES,
      kem: NAMED,
      show: FILED,
      verify: FILED,
      check: NAMED,
    },
    options: OPTIONS,
  },
  exits: [["0", "done, or all is right"], ["1", "failed, or something is wrong"], [
    "2",
    "words that make no sense",
  ]],
  seeAlso: ["irm", "ouro"],
};
