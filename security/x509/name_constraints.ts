/**
 * Whether the names of a certificate keep to the constraints of those above it (RFC 5280 §4.2.1.10). Pure.
 *
 * As OpenSSL decides, so that nobody is let in whom it keeps out: each name must be inside a permitted subtree of its
 * form where that form has any, and outside all excluded ones; every CA's constraints hold by themselves, which
 * intersects them; a form that nobody processes refuses. Common names that look like DNS names are constrained as such.
 */

import {
  type GeneralName,
  type Name,
  type NameConstraints,
  OID_COMMON_NAME,
  OID_EMAIL,
  type Subtree,
  type X509,
} from "./parse.ts";

/** Comparisons that one certificate may cost. */
export const COMPARISONS_MAX = 1 << 18;

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
    names.push({ form: 4, text: undefined, name: c.subject, bytes: none });
    for (const rdn of c.subject.rdns) {
      for (const a of rdn) {
        if (a.oid !== OID_EMAIL) continue;
        names.push({
          form: 1,
          text: a.tag === 0x16 ? a.text : undefined,
          name: undefined,
          bytes: none,
        });
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
export function violation(c: X509, isLeaf: boolean, above: NameConstraints): string | undefined {
  const names = namesOf(c);
  // Beside DNS names a common name is none: whether it may be used as a peer's name, `allowsCommonName` says.
  if (isLeaf && !c.altNames.some((n) => n.form === 2)) {
    for (const cn of commonNames(c).map((n) => n.replace(/\0+$/, ""))) {
      if (cn.includes("\0")) return "its common name holds a NUL and cannot be compared";
      if (looksLikeDns(cn)) names.push(dnsName(cn));
    }
  }
  const constraints = above.permitted.length + above.excluded.length;
  if (names.length * constraints > COMPARISONS_MAX) return "its names and constraints are too many";
  for (const { base } of [...above.permitted, ...above.excluded]) {
    // RFC 5280 §4.2.1.10: a critical constraint of a form that is not processed must not be passed over.
    if (above.critical && [0, 3, 5, 8].includes(base.form)) {
      return `names are constrained by a form that is not supported (${FORMS[base.form]})`;
    }
  }
  for (const name of names) {
    const reason = nameViolation(name, above);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function dnsName(text: string): GeneralName {
  return { form: 2, text, name: undefined, bytes: new Uint8Array(0) };
}

/** Whether a common name that is used as a name may be: where DNS names are constrained, it is one of them. */
export function allowsCommonName(cn: string, above: readonly NameConstraints[]): boolean {
  return above.every((nc) => nameViolation(dnsName(cn), nc) === undefined);
}

function nameViolation(name: GeneralName, above: NameConstraints): string | undefined {
  const form = FORMS[name.form]!;
  const shown = name.text ?? name.name?.canonical ?? name.bytes.toHex();
  let permitted: "none" | "no" | "yes" = "none";
  for (const subtree of above.permitted) {
    if (subtree.base.form !== name.form) continue;
    if (subtree.limited) return "a constraint has a minimum or maximum";
    if (permitted === "yes") continue;
    permitted = "no";
    const m = match(name, subtree);
    if (m === "unsupported") {
      return `the ${form} "${shown}" cannot be compared with its constraints`;
    }
    if (m === "inside") permitted = "yes";
  }
  if (permitted === "no") return `the ${form} "${shown}" is not among those permitted`;
  for (const subtree of above.excluded) {
    if (subtree.base.form !== name.form) continue;
    if (subtree.limited) return "a constraint has a minimum or maximum";
    const m = match(name, subtree);
    if (m === "unsupported") {
      return `the ${form} "${shown}" cannot be compared with its constraints`;
    }
    if (m === "inside") return `the ${form} "${shown}" is excluded`;
  }
  return undefined;
}

function match(name: GeneralName, { base }: Subtree): Match {
  switch (name.form) {
    case 1:
      return matchMail(name.text, base.text);
    case 2:
      return matchDns(name.text, base.text);
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

function matchDns(name: string | undefined, base: string | undefined): Match {
  if (name === undefined || base === undefined) return "unsupported";
  if (base === "") return "inside";
  const n = lower(name);
  const b = lower(base);
  if (n === b) return "inside";
  const under = b.startsWith(".") ? b : `.${b}`;
  return n.endsWith(under) ? "inside" : "outside";
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
