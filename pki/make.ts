/** What `ouro pki` makes: CAs, certificates of servers and clients, static KEM keys. */

import { ml_kem1024, ml_kem512, ml_kem768 } from "@noble/post-quantum/ml-kem.js";
import { kexByWord, type KexWord } from "../lib/wire/oap_ids.ts";
import { PeerCertificate } from "../security/certificate.ts";
import { nameRefusal } from "../security/files.ts";
import { concat, encodePublic, KEM_SIZES } from "../security/kex/spki.ts";
import { encodePem, parsePem } from "../security/pem.ts";
import { SigningKey } from "../security/signature.ts";
import { oid, Tag, tlv } from "../security/der.ts";
import { exists, type NewFile, PkiError, writeAll } from "./files.ts";
import { issue, type Issuer, keyWords, signerOf, type Wanted } from "./issue.ts";
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
}

const DAYS = { root: 3650, intermediate: 1825, server: 365, client: 365 } as const;
const DAY_MS = 86_400_000;
/** Certificates are valid from a little before now, for peers whose clock is late. */
const EARLY_MS = 300_000;

const encoder = new TextEncoder();

function wanted(
  o: MakeOptions,
  purpose: Wanted["purpose"],
  commonName: string,
  spki: Uint8Array<ArrayBuffer>,
): Wanted {
  const now = Date.now();
  const days = o.days ?? DAYS[purpose];
  return {
    purpose,
    commonName,
    organization: o.organization,
    spki,
    notBefore: new Date(now - EARLY_MS),
    notAfter: new Date(now + days * DAY_MS),
  };
}

const pem = (label: string, der: Uint8Array) => encoder.encode(encodePem(label, der));

/** `init`: a root in `cacert/`, an intermediate in `untrusted/`, their keys in `private/`. */
export async function init(o: MakeOptions): Promise<Report> {
  const dir = o.securityDir;
  const rootKey = await generateKey(o.keyType);
  const rootSigner = await signerOf(rootKey.pkcs8);
  const root = await issue(wanted(o, "root", `${o.organization} root`, rootKey.spki), {
    certificate: undefined,
    key: rootSigner,
  });
  const key = await generateKey(o.keyType);
  const name = `${o.organization} intermediate`;
  const intermediate = await issue(wanted(o, "intermediate", name, key.spki), {
    certificate: root,
    key: rootSigner,
  });
  const files: NewFile[] = [
    certificate(`${dir}/cacert/root.pem`, root),
    certificate(`${dir}/untrusted/intermediate.pem`, intermediate),
    privateKey(`${dir}/private/root.key.pem`, rootKey.pkcs8),
    privateKey(`${dir}/private/intermediate.key.pem`, key.pkcs8),
  ];
  writeAll(files, o.force);
  return made(files, { root: describe(root), intermediate: describe(intermediate) });
}

/** `server`, `client`: certificate and key below `server/<name>` or `client/<name>`. */
export async function leaf(
  o: MakeOptions,
  side: "server" | "client",
  name: string,
  commonName: string,
): Promise<Report> {
  for (const n of [name, commonName]) {
    const reason = nameRefusal(n);
    if (reason) throw new PkiError(reason);
  }
  if (
    isDigestless(o.keyType) && (o.encrypt || exists(`${o.securityDir}/${side}/${name}/enc.conf`))
  ) {
    throw new PkiError(
      `keys of type ${o.keyType} cannot be used beside an enc.conf: take another --key, or no encryption`,
    );
  }
  const issuer = await loadIssuer(o.securityDir);
  const key = await generateKey(o.keyType);
  const der = await issue(wanted(o, side, commonName, key.spki), issuer);
  const base = `${o.securityDir}/${side}/${name}`;
  const files = [
    certificate(`${base}/crt.pem`, der),
    privateKey(`${base}/key.pem`, key.pkcs8),
  ];
  if (o.encrypt || o.requireAuth) files.push(encConf(`${base}/enc.conf`, o));
  writeAll(files, o.force);
  const report = made(files, { [side]: describe(der) });
  if (!isLarge(o.keyType)) return report;
  const warning = "certificates and signatures of this type are larger than most IPCPs carry";
  return { ...report, text: `${report.text}warning: ${warning}\n` };
}

/** `revoke`: the certificate of a side of a name is accepted nowhere that has this `revoked/`. */
export function revoke(o: MakeOptions, side: string, name: string): Report {
  const reason = nameRefusal(name);
  if (reason) throw new PkiError(reason);
  const path = `${o.securityDir}/${side}/${name}/crt.pem`;
  let parsed: PeerCertificate | undefined;
  try {
    parsed = PeerCertificate.fromPem(Deno.readTextFileSync(path));
  } catch (e) {
    throw new PkiError(`cannot read ${path}: ${e instanceof Error ? e.message : e}`);
  }
  if (!parsed) throw new PkiError(`${path} has no PEM certificate`);
  const serial = new Uint8Array(parsed.x509.serialNumber.valueBlock.valueHexView).toHex();
  const files = [certificate(`${o.securityDir}/revoked/${serial}.pem`, parsed.der)];
  writeAll(files, true);
  return made(files, { revoked: describe(parsed.der) });
}

/** `kem`: the server's static key, and its public half where this host's clients look for it. */
export async function staticKem(o: MakeOptions, name: string): Promise<Report> {
  const reason = nameRefusal(name);
  if (reason) throw new PkiError(reason);
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

async function loadIssuer(dir: string): Promise<Issuer> {
  const crt = `${dir}/untrusted/intermediate.pem`;
  const key = `${dir}/private/intermediate.key.pem`;
  try {
    const parsed = PeerCertificate.fromPem(Deno.readTextFileSync(crt));
    if (!parsed) throw new PkiError(`${crt} has no PEM certificate`);
    const block = parsePem(Deno.readTextFileSync(key))[0];
    const signer = block && await SigningKey.fromDer(block.label, block.bytes);
    if (!signer || typeof signer === "string") {
      throw new PkiError(`${key} has no usable private key${signer ? `: ${signer}` : ""}`);
    }
    return { certificate: parsed.der, key: signer };
  } catch (e) {
    if (e instanceof PkiError) throw e;
    if (e instanceof Deno.errors.NotFound) {
      throw new PkiError(`there is no CA in ${dir} yet: run "ouro pki init" first`);
    }
    throw new PkiError(`cannot read the CA in ${dir}: ${e instanceof Error ? e.message : e}`);
  }
}

function encConf(path: string, o: MakeOptions): NewFile {
  const lines = ["# Made by ouro pki."];
  if (o.requireAuth) lines.push("require-auth = yes");
  if (o.encrypt) {
    lines.push(`kex = ${o.kex ?? "X25519"}`, `cipher = ${o.cipher ?? "aes-256-gcm"}`);
  } else lines.push("none");
  return { path, bytes: encoder.encode(lines.join("\n") + "\n"), isPrivate: false };
}

function certificate(path: string, der: Uint8Array): NewFile {
  return { path, bytes: pem("CERTIFICATE", der), isPrivate: false };
}

function privateKey(path: string, pkcs8: Uint8Array): NewFile {
  return { path, bytes: pem("PRIVATE KEY", pkcs8), isPrivate: true };
}

function describe(der: Uint8Array) {
  const c = PeerCertificate.parse(der)!;
  return {
    name: c.name ?? "",
    key: keyWords(c.key!.spki),
    notAfter: c.x509.notAfter.value.toISOString(),
    bytes: der.length,
  };
}

function made(files: readonly NewFile[], details: Record<string, unknown>): Report {
  const lines = files.map((f) => `${f.isPrivate ? "key " : "file"} ${f.path}`);
  return {
    ok: true,
    text: lines.join("\n") + "\n",
    json: { files: files.map((f) => ({ path: f.path, private: f.isPrivate })), ...details },
  };
}
