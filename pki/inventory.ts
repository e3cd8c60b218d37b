/** The certificates of a security directory: what `list` shows, and what `revoke` and `unrevoke` look in. */

import { PeerCertificate } from "../security/certificate.ts";
import { Logger, nullSink } from "../lib/log.ts";
import { printable } from "../lib/printable.ts";
import { TrustFiles } from "../security/trust_files.ts";
import { readCertificate } from "./ca.ts";
import { exists, PkiError, refuseBadNames, writeAll } from "./files.ts";
import { certificate, dayOf, describe, made, type MakeOptions } from "./make.ts";
import type { Report } from "./show.ts";

/** Certificates that end within this time are warned about, ms. */
export const EXPIRY_WARNING_MS = 30 * 86_400_000;

/** One certificate that was found. */
export interface Found {
  readonly path: string;
  readonly certificate: PeerCertificate;
  readonly serial: string;
}

/** A warning about a certificate that ends soon; `undefined` for others. */
export function expiryWarning(what: string, notAfterMs: number, nowMs: number): string | undefined {
  const left = notAfterMs - nowMs;
  if (left > EXPIRY_WARNING_MS) return undefined;
  if (left < 0) return `${what} expired on ${dayOf(notAfterMs)}`;
  return `${what} expires in ${Math.floor(left / 86_400_000)} days, on ${dayOf(notAfterMs)}`;
}

function entries(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map((e) => `${dir}/${e.name}`).sort();
  } catch {
    return [];
  }
}

/** Certificates in the files of a directory, with those that cannot be read. */
function inDirectory(dir: string, damaged: string[]): Found[] {
  return entries(dir).flatMap((path) => inFile(path, damaged));
}

function inFile(path: string, damaged: string[]): Found[] {
  let all: PeerCertificate[] | string;
  try {
    all = PeerCertificate.readAllPem(Deno.readTextFileSync(path));
  } catch {
    all = "it cannot be read";
  }
  if (typeof all === "string") {
    damaged.push(`${path}: ${all}`);
    return [];
  }
  return all.map((c) => ({ path, certificate: c, serial: c.view.serial.toHex() }));
}

function inventory(securityDir: string, damaged: string[]): Found[] {
  const leaves = ["server", "client"].flatMap((side) =>
    entries(`${securityDir}/${side}`).map((d) => `${d}/crt.pem`).filter(exists)
      .flatMap((path) => inFile(path, damaged))
  );
  const cas = ["cacert", "untrusted"].flatMap((d) => inDirectory(`${securityDir}/${d}`, damaged));
  const here = [...cas, ...leaves];
  const known = new Set(here.map((f) => f.certificate.der.toHex()));
  const elsewhere = inDirectory(`${securityDir}/issued`, damaged)
    .filter((f) => !known.has(f.certificate.der.toHex()));
  return [...here, ...elsewhere];
}

/** `list`: all certificates, until when they last, which are revoked, and which are not trusted here. */
export async function list(o: MakeOptions): Promise<Report> {
  const now = Date.now();
  const store = new TrustFiles(o.securityDir, new Logger(nullSink, "pki")).current();
  const distrust = async (c: PeerCertificate) => {
    if (typeof store === "string") return "not trusted (see ouro pki check)";
    const verdict = await store.verify(c, now);
    return verdict.ok ? undefined : `not trusted: ${printable(verdict.reason)}`;
  };
  const damaged: string[] = [];
  const revoked = new Set(
    inDirectory(`${o.securityDir}/revoked`, damaged).flatMap(({ certificate: c }) => [
      c.view.spki.toHex(),
      `${c.view.issuer.canonical} ${c.view.serial.toHex()}`,
    ]),
  );
  const rows = [];
  for (const { path, certificate: c, serial } of inventory(o.securityDir, damaged)) {
    const { view } = c;
    const isRevoked = revoked.has(view.spki.toHex()) ||
      revoked.has(`${view.issuer.canonical} ${serial}`);
    const soon = expiryWarning("", view.notAfterMs, now)?.trim();
    const over = view.notAfterMs <= now ? soon : undefined;
    const state = isRevoked ? "revoked" : over ?? await distrust(c) ?? soon ?? "good";
    rows.push({
      path: path.replace(`${o.securityDir}/`, ""),
      name: printable(c.name ?? "<none>"),
      serial,
      notAfter: new Date(view.notAfterMs).toISOString(),
      state,
    });
  }
  const lines = rows.map((r) =>
    `${dayOf(Date.parse(r.notAfter))}  ${r.serial}  ${r.name}  (${r.path}) ${r.state}\n`
  );
  return {
    ok: damaged.length === 0,
    text: lines.join("") + damaged.map((d) => `FAIL ${d}\n`).join(""),
    json: { certificates: rows, damaged },
  };
}

/** The certificates that words mean: `server|client NAME`, a file, a serial number, or a peer's name. */
function meant(
  o: MakeOptions,
  words: readonly string[],
  where: string,
  among: () => Found[],
): Found[] {
  const [first, second] = words as [string, string | undefined];
  if (second !== undefined) {
    refuseBadNames(second);
    const path = `${o.securityDir}/${first}/${second}/crt.pem`;
    const c = readCertificate(path);
    return [{ path, certificate: c, serial: c.view.serial.toHex() }];
  }
  if (exists(first) && Deno.statSync(first).isFile) {
    const damaged: string[] = [];
    const found = inFile(first, damaged);
    if (damaged[0] !== undefined) throw new PkiError(damaged[0]);
    return found;
  }
  const all = among();
  const hex = first.replaceAll(":", "").toLowerCase().replace(/^0+(?=.)/, "");
  const serial = all.filter((f) => f.serial.replace(/^0+(?=.)/, "") === hex);
  const found = serial.length > 0 ? serial : all.filter((f) => f.certificate.name === first);
  if (found.length > 0) return found;
  throw new PkiError(`"${first}" is no file, serial number or name of a certificate ${where}`);
}

/** `revoke`: certificates are accepted nowhere that has this `revoked/`. */
export function revoke(o: MakeOptions, ...words: string[]): Report {
  const damaged: string[] = [];
  const found = meant(o, words, "here", () => inventory(o.securityDir, damaged));
  const files = new Map(found.map((f) => {
    const { der } = f.certificate;
    return [f.serial, certificate(`${o.securityDir}/revoked/${f.serial}.pem`, der)];
  }));
  writeAll([...files.values()], true);
  const report = made([...files.values()], {
    revoked: found.map((f) => describe(f.certificate.der)),
  });
  const note = "copy these files to revoked/ of every host that verifies; a renewed certificate " +
    "with the same key is revoked too\n";
  const isCa = found.some((f) => f.certificate.view.ca === true);
  const below = isCa ? "it is a CA: all that it issued is refused, too\n" : "";
  return { ...report, text: report.text + note + below + unread(damaged) };
}

/** What was not looked at, since it cannot be read. */
function unread(damaged: readonly string[]): string {
  return damaged.map((d) => `warning: not looked at: ${d}\n`).join("");
}

/** `unrevoke`: takes certificates out of `revoked/` again. */
export function unrevoke(o: MakeOptions, ...words: string[]): Report {
  const damaged: string[] = [];
  const held = inDirectory(`${o.securityDir}/revoked`, damaged);
  const marks = new Set(
    meant(o, words, "in revoked/", () => held).map((f) => f.certificate.der.toHex()),
  );
  const gone = held.filter((f) => marks.has(f.certificate.der.toHex()));
  if (gone.length === 0) throw new PkiError("that certificate is not in revoked/");
  for (const f of gone) {
    const beside = held.filter((h) => h.path === f.path && !marks.has(h.certificate.der.toHex()));
    if (beside.length > 0) {
      throw new PkiError(`${f.path} also holds "${beside[0]!.certificate.name}": take them apart`);
    }
  }
  const paths = [...new Set(gone.map((f) => f.path))];
  for (const path of paths) Deno.removeSync(path);
  const text = paths.map((p) => `removed ${p}\n`).join("") + unread(damaged);
  return { ok: true, text, json: { removed: paths } };
}
