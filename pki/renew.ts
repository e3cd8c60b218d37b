/**
 * Renewal and requests. A renewed certificate keeps key, subject and names: whoever trusted the old one trusts the new
 * one, and below a renewed CA nothing changes. Files are replaced in one step, and the IRMd looks at them for each flow.
 */

import { PeerCertificate } from "../security/certificate.ts";
import { encodePem, isPemRefusal, onePem } from "../security/pem.ts";
import { fileCause } from "../lib/cli/reason.ts";
import { type CaName, caPath, loadCa, readCertificate } from "./ca.ts";
import { makeRequest, readRequest } from "./csr.ts";
import { exists, type NewFile, PkiError, refuseBadNames, writeAll } from "./files.ts";
import { issue, type Purpose, reissue, signerOf } from "./issue.ts";
import { generateKey } from "./key_types.ts";
import {
  certificate,
  describe,
  issuedCopy,
  made,
  type MakeOptions,
  privateKey,
  shortened,
  validity,
} from "./make.ts";
import type { Report } from "./show.ts";

/** `renew root|intermediate`, `renew server|client NAME`. */
export async function renew(o: MakeOptions, what: Purpose, name?: string): Promise<Report> {
  const isCa = what === "root" || what === "intermediate";
  if (!isCa) refuseBadNames(name!);
  const path = isCa ? caPath(o, what) : `${o.securityDir}/${what}/${name}/crt.pem`;
  const signer: CaName = isCa ? "root" : "intermediate";
  const ca = await loadCa(o, signer);
  const old = readCertificate(path).der;
  const issuer = what === "root" ? { ...ca, certificate: undefined } : ca;
  const { notBefore, notAfter } = validity(o, what, issuer.certificate);
  const der = await reissue(old, issuer, notBefore, notAfter);
  const files = [certificate(path, der)];
  writeAll(files, true);
  if (!isCa) writeAll([issuedCopy(o, der)], true);
  const report = made(files, { [what]: describe(der) });
  const note = isCa
    ? `note: copy ${path} to the other hosts before ${
      describe(old).notAfter
    }; until then both hold\n`
    : "";
  return { ...report, text: report.text + shortened(o, what, notAfter) + note };
}

/** `request server NAME`, `request client NAME`: key and request where the key will be used. */
export async function request(
  o: MakeOptions,
  side: "server" | "client",
  name: string,
  commonName: string,
): Promise<Report> {
  refuseBadNames(name, commonName);
  const key = await generateKey(o.keyType);
  const { organization, altNames = [] } = o;
  const der = await makeRequest(
    { commonName, organization, altNames: altNames ?? [], spki: key.spki },
    await signerOf(key.pkcs8),
  );
  const base = `${o.securityDir}/${side}/${name}`;
  const csr: NewFile = {
    path: `${base}/csr.pem`,
    bytes: new TextEncoder().encode(encodePem("CERTIFICATE REQUEST", der)),
    isPrivate: false,
  };
  const files = [privateKey(`${base}/key.pem`, key.pkcs8), csr];
  writeAll(files, o.force);
  const report = made(files, { request: { name: commonName, bytes: der.length } });
  const note =
    `note: take csr.pem to the CA, "ouro pki sign ${side} csr.pem", and put what it makes ` +
    `to ${base}/crt.pem; until then flows of ${name} are refused\n`;
  return { ...report, text: report.text + note };
}

/** `sign server|client CSR`: a certificate for a key that was made elsewhere. */
export async function signRequest(
  o: MakeOptions,
  side: "server" | "client",
  path: string,
  out: string | undefined,
): Promise<Report> {
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (e) {
    throw new PkiError(`cannot read ${path}: ${fileCause(e)}`);
  }
  const block = onePem(text, "CERTIFICATE REQUEST");
  if (isPemRefusal(block)) throw new PkiError(`${path}: ${block.reason}`);
  const asked = await readRequest(block);
  if (typeof asked === "string") throw new PkiError(`${path}: ${asked}`);
  const issuer = await loadCa(o, "intermediate");
  const dates = validity(o, side, issuer.certificate);
  const der = await issue({
    ...dates,
    purpose: side,
    commonName: asked.commonName,
    organization: asked.organization ?? o.organization,
    spki: asked.spki,
    altNames: [...asked.altNames, ...o.altNames ?? []],
  }, issuer);
  const parsed = PeerCertificate.read(der);
  if (typeof parsed === "string") throw new PkiError(`${path} asks for what cannot be: ${parsed}`);
  const target = out ??
    `${path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "."}/crt.pem`;
  if (!o.force && exists(target)) {
    throw new PkiError(`${target} exists (overwrite it with --force, or name another with --out)`);
  }
  const files = [certificate(target, der)];
  writeAll(files, o.force);
  writeAll([issuedCopy(o, der)], true);
  const names = [asked.commonName, ...parsed.altNames].filter((n, i, all) => all.indexOf(n) === i);
  const report = made(files, { [side]: describe(der), names, leftOut: asked.leftOut });
  const left = asked.leftOut.map((l) => `note: asked for and left out: ${l}\n`).join("");
  const said = `names: ${names.join(", ")}\n${left}`;
  return { ...report, text: report.text + said + shortened(o, side, dates.notAfter) };
}
