/**
 * The security files of names: where they are, whether they may be used, and what is in them, read
 * again when they change (spec 40 §12, §13).
 *
 * "Absent" and "cannot be used" are different: only a default file that does not exist means "off".
 * A file that was asked for and is gone, half of a certificate and key pair, a file that cannot be
 * read, and a private key that others can read refuse the flow (spec 40 §18.4, 21, 22).
 */

import { dirname } from "@std/path";
import type { Logger } from "../lib/log.ts";
import { NAME_BYTES_MAX } from "../lib/limits.ts";
import { PeerCertificate } from "./certificate.ts";
import type { Credentials } from "./credentials.ts";
import { sha256 } from "./digest.ts";
import { ENC_NONE, type EncConf, EncConfError, parseEncConf } from "./enc_conf.ts";
import { type Caller, checkPathsReadableBy, permitted } from "./path_access.ts";
import { parsePem, readPem } from "./pem.ts";
import { withReason } from "./reason.ts";
import { PRIVATE_LABELS, SigningKey } from "./signing_key.ts";
import { lookAtDirs, othersMayWrite, othersMayWriteDirs } from "./writable.ts";

/** Files beyond this are refused, bytes. */
const FILE_BYTES_MAX = 1 << 20;
/** After a change within this time the next could look the same: contents are compared, ms. */
const RACY_MS = 2500;
/** Files remembered. */
const CACHED_MAX = 4096;

/** Files of a name, with the request of `ouro pki request`. */
const FILES: ReadonlySet<string> = new Set([
  ...["enc.conf", "enc.cfg", "crt.pem", "key.pem", "csr.pem"],
  ...["kex.key.pem", "kex.key.raw", "kex.srv.pub.pem", "kex.srv.pub.raw"],
]);

/** The two halves of the security directory. */
export type Side = "server" | "client";

/** What a file is read as; one path may be read as two kinds. */
type Kind = "enc" | "crt" | "key" | "kem-public" | "kem-key";

/** What became of a file. */
export type Loaded<T> =
  | { readonly state: "absent" }
  | { readonly state: "unusable"; readonly reason: string }
  | { readonly state: "ok"; readonly value: T };

/** A refusal with the path that caused it. */
export interface FileRefusal {
  readonly path: string;
  readonly reason: string;
}

/** Whether something is a refusal. */
export function isFileRefusal(x: unknown): x is FileRefusal {
  return typeof x === "object" && x !== null && "path" in x && "reason" in x;
}

/** Files of one side of a name; paths are complete, `explicit` tells which were asked for. */
export interface SideFiles {
  readonly dir: string;
  readonly enc: string;
  readonly crt: string;
  readonly key: string;
  /** The directory was surely not there. */
  readonly absent: boolean;
  readonly explicit: { readonly enc: boolean; readonly crt: boolean; readonly key: boolean };
  /** Who asked for the explicit paths, `undefined` for root or the daemon's user. */
  readonly owner: Caller | undefined;
}

/** Why a name cannot be part of a path; `undefined` when it can. */
export function nameRefusal(name: string): string | undefined {
  if (name === "" || name === "." || name === "..") return `"${name}" is no name for files`;
  // deno-lint-ignore no-control-regex -- they are what is refused
  if (/[/\x00]/.test(name)) return `the name "${name}" would leave the security directory`;
  if (new TextEncoder().encode(name).length > NAME_BYTES_MAX) return "the name is too long";
  return undefined;
}

interface Stamp {
  readonly key: string;
  readonly changedMs: number;
}

interface Cached {
  readonly stamp: string;
  /** Whether an unchanged stamp proves unchanged contents. */
  readonly settled: boolean;
  /** SHA-256 of the contents: what was parsed before need not be parsed again. */
  readonly hash: string;
  readonly loaded: Loaded<unknown>;
}

/** Reads and remembers files. */
export class SecurityFiles {
  readonly #cache = new Map<string, Cached>();
  readonly #uid: number;

  constructor(readonly securityDir: string, readonly log: Logger) {
    this.#uid = Deno.uid() ?? 0;
  }

  /** The files of a side; a name that would leave the directory is refused. */
  locate(
    side: Side,
    name: string,
    paths: { enc: string; crt: string; key: string },
    dir: string,
    owner?: Caller,
  ): SideFiles | FileRefusal {
    const refused = nameRefusal(name);
    if (refused) return { path: `${this.securityDir}/${side}`, reason: refused };
    const base = dir || `${this.securityDir}/${side}/${name}`;
    const top = base.startsWith(`${this.securityDir}/`) ? dirname(this.securityDir) : base;
    const { open, absent } = lookAtDirs(base, top, owner?.uid);
    if (open) return { path: base, reason: open };
    for (const path of [paths.enc, paths.crt, paths.key]) {
      // Others could put another file of root's in its place.
      const reason = path && othersMayWriteDirs(dirname(path), dirname(path), owner?.uid);
      if (reason) return { path, reason };
    }
    return {
      dir: base,
      absent,
      enc: paths.enc || `${base}/enc.conf`,
      crt: paths.crt || `${base}/crt.pem`,
      key: paths.key || `${base}/key.pem`,
      explicit: { enc: paths.enc !== "", crt: paths.crt !== "", key: paths.key !== "" },
      owner,
    };
  }

  /** What is in the directory of a name and is looked at by nobody, such as `enc.conf.txt`. */
  strangers(f: SideFiles): string[] {
    try {
      return [...Deno.readDirSync(f.dir)].map((e) => e.name).filter((n) => !FILES.has(n)).sort();
    } catch {
      return [];
    }
  }

  /** Whether nothing is configured: no directory, and no path was asked for. */
  isBare(f: SideFiles): boolean {
    if (f.explicit.enc || f.explicit.crt || f.explicit.key) return false;
    return f.absent;
  }

  /** Certificate and key; `null` when neither is there. */
  async credentials(f: SideFiles, name: string): Promise<Credentials | null | FileRefusal> {
    if (this.isBare(f)) {
      this.log.dbg(`No authentication certificates for ${name}.`);
      return null;
    }
    const crt = await this.#load("crt", f.crt, f.explicit.crt ? f.owner : undefined, (b) => {
      const text = new TextDecoder().decode(b);
      this.#sayUnused(f.crt, text, (label) => label === "CERTIFICATE");
      return Promise.resolve(PeerCertificate.readPem(text));
    });
    const key = await this.#load("key", f.key, f.explicit.key ? f.owner : undefined, async (b) => {
      const text = new TextDecoder().decode(b);
      this.#sayUnused(f.key, text, (label) => label in PRIVATE_LABELS);
      const blocks = parsePem(text);
      const block = blocks.find((x) => x.label in PRIVATE_LABELS);
      if (!block) {
        const locked = blocks.some((x) => x.label.includes("ENCRYPTED"));
        return locked ? "the private key is encrypted" : "no PEM private key in it";
      }
      if (block.encrypted) return "the private key is encrypted";
      try {
        return await SigningKey.fromDer(block.label, block.bytes);
      } finally {
        block.bytes.fill(0);
      }
    });
    const asked = f.explicit.crt || f.explicit.key;
    if (crt.state === "absent" && key.state === "absent" && !asked) {
      this.log.dbg(`No authentication certificates for ${name}.`);
      return null;
    }
    if (crt.state !== "ok") return this.#refuse("error", f.crt, name, missing(crt));
    if (key.state !== "ok") return this.#refuse("error", f.key, name, missing(key));
    this.log.dbg(`Loaded authentication certificates for ${name}.`);
    return { certificate: crt.value, key: key.value };
  }

  /** As the prototype does, the first of several is used; that is said, and what is damaged as well. */
  #sayUnused(path: string, pem: string, counts: (label: string) => boolean): void {
    const { blocks, damage } = readPem(pem);
    const found = blocks.filter((x) => counts(x.label)).length;
    const what = path.endsWith("key.pem") || blocks.some((x) => x.label in PRIVATE_LABELS)
      ? "private keys"
      : "certificates";
    if (found > 1) {
      const sent = what === "certificates" ? " and sent (issuers belong in untrusted/)" : "";
      this.log.warn(`${path}: of its ${found} ${what} the first alone is used${sent}.`);
    }
    if (found > 0 && damage !== undefined) this.log.warn(`${path}: ${damage}.`);
  }

  /** Encryption settings; those of `none` when there is no file. */
  async encConf(f: SideFiles, name: string): Promise<EncConf | FileRefusal> {
    if (this.isBare(f)) return this.#encNone(f, name);
    const parse = (b: Uint8Array<ArrayBuffer>, path: string) => {
      const parsed = parseEncConf(b);
      if (parsed instanceof EncConfError) return Promise.resolve(`${parsed}`);
      for (const line of parsed.ignored) this.log.warn(`${path}: ${line}.`);
      return Promise.resolve(parsed.conf);
    };
    let path = f.enc;
    const owner = f.explicit.enc ? f.owner : undefined;
    let loaded = await this.#load("enc", path, owner, (b) => parse(b, path));
    if (loaded.state === "absent" && f.explicit.enc) {
      return this.#refuse("warn", path, name, missing(loaded));
    }
    if (loaded.state === "absent") {
      // The name of the file before 0.23, where its presence alone meant encryption.
      const old = `${f.dir}/enc.cfg`;
      loaded = await this.#load("enc", old, undefined, (b) => parse(b, old));
      if (loaded.state !== "absent") {
        path = old;
        this.log.warn(`Using ${old} for ${name}: rename it to enc.conf.`);
      }
    }
    if (loaded.state === "unusable") return this.#refuse("warn", path, name, loaded.reason);
    if (loaded.state === "absent") return this.#encNone(f, name);
    const conf = loaded.value;
    if (conf.kexNid === 0) this.log.dbg(`Key exchange not configured for ${name}.`);
    else this.log.dbg(`Encryption enabled for ${name}.`);
    return conf;
  }

  #encNone(f: SideFiles, name: string): EncConf {
    this.log.dbg(`File ${f.enc} does not exist.`);
    this.log.dbg(`No encryption ${f.enc} for ${name}.`);
    this.log.dbg(`Key exchange not configured for ${name}.`);
    return ENC_NONE;
  }

  /** A static KEM key, private or public. Absent is unusable: it was asked for. */
  async kemKey<T>(
    kind: "kem-public" | "kem-key",
    path: string,
    parse: (bytes: Uint8Array<ArrayBuffer>) => Promise<T | undefined>,
  ): Promise<T | FileRefusal> {
    const loaded = await this.#load(
      kind,
      path,
      undefined,
      async (b) => await parse(b) ?? "no usable key",
    );
    return loaded.state === "ok" ? loaded.value as T : { path, reason: missing(loaded) };
  }

  #refuse(level: "warn" | "error", path: string, name: string, reason: string): FileRefusal {
    this.log[level](withReason(`Failed to load ${path} for ${name}.`, reason));
    return { path, reason };
  }

  async #load<T>(
    kind: Kind,
    path: string,
    owner: Caller | undefined,
    parse: (bytes: Uint8Array<ArrayBuffer>) => Promise<T | string>,
  ): Promise<Loaded<T>> {
    const isPrivate = kind === "key" || kind === "kem-key";
    const slot = `${kind} ${path}`;
    const now = this.#stat(path, isPrivate, owner);
    if (typeof now === "string") {
      this.#cache.delete(slot);
      return now === "" ? { state: "absent" } : { state: "unusable", reason: now };
    }
    const held = this.#cache.get(slot);
    if (held?.settled && held.stamp === now.key) return held.loaded as Loaded<T>;
    const bytes = readAs(path, now.key);
    if (typeof bytes === "string") return { state: "unusable", reason: bytes };
    const hash = sha256(bytes).toHex();
    let loaded = held?.loaded as Loaded<T> | undefined;
    if (!loaded || held?.hash !== hash) {
      const value = await parse(bytes);
      loaded = typeof value === "string"
        ? { state: "unusable", reason: value }
        : { state: "ok", value };
    }
    if (isPrivate) bytes.fill(0);
    const settled = Math.abs(Date.now() - now.changedMs) > RACY_MS;
    if (this.#cache.size >= CACHED_MAX) this.#cache.delete(this.#cache.keys().next().value!);
    this.#cache.set(slot, { stamp: now.key, settled, hash, loaded });
    return loaded;
  }

  /** The stamp of a file; `""` when it does not exist, else the reason why it cannot be used. */
  #stat(path: string, isPrivate: boolean, owner?: Caller): Stamp | string {
    let s: Deno.FileInfo | undefined;
    try {
      s = Deno.lstatSync(path);
      if (s.isSymlink) s = Deno.statSync(path);
    } catch (e) {
      if (!(e instanceof Deno.errors.NotFound)) return `cannot be read (${text(e)})`;
      // A link to nothing is not absent: somebody meant a file to be there.
      return s ? "is a link to a file that does not exist" : "";
    }
    if (!s.isFile) return "is not a regular file";
    if (s.size > FILE_BYTES_MAX) return `is too large (${s.size} bytes)`;
    const mode = s.mode ?? 0;
    if (isPrivate && (mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, "0");
      return `others than its owner can use it (mode ${octal}, want 0600: chmod 600 ${path})`;
    }
    // The path was readable when it was given; a link may have been put in its place since.
    if (owner && (!permitted(s, owner, 4) || checkPathsReadableBy([path], owner.uid, owner.gids))) {
      return `cannot be read by uid ${owner.uid}, who asked for it`;
    }
    if (isPrivate && s.uid !== 0 && s.uid !== this.#uid && s.uid !== owner?.uid) {
      return `belongs to uid ${s.uid}, not to root or this daemon`;
    }
    const open = othersMayWrite(path, s, owner?.uid);
    if (open) return open.slice(path.length + 1);
    const changedMs = Math.max(s.mtime?.getTime() ?? 0, s.ctime?.getTime() ?? 0);
    return { key: stampKey(s), changedMs };
  }
}

function stampKey(s: Deno.FileInfo): string {
  const { dev, ino, size, mode, uid, gid } = s;
  return [dev, ino, size, s.mtime?.getTime(), s.ctime?.getTime(), mode, uid, gid].join();
}

/** Reads the very file that has this stamp, not one that took its place meanwhile. */
function readAs(path: string, key: string): Uint8Array<ArrayBuffer> | string {
  try {
    using file = Deno.openSync(path);
    const before = file.statSync();
    if (stampKey(before) !== key) return "changed while it was read";
    const bytes = new Uint8Array(before.size);
    for (let at = 0; at < bytes.length;) {
      const n = file.readSync(bytes.subarray(at));
      if (n === null) return "changed while it was read";
      at += n;
    }
    return stampKey(file.statSync()) === key ? bytes : "changed while it was read";
  } catch (e) {
    return `cannot be read (${text(e)})`;
  }
}

function missing(l: Loaded<unknown>): string {
  return l.state === "unusable" ? l.reason : "does not exist";
}

function text(e: unknown): string {
  return e instanceof Error ? e.message : String(e);
}
