/**
 * Trust store and certificate chains (spec 40 §13.2, §14): which certificates are trusted, which are revoked, and the
 * verdicts found so far. The search for a path and its rules are in `x509/path.ts`.
 *
 * Revocation compares what is signed: issuer and serial number, the signed part, and the key. Who holds a key can make
 * other bytes of the same certificate, and a certificate with the same key is no other holder.
 */

import { certificateAlgorithm } from "./certificate_algorithm.ts";
import type { CostlyWork } from "./costly_work.ts";
import { VerifyKey } from "./signature.ts";
import type { PeerCertificate } from "./certificate.ts";
import { sha256 } from "./digest.ts";
import { findPath, isSelfIssued, keyIdsFit, type PathResult } from "./x509/path.ts";
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
    /** The common name may be used as a name; see {@linkcode PathResult}. */
    readonly commonNameAllowed: boolean;
  }
  | { readonly ok: false; readonly reason: string };

const keys = new WeakMap<X509, VerifyKey | null>();

function keyOf(c: X509): VerifyKey | undefined {
  let key = keys.get(c);
  if (key === undefined) keys.set(c, key = VerifyKey.of(c.spki) ?? null);
  return key ?? undefined;
}

/** Whether the key of `issuer` made the signature of `subject`. */
async function isSignedBy(subject: X509, issuer: X509, work?: CostlyWork): Promise<boolean> {
  const algorithm = algorithmOf(subject);
  const key = keyOf(issuer);
  if (algorithm === undefined || key === undefined) return false;
  const { type } = key.kind;
  // A key for PSS alone signs PSS alone; one for RSA signs both.
  if (type !== algorithm.type && !(type === "rsa" && algorithm.type === "rsa-pss")) return false;
  const { word, pss } = algorithm;
  return await key.verifyDigest(word, pss, subject.tbs, subject.signature, work);
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
  readonly #anchors: X509[] = [];
  readonly #others: X509[] = [];
  readonly #revoked: ReadonlySet<string>;
  /** Good verdicts by hash of the leaf, valid until the first certificate of the chain expires. */
  readonly #verdicts = new Map<
    string,
    { verdict: ChainVerdict; notBeforeMs: number; notAfterMs: number }
  >();

  private constructor(revoked: readonly PeerCertificate[]) {
    this.#revoked = new Set(revoked.flatMap((c) => marksOf(c.view)));
  }

  /** Makes a store; a certificate that is signed with its own key is an anchor (spec 40 §14). */
  static async of(
    certificates: readonly PeerCertificate[],
    revoked: readonly PeerCertificate[] = [],
  ): Promise<TrustStore> {
    const store = new TrustStore(revoked);
    for (const { view } of certificates) {
      if (store.#isRevoked(view)) continue;
      // One whose key identifier contradicts itself is no root (RFC 5280 §4.2.1.1).
      const own = isSelfIssued(view) && keyIdsFit(view, view) && await isSignedBy(view, view);
      (own ? store.#anchors : store.#others).push(view);
    }
    return store;
  }

  /** Certificates held. */
  get size(): number {
    return this.#anchors.length + this.#others.length;
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
    const stock = { anchors: this.#anchors, others: this.#others };
    let checked = 0;
    const check = async (subject: X509, issuer: X509) => {
      if (work !== undefined && ++checked % SIGNATURES_AT_ONCE === 0) await pause();
      return await isSignedBy(subject, issuer, work);
    };
    const found: PathResult = await findPath(
      view,
      stock,
      nowMs,
      check,
      (c) => this.#isRevoked(c),
    );
    if (!found.ok) return found;
    const { path, commonNameAllowed } = found;
    const verdict: ChainVerdict = {
      ok: true,
      path,
      sha1: path.slice(0, -1).some((c) => ["sha1", "md5"].includes(algorithmOf(c)?.word ?? "")),
      weakRsaBits: path.map(rsaBits).find((bits) => bits !== undefined && bits < 2048),
      commonNameAllowed,
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
