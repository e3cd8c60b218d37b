/**
 * Trust store and certificate chains (spec 40 §13.2, §14): which certificates are trusted, which are revoked, and the
 * verdicts found so far. The search for a path and its rules are in `x509/path.ts`.
 *
 * Revocation compares what is signed: issuer and serial number, the signed part, and the key. Who holds a key can make
 * other bytes of the same certificate, and a certificate with the same key is no other holder.
 */

import { certificateAlgorithm } from "./certificate_algorithm.ts";
import type { CostlyWork } from "./costly_work.ts";
import type { PeerCertificate } from "./certificate.ts";
import { sha256 } from "./digest.ts";
import { algorithmName, unsupportedKey } from "./key_kind.ts";
import { VerifyKey } from "./signature.ts";
import { findPath, nameOf, type PathResult } from "./x509/path.ts";
import type { X509 } from "./x509/parse.ts";

/** Good verdicts remembered. */
const VERDICTS_MAX = 1024;

/** Signatures of a chain that are checked in a row; most chains have fewer. */
const SIGNATURES_AT_ONCE = 8;

/** Lets the thread do what else it has to. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** A verdict on a chain: good, with the weakest link's names for strict checks, or the reason. */
export type ChainVerdict =
  | {
    readonly ok: true;
    /** Leaf first. */
    readonly path: readonly X509[];
    readonly sha1: boolean;
    readonly weakRsaBits: number | undefined;
    /** Names of the leaf that are not to be believed; see {@linkcode PathResult}. */
    readonly excludedNames: readonly string[];
  }
  | { readonly ok: false; readonly reason: string };

const keys = new WeakMap<X509, VerifyKey | null>();

function keyOf(c: X509): VerifyKey | undefined {
  let key = keys.get(c);
  if (key === undefined) keys.set(c, key = VerifyKey.of(c.spki) ?? null);
  return key ?? undefined;
}

/** Verdicts on certificates' signatures by their own keys, which are asked for by every search that meets a root. */
const ownSignatures = new WeakMap<X509, boolean | string>();

/** Whether the key of `issuer` made the signature of `subject`, or why that cannot be said. */
async function isSignedBy(
  subject: X509,
  issuer: X509,
  work?: CostlyWork,
): Promise<boolean | string> {
  const known = subject === issuer ? ownSignatures.get(subject) : undefined;
  if (known !== undefined) return known;
  const verdict = await checkSignature(subject, issuer, work);
  // A bad one may be one that nobody had time to check.
  if (subject === issuer && verdict !== false) ownSignatures.set(subject, verdict);
  return verdict;
}

async function checkSignature(
  subject: X509,
  issuer: X509,
  work?: CostlyWork,
): Promise<boolean | string> {
  const key = keyOf(issuer);
  if (key === undefined) {
    return `the key of ${nameOf(issuer)} is of a type that is not supported (${
      unsupportedKey(issuer.spki)
    })`;
  }
  const algorithm = algorithmOf(subject);
  if (algorithm === undefined) {
    const name = algorithmName(subject.signatureOid);
    return `${nameOf(subject)} is signed in a way that is not supported (${name})`;
  }
  const { type } = key.kind;
  // A key for PSS alone signs PSS alone; one for RSA signs both.
  if (type !== algorithm.type && !(type === "rsa" && algorithm.type === "rsa-pss")) return false;
  const { word, pss } = algorithm;
  return await key.verifyDigest(word, pss, subject.tbs, subject.signature, work);
}

/** What a check costs, in verifications on P-256. */
function costOf(subject: X509, issuer: X509): number {
  const word = algorithmOf(subject)?.word;
  return (word === undefined ? undefined : keyOf(issuer)?.cost(word)) ?? 0;
}

function algorithmOf(c: X509) {
  return certificateAlgorithm(c.signatureOid, c.signatureParams);
}

/** What a revoked certificate is known by. */
function marksOf(c: X509): string[] {
  return [
    `serial ${c.issuer.canonical} ${c.serial.toHex()}`,
    `signed ${sha256(c.tbs).toHex()}`,
    `key ${sha256(c.spki).toHex()}`,
  ];
}

/** The certificates that are trusted, and the chains found so far. */
export class TrustStore {
  readonly #certificates: readonly X509[];
  readonly #revoked: ReadonlySet<string>;
  /** Good verdicts by hash of the leaf, valid until the first certificate of the chain expires. */
  readonly #verdicts = new Map<
    string,
    { verdict: ChainVerdict; notBeforeMs: number; notAfterMs: number }
  >();

  /**
   * Makes a store; a certificate that is signed with its own key is an anchor (spec 40 §14). That is found out when a
   * search meets it: a store of a hundred certificates costs no hundred signatures.
   */
  constructor(
    certificates: readonly PeerCertificate[],
    revoked: readonly PeerCertificate[] = [],
  ) {
    this.#revoked = new Set(revoked.flatMap((c) => marksOf(c.view)));
    this.#certificates = certificates.map((c) => c.view);
  }

  /** Certificates held. */
  get size(): number {
    return this.#certificates.length;
  }

  #isRevoked(c: X509): boolean {
    return this.#revoked.size > 0 && marksOf(c).some((m) => this.#revoked.has(m));
  }

  /**
   * Verifies the chain of a leaf at a time.
   * @param work does what of it is costly; then the rest pauses now and then, too, for what else the thread has to do
   */
  async verify(leaf: PeerCertificate, nowMs: number, work?: CostlyWork): Promise<ChainVerdict> {
    const { view } = leaf;
    if (this.#isRevoked(view)) return { ok: false, reason: "it is revoked" };
    const hash = sha256(leaf.der).toHex();
    const known = this.#verdicts.get(hash);
    if (known && nowMs >= known.notBeforeMs && nowMs < known.notAfterMs) return known.verdict;
    let checked = 0;
    const check = async (subject: X509, issuer: X509) => {
      if (work !== undefined && ++checked % SIGNATURES_AT_ONCE === 0) await pause();
      return await isSignedBy(subject, issuer, work);
    };
    const signatures = { check, cost: costOf };
    const found: PathResult = await findPath(
      view,
      this.#certificates,
      nowMs,
      signatures,
      (c) => this.#isRevoked(c),
    );
    if (!found.ok) return found;
    const { path, excludedNames } = found;
    const verdict: ChainVerdict = {
      ok: true,
      path,
      sha1: path.slice(0, -1).some((c) => ["sha1", "md5"].includes(algorithmOf(c)?.word ?? "")),
      weakRsaBits: path.map(rsaBits).find((bits) => bits !== undefined && bits < 2048),
      excludedNames,
    };
    if (this.#verdicts.size >= VERDICTS_MAX) {
      this.#verdicts.delete(this.#verdicts.keys().next().value!);
    }
    this.#verdicts.set(hash, {
      verdict,
      notBeforeMs: Math.max(...path.map((c) => c.notBeforeMs)),
      notAfterMs: Math.min(...path.map((c) => c.notAfterMs)),
    });
    return verdict;
  }
}

function rsaBits(c: X509): number | undefined {
  const kind = keyOf(c)?.kind;
  return kind && (kind.type === "rsa" || kind.type === "rsa-pss") ? kind.bits : undefined;
}
