/** What the security tests share: a security directory in a temp directory, a log that is kept. */

import { type Level, Logger } from "../../lib/log.ts";
import { type OapOptions, OapService } from "../../security/oap/mod.ts";
import type { NameSecurity } from "../../security/oap/types.ts";
import type { MakeOptions } from "../../pki/make.ts";
import { encodePem } from "../../security/pem.ts";

/** Paths left to their defaults. */
export const DEFAULTS: NameSecurity = {
  server: { enc: "", crt: "", key: "" },
  client: { enc: "", crt: "", key: "" },
  serverDir: "",
  clientDir: "",
};

/** Lines of a log, as `<prefix>(<level>): <text>`. */
export class KeptLog {
  readonly lines: string[] = [];
  readonly logger: Logger;

  constructor(debug = false) {
    this.logger = new Logger(
      (level: Level, prefix, text) => this.lines.push(`${prefix}(${level}): ${text}`),
      "irmd/oap",
      debug,
    );
  }

  /** Errors and warnings only, with a path replaced as the vectors do and without the reasons, which are ours. */
  problems(encPath = ""): string[] {
    return this.lines.filter((l) => /\((EE|WW)\):/.test(l)).map((l) => {
      const words = l.replace(/ Reason: .*$/, "");
      return encPath === "" ? words : words.replace(encPath, "<enc>");
    });
  }

  has(part: string): boolean {
    return this.lines.some((l) => l.includes(part));
  }
}

/** A security directory that goes away with its scope. */
export class SecDir implements Disposable {
  readonly dir = Deno.makeTempDirSync({ prefix: "ouro-sec-" });

  write(path: string, contents: string | Uint8Array, mode = 0o600): string {
    const full = `${this.dir}/${path}`;
    Deno.mkdirSync(full.slice(0, full.lastIndexOf("/")), { recursive: true });
    if (typeof contents === "string") Deno.writeTextFileSync(full, contents);
    else Deno.writeFileSync(full, contents);
    Deno.chmodSync(full, mode);
    return full;
  }

  certificate(path: string, der: Uint8Array): string {
    return this.write(path, encodePem("CERTIFICATE", der), 0o644);
  }

  key(path: string, pkcs8: Uint8Array, mode = 0o600): string {
    return this.write(path, encodePem("PRIVATE KEY", pkcs8), mode);
  }

  service(log: KeptLog, options: Partial<OapOptions> = {}): OapService {
    return new OapService({ securityDir: this.dir, log: log.logger, startedNs: 0n, ...options });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** `assert` that also tells the type checker, which knows no types of the one of std. */
export function ensure(condition: unknown, message = "condition does not hold"): asserts condition {
  if (!condition) throw new Error(message);
}

/** Options of `ouro pki` for a directory. */
export function pkiOptions(securityDir: string, over: Partial<MakeOptions> = {}): MakeOptions {
  return {
    securityDir,
    keyType: "p256",
    days: undefined,
    organization: "test",
    encrypt: false,
    kex: undefined,
    cipher: undefined,
    requireAuth: false,
    force: false,
    ...over,
  };
}
