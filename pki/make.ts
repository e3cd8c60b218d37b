/** What `ouro pki` makes: CAs, certificates of servers and clients, static KEM keys. */

import { ml_kem1024, ml_kem512, ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { kexByWord, type KexWord } from "../lib/wire/oap_ids.ts";
import { PeerCertificate } from "../security/certificate.ts";
import { concat, encodePublic, KEM_SIZES } from "../security/kex/spki.ts";
import { encodePem } from "../security/pem.ts";
import { oid, Tag, tlv } from "../security/der.ts";
import { exists, type NewFile, PkiError, refuseBadNames, writeAll } from "./files.ts";
import { caKeyPath, type CaName, isLocked, loadCa } from "./ca.ts";
import { issue, keyWords, type Purpose, signerOf, type Wanted } from "./issue.ts";
import { lock } from "./passphrase.ts";
import { generateKey, isDigestless, isLarge } from "./key_types.ts";
import type { Report } from "./show.ts";

/** Options of the commands that make something. */
export interface MakeOptions {
  readonly securityDir: string;
  readonly keyType: string;
  readonly days: number | undefined;
  readonly organization: string;
  readonly encrypt: boolean;
  readonly kex: string | undefined;
  readonly cipher: string | undefined;
  readonly requireAuth: boolean;
  readonly force: boolean;
  /** More names in a certificate. */
  readonly altNames?: readonly string[] | undefined;
  /** Where the keys of the CAs are; default `private` of the security directory. */
  readonly privateDir?: string | undefined;
  /** Passphrase of the CAs' keys: to be set by `init`, to be used by others. */
  readonly passphrase?: string | undefined;
}

const DAYS = { root: 3650, intermediate: 1825, server: 365, client: 365 } as const;
const DAY_MS = 86_400_000;
/** Certificates are valid from a little before now, for peers whose clock is late. */
const EARLY_MS = 300_000;

const encoder = new TextEncoder();

/** Dates from now on, within those of the issuer: nothing outlives it. */
export function validity(
  o: MakeOptions,
  purpose: Purpose,
  issuer: Uint8Array | undefined,
): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  const wantedMs = now + (o.days ?? DAYS[purpose]) * DAY_MS;
  const view = issuer && PeerCertificate.parse(issuer)?.view;
  if (view && view.notAfterMs <= now) {
    throw new PkiError(
      `the CA that would sign expired on ${
        dayOf(view.notAfterMs)
      }: renew it first (ouro pki renew)`,
    );
  }
  return {
    notBefore: new Date(Math.max(now - EARLY_MS, view?.notBeforeMs ?? 0)),
    notAfter: new Date(Math.min(wantedMs, view?.notAfterMs ?? Infinity)),
  };
}

/** The line that says that a certificate is shorter than it was asked for. */
export function shortened(o: MakeOptions, purpose: Purpose, notAfter: Date): string {
  const days = o.days ?? DAYS[purpose];
  if (notAfter.getTime() > Date.now() + days * DAY_MS - 60_000) return "";
  return `note: valid until ${dayOf(notAfter.getTime())} only, as its issuer is\n`;
}

/** A day, as 2026-01-31. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function wanted(
  o: MakeOptions,
  purpose: Purpose,
  commonName: string,
  spki: Uint8Array<ArrayBuffer>,
  issuer: Uint8Array | undefined,
): Wanted {
  const { organization } = o;
  const names = purpose === "root" || purpose === "intermediate" ? [] : o.altNames ?? [];
  return {
    ...validity(o, purpose, issuer),
    purpose,
    commonName,
    organization,
    spki,
    altNames: names,
  };
}

const pem = (label: string, der: Uint8Array) => encoder.encode(encodePem(label, der));

/** `init`: a root in `cacert/`, an intermediate in `untrusted/`, their keys in `private/`. */
export async function init(o: MakeOptions): Promise<Report> {
  const dir = o.securityDir;
  const rootKey = await generateKey(o.keyType);
  const rootSigner = await signerOf(rootKey.pkcs8);
  const root = await issue(wanted(o, "root", `${o.organization} root`, rootKey.spki, undefined), {
    certificate: undefined,
    key: rootSigner,
  });
  const key = await generateKey(o.keyType);
  const name = `${o.organization} intermediate`;
  const intermediate = await issue(wanted(o, "intermediate", name, key.spki, root), {
    certificate: root,
    key: rootSigner,
  });
  const files: NewFile[] = [
    certificate(`${dir}/cacert/root.pem`, root),
    certificate(`${dir}/untrusted/intermediate.pem`, intermediate),
    await caKey(o, "root", rootKey.pkcs8),
    await caKey(o, "intermediate", key.pkcs8),
  ];
  const before = o.force ? issuedBelow(o) : [];
  writeAll(files, o.force);
  const report = made(files, { root: describe(root), intermediate: describe(intermediate) });
  if (before.length === 0) return report;
  const lost = before.map((path) => `  ${path}\n`).join("");
  return {
    ...report,
    text: `${report.text}warning: no peer with the new root trusts these any more, nor those of ` +
      `other hosts: make them anew (ouro pki renew keeps a CA's key and breaks nothing)\n${lost}`,
    json: { ...report.json, broken: before },
  };
}

/** `server`, `client`: certificate and key below `server/<name>` or `client/<name>`. */
export async function leaf(
  o: MakeOptions,
  side: "server" | "client",
  name: string,
  commonName: string,
): Promise<Report> {
  refuseBadNames(name, commonName);
  if (
    isDigestless(o.keyType) && (o.encrypt || exists(`${o.securityDir}/${side}/${name}/enc.conf`))
  ) {
    throw new PkiError(
      `keys of type ${o.keyType} cannot be used beside an enc.conf: take another --key, or no encryption`,
    );
  }
  for (const n of o.altNames ?? []) {
    if (!/^[\x21-\x7e]+$/.test(n)) throw new PkiError(`"${n}" is no DNS name for --alt`);
  }
  const issuer = await loadCa(o, "intermediate");
  const key = await generateKey(o.keyType);
  const want = wanted(o, side, commonName, key.spki, issuer.certificate);
  const der = await issue(want, issuer);
  const base = `${o.securityDir}/${side}/${name}`;
  const files = [
    certificate(`${base}/crt.pem`, der),
    privateKey(`${base}/key.pem`, key.pkcs8),
  ];
  if (o.encrypt || o.requireAuth) files.push(encConf(`${base}/enc.conf`, o));
  writeAll(files, o.force);
  writeAll([issuedCopy(o, der)], true);
  const done = made(files, { [side]: describe(der) });
  const report = { ...done, text: done.text + shortened(o, side, want.notAfter) };
  if (!isLarge(o.keyType)) return report;
  const warning = "certificates and signatures of this type are larger than most IPCPs carry";
  return { ...report, text: `${report.text}warning: ${warning}\n` };
}

/** `kem`: the server's static key, and its public half where this host's clients look for it. */
export async function staticKem(o: MakeOptions, name: string): Promise<Report> {
  refuseBadNames(name);
  const kex = kexByWord((o.kex ?? "X25519MLKEM768") as KexWord);
  const sizes = KEM_SIZES[kex.word];
  if (!sizes) throw new PkiError(`${kex.word} is no KEM`);
  const ml = (sizes.hybrid?.kem ?? kex.word) as keyof typeof ML;
  const seed = crypto.getRandomValues(new Uint8Array(64));
  const pair = ML[ml].keygen(seed);
  const server = `${o.securityDir}/server/${name}`;
  const client = `${o.securityDir}/client/${name}`;
  const files: NewFile[] = [];
  if (sizes.hybrid) {
    const dh = await xdhRaw(sizes.hybrid.dh);
    const raw = (path: string, bytes: Uint8Array, isPrivate: boolean) =>
      files.push({ path, bytes, isPrivate });
    raw(`${server}/kex.key.raw`, concat(pair.secretKey, dh.privateBytes), true);
    raw(`${client}/kex.srv.pub.raw`, concat(pair.publicKey, dh.publicBytes), false);
  } else {
    const id = `2.16.840.1.101.3.4.4.${
      ["ML-KEM-512", "ML-KEM-768", "ML-KEM-1024"].indexOf(ml) + 1
    }`;
    const pkcs8 = tlv(
      Tag.sequence,
      tlv(Tag.integer, new Uint8Array(1)),
      tlv(Tag.sequence, oid(id)),
      tlv(Tag.octetString, tlv(0x80, seed)),
    );
    files.push(privateKey(`${server}/kex.key.pem`, pkcs8));
    const bytes = pem("PUBLIC KEY", encodePublic(kex, pair.publicKey));
    files.push({ path: `${client}/kex.srv.pub.pem`, bytes, isPrivate: false });
  }
  writeAll(files, o.force);
  return made(files, { kex: kex.word });
}

const ML = { "ML-KEM-512": ml_kem512, "ML-KEM-768": ml_kem768, "ML-KEM-1024": ml_kem1024 };

async function xdhRaw(name: string) {
  const pair = await crypto.subtle.generateKey({ name }, true, ["deriveBits"]) as CryptoKeyPair;
  const publicBytes = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey));
  return { publicBytes, privateBytes: pkcs8.slice(-publicBytes.length) };
}

/** The copy that `list` and `revoke` find when the certificate itself went to another host. */
export function issuedCopy(o: MakeOptions, der: Uint8Array): NewFile {
  const serial = PeerCertificate.parse(der)!.view.serial.toHex();
  return certificate(`${o.securityDir}/issued/${serial}.pem`, der);
}

/** Certificates of servers and clients in this directory. */
function issuedBelow(o: MakeOptions): string[] {
  return (["server", "client"] as const).flatMap((side) => {
    try {
      return [...Deno.readDirSync(`${o.securityDir}/${side}`)]
        .map((e) => `${o.securityDir}/${side}/${e.name}/crt.pem`).filter(exists).sort();
    } catch {
      return [];
    }
  });
}

async function caKey(o: MakeOptions, ca: CaName, pkcs8: Uint8Array<ArrayBuffer>): Promise<NewFile> {
  const path = caKeyPath(o, ca);
  if (o.passphrase === undefined) {
    if (o.force && isLocked(path)) {
      throw new PkiError(
        `${path} has a passphrase: give one for the new key, too (--passphrase-file), or move it away`,
      );
    }
    return privateKey(path, pkcs8);
  }
  const locked = await lock(pkcs8, o.passphrase);
  return { path, bytes: pem("ENCRYPTED PRIVATE KEY", locked), isPrivate: true };
}

function encConf(path: string, o: MakeOptions): NewFile {
  const lines = ["# Made by ouro pki."];
  if (o.requireAuth) lines.push("require-auth = yes");
  if (o.encrypt) {
    lines.push(`kex = ${o.kex ?? "X25519"}`, `cipher = ${o.cipher ?? "aes-256-gcm"}`);
  } else lines.push("none");
  return { path, bytes: encoder.encode(lines.join("\n") + "\n"), isPrivate: false };
}

/** A certificate to be written. */
export function certificate(path: string, der: Uint8Array): NewFile {
  return { path, bytes: pem("CERTIFICATE", der), isPrivate: false };
}

/** A private key to be written. */
export function privateKey(path: string, pkcs8: Uint8Array): NewFile {
  return { path, bytes: pem("PRIVATE KEY", pkcs8), isPrivate: true };
}

/** A certificate for a report. */
export function describe(der: Uint8Array) {
  const c = PeerCertificate.parse(der)!;
  return {
    name: c.name ?? "",
    key: keyWords(c.key!.spki),
    notAfter: c.x509.notAfter.value.toISOString(),
    bytes: der.length,
  };
}

/** What was written. */
export function made(files: readonly NewFile[], details: Record<string, unknown>): Report {
  const lines = files.map((f) => `${f.isPrivate ? "key " : "file"} ${f.path}`);
  return {
    ok: true,
    text: lines.join("\n") + "\n",
    json: { files: files.map((f) => ({ path: f.path, private: f.isPrivate })), ...details },
  };
}
