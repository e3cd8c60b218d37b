/**
 * The trust store from its directories `cacert/` and `untrusted/` (spec 40 §13.2), and ours `revoked/`:
 * loaded at start, where a damaged entry stops the IRMd, and again when a directory or a file in it
 * changed.
 */

import type { Logger } from "../lib/log.ts";
import { PeerCertificate } from "./certificate.ts";
import { TrustStore } from "./trust.ts";

const DIRECTORIES = [
  { name: "cacert", failed: "Failed to load CA certificates." },
  { name: "untrusted", failed: "Failed to load intermediate certificates." },
  { name: "revoked", failed: "Failed to load revoked certificates." },
] as const;

/** The store of an IRMd. */
export class TrustFiles {
  #store: TrustStore | undefined;
  #stamp = "";
  #failure = "";

  constructor(readonly securityDir: string, readonly log: Logger) {}

  /** Loads the store; the reason when it cannot be loaded. */
  async load(): Promise<string | undefined> {
    const stamp = this.#stampNow();
    const certificates: PeerCertificate[] = [];
    const revoked: PeerCertificate[] = [];
    for (const { name, failed } of DIRECTORIES) {
      const dir = `${this.securityDir}/${name}`;
      const reason = this.#loadDirectory(dir, name === "revoked" ? revoked : certificates);
      if (reason !== undefined) {
        this.log.error(failed);
        this.#store = undefined;
        this.#stamp = stamp;
        return this.#failure = reason;
      }
    }
    this.#store = await TrustStore.of(certificates, revoked);
    this.#stamp = stamp;
    this.#failure = "";
    return undefined;
  }

  /**
   * The store as the files are now. After a change that cannot be loaded there is none: an operator
   * who took a root away must not be left with it.
   */
  async current(): Promise<TrustStore | string> {
    const loaded = this.#store !== undefined || this.#failure !== "";
    if (!loaded || this.#stampNow() !== this.#stamp) await this.load();
    return this.#store ?? `the trust store cannot be loaded: ${this.#failure}`;
  }

  #stampNow(): string {
    const parts: string[] = [];
    for (const { name } of DIRECTORIES) {
      const dir = `${this.securityDir}/${name}`;
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

  #loadDirectory(dir: string, into: PeerCertificate[]): string | undefined {
    const { log } = this;
    let entries: string[];
    try {
      entries = [...Deno.readDirSync(dir)].map((e) => e.name).sort();
    } catch (e) {
      if (e instanceof Deno.errors.NotFound) {
        log.dbg(`Store directory ${dir} not found.`);
        return undefined;
      }
      const reason = e instanceof Deno.errors.NotADirectory
        ? `${dir} is not a directory`
        : `${dir} cannot be read`;
      log.error(`${reason}.`);
      return reason;
    }
    for (const name of entries) {
      const path = `${dir}/${name}`;
      try {
        if (!Deno.statSync(path).isFile) {
          log.dbg(`${path} is not a regular file.`);
          return `${path} is not a regular file`;
        }
      } catch {
        log.dbg(`Failed to stat ${path}.`);
        continue;
      }
      let certificate: PeerCertificate | undefined;
      try {
        certificate = PeerCertificate.fromPem(Deno.readTextFileSync(path));
      } catch {
        // Reported below like a damaged one.
      }
      if (!certificate) {
        log.error(`Failed to load certificate from ${path}.`);
        return `${path} has no PEM certificate (take other files out of ${dir})`;
      }
      into.push(certificate);
      log.dbg(`Loaded certificate: ${path}.`);
    }
    log.info(`Loaded certificates from ${dir}.`);
    return undefined;
  }
}

function stampOf(path: string): string {
  try {
    const s = Deno.statSync(path);
    return [s.dev, s.ino, s.size, s.mtime?.getTime(), s.ctime?.getTime()].join();
  } catch {
    return "-";
  }
}
