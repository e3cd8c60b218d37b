/**
 * The search for a good certificate path, and what a path must hold (RFC 5280 §6). Pure: signatures are checked by a
 * function that is handed in.
 *
 * All paths are tried, best first, until one is good: a certificate that expired, a cross certificate of a root that is
 * not installed or a twin that is no CA hides no good path beside it. No certificate, and no name with one key, is in a
 * path twice, so cross-signed CAs end; and every search has a budget. Where all fail, the reason is that of the path
 * that came farthest. What is accepted is what `openssl verify` accepts, with the exceptions in `docs/security.md`.
 */

import {
  allowsPeerName,
  commonNames,
  type Comparisons,
  COMPARISONS_MAX,
  peerNames,
  violation,
} from "./name_constraints.ts";
import { Ext, type NameConstraints, sameBytes, type X509 } from "./parse.ts";

/** Longest path, certificates. */
export const PATH_MAX = 16;
/** Budget of one search: signatures checked, what they cost, and certificates looked at. */
export const SIGNATURES_MAX = 48;
export const STEPS_MAX = 4096;
/** What the signatures of one search may cost, in verifications on P-256 (about a millisecond). */
export const COST_MAX = 24;
/** Signatures that a search may check whatever they cost: the longest chains that are in use. */
const SIGNATURES_FREE = 5;

/** Extensions whose meaning is enforced, or that OpenSSL takes too; others must not be critical. */
const MAY_BE_CRITICAL: ReadonlySet<string> = new Set([
  Ext.keyUsage,
  Ext.altName,
  Ext.basicConstraints,
  Ext.nameConstraints,
  Ext.crlPoints,
  Ext.policies,
  Ext.policyMappings,
  Ext.policyConstraints,
  Ext.purposes,
  Ext.inhibitAnyPolicy,
]);

const KEY_CERT_SIGN = 0x0400;

/** Purposes of which a CA between leaf and root must have one if it states any: server, client, any. */
const AUTHENTICATION: ReadonlySet<string> = new Set([
  "1.3.6.1.5.5.7.3.1",
  "1.3.6.1.5.5.7.3.2",
  "2.5.29.37.0",
]);

/** Signatures with MD5 or SHA-1, for which two certificates with one signature can be made: not for CAs. */
const BROKEN_DIGESTS: ReadonlySet<string> = new Set([
  "1.2.840.113549.1.1.4",
  "1.2.840.113549.1.1.5",
  "1.3.14.3.2.29",
  "1.2.840.10045.4.1",
]);

/** How signatures are checked. */
export interface Signatures {
  /** Whether `issuer`'s key made the signature of `subject`; a string says why that cannot be checked. */
  check(subject: X509, issuer: X509): Promise<boolean | string>;
  /** What a check with this issuer's key costs, in verifications on P-256. */
  cost(subject: X509, issuer: X509): number;
}

/** What a search says: the path, leaf first, or why there is none. */
export type PathResult =
  | {
    readonly ok: true;
    readonly path: readonly X509[];
    /** Names of the leaf that are not to be believed: constraints of the path are against their use as a peer's name. */
    readonly excludedNames: readonly string[];
  }
  | { readonly ok: false; readonly reason: string };

/** Whether a certificate names itself as issuer. */
export function isSelfIssued(c: X509): boolean {
  return c.subject.canonical === c.issuer.canonical;
}

/** Whether what a certificate says of its issuer's key fits another certificate (RFC 5280 §4.2.1.1). */
export function keyIdsFit(c: X509, issuer: X509): boolean {
  const a = c.authorityKey;
  if (a === undefined) return true;
  const { keyId } = a;
  if (keyId !== undefined && issuer.subjectKeyId !== undefined) {
    if (!sameBytes(keyId, issuer.subjectKeyId)) return false;
  }
  if (a.serial !== undefined && !sameBytes(a.serial, issuer.serial)) return false;
  return a.issuer === undefined || a.issuer.canonical === issuer.issuer.canonical;
}

/** Whether a certificate may be a root; it is one if its own key made its signature, too. */
function mayBeAnchor(c: X509): boolean {
  // One whose key identifier contradicts itself is no root (RFC 5280 §4.2.1.1).
  return isSelfIssued(c) && keyIdsFit(c, c);
}

/** A short name of a certificate for people. */
export function nameOf(c: X509): string {
  const cn = commonNames(c)[0] ?? c.altNames.find((n) => n.text !== undefined)?.text;
  if (cn !== undefined) return `certificate "${cn}"`;
  return c.subject.rdns.length > 0
    ? `certificate "${c.subject.canonical}"`
    : "a certificate without name";
}

class Search {
  readonly #stock: readonly X509[];
  readonly #nowMs: number;
  readonly #signatures: Signatures;
  readonly #revoked: (c: X509) => boolean;
  /** Verdicts by subject and issuer. */
  readonly #verdicts = new Map<X509, Map<X509, boolean | string>>();
  #checked = 0;
  #costLeft = COST_MAX;
  #stepsLeft = STEPS_MAX;
  readonly #comparisons = { left: COMPARISONS_MAX };
  /** The reason of the path that came farthest. */
  #reason = "";
  #farthest = -1;
  readonly #bySubject = new Map<string, X509[]>();

  constructor(
    stock: readonly X509[],
    nowMs: number,
    signatures: Signatures,
    revoked: (c: X509) => boolean,
  ) {
    this.#stock = stock;
    this.#nowMs = nowMs;
    this.#signatures = signatures;
    this.#revoked = revoked;
    // Anchors first: the shortest path is the one that most peers would find.
    for (const c of [...stock.filter(mayBeAnchor), ...stock.filter((c) => !mayBeAnchor(c))]) {
      const list = this.#bySubject.get(c.subject.canonical);
      if (list === undefined) this.#bySubject.set(c.subject.canonical, [c]);
      else list.push(c);
    }
  }

  #fail(depth: number, reason: string): undefined {
    if (depth > this.#farthest) {
      this.#farthest = depth;
      this.#reason = reason;
    }
    return undefined;
  }

  async run(leaf: X509): Promise<PathResult> {
    const own = ownReason(leaf, this.#nowMs) ??
      (this.#revoked(leaf) ? `${nameOf(leaf)} is revoked` : undefined);
    if (own !== undefined) return { ok: false, reason: own };
    const same = this.#bySubject.get(leaf.subject.canonical)?.find((a) =>
      sameBytes(a.der, leaf.der)
    );
    if (same !== undefined && await this.#isAnchor(same)) {
      return { ok: true, path: [leaf], excludedNames: [] };
    }
    const found = await this.#extend([leaf]);
    if (found !== undefined) return found;
    if (this.#isSpent()) {
      return { ok: false, reason: "its paths are too many to try (cross-signed CAs?)" };
    }
    return { ok: false, reason: this.#reason };
  }

  /** Issuers of a certificate that may be, those that can be good first. */
  #issuers(path: readonly X509[]): X509[] {
    const top = path.at(-1)!;
    const named = this.#bySubject.get(top.issuer.canonical) ?? [];
    const fit = named.filter((c) => {
      const inPath = path.some((p) =>
        p === c || (p.subject.canonical === c.subject.canonical && sameBytes(p.spki, c.spki))
      );
      return !inPath && keyIdsFit(top, c);
    });
    // Those whose key identifier is the one asked for before those that have none.
    const id = top.authorityKey?.keyId;
    const isAsked = (c: X509) => id !== undefined && c.subjectKeyId !== undefined;
    const good = (c: X509) => issuerReason(c, mayBeAnchor(c), this.#nowMs) === undefined;
    const rank = (c: X509) => (good(c) ? 0 : 2) + (isAsked(c) ? 0 : 1);
    return fit.map((c) => ({ c, rank: rank(c) })).sort((a, b) => a.rank - b.rank).map((x) => x.c);
  }

  async #isAnchor(c: X509): Promise<boolean> {
    return mayBeAnchor(c) && await this.#signed(c, c) === true;
  }

  #isSpent(): boolean {
    return this.#stepsLeft <= 0 || this.#checked >= SIGNATURES_MAX ||
      (this.#costLeft <= 0 && this.#checked >= SIGNATURES_FREE);
  }

  async #signed(subject: X509, issuer: X509): Promise<boolean | string> {
    let of = this.#verdicts.get(subject);
    if (of === undefined) this.#verdicts.set(subject, of = new Map());
    let good = of.get(issuer);
    if (good === undefined) {
      this.#checked += 1;
      this.#costLeft -= this.#signatures.cost(subject, issuer);
      good = await this.#signatures.check(subject, issuer);
      of.set(issuer, good);
    }
    return good;
  }

  async #extend(path: X509[]): Promise<(PathResult & { ok: true }) | undefined> {
    const depth = path.length;
    const top = path.at(-1)!;
    if (depth >= PATH_MAX) return this.#fail(depth, `its chain is longer than ${PATH_MAX}`);
    const issuers = this.#issuers(path);
    if (issuers.length === 0) return this.#fail(depth, await this.#whyNoIssuer(top));
    for (const issuer of issuers) {
      if (this.#isSpent()) return undefined;
      this.#stepsLeft -= 1;
      const reason = issuerReason(issuer, mayBeAnchor(issuer), this.#nowMs) ??
        (this.#revoked(issuer) ? `${nameOf(issuer)} is revoked` : undefined);
      if (reason !== undefined) {
        this.#fail(depth + 0.5, reason);
        continue;
      }
      const signed = await this.#signed(top, issuer);
      if (signed !== true) {
        const why = signed || `the signature of ${nameOf(top)} is not by ${nameOf(issuer)}`;
        this.#fail(depth + 0.25, why);
        continue;
      }
      const isAnchor = await this.#isAnchor(issuer);
      const lesser = isAnchor ? undefined : issuerReason(issuer, false, this.#nowMs);
      if (lesser !== undefined) {
        this.#fail(depth + 0.5, lesser);
        continue;
      }
      const longer = [...path, issuer];
      if (!isAnchor) {
        const found = await this.#extend(longer);
        if (found !== undefined) return found;
        continue;
      }
      const broken = pathReason(longer, this.#comparisons);
      if (broken === undefined) {
        return { ok: true, path: longer, excludedNames: excludedNames(longer) };
      }
      this.#fail(depth + 0.75, broken);
    }
    return undefined;
  }

  async #whyNoIssuer(top: X509): Promise<string> {
    if (mayBeAnchor(top) && this.#stock.includes(top)) {
      const own = await this.#signed(top, top);
      return `${nameOf(top)} is no root: ${own || "its own signature is wrong"}`;
    }
    const named = this.#bySubject.get(top.issuer.canonical) ?? [];
    if (named.some((c) => !keyIdsFit(top, c))) {
      return `${nameOf(top)} was issued with another key than that of ${nameOf(named[0]!)}`;
    }
    if (this.#stock.length === 0) return "no trusted root certificate is installed";
    if (!this.#stock.some(mayBeAnchor)) {
      const n = this.#stock.length;
      return `none of the ${n} certificates installed is a trusted root: each names another as its issuer`;
    }
    if (isSelfIssued(top)) return `${nameOf(top)} is not among the trusted roots`;
    return "no chain to a trusted root (is its intermediate in untrusted/ and its root in cacert/?)";
  }
}

/** A path for a leaf at a time, or why there is none. */
export function findPath(
  leaf: X509,
  stock: readonly X509[],
  nowMs: number,
  signatures: Signatures,
  revoked: (c: X509) => boolean = () => false,
): Promise<PathResult> {
  return new Search(stock, nowMs, signatures, revoked).run(leaf);
}

/** What is wrong with a certificate by itself. */
function ownReason(c: X509, nowMs: number): string | undefined {
  const shown = (ms: number) => new Date(ms).toISOString();
  if (nowMs < c.notBeforeMs) return `${nameOf(c)} is not valid before ${shown(c.notBeforeMs)}`;
  // OpenSSL takes the last second as over, RFC 5280 as still good.
  if (nowMs >= c.notAfterMs) return `${nameOf(c)} expired on ${shown(c.notAfterMs)}`;
  for (const e of c.extensions.values()) {
    if (e.critical && !MAY_BE_CRITICAL.has(e.oid)) {
      return `${nameOf(c)} has the unknown critical extension ${e.oid}`;
    }
  }
  if (c.extensions.has(Ext.proxy)) return `${nameOf(c)} is a proxy certificate`;
  return undefined;
}

/** Why a certificate may not issue others. Version-1 roots say nothing of it; only an administrator makes an anchor. */
function issuerReason(c: X509, isAnchor: boolean, nowMs: number): string | undefined {
  const own = ownReason(c, nowMs);
  if (own !== undefined) return own;
  if (c.keyUsage !== undefined && (c.keyUsage & KEY_CERT_SIGN) === 0) {
    return `${nameOf(c)} may not sign certificates`;
  }
  if (isAnchor) {
    const silent = c.ca === undefined && (c.keyUsage !== undefined || c.version === 1);
    return c.ca === true || silent ? undefined : `${nameOf(c)} is not a CA certificate`;
  }
  if (c.ca !== true) return `${nameOf(c)} is not a CA certificate`;
  if (c.purposes !== undefined && !c.purposes.some((p) => AUTHENTICATION.has(p))) {
    return `${nameOf(c)} may not sign certificates that authenticate (extended key usage)`;
  }
  if (BROKEN_DIGESTS.has(c.signatureOid)) {
    return `${nameOf(c)} is a CA certificate signed with a digest that is broken`;
  }
  return undefined;
}

/** What is wrong with a path as a whole. */
function pathReason(path: readonly X509[], comparisons: Comparisons): string | undefined {
  // Certificates below that count: CAs that are not self-issued.
  let below = 0;
  for (const [i, c] of path.entries()) {
    if (i > 1 && c.pathLength !== undefined && below > c.pathLength) {
      return `${nameOf(c)} allows ${c.pathLength} certificates below it, there are ${below}`;
    }
    if (i > 0 && !isSelfIssued(c)) below += 1;
    // Self-issued CAs are not looked at, a leaf always is.
    if (i > 0 && isSelfIssued(c)) continue;
    for (const nc of constraintsAbove(path, i)) {
      const broken = violation(c, i === 0, nc, comparisons);
      if (broken !== undefined) return `${nameOf(c)}: ${broken}`;
    }
  }
  return undefined;
}

function constraintsAbove(path: readonly X509[], i: number): NameConstraints[] {
  return path.slice(i + 1).flatMap((c) =>
    c.nameConstraints === undefined ? [] : [c.nameConstraints]
  );
}

function excludedNames(path: readonly X509[]): string[] {
  const above = constraintsAbove(path, 0);
  return above.length === 0 ? [] : peerNames(path[0]!).filter((n) => !allowsPeerName(n, above));
}
