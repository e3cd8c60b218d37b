/** The CAs of a security directory: their certificates, and their keys, which may be elsewhere. */

import { fileCause } from "../lib/cli/reason.ts";
import { PeerCertificate } from "../security/certificate.ts";
import { parsePem } from "../security/pem.ts";
import { PRIVATE_LABELS, SigningKey } from "../security/signing_key.ts";
import { exists, PkiError } from "./files.ts";
import type { Issuer } from "./issue.ts";
import { unlock } from "./passphrase.ts";

/** Where the CAs are and what opens their keys. */
export interface CaOptions {
  readonly securityDir: string;
  /** Directory of the CAs' keys; default `private` of the security directory. */
  readonly privateDir?: string | undefined;
  readonly passphrase?: string | undefined;
}

/** The two CAs that `init` makes. */
export type CaName = "root" | "intermediate";

/** Where the keys of the CAs are. */
export function privateDirOf(o: CaOptions): string {
  return o.privateDir ?? `${o.securityDir}/private`;
}

/** File of a CA's certificate. */
export function caPath(o: CaOptions, ca: CaName): string {
  return `${o.securityDir}/${ca === "root" ? "cacert" : "untrusted"}/${ca}.pem`;
}

/** File of a CA's key. */
export function caKeyPath(o: CaOptions, ca: CaName): string {
  return `${privateDirOf(o)}/${ca}.key.pem`;
}

/** A certificate file with one certificate. */
export function readCertificate(path: string): PeerCertificate {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (e) {
    throw new PkiError(`cannot read ${path}: ${fileCause(e)}`);
  }
  const c = PeerCertificate.readPem(text);
  if (typeof c === "string") throw new PkiError(`${path}: ${c}`);
  return c;
}

/** Certificate and key of a CA. */
export async function loadCa(
  o: CaOptions,
  ca: CaName,
): Promise<Issuer & { certificate: Uint8Array<ArrayBuffer> }> {
  const path = caPath(o, ca);
  try {
    await Deno.lstat(path);
  } catch (e) {
    if (!(e instanceof Deno.errors.NotFound)) {
      throw new PkiError(`cannot read ${path}: ${fileCause(e)}`);
    }
    throw new PkiError(`there is no CA in ${o.securityDir} yet: run "ouro pki init" first`);
  }
  const parsed = readCertificate(path);
  const key = await loadKey(caKeyPath(o, ca), o);
  const probe = new Uint8Array(1);
  const signature = await key.sign(0, probe);
  if (!signature || !await parsed.key?.verify(0, probe, signature)) {
    throw new PkiError(`${caKeyPath(o, ca)} is not the key of ${path}`);
  }
  return { certificate: parsed.der, key };
}

const LOCKED = "ENCRYPTED PRIVATE KEY";

/** Whether there is a key that has a passphrase. */
export function isLocked(path: string): boolean {
  return exists(path) && parsePem(Deno.readTextFileSync(path)).some((b) => b.label === LOCKED);
}

/** A private key, opened with the passphrase where it has one. */
export async function loadKey(path: string, o: CaOptions): Promise<SigningKey> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (e) {
    if (!(e instanceof Deno.errors.NotFound)) {
      throw new PkiError(`cannot read ${path}: ${fileCause(e)}`);
    }
    throw new PkiError(
      `the key ${path} is not here: run this where it is, or say where with --private DIR`,
    );
  }
  const blocks = parsePem(text);
  const locked = blocks.find((b) => b.label === LOCKED);
  if (locked && o.passphrase === undefined) {
    throw new PkiError(
      `${path} has a passphrase: give it with --passphrase-file FILE or OURO_PKI_PASSPHRASE`,
    );
  }
  const block = blocks.find((b) => b.label in PRIVATE_LABELS);
  const der = locked ? await unlock(locked.bytes, o.passphrase!) : block?.bytes;
  if (typeof der === "string") throw new PkiError(`${path}: ${der}`);
  if (!der || block?.encrypted) throw new PkiError(`${path} has no usable private key`);
  const key = await SigningKey.fromDer(locked ? "PRIVATE KEY" : block!.label, der);
  if (typeof key === "string") throw new PkiError(`${path}: ${key}`);
  return key;
}
