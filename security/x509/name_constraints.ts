/**
 * Whether the names of a certificate keep to the constraints of those above it (RFC 5280 §4.2.1.10). Pure.
 *
 * As OpenSSL decides, so that nobody is let in whom it keeps out: each name must be inside a permitted subtree of its
 * form where that form has any, and outside all excluded ones; every CA's constraints hold by themselves, which
 * intersects them; a form that nobody processes refuses. Common names that look like DNS names are constrained as such.
 */

import { parseInet4, parseInet6 } from "../../lib/inet.ts";
import {
  type GeneralName,
  type Name,
  type NameConstraints,
  OID_COMMON_NAME,
  OID_EMAIL,
  type Subtree,
  type X509,
} from "./parse.ts";

/** Comparisons that one search may cost. */
export const COMPARISONS_MAX = 1 << 18;

/** What is left of them. */
export interface Comparisons {
  left: number;
}

/** What a single comparison says. */
type Match = "inside" | "outside" | "unsupported";

const FORMS = [
  "other name",
  "e-mail address",
  "DNS name",
  "X.400 address",
  "directory name",
  "EDI name",
  "URI",
  "IP address",
  "registered id",
] as const;

/** Names of a certificate that constraints look at. */
function namesOf(c: X509): GeneralName[] {
  const names: GeneralName[] = [...c.altNames];
  const none = new Uint8Array(0);
  if (c.subject.rdns.length > 0) {
    names.push({ form: 4, text: undefined, lower: undefined, name: c.subject, bytes: none });
    for (const rdn of c.subject.rdns) {
      for (const a of rdn) {
        if (a.oid !== OID_EMAIL) continue;
        const text = a.tag === 0x16 ? a.text : undefined;
        names.push({ form: 1, text, lower: text?.toLowerCase(), name: undefined, bytes: none });
      }
    }
  }
  return names;
}

/** Common names of a certificate. */
export function commonNames(c: X509): string[] {
  return c.subject.rdns.flat().filter((a) => a.oid === OID_COMMON_NAME)
    .flatMap((a) => a.text === undefined ? [] : [a.text]);
}

/** Whether a text may be a DNS name: letters, digits, hyphens and underscores in labels, with a dot inside. */
export function looksLikeDns(text: string): boolean {
  return /^(?!-)[A-Za-z0-9_-]+(?<!-)(\.(?!-)[A-Za-z0-9_-]+(?<!-))+\.?$/.test(text);
}

/** Why a certificate breaks constraints from above, for a person; undefined if it keeps to them. */
export function violation(
  c: X509,
  isLeaf: boolean,
  above: NameConstraints,
  comparisons: Comparisons,
): string | undefined {
  const names = namesOf(c);
  // Beside DNS names a common name is none: whether it may be used as a peer's name, `allowsPeerName` says.
  if (isLeaf && !c.altNames.some((n) => n.form === 2)) {
    for (const cn of commonNames(c).map((n) => n.replace(/\0+$/, ""))) {
      if (cn.includes("\0")) return "its common name holds a NUL and cannot be compared";
      if (looksLikeDns(cn)) names.push(dnsName(cn));
    }
  }
  const constraints = above.permitted.length + above.excluded.length;
  comparisons.left -= names.length * constraints;
  if (comparisons.left < 0) return "its names and constraints are too many";
  for (const name of names) {
    const reason = nameViolation(name, above);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function dnsName(text: string): GeneralName {
  const bytes = new Uint8Array(0);
  return { form: 2, text, lower: text.toLowerCase(), name: undefined, bytes };
}

/** What a peer may be called by a certificate: its common names and DNS names. */
export function peerNames(c: X509): string[] {
  return [...commonNames(c), ...c.altNames.flatMap((n) => n.form === 2 ? [n.text ?? ""] : [])];
}

/**
 * Whether a name may be used as a peer's: where DNS names are constrained, it is one of those, whether it stands in an
 * alternative name or is a common name; the same of addresses, if it is written as one.
 */
export function allowsPeerName(text: string, above: readonly NameConstraints[]): boolean {
  const bytes = parseInet4(text) ?? parseInet6(text);
  const names = [
    dnsName(text),
    ...(bytes === undefined ? [] : [{ ...dnsName(text), form: 7, bytes }]),
  ];
  return above.every((nc) => names.every((n) => nameViolation(n, nc) === undefined));
}

function nameViolation(name: GeneralName, above: NameConstraints): string | undefined {
  const fault = faultOf(name, above);
  if (fault === undefined || fault === "limited") {
    return fault && "a constraint has a minimum or maximum";
  }
  const shown = name.text ?? name.name?.canonical ?? name.bytes.toHex();
  return `the ${FORMS[name.form]} "${shown}" ${fault}`;
}

function faultOf(name: GeneralName, above: NameConstraints): string | undefined {
  const INCOMPARABLE = "cannot be compared with its constraints";
  let permitted: "none" | "no" | "yes" = "none";
  for (const subtree of above.permitted) {
    if (subtree.base.form !== name.form) continue;
    if (subtree.limited) return "limited";
    if (permitted === "yes") continue;
    permitted = "no";
    const m = match(name, subtree);
    if (m === "unsupported") return INCOMPARABLE;
    if (m === "inside") permitted = "yes";
  }
  if (permitted === "no") return "is not among those permitted";
  for (const subtree of above.excluded) {
    if (subtree.base.form !== name.form) continue;
    if (subtree.limited) return "limited";
    const m = match(name, subtree);
    if (m === "unsupported") return INCOMPARABLE;
    if (m === "inside") return "is excluded";
  }
  return undefined;
}

function match(name: GeneralName, { base }: Subtree): Match {
  switch (name.form) {
    case 1:
      return matchMail(name.text, base.text);
    case 2:
      return matchDns(name.lower, base.lower);
    case 4:
      return matchDirectory(name.name, base.name);
    case 6:
      return matchUri(name.text, base.text);
    case 7:
      return matchAddress(name.bytes, base.bytes);
    default:
      return "unsupported";
  }
}

const lower = (s: string) => s.toLowerCase();

/** Of names in small letters. */
function matchDns(name: string | undefined, base: string | undefined): Match {
  if (name === undefined || base === undefined) return "unsupported";
  if (base === "" || name === base) return "inside";
  if (!name.endsWith(base)) return "outside";
  return base.startsWith(".") || name[name.length - base.length - 1] === "." ? "inside" : "outside";
}

function matchMail(name: string | undefined, base: string | undefined): Match {
  const at = name?.lastIndexOf("@") ?? -1;
  if (name === undefined || base === undefined || at < 0) return "unsupported";
  const host = lower(name.slice(at + 1));
  const baseAt = base.lastIndexOf("@");
  if (baseAt < 0 && base.startsWith(".")) {
    return host.endsWith(lower(base)) && host.length > base.length ? "inside" : "outside";
  }
  if (baseAt >= 0) {
    const local = base.slice(0, baseAt);
    if (local !== "" && local !== name.slice(0, at)) return "outside";
  }
  return host === lower(base.slice(baseAt + 1)) ? "inside" : "outside";
}

function matchUri(name: string | undefined, base: string | undefined): Match {
  const m = name === undefined ? null : /^[^:]*:\/\/([^/:?#]*)/.exec(name);
  // User information would hide the host.
  const host = lower(m?.[1]?.replace(/^.*@/, "") ?? "");
  if (host === "" || base === undefined) return "unsupported";
  const b = lower(base);
  if (b.startsWith(".")) return host.endsWith(b) && host.length > b.length ? "inside" : "outside";
  return host === b ? "inside" : "outside";
}

function matchAddress(name: Uint8Array, base: Uint8Array): Match {
  if (name.length !== 4 && name.length !== 16) return "unsupported";
  if (base.length !== 8 && base.length !== 32) return "unsupported";
  if (base.length !== 2 * name.length) return "outside";
  for (let i = 0; i < name.length; i++) {
    if (((name[i]! ^ base[i]!) & base[name.length + i]!) !== 0) return "outside";
  }
  return "inside";
}

function matchDirectory(name: Name | undefined, base: Name | undefined): Match {
  if (name === undefined || base === undefined) return "unsupported";
  if (base.rdns.length > name.rdns.length) return "outside";
  const same = base.rdns.every((rdn, i) => {
    const other = name.rdns[i]!;
    return rdn.length === other.length && rdn.every((a, k) => a.canonical === other[k]!.canonical);
  });
  return same ? "inside" : "outside";
}
