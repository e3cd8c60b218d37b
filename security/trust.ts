/**
 * Trust store and certificate chains (spec 40 §13.2, §14).
 *
 * A chain ends in a self-signed certificate of the store; intermediates come from the store alone.
 * Path building and RFC 5280 are pkijs's, with our verification of signatures below it, so that every
 * key type of OAP works in a CA too; what the found path must also hold is checked again here.
 */

import {
  type Certificate,
  CertificateChainValidationEngine,
  CryptoEngine,
  type PublicKeyInfo,
} from "pkijs";
import { certificateAlgorithm, VerifyKey } from "./signature.ts";
import { PeerCertificate } from "./certificate.ts";
import { sha256 } from "./digest.ts";
import { printable } from "./printable.ts";

/** Longest chain, certificates. */
const CHAIN_MAX = 10;
/** Good verdicts remembered. */
const VERDICTS_MAX = 1024;

const OID_KEY_USAGE = "2.5.29.15";
const OID_BASIC = "2.5.29.19";

/** Extensions whose meaning is enforced somewhere in the path; others must not be critical. */
const KNOWN_CRITICAL = new Set([
  OID_KEY_USAGE,
  OID_BASIC,
  "2.5.29.17", // subjectAltName
  "2.5.29.30", // nameConstraints (pkijs)
  "2.5.29.32", // certificatePolicies (pkijs)
  "2.5.29.33", // policyMappings (pkijs)
  "2.5.29.36", // policyConstraints (pkijs)
  "2.5.29.37", // extKeyUsage: with strict-crt
  "2.5.29.54", // inhibitAnyPolicy (pkijs)
]);

/** pkijs's engine with our signature verification. */
class Engine extends CryptoEngine {
  constructor() {
    super({ name: "ouro", crypto });
  }

  override async verifyWithPublicKey(
    data: BufferSource,
    signature: { valueBlock: { valueHexView: Uint8Array } },
    publicKeyInfo: PublicKeyInfo,
    signatureAlgorithm: { algorithmId: string; algorithmParams?: { toBER(): ArrayBuffer } },
  ): Promise<boolean> {
    const params = signatureAlgorithm.algorithmParams?.toBER();
    const algorithm = certificateAlgorithm(
      signatureAlgorithm.algorithmId,
      params && new Uint8Array(params),
    );
    const key = VerifyKey.of(new Uint8Array(publicKeyInfo.toSchema().toBER()));
    if (!algorithm || !key) return false;
    const rsa = algorithm.type === "rsa" || algorithm.type === "rsa-pss";
    if (key.kind.type !== algorithm.type && !(rsa && key.kind.type === "rsa")) return false;
    const bytes = ArrayBuffer.isView(data)
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data);
    return await key.verifyDigest(
      algorithm.word,
      algorithm.pss,
      bytes,
      signature.valueBlock.valueHexView,
    );
  }
}

const engine = new Engine();

/** A verdict on a chain: good, with the weakest link's names for strict checks, or the reason. */
export type ChainVerdict =
  | { readonly ok: true; readonly sha1: boolean; readonly weakRsaBits: number | undefined }
  | { readonly ok: false; readonly reason: string };

/** The certificates that are trusted, and the chains found so far. */
export class TrustStore {
  readonly #anchors: PeerCertificate[] = [];
  readonly #intermediates: PeerCertificate[] = [];
  /** Good verdicts by hash of the leaf, valid until the first certificate of the chain expires. */
  readonly #verdicts = new Map<
    string,
    { verdict: ChainVerdict; notBeforeMs: number; notAfterMs: number }
  >();

  /** Hashes of certificates that are not accepted any more, whatever their chain. */
  readonly #revoked: ReadonlySet<string>;

  private constructor(revoked: readonly PeerCertificate[]) {
    this.#revoked = new Set(revoked.map((c) => sha256(c.der).toHex()));
  }

  /** Makes a store; a certificate that is signed with its own key is an anchor (spec 40 §14). */
  static async of(
    certificates: readonly PeerCertificate[],
    revoked: readonly PeerCertificate[] = [],
  ): Promise<TrustStore> {
    const store = new TrustStore(revoked);
    for (const c of certificates) {
      if (store.#revoked.has(sha256(c.der).toHex())) continue;
      if (await isSelfSigned(c)) store.#anchors.push(c);
      else store.#intermediates.push(c);
    }
    return store;
  }

  /** Certificates held. */
  get size(): number {
    return this.#anchors.length + this.#intermediates.length;
  }

  /** Verifies the chain of a leaf at a time. */
  async verify(leaf: PeerCertificate, nowMs: number): Promise<ChainVerdict> {
    const hash = sha256(leaf.der).toHex();
    if (this.#revoked.has(hash)) return { ok: false, reason: "it is revoked" };
    const known = this.#verdicts.get(hash);
    if (known && nowMs >= known.notBeforeMs && nowMs <= known.notAfterMs) return known.verdict;
    const path = await this.#path(leaf, nowMs);
    if (typeof path === "string") return { ok: false, reason: path };
    const reason = checkPath(path, nowMs);
    if (reason !== undefined) return { ok: false, reason };
    const verdict: ChainVerdict = {
      ok: true,
      sha1: path.slice(0, -1).some((c) => algorithmOf(c)?.word === "sha1"),
      weakRsaBits: path.map(rsaBits).find((bits) => bits !== undefined && bits < 2048),
    };
    if (this.#verdicts.size >= VERDICTS_MAX) {
      this.#verdicts.delete(this.#verdicts.keys().next().value!);
    }
    this.#verdicts.set(hash, {
      verdict,
      notBeforeMs: Math.max(...path.map((c) => c.notBefore.value.getTime())),
      notAfterMs: Math.min(...path.map((c) => c.notAfter.value.getTime())),
    });
    return verdict;
  }

  /** Leaf first, anchor last; or the reason why there is none. */
  async #path(leaf: PeerCertificate, nowMs: number): Promise<Certificate[] | string> {
    if (this.#anchors.some((a) => equal(a.der, leaf.der))) return [leaf.x509];
    if (this.#anchors.length === 0) return "no trusted root certificate is installed";
    const validity = validityReason(leaf.x509, nowMs);
    if (validity) return validity;
    try {
      const chain = new CertificateChainValidationEngine({
        trustedCerts: this.#anchors.map((c) => c.x509),
        certs: [...this.#intermediates.map((c) => c.x509), leaf.x509],
        checkDate: new Date(nowMs),
      });
      const found = await chain.verify({}, engine);
      if (!found.result) return refusal(found.resultMessage);
      const path = found.certificatePath;
      return path && path.length > 0 ? path : "no chain to a trusted root";
    } catch (e) {
      return refusal(e instanceof Error ? e.message : String(e));
    }
  }
}

/** pkijs's sentences in ours where they mislead. */
function refusal(message: string): string {
  if (/No valid certificate paths found|Unable to find certificate path/.test(message)) {
    return "no chain to a trusted root (is its intermediate in untrusted/ and its root in cacert/?)";
  }
  return message || "no chain to a trusted root";
}

/** What must hold on the path whatever found it. */
function checkPath(path: Certificate[], nowMs: number): string | undefined {
  if (path.length > CHAIN_MAX) return `the chain has ${path.length} certificates`;
  for (const [i, c] of path.entries()) {
    const name = describe(c);
    const validity = validityReason(c, nowMs);
    if (validity) return validity;
    for (const e of c.extensions ?? []) {
      if (e.critical && !KNOWN_CRITICAL.has(e.extnID)) {
        return `${name} has the unknown critical extension ${e.extnID}`;
      }
    }
    if (i === 0) continue;
    const basic = extension(c, OID_BASIC);
    if (basic?.cA !== true) return `${name} is not a CA certificate`;
    const usage = extension(c, OID_KEY_USAGE);
    if (usage) {
      const bits: Uint8Array = new Uint8Array(usage.valueBlock?.valueHexView ?? []);
      if (((bits[0] ?? 0) & 0x04) === 0) return `${name} may not sign certificates`;
    }
    const limit: unknown = basic.pathLenConstraint;
    // Certificates between this one and the leaf that are not self-issued.
    const below = path.slice(1, i).filter((x) => !x.subject.isEqual(x.issuer)).length;
    if (typeof limit === "number" && below > limit) {
      return `${name} allows ${limit} certificates below it, there are ${below}`;
    }
  }
  return undefined;
}

function validityReason(c: Certificate, nowMs: number): string | undefined {
  const from = c.notBefore.value;
  const to = c.notAfter.value;
  if (nowMs < from.getTime()) return `${describe(c)} is not valid before ${from.toISOString()}`;
  if (nowMs > to.getTime()) return `${describe(c)} expired on ${to.toISOString()}`;
  return undefined;
}

interface ParsedExtension {
  readonly cA?: unknown;
  readonly pathLenConstraint?: unknown;
  readonly valueBlock?: { readonly valueHexView?: ArrayLike<number> };
}

function extension(c: Certificate, id: string): ParsedExtension | undefined {
  return c.extensions?.find((e) => e.extnID === id)?.parsedValue;
}

function algorithmOf(c: Certificate) {
  const params = c.signatureAlgorithm.algorithmParams as { toBER?(): ArrayBuffer } | undefined;
  const der = params?.toBER?.();
  return certificateAlgorithm(c.signatureAlgorithm.algorithmId, der && new Uint8Array(der));
}

function rsaBits(c: Certificate): number | undefined {
  const kind = VerifyKey.of(new Uint8Array(c.subjectPublicKeyInfo.toSchema().toBER()))?.kind;
  return kind && (kind.type === "rsa" || kind.type === "rsa-pss") ? kind.bits : undefined;
}

async function isSelfSigned(c: PeerCertificate): Promise<boolean> {
  if (!c.x509.subject.isEqual(c.x509.issuer)) return false;
  try {
    return await c.x509.verify(c.x509, engine);
  } catch {
    return false;
  }
}

/** Subject of a certificate for a log line. */
function describe(c: Certificate): string {
  const cn = c.subject.typesAndValues.find((t) => t.type === "2.5.4.3")?.value.valueBlock.value;
  return typeof cn === "string" ? `certificate "${printable(cn)}"` : "a certificate without name";
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
