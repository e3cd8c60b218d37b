/**
 * The `ouro pki` program: a small certificate authority for the security directory (spec 40 §13).
 */

import { parseArgs } from "@std/cli/parse-args";
import { didYouMean } from "../lib/cli/nearest.ts";
import { stderr, stdout } from "../lib/cli/outlet.ts";
import { parseWhole } from "../lib/cli/numbers.ts";
import { fileCause } from "../lib/cli/reason.ts";
import { unknownOption } from "../lib/cli/words.ts";
import { currentInstance, instanceOf } from "../lib/instance.ts";
import { CIPHERS, KEXES } from "../lib/wire/oap_ids.ts";
import { check } from "./check.ts";
import { PkiError } from "./files.ts";
import { KEY_TYPE_DEFAULT, KEY_TYPES } from "./key_types.ts";
import { list, revoke, unrevoke } from "./inventory.ts";
import { init, leaf, type MakeOptions, staticKem } from "./make.ts";
import { renew, request, signRequest } from "./renew.ts";
import { MANUAL, PKI_STRINGS, PKI_SWITCHES, takes } from "./manual.ts";
import { type Report, show } from "./show.ts";
import { USAGE } from "./usage.ts";
import { verify } from "./verify.ts";

const COMMANDS = Object.keys(MANUAL.grammar.verbs ?? {});
const OPTION_WORDS = [...PKI_STRINGS, ...PKI_SWITCHES].map((word) => `--${word}`);

/** Runs `ouro pki` with these words; returns the exit code: 0, 1 failure, 2 not understood. */
export async function main(args: string[]): Promise<number> {
  let odd: string | undefined;
  const flags = parseArgs(args, {
    // Operands, too: a name may be 007.
    string: [...PKI_STRINGS, "_"],
    boolean: [...PKI_SWITCHES],
    alias: { help: ["h"] },
    unknown: (word: string) => {
      if (word.startsWith("-")) odd ??= word;
      return !word.startsWith("-");
    },
  });
  const [command, ...words] = flags._.map(String);
  if (flags.help) {
    print(USAGE);
    return 0;
  }
  if (odd !== undefined) return misused(unknownOption(odd, OPTION_WORDS));
  if (command === undefined) {
    complain(USAGE);
    return 2;
  }
  const wrong = misplaced(args, command, flags);
  if (wrong !== undefined) return misused(wrong);
  const key = flags.key ?? KEY_TYPE_DEFAULT;
  const days = flags.days === undefined ? undefined : parseWhole(flags.days, 1, 36_500);
  if (!KEY_TYPES.includes(key)) {
    return misused(`"${key}" is not a key type${didYouMean(key, KEY_TYPES)}`);
  }
  if (flags.days !== undefined && days === undefined) {
    return misused(`--days takes 1 to 36500, not "${flags.days}"`);
  }
  if (flags.kex !== undefined && !KEXES.some((k) => k.word === flags.kex)) {
    return misused(notAmong(flags.kex, "a key exchange", KEXES.map((k) => k.word)));
  }
  if (flags.cipher !== undefined && !CIPHERS.some((c) => c.word === flags.cipher)) {
    return misused(notAmong(flags.cipher, "a cipher", CIPHERS.map((c) => c.word)));
  }
  const instance = flags.prefix === undefined ? currentInstance() : instanceOf(flags.prefix);
  const o: MakeOptions = {
    securityDir: flags.security ?? instance.securityDir,
    keyType: key,
    days,
    organization: flags.org ?? "ouro",
    encrypt: flags.encrypt || flags.kex !== undefined || flags.cipher !== undefined,
    kex: flags.kex,
    cipher: flags.cipher,
    requireAuth: flags["require-auth"],
    force: flags.force,
    altNames: flags.alt === undefined
      ? undefined
      : flags.alt.split(/[\s,]+/).filter((n: string) => n !== ""),
    privateDir: flags.private,
  };
  try {
    const passphrase = passphraseOf(flags["passphrase-file"]);
    const report = command === "verify"
      ? await verifyCommand(words, o.securityDir, flags)
      : await run(command, words, { ...o, passphrase }, flags.as, flags.out);
    if (typeof report === "string") return misused(report);
    print(flags.json ? JSON.stringify(report.json, null, 2) + "\n" : report.text);
    return report.ok ? 0 : 1;
  } catch (e) {
    if (!(e instanceof PkiError)) throw e;
    complain(`ouro pki: ${e.message}\n`);
    return 1;
  }
}

/** An option that says nothing, says two things, or is not for the command: it would be passed over. */
function misplaced(
  args: readonly string[],
  command: string,
  flags: Readonly<Record<string, unknown>>,
): string | undefined {
  const seen = new Set<string>();
  for (const arg of args) {
    if (arg === "--") return undefined;
    const word = /^--([^=]+)/.exec(arg)?.[1];
    if (word === undefined) continue;
    if (flags[word] === "") return `--${word} needs a value`;
    if (seen.has(word)) return `--${word} is there twice`;
    seen.add(word);
    if (COMMANDS.includes(command) && !takes(command, word)) return `${command} takes no --${word}`;
  }
  return undefined;
}

/** Runs one command; a string says why the words were not understood. */
async function run(
  command: string,
  words: string[],
  o: MakeOptions,
  who: string | undefined,
  out: string | undefined,
): Promise<Report | string> {
  const [name] = words;
  const two = await runTwo(command, words, o, who, out);
  if (two !== undefined) return two;
  if (words.length > 1) return `"${words[1]}" is too much`;
  switch (command) {
    case "init":
      return name === undefined ? await init(o) : `"${name}" is too much`;
    case "server":
      return name === undefined ? "server needs a name" : await leaf(o, "server", name, name);
    case "client":
      if (name === undefined) return "client needs the name that flows go to";
      return who ? await leaf(o, "client", name, who) : "client needs --as and the client's name";
    case "kem":
      return name === undefined ? "kem needs a name" : await staticKem(o, name);
    case "show":
      return name === undefined ? "show needs a file" : await show(name);
    case "list":
      return name === undefined ? await list(o) : `"${name}" is too much`;
    case "check":
      return await check(o.securityDir, name);
  }
  return `"${command}" is not a command${didYouMean(command, COMMANDS)}`;
}

/** The commands with two words; `undefined` for others. */
async function runTwo(
  command: string,
  words: string[],
  o: MakeOptions,
  who: string | undefined,
  out: string | undefined,
): Promise<Report | string | undefined> {
  if (!["revoke", "unrevoke", "renew", "request", "sign"].includes(command)) return undefined;
  const [first, second, more] = words;
  if (more !== undefined) return `"${more}" is too much`;
  const isSide = first === "server" || first === "client";
  if (who !== undefined && first !== "client") return "--as is for clients only";
  if (command === "revoke" || command === "unrevoke") {
    if (first === undefined || (second !== undefined && !isSide)) {
      return `${command} needs server or client and the name, or a file, serial number or name`;
    }
    const act = command === "revoke" ? revoke : unrevoke;
    return second === undefined ? act(o, first) : act(o, first, second);
  }
  if (command === "renew" && (first === "root" || first === "intermediate")) {
    return second === undefined ? await renew(o, first) : `"${second}" is too much`;
  }
  if (!isSide || second === undefined) {
    const last = command === "sign" ? "the file of a request" : "the name";
    const ca = command === "renew" ? ", or root or intermediate" : "";
    return `${command} needs server or client, and ${last}${ca}`;
  }
  if (command === "renew") return await renew(o, first, second);
  if (command === "sign") return await signRequest(o, first, second, out);
  if (first === "client" && who === undefined) return "request client needs --as and its name";
  return await request(o, first, second, who ?? second);
}

/** First line of the file, or what the environment says. */
function passphraseOf(path: string | undefined): string | undefined {
  if (path === undefined) return Deno.env.get("OURO_PKI_PASSPHRASE");
  try {
    const line = Deno.readTextFileSync(path).split(/\r?\n/, 1)[0]!;
    if (line === "") throw new PkiError(`${path} has no passphrase in its first line`);
    return line;
  } catch (e) {
    if (e instanceof PkiError) throw e;
    throw new PkiError(`cannot read ${path}: ${fileCause(e)}`);
  }
}

interface VerifyFlags {
  readonly trust?: string;
  readonly untrusted?: string;
  readonly revoked?: string;
  readonly name?: string;
  readonly at?: string;
}

async function verifyCommand(
  words: string[],
  securityDir: string,
  { trust, untrusted, revoked, name, at }: VerifyFlags,
): Promise<Report | string> {
  const [leaf, more] = words;
  if (leaf === undefined || more !== undefined) return "verify needs the file of one certificate";
  const atMs = at === undefined ? Date.now() : timeOf(at);
  if (Number.isNaN(atMs)) {
    return `--at takes a time like 2026-01-31T12:00:00Z or seconds since 1970, not "${at}"`;
  }
  return await verify({
    leaf,
    securityDir,
    cacert: trust,
    untrusted,
    revoked,
    name,
    atMs,
  });
}

/** ms since 1970, or NaN. */
function timeOf(text: string): number {
  if (/^\d{1,12}$/.test(text)) return Number(text) * 1000;
  return /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : NaN;
}

function notAmong(word: string, what: string, known: readonly string[]): string {
  return `"${word}" is not ${what}: ${known.join(" ")}${didYouMean(word, known)}`;
}

function misused(reason: string): number {
  complain(`ouro pki: ${reason}, try "ouro pki --help"\n`);
  return 2;
}

const encoder = new TextEncoder();

function print(text: string): void {
  stdout.writeSync(encoder.encode(text));
}

function complain(text: string): void {
  stderr.offer(encoder.encode(text));
}
