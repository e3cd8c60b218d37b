/** `ouro pki show`: what is in a certificate file. */

import { printable } from "../lib/printable.ts";
import { readCertificate } from "./ca.ts";
import { keyWords } from "./issue.ts";

/** What a command prints: for people and for programs. */
export interface Report {
  readonly ok: boolean;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

/** Reads one certificate. */
export function show(path: string): Promise<Report> {
  const c = readCertificate(path);
  const issuer = c.x509.issuer.typesAndValues
    .map((t) => printable(String(t.value.valueBlock.value))).join(", ");
  const json = {
    path,
    name: c.commonName ?? null,
    altNames: c.altNames,
    issuer,
    key: c.key ? keyWords(c.key.spki) : "unknown key type",
    notBefore: c.x509.notBefore.value.toISOString(),
    notAfter: c.x509.notAfter.value.toISOString(),
    bytes: c.der.length,
  };
  const rows = [
    ["name", printable(json.name ?? "<none>")],
    ["other names", c.altNames.map(printable).join(", ") || "<none>"],
    ["issuer", issuer],
    ["key", json.key],
    ["valid from", json.notBefore],
    ["valid to", json.notAfter],
    ["size", `${json.bytes} bytes`],
  ];
  const lines = rows.map(([k, v]) => `${k!.padEnd(12)} ${v}\n`);
  return Promise.resolve({ ok: true, text: lines.join(""), json });
}
