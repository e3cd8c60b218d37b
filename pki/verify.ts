/** `ouro pki verify`: whether a certificate is trusted, by which path, or why not. */

import { fileCause } from "../lib/cli/reason.ts";
import { Logger } from "../lib/log.ts";
import { PeerCertificate } from "../security/certificate.ts";
import { printable } from "../lib/printable.ts";
import { readPem } from "../security/pem.ts";
import { TrustFiles } from "../security/trust_files.ts";
import { nameOf } from "../security/x509/path.ts";
import { PkiError } from "./files.ts";
import type { Report } from "./show.ts";

/** What is asked. */
export interface VerifyOptions {
  /** File of the certificate. */
  readonly leaf: string;
  readonly securityDir: string;
  /** Directories in place of those of the security directory. */
  readonly cacert?: string | undefined;
  readonly untrusted?: string | undefined;
  readonly revoked?: string | undefined;
  /** The name that it must be for. */
  readonly name?: string | undefined;
  /** ms since 1970. */
  readonly atMs: number;
}

/** Verifies one certificate as the IRMd would. A store that cannot be loaded is a refusal, too. */
export async function verify(o: VerifyOptions): Promise<Report> {
  let text: string;
  try {
    text = await Deno.readTextFile(o.leaf);
  } catch (e) {
    throw new PkiError(`cannot read ${o.leaf}: ${fileCause(e)}`);
  }
  const warnings: string[] = [];
  const said = () => warnings.map((w) => `warn ${w}\n`).join("");
  const log = new Logger((level, _prefix, line) => {
    if (level === "WW") warnings.push(printable(line.replace(/\.$/, "")));
  }, "pki");
  const refused = (reason: string): Report => ({
    ok: false,
    text: `${o.leaf}: refused: ${reason}\n${said()}`,
    json: { file: o.leaf, ok: false, reason, warnings },
  });
  for (const dir of [o.cacert, o.untrusted, o.revoked]) {
    if (dir === undefined) continue;
    try {
      await Array.fromAsync(Deno.readDir(dir));
    } catch (e) {
      // No intermediates make less trusted, not more.
      if (dir === o.untrusted && e instanceof Deno.errors.NotFound) continue;
      throw new PkiError(`cannot read ${dir}: ${fileCause(e)}`);
    }
  }
  const { blocks, damage } = readPem(text);
  if (blocks.length > 1) {
    warnings.push(`${o.leaf}: of its ${blocks.length} blocks the first certificate counts`);
  }
  if (damage !== undefined) warnings.push(`${o.leaf}: ${damage}`);
  const leaf = PeerCertificate.readPem(text);
  if (typeof leaf === "string") return refused(leaf);
  const files = new TrustFiles(o.securityDir, log, {
    ...(o.cacert === undefined ? {} : { cacert: o.cacert }),
    ...(o.untrusted === undefined ? {} : { untrusted: o.untrusted }),
    ...(o.revoked === undefined ? {} : { revoked: o.revoked }),
  });
  const store = files.current();
  if (typeof store === "string") return refused(store);
  if (leaf.key === undefined) return refused(leaf.keyReason);
  const verdict = await store.verify(leaf, o.atMs);
  if (!verdict.ok) return refused(printable(verdict.reason));
  const named = leaf.without(verdict.excludedNames);
  const misnamed = o.name === undefined ? undefined : named.whyNotFor(o.name, false);
  if (misnamed !== undefined) return refused(misnamed);
  const names = named.namesThatCount(false);
  const path = verdict.path.map((c) => printable(nameOf(c)));
  const lines = path.map((c, i) => `  ${i} ${c}\n`);
  return {
    ok: true,
    text: `${o.leaf}: OK\n${lines.join("")}${said()}`,
    json: { file: o.leaf, ok: true, names, path, sha1: verdict.sha1, warnings },
  };
}
