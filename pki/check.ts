/** `ouro pki check`: the files of names as the IRMd would load them, and what it would say. */

import { type Level, Logger } from "../lib/log.ts";
import { kexByNid } from "../lib/wire/oap_ids.ts";
import { isFileRefusal, SecurityFiles, type Side } from "../security/files.ts";
import { checkMinKex } from "../security/oap/negotiate.ts";
import { TrustFiles } from "../security/trust_files.ts";
import { nameOf } from "../security/x509/path.ts";
import { expiryWarning } from "./inventory.ts";
import type { Report } from "./show.ts";

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly text: string;
  /** What is passed over or will not last; the files are used all the same. */
  readonly warnings: readonly string[];
}

/** A finding before its warnings are known, with those that are known already. */
type Checked = Omit<Finding, "warnings"> & { readonly more?: readonly string[] };

/** Checks the trust store and one name, or all that have files. */
export async function check(securityDir: string, only: string | undefined): Promise<Report> {
  const said: string[] = [];
  const sink = (level: Level, _prefix: string, text: string) => {
    if (level === "WW" && !text.startsWith("Failed to load")) said.push(text.replace(/\.$/, ""));
  };
  const log = new Logger(sink, "pki");
  const trust = new TrustFiles(securityDir, log);
  const findings: Finding[] = [];
  const failed = trust.load();
  const store = trust.current();
  findings.push({
    what: "trust store",
    ok: failed === undefined,
    text: failed ?? `${typeof store === "string" ? 0 : store.size} certificates`,
    warnings: [
      ...said.splice(0),
      ...trust.strangers().map((name) => `nobody looks at ${securityDir}/${name}`),
    ],
  });
  const files = new SecurityFiles(securityDir, log);
  for (const side of ["server", "client"] as const) {
    for (const name of only === undefined ? namesOf(securityDir, side) : [only]) {
      const finding = await checkName(files, trust, side, name);
      const { what, ok, text, more = [] } = finding;
      findings.push({ what, ok, text, warnings: [...said.splice(0), ...more] });
    }
  }
  return {
    ok: findings.every((f) => f.ok),
    text: findings.map(lines).join(""),
    json: { findings },
  };
}

function lines(f: Finding): string {
  const warnings = f.warnings.map((w) => `warn ${f.what}: ${w}\n`);
  return [`${f.ok ? "ok  " : "FAIL"} ${f.what}: ${f.text}\n`, ...warnings].join("");
}

function namesOf(securityDir: string, side: Side): string[] {
  try {
    return [...Deno.readDirSync(`${securityDir}/${side}`)].map((e) => e.name).sort();
  } catch {
    return [];
  }
}

async function checkName(
  files: SecurityFiles,
  trust: TrustFiles,
  side: Side,
  name: string,
): Promise<Checked> {
  const what = `${side} ${name}`;
  const bad = (text: string) => ({ what, ok: false, text });
  const located = files.locate(side, name, { enc: "", crt: "", key: "" }, "");
  if (isFileRefusal(located)) return bad(located.reason);
  if (files.isBare(located)) return { what, ok: true, text: "no files: its flows are plain" };
  const credentials = await files.credentials(located, name);
  if (isFileRefusal(credentials)) return bad(`${credentials.path} ${credentials.reason}`);
  const conf = await files.encConf(located, name);
  if (isFileRefusal(conf)) return bad(`${conf.path}: ${conf.reason}`);
  const kex = kexByNid(conf.kexNid);
  const weak = side === "client" && kex ? checkMinKex(kex, conf.policy) : undefined;
  if (weak) return bad(`${located.enc}: ${weak.text}`);
  const said: string[] = [];
  const more = files.strangers(located).map((f) => `nobody looks at ${located.dir}/${f}`);
  if (credentials) {
    const { certificate, key } = credentials;
    const probe = new Uint8Array(32);
    const signature = await key.sign(conf.digestNid, probe);
    if (!signature) return bad(`the ${key.kind.type} key cannot sign beside this enc.conf`);
    if (!await certificate.key?.verify(conf.digestNid, probe, signature)) {
      return bad("certificate and key are not a pair");
    }
    const role = certificate.roleReason(side);
    if (role !== undefined) return bad(`the certificate: ${role}`);
    const store = trust.current();
    const verdict = typeof store === "string"
      ? { ok: false as const, reason: store }
      : await store.verify(certificate, Date.now());
    if (!verdict.ok) return bad(verdict.reason);
    const believed = certificate.without(verdict.excludedNames);
    if (side === "server" && !believed.isFor(name, conf.policy.strictCrt)) {
      const excluded = verdict.excludedNames.includes(name)
        ? `: its CAs' constraints exclude "${name}"`
        : "";
      return bad(`the certificate is for "${believed.name ?? ""}"${excluded}`);
    }
    const until = certificate.x509.notAfter.value.toISOString().slice(0, 10);
    const now = Date.now();
    verdict.path.forEach((c, i) => {
      const which = i === 0 ? "the certificate" : `its issuer's ${nameOf(c)}`;
      const warning = expiryWarning(which, c.notAfterMs, now);
      if (warning !== undefined) more.push(warning);
    });
    said.push(`authenticates as ${certificate.name} until ${until}`);
  } else said.push("no authentication");
  said.push(kex ? `encrypts with ${kex.word}` : "no encryption of its own");
  return { what, ok: true, text: said.join(", "), more };
}
