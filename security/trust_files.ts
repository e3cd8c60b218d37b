/**
 * The trust store from its directories `cacert/` and `untrusted/` (spec 40 §13.2), and ours `revoked/`:
 * loaded at start, where a damaged entry stops the IRMd, and again when a directory or a file in it
 * changed.
 */

import { dirname } from "@std/path";
import type { Logger } from "../lib/log.ts";
import { PeerCertificate } from "./certificate.ts";
import { readPem } from "./pem.ts";
import { withReason } from "./reason.ts";
import { TrustStore } from "./trust.ts";
import { othersMayWrite, othersMayWriteDirs } from "./writable.ts";

const DIRECTORIES = [
  { name: "cacert", failed: "Failed to load CA certificates." },
  { name: "untrusted", failed: "Failed to load intermediate certificates." },
  { name: "revoked", failed: "Failed to load revoked certificates." },
] as const;

/** What else is in a security directory. */
const OTHERS = ["server", "client", "issued", "private"];

/** Where the certificates of a store are. */
export interface TrustDirectories {
  readonly cacert: string;
  readonly untrusted: string;
  readonly revoked: string;
}

/** The store of an IRMd. */
export class TrustFiles {
  #store: TrustStore | undefined;
  #stamp = "";
  #failure = "";

  readonly #directories: TrustDirectories;

  /** The store below a security directory, or in the directories that are named. */
  constructor(securityDir: string, readonly log: Logger, named: Partial<TrustDirectories> = {}) {
    this.#directories = {
      cacert: named.cacert ?? `${securityDir}/cacert`,
      untrusted: named.untrusted ?? `${securityDir}/untrusted`,
      revoked: named.revoked ?? `${securityDir}/revoked`,
    };
  }

  /** What lies beside the directories and is looked at by nobody, such as `revoke/` for `revoked/`. */
  strangers(): string[] {
    const known: ReadonlySet<string> = new Set([...DIRECTORIES.map((d) => d.name), ...OTHERS]);
    try {
      return [...Deno.readDirSync(dirname(this.#directories.cacert))].map((e) => e.name)
        .filter((name) => !known.has(name)).sort();
    } catch {
      return [];
    }
  }

  /** Loads the store; the reason when it cannot be loaded. */
  load(): string | undefined {
    const stamp = this.#stampNow();
    const certificates: PeerCertificate[] = [];
    const revoked: PeerCertificate[] = [];
    for (const { name, failed } of DIRECTORIES) {
      const dir = this.#directories[name];
      const reason = name === "revoked"
        ? this.#loadDirectory(dir, revoked, true)
        : this.#loadDirectory(dir, certificates, false);
      if (reason !== undefined) {
        this.log.error(withReason(failed, reason));
        this.#store = undefined;
        this.#stamp = stamp;
        return this.#failure = reason;
      }
    }
    this.#store = new TrustStore(certificates, revoked);
    this.#stamp = stamp;
    this.#failure = "";
    return undefined;
  }

  /**
   * The store as the files are now. After a change that cannot be loaded there is none: an operator
   * who took a root away must not be left with it.
   */
  current(): TrustStore | string {
    const loaded = this.#store !== undefined || this.#failure !== "";
    if (!loaded || this.#stampNow() !== this.#stamp) this.load();
    return this.#store ?? `the trust store cannot be loaded: ${this.#failure}`;
  }

  #stampNow(): string {
    const parts: string[] = [];
    for (const { name } of DIRECTORIES) {
      const dir = this.#directories[name];
      // Whether others may write there counts as well.
      for (const at of [dir, dirname(dir), dirname(dirname(dir))]) parts.push(accessOf(at));
      try {
        for (const e of [...Deno.readDirSync(dir)].map((x) => x.name).sort()) {
          parts.push(e, stampOf(`${dir}/${e}`));
        }
      } catch {
        parts.push(`no ${name}`);
      }
    }
    return parts.join("\n");
  }

  /** The first certificate of a file, as the prototype takes it; others in it only mean fewer that are trusted. */
  #first(path: string, text: string): PeerCertificate[] | string {
    const c = PeerCertificate.readPem(text);
    if (typeof c === "string") return c;
    const { blocks, damage } = readPem(text);
    if (damage !== undefined) this.log.warn(`${path}: ${damage}.`);
    if (blocks.length > 1) {
      this.log.warn(`${path} has ${blocks.length} blocks; only the first certificate counts.`);
    }
    return [c];
  }

  #loadDirectory(
    dir: string,
    into: PeerCertificate[],
    isRevoked: boolean,
  ): string | undefined {
    const { log } = this;
    const open = othersMayWriteDirs(dir, dirname(dirname(dir)));
    if (open !== undefined) {
      log.error(`${open}.`);
      return open;
    }
    let entries: string[];
    try {
      entries = [...Deno.readDirSync(dir)].map((e) => e.name).sort();
    } catch (e) {
      const isLink = linkAt(dir);
      if (e instanceof Deno.errors.NotFound && !isLink) {
        log.dbg(`Store directory ${dir} not found.`);
        return undefined;
      }
      const reason = isLink && e instanceof Deno.errors.NotFound
        ? `${dir} is a link to nothing`
        : e instanceof Deno.errors.NotADirectory
        ? `${dir} is not a directory`
        : `${dir} cannot be read`;
      log.error(`${reason}.`);
      return reason;
    }
    for (const name of entries) {
      const path = `${dir}/${name}`;
      try {
        const s = Deno.statSync(path);
        if (!s.isFile) {
          log.error(`${path} is not a regular file.`);
          return `${path} is not a regular file`;
        }
        const open = othersMayWrite(path, s);
        if (open !== undefined) {
          log.error(`${open}.`);
          return open;
        }
      } catch {
        // A missing root refuses more; a missing revocation would let somebody in.
        if (isRevoked) return `${path} cannot be read (a link to nothing?)`;
        log.warn(`${path} cannot be read and is left out.`);
        continue;
      }
      let found: PeerCertificate[] | string;
      try {
        const text = Deno.readTextFileSync(path);
        found = isRevoked ? PeerCertificate.readAllPem(text) : this.#first(path, text);
      } catch {
        found = "it cannot be read";
      }
      if (typeof found === "string") {
        log.error(withReason(`Failed to load certificate from ${path}.`, found));
        return `${path}: ${found} (take other files out of ${dir})`;
      }
      into.push(...found);
      log.dbg(`Loaded certificate: ${path}.`);
    }
    log.info(`Loaded certificates from ${dir}.`);
    return undefined;
  }
}

/** Whether there is a link, to whatever. */
function linkAt(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch {
    return false;
  }
}

function accessOf(path: string): string {
  try {
    const { mode, uid, gid } = Deno.statSync(path);
    return `${mode},${uid},${gid}`;
  } catch {
    return "-";
  }
}

function stampOf(path: string): string {
  try {
    const s = Deno.statSync(path);
    return [s.dev, s.ino, s.size, s.mtime?.getTime(), s.ctime?.getTime(), s.mode, s.uid].join();
  } catch {
    return "-";
  }
}
