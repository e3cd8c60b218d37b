/**
 * `enc.conf`: key exchange and ciphers of a name, and our policy (spec 40 §12).
 *
 * Pure. The grammar is the prototype's to the letter. Our own keywords are unknown to it and ignored
 * there; a bad value of one of them is an error, and they are also read after a `none` line, so that
 * none is lost (the prototype stops there). Lines without effect are reported, for a warning.
 *
 * | keyword | values | meaning |
 * |---|---|---|
 * | require-auth | yes no | the peer must present a valid certificate |
 * | allow-peer | names | and its name must be one of these (`*` alone: any); implies require-auth |
 * | min-kex | a kex word | weaker key exchanges are refused, also towards a server's `none` |
 * | refuse-encryption | yes no | the server refuses requests with a key exchange |
 * | refuse-client-encap | yes no | the server refuses the mode without forward secrecy |
 * | refuse-ctr | yes no | ciphers without integrity are refused |
 * | strict-crt | yes no | key usage, key size, digest and subjectAltName of certificates count |
 */

import { CIPHERS, DIGESTS, kexByWord, KEXES, type KexWord } from "../lib/wire/oap_ids.ts";

/** Policy of ours; the defaults are the prototype's behaviour. */
export interface Policy {
  readonly requireAuth: boolean;
  /** Names of acceptable peers, `undefined` for any. */
  readonly allowPeers: readonly string[] | undefined;
  /** Internal id of the weakest acceptable key exchange, 0 for any. */
  readonly minKexNid: number;
  readonly refuseEncryption: boolean;
  readonly refuseClientEncap: boolean;
  readonly refuseCtr: boolean;
  readonly strictCrt: boolean;
}

/** The prototype's behaviour. */
export const POLICY_NONE: Policy = Object.freeze({
  requireAuth: false,
  allowPeers: undefined,
  minKexNid: 0,
  refuseEncryption: false,
  refuseClientEncap: false,
  refuseCtr: false,
  strictCrt: false,
});

/** Settings of one side. All ids are 0 without key exchange. */
export interface EncConf {
  readonly kexNid: number;
  readonly cipherNid: number;
  readonly kdfNid: number;
  readonly digestNid: number;
  readonly kemMode: "server" | "client";
  readonly policy: Policy;
}

/** No file, or `none`. */
export const ENC_NONE: EncConf = Object.freeze({
  kexNid: 0,
  cipherNid: 0,
  kdfNid: 0,
  digestNid: 0,
  kemMode: "server",
  policy: POLICY_NONE,
});

/** What an empty file means. */
export const ENC_DEFAULT: EncConf = Object.freeze({
  kexNid: 415,
  cipherNid: 901,
  kdfNid: 672,
  digestNid: 672,
  kemMode: "server",
  policy: POLICY_NONE,
});

/** A file that is refused (-22): the line, counted as the prototype does, and the reason. */
export class EncConfError {
  constructor(
    readonly line: number,
    readonly reason: string,
  ) {}

  toString(): string {
    return `line ${this.line}: ${this.reason}`;
  }
}

/** A parsed file and the lines in it that have no effect. */
export interface EncConfFile {
  readonly conf: EncConf;
  /** Lines that the prototype ignores too, each with the reason. */
  readonly ignored: readonly EncConfError[];
}

/** Longest line, newline included; the rest is a line of its own (the prototype's buffer). */
const LINE_BYTES_MAX = 255;

const KEMS = new Map<string, number>(KEXES.map((k) => [k.word, k.nid]));
const CIPHER_WORDS = new Map(CIPHERS.map((c) => [c.word, c.nid]));
const DIGEST_WORDS = new Map(DIGESTS.map((d) => [d.word, d.nid]));

type Draft<T> = { -readonly [K in keyof T]: T[K] };

/** Parses the bytes of an `enc.conf`. */
export function parseEncConf(bytes: Uint8Array): EncConfFile | EncConfError {
  const conf: Draft<EncConf> = { ...ENC_DEFAULT };
  const policy: Draft<Policy> = { ...POLICY_NONE };
  const ignored: EncConfError[] = [];
  let none = false;
  let line = 0;
  for (const text of lines(bytes)) {
    line++;
    if (text.startsWith("#") || text.startsWith("\n")) continue;
    const trimmed = trim(text);
    if (!none && trimmed === "none") {
      none = true;
      continue;
    }
    const equals = trimmed.indexOf("=");
    const key = trim(equals < 0 ? trimmed : trimmed.slice(0, equals));
    if (equals < 0) {
      if (key !== "" && !key.startsWith("#") && !none) {
        ignored.push(new EncConfError(line, `"${key}" has no effect`));
      }
      continue;
    }
    const value = trim(trimmed.slice(equals + 1));
    const own = setPolicy(policy, key, value);
    if (own === "bad") return new EncConfError(line, `bad value of ${key}: "${value}"`);
    if (own === "set" || none) continue;
    const known = setConf(conf, key, value);
    if (known === "bad") return new EncConfError(line, `bad value of ${key}: "${value}"`);
    if (known === "unknown" && !key.startsWith("#")) {
      ignored.push(new EncConfError(line, `unknown key "${key}"`));
    }
  }
  return { conf: { ...(none ? ENC_NONE : conf), policy }, ignored };
}

type Outcome = "set" | "unknown" | "bad";

function setConf(conf: Draft<EncConf>, key: string, value: string): Outcome {
  const word = (
    words: Map<string, number>,
    field: "kexNid" | "cipherNid" | "kdfNid" | "digestNid",
  ) => {
    const nid = words.get(value);
    if (nid === undefined) return "bad";
    conf[field] = nid;
    return "set";
  };
  switch (key) {
    case "kex":
      return word(KEMS, "kexNid");
    case "cipher":
      return word(CIPHER_WORDS, "cipherNid");
    case "kdf":
      return word(DIGEST_WORDS, "kdfNid");
    case "digest":
      return word(DIGEST_WORDS, "digestNid");
    case "kem_mode":
      if (value !== "server" && value !== "client") return "bad";
      conf.kemMode = value;
      return "set";
    default:
      return "unknown";
  }
}

const SWITCHES: Record<
  string,
  "requireAuth" | "refuseEncryption" | "refuseClientEncap" | "refuseCtr" | "strictCrt"
> = {
  "require-auth": "requireAuth",
  "refuse-encryption": "refuseEncryption",
  "refuse-client-encap": "refuseClientEncap",
  "refuse-ctr": "refuseCtr",
  "strict-crt": "strictCrt",
};

function setPolicy(policy: Draft<Policy>, key: string, value: string): Outcome {
  const field = SWITCHES[key];
  if (field) {
    if (value !== "yes" && value !== "no") return "bad";
    policy[field] = value === "yes";
    return "set";
  }
  if (key === "allow-peer") {
    const names = value.split(/[\s,]+/).filter((n) => n !== "");
    if (names.length === 0) return "bad";
    policy.allowPeers = names.length === 1 && names[0] === "*" ? undefined : names;
    policy.requireAuth = true;
    return "set";
  }
  if (key === "min-kex") {
    if (!KEMS.has(value)) return "bad";
    policy.minKexNid = kexByWord(value as KexWord).nid;
    return "set";
  }
  return "unknown";
}

/** Lines as the prototype's `fgets` gives them, cut at a NUL as its string functions see them. */
function* lines(bytes: Uint8Array): Generator<string> {
  for (let at = 0; at < bytes.length;) {
    const newline = bytes.indexOf(0x0a, at);
    const end = Math.min(
      newline < 0 ? bytes.length : newline + 1,
      at + LINE_BYTES_MAX,
    );
    let text = "";
    for (let i = at; i < end && bytes[i] !== 0; i++) text += String.fromCharCode(bytes[i]!);
    yield decode(text);
    at = end;
  }
}

/** Bytes of a line as UTF-8 where they are (names in `allow-peer`), else byte by byte. */
function decode(latin1: string): string {
  const bytes = Uint8Array.from(latin1, (c) => c.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return latin1;
  }
}

/** Trims what C's `isspace` takes for space. */
function trim(s: string): string {
  return s.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, "");
}
