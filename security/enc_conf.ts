/**
 * `enc.conf`: key exchange and ciphers of a name, and our policy (spec 40 §12).
 *
 * Pure. The grammar is the prototype's. Our own keywords are unknown to it and ignored there; they are also read
 * after a `none` line, so that none is lost (the prototype stops there). What loosens security when it is passed over
 * is refused: a line that may be a slip of the hand in a keyword of ours, characters that nobody typed, a line that
 * the prototype would cut to something else, a repeated key, settings that contradict each other. Other lines that the
 * prototype's grammar passes over are reported, for a warning.
 *
 * | keyword | values | meaning |
 * |---|---|---|
 * | require-auth | yes no | the peer must present a valid certificate |
 * | allow-peer | names | and its name must be one of these (`*` alone: any); implies require-auth |
 * | min-kex | a kex word | weaker key exchanges are refused |
 * | allow-kex | kex words | the server takes no key exchange but these, and its own |
 * | refuse-encryption | yes no | the server refuses requests with a key exchange |
 * | refuse-client-encap | yes no | the server refuses `kem_mode=client` |
 * | allow-static-kem | yes no | `kem_mode=client` in the prototype's form, whose key a recorded request yields again |
 * | require-binding | yes no | the server refuses requests that do not say that they are for it (the prototype's) |
 * | refuse-ctr | yes no | ciphers without integrity are refused |
 * | strict-crt | yes no | key usage, key size, digest and subjectAltName of certificates count |
 */

import {
  type ConfLine,
  confLines,
  hiddenCharacter,
  LineRefusal,
  oddCharacter,
  probablyMeant,
  PROTOTYPE_LINE_BYTES,
  tailsOf,
  trimC as trim,
} from "./conf_lines.ts";
import {
  cipherByNid,
  CIPHERS,
  DIGESTS,
  kexByNid,
  kexByWord,
  KEXES,
  kexRank,
  type KexWord,
} from "../lib/wire/oap_ids.ts";

/** Policy of ours; the defaults are the prototype's behaviour. */
export interface Policy {
  readonly requireAuth: boolean;
  /** Names of acceptable peers, `undefined` for any. */
  readonly allowPeers: readonly string[] | undefined;
  /** Internal id of the weakest acceptable key exchange, 0 for any. */
  readonly minKexNid: number;
  /** Internal ids of the key exchanges that a server takes beside its own, `undefined` for any. */
  readonly allowKexNids: readonly number[] | undefined;
  readonly refuseEncryption: boolean;
  readonly refuseClientEncap: boolean;
  readonly allowStaticKem: boolean;
  readonly requireBinding: boolean;
  readonly refuseCtr: boolean;
  readonly strictCrt: boolean;
}

/** The prototype's behaviour. */
export const POLICY_NONE: Policy = Object.freeze({
  requireAuth: false,
  allowPeers: undefined,
  minKexNid: 0,
  allowKexNids: undefined,
  refuseEncryption: false,
  refuseClientEncap: false,
  allowStaticKem: false,
  requireBinding: false,
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

/** A file that is refused (-22): the line (0 for the whole file) and the reason. */
export class EncConfError {
  constructor(
    readonly line: number,
    readonly reason: string,
  ) {}

  toString(): string {
    return this.line === 0 ? this.reason : `line ${this.line}: ${this.reason}`;
  }
}

/** A parsed file and the lines in it that have no effect. */
export interface EncConfFile {
  readonly conf: EncConf;
  /** Lines that the prototype ignores too, each with the reason. */
  readonly ignored: readonly EncConfError[];
}

const KEMS = new Map<string, number>(KEXES.map((k) => [k.word, k.nid]));
const CIPHER_WORDS = new Map(CIPHERS.map((c) => [c.word, c.nid]));
const DIGEST_WORDS = new Map(DIGESTS.map((d) => [d.word, d.nid]));

type Draft<T> = { -readonly [K in keyof T]: T[K] };

/** Parses the bytes of an `enc.conf`. */
export function parseEncConf(bytes: Uint8Array): EncConfFile | EncConfError {
  const r = new Reader();
  for (const line of confLines(bytes)) {
    if (line instanceof LineRefusal) return new EncConfError(line.line, line.reason);
    const refused = r.read(line);
    if (refused !== undefined) return new EncConfError(line.number, refused);
  }
  const conf: EncConf = { ...(r.none ? ENC_NONE : r.conf), policy: r.policy };
  const against = contradiction(r, conf);
  return against === undefined ? { conf, ignored: r.ignored } : new EncConfError(0, against);
}

/** Takes line after line; each either sets something, is reported, or is a reason to refuse the file. */
class Reader {
  readonly conf: Draft<EncConf> = { ...ENC_DEFAULT };
  readonly policy: Draft<Policy> = { ...POLICY_NONE };
  readonly ignored: EncConfError[] = [];
  /** Where each key was set, and to what. */
  readonly seen = new Map<string, { readonly line: number; readonly value: string }>();
  none = false;

  read(line: ConfLine): string | undefined {
    const { text } = line;
    const trimmed = trim(text);
    const isComment = text.startsWith("#");
    if (isComment && line.bytes > PROTOTYPE_LINE_BYTES) {
      const tail = tailsOf(text).map(trim).find((t) => !this.none && hasEffect(t));
      if (tail === undefined) return undefined;
      return `the comment has ${line.bytes} bytes: the C prototype would obey its end, "${tail}"`;
    }
    if (isComment || trimmed === "") return this.#passOver(line, undefined);
    if (line.marked) return "a byte-order mark stands before it: save the file without one";
    if (!this.none && trimmed === "none") {
      for (const [key, { line }] of this.seen) {
        if (!PROTOTYPE_KEYS.includes(key)) continue;
        this.ignored.push(new EncConfError(line, `"${key}" has no effect before none`));
      }
      this.seen.set("none", { line: line.number, value: "" });
      this.none = true;
      return undefined;
    }
    const equals = trimmed.indexOf("=");
    const key = trim(equals < 0 ? trimmed : trimmed.slice(0, equals));
    if (key.startsWith("#")) return undefined;
    const odd = oddCharacter(key);
    if (odd !== undefined) return `the character ${odd} is in "${shown(key)}": type it anew`;
    if (equals < 0) return this.#unknown(line, trimmed, `"${trimmed}" has no effect`);
    const value = trim(trimmed.slice(equals + 1));
    const own = setPolicy(this.policy, key, value);
    const outcome = own !== "unknown" || this.none ? own : setConf(this.conf, key, value);
    if (outcome === "unknown") {
      if (this.none && PROTOTYPE_KEYS.includes(key)) {
        return this.#passOver(line, `"${key}" has no effect behind none`);
      }
      return this.#unknown(line, trimmed, `unknown key "${key}"`);
    }
    const hidden = outcome === "set" ? hiddenCharacter(value) : undefined;
    if (hidden !== undefined) return `the character ${hidden} is in the value of ${key}`;
    if (outcome === "bad") return `bad value of ${key}: "${shown(value)}"`;
    const first = this.seen.get(key);
    if (first !== undefined) return `${key} was set in line ${first.line} already`;
    this.seen.set(key, { line: line.number, value });
    return undefined;
  }

  /** A line that sets nothing: a slip is refused, what the prototype passes over is reported. */
  #unknown(line: ConfLine, trimmed: string, what: string): string | undefined {
    if (line.bytes > PROTOTYPE_LINE_BYTES) return `it has ${line.bytes} bytes and sets nothing`;
    const meant = probablyMeant(trimmed, POLICY_KEYS);
    if (meant !== undefined) return `${what} (is ${meant} meant? "${meant} = …")`;
    const odd = oddCharacter(trimmed);
    if (odd !== undefined) return `${what}, and has the character ${odd}`;
    return this.#passOver(line, what);
  }

  #passOver(line: ConfLine, what: string | undefined): undefined {
    if (what !== undefined) this.ignored.push(new EncConfError(line.number, what));
    if (line.marked) {
      this.ignored.push(new EncConfError(line.number, "a byte-order mark has no effect"));
    }
    return undefined;
  }
}

/** Whether the prototype would do something with a line. */
function hasEffect(trimmed: string): boolean {
  if (trimmed === "none") return true;
  const equals = trimmed.indexOf("=");
  const key = trim(equals < 0 ? trimmed : trimmed.slice(0, equals));
  return equals >= 0 && PROTOTYPE_KEYS.includes(key);
}

/** A word for a message: without what a terminal would obey. */
function shown(s: string): string {
  return s.replace(/[\p{C}\p{Z}]/gu, (c) => c === " " ? c : "?").slice(0, 80);
}

/** Why settings cannot hold together; `undefined` when they can. */
function contradiction(r: Reader, conf: EncConf): string | undefined {
  const { policy } = conf;
  const at = (key: string) => `${key} (line ${r.seen.get(key)?.line})`;
  const demand = r.none ? demandOfEncryption(policy) : undefined;
  if (demand !== undefined) {
    return `${at(demand)} contradicts ${at("none")}, which lets flows be without key exchange`;
  }
  const weak = policy.allowKexNids?.find((nid) => kexRank(nid) < kexRank(policy.minKexNid));
  if (weak !== undefined) {
    return `${at("allow-kex")} contradicts ${at("min-kex")}: ${kexByNid(weak)?.word} is weaker`;
  }
  if (r.seen.has("allow-peer") && r.seen.get("require-auth")?.value === "no") {
    return `${at("allow-peer")} contradicts ${at("require-auth")}`;
  }
  if (policy.refuseEncryption && !r.none) {
    return `${at("refuse-encryption")} contradicts the key exchange of this file: write none`;
  }
  if (policy.allowStaticKem && policy.refuseClientEncap) {
    return `${at("allow-static-kem")} contradicts ${at("refuse-client-encap")}`;
  }
  if (conf.kemMode === "client" && policy.refuseClientEncap) {
    return `${at("refuse-client-encap")} contradicts ${at("kem_mode")}`;
  }
  if (policy.refuseCtr && cipherByNid(conf.cipherNid)?.tagBytes === 0) {
    return `${at("refuse-ctr")} contradicts ${at("cipher")}`;
  }
  return undefined;
}

/** A key that asks of every flow what a flow without encryption has not. */
function demandOfEncryption(policy: Policy): string | undefined {
  if (policy.minKexNid !== 0) return "min-kex";
  if (policy.refuseCtr) return "refuse-ctr";
  return policy.refuseClientEncap ? "refuse-client-encap" : undefined;
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
  Exclude<keyof Policy, "allowPeers" | "minKexNid" | "allowKexNids">
> = {
  "require-auth": "requireAuth",
  "refuse-encryption": "refuseEncryption",
  "refuse-client-encap": "refuseClientEncap",
  "allow-static-kem": "allowStaticKem",
  "require-binding": "requireBinding",
  "refuse-ctr": "refuseCtr",
  "strict-crt": "strictCrt",
};

const POLICY_KEYS = [...Object.keys(SWITCHES), "allow-peer", "allow-kex", "min-kex"];
const PROTOTYPE_KEYS = ["kex", "cipher", "kdf", "digest", "kem_mode"];

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
  if (key === "allow-kex") {
    const words = value.split(/[\s,]+/).filter((w) => w !== "");
    if (words.length === 0 || words.some((w) => !KEMS.has(w))) return "bad";
    policy.allowKexNids = words.map((w) => KEMS.get(w)!);
    return "set";
  }
  if (key === "min-kex") {
    if (!KEMS.has(value)) return "bad";
    policy.minKexNid = kexByWord(value as KexWord).nid;
    return "set";
  }
  return "unknown";
}
