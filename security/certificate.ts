/**
 * A peer's certificate: parsed once, with its key, its names and what policy asks about it
 * (spec 40 §13.1, §14). Parsing is pkijs's; nothing here throws on hostile bytes.
 */

import { Certificate } from "pkijs";
import { parsePem } from "./pem.ts";
import { keyKind, VerifyKey } from "./signature.ts";
import { readTlv } from "./der.ts";

/** Certificates beyond this are not parsed, bytes (the header's field is 16 bits). */
const CERTIFICATE_BYTES_MAX = 65535;

const OID_CN = "2.5.4.3";
const OID_KEY_USAGE = "2.5.29.15";
const OID_SAN = "2.5.29.17";
const OID_BASIC = "2.5.29.19";
const OID_EKU = "2.5.29.37";
const SAN_DNS = 2;

/** A parsed certificate. */
export class PeerCertificate {
  private constructor(
    readonly der: Uint8Array<ArrayBuffer>,
    readonly x509: Certificate,
    /** `undefined` when the key is of no signature type. */
    readonly key: VerifyKey | undefined,
    /** Value of the one CN attribute; `undefined` when there is none or more than one. */
    readonly commonName: string | undefined,
    /** The first CN attribute, for logs alone. */
    readonly firstName: string | undefined,
    /** dNSName entries of subjectAltName. */
    readonly altNames: readonly string[],
  ) {}

  /** Parses DER that must be exactly one certificate. */
  static parse(der: Uint8Array): PeerCertificate | undefined {
    const t = readTlv(der);
    if (der.length > CERTIFICATE_BYTES_MAX || t?.to !== der.length) return undefined;
    const owned = der.slice();
    try {
      const x509 = Certificate.fromBER(owned);
      const spki = new Uint8Array(x509.subjectPublicKeyInfo.toSchema().toBER());
      const names = commonNames(x509);
      const one = names.length === 1 ? names[0] : undefined;
      return new PeerCertificate(owned, x509, VerifyKey.of(spki), one, names[0], altNames(x509));
    } catch {
      return undefined;
    }
  }

  /** The first `CERTIFICATE` block of a PEM file. */
  static fromPem(text: string): PeerCertificate | undefined {
    const block = parsePem(text).find((b) => b.label === "CERTIFICATE");
    return block && PeerCertificate.parse(block.bytes);
  }

  /** For logs: the first CN, else the first alternative name, else nothing. Never to be trusted. */
  get name(): string | undefined {
    return this.firstName ?? this.altNames[0];
  }

  /**
   * Whether the certificate is for a name, byte for byte, without wildcards: by its CN or one of its
   * alternative names; `strict`: only by the latter when there are any (RFC 9525's rule).
   */
  isFor(name: string, strict: boolean): boolean {
    if (this.altNames.includes(name)) return true;
    return this.commonName === name && !(strict && this.altNames.length > 0);
  }

  /**
   * What `strict-crt` refuses in a leaf: a CA, key usage without signatures, weak keys.
   * @returns the reason, `undefined` when there is none
   */
  strictReason(role: "server" | "client"): string | undefined {
    const kind = keyKind(this.key?.spki ?? new Uint8Array());
    if (kind && "bits" in kind && kind.type !== "ec" && kind.bits < 2048) {
      return `its RSA key has ${kind.bits} bits`;
    }
    for (const e of this.x509.extensions ?? []) {
      const value = e.parsedValue;
      if (e.extnID === OID_BASIC && value?.cA === true) return "it is a CA certificate";
      if (e.extnID === OID_KEY_USAGE) {
        const bits = new Uint8Array(value?.valueBlock?.valueHexView ?? []);
        if (((bits[0] ?? 0) & 0x80) === 0) return "its key usage has no digitalSignature";
      }
      if (e.extnID === OID_EKU) {
        const purposes: string[] = value?.keyPurposes ?? [];
        const wanted = role === "server" ? "1.3.6.1.5.5.7.3.1" : "1.3.6.1.5.5.7.3.2";
        if (!purposes.includes(wanted) && !purposes.includes("2.5.29.37.0")) {
          return `its extended key usage has no ${role}Auth`;
        }
      }
    }
    return undefined;
  }
}

function commonNames(x509: Certificate): string[] {
  return x509.subject.typesAndValues.filter((t) => t.type === OID_CN)
    .map((t) => t.value.valueBlock.value as unknown)
    .filter((v): v is string => typeof v === "string" && v !== "");
}

function altNames(x509: Certificate): string[] {
  const san = x509.extensions?.find((e) => e.extnID === OID_SAN)?.parsedValue;
  const names: { type: number; value: unknown }[] = san?.altNames ?? [];
  return names.filter((n) => n.type === SAN_DNS && typeof n.value === "string")
    .map((n) => n.value as string);
}
