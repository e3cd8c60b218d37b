/**
 * A peer's certificate: parsed once, with its key, its names and what policy asks about it
 * (spec 40 §13.1, §14). Parsing is pkijs's; nothing here throws on hostile bytes.
 */

import { Certificate } from "pkijs";
import { printable } from "../lib/printable.ts";
import { isPemRefusal, onePem, readPem } from "./pem.ts";
import { keyKind, unsupportedKey } from "./key_kind.ts";
import { VerifyKey } from "./signature.ts";
import { commonNames } from "./x509/name_constraints.ts";
import { parseX509, type X509 } from "./x509/parse.ts";

/** Certificates beyond this are not parsed, bytes (the header's field is 16 bits). */
const CERTIFICATE_BYTES_MAX = 65535;

const FORM_DNS = 2;
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const ANY_PURPOSE = "2.5.29.37.0";
const DIGITAL_SIGNATURE = 0x8000;

/** A parsed certificate. */
export class PeerCertificate {
  #x509: Certificate | undefined;

  private constructor(
    readonly der: Uint8Array<ArrayBuffer>,
    /** As read strictly. */
    readonly view: X509,
    /** `undefined` when the key is of no signature type; {@linkcode keyReason} says why. */
    readonly key: VerifyKey | undefined,
    /** Value of the one CN attribute; `undefined` when there is none, more than one, or it may not be used. */
    readonly commonName: string | undefined,
    /** The first CN attribute, for logs alone. */
    readonly firstName: string | undefined,
    /** dNSName entries of subjectAltName. */
    readonly altNames: readonly string[],
  ) {}

  /** Parses DER that must be exactly one certificate; or why it is none. */
  static read(der: Uint8Array): PeerCertificate | string {
    if (der.length > CERTIFICATE_BYTES_MAX) return `it has ${der.length} bytes`;
    const owned = der.slice();
    const view = parseX509(owned);
    if (typeof view === "string") return view;
    const names = commonNames(view).filter((n) => n !== "");
    const one = names.length === 1 ? names[0] : undefined;
    const alt = view.altNames.flatMap((n) =>
      n.form === FORM_DNS && n.text !== undefined ? [n.text] : []
    );
    return new PeerCertificate(owned, view, VerifyKey.of(view.spki), one, names[0], alt);
  }

  /** As {@linkcode read}, without the reason. */
  static parse(der: Uint8Array): PeerCertificate | undefined {
    const c = PeerCertificate.read(der);
    return typeof c === "string" ? undefined : c;
  }

  /** The one `CERTIFICATE` block of a PEM file, or why there is none. */
  static readPem(text: string): PeerCertificate | string {
    const block = onePem(text, "CERTIFICATE");
    return isPemRefusal(block) ? block.reason : PeerCertificate.read(block);
  }

  /** Every certificate of a PEM file; or why one of them, or what is between them, is none. */
  static readAllPem(text: string): PeerCertificate[] | string {
    const { blocks, damage } = readPem(text);
    if (damage !== undefined) return damage;
    const found: PeerCertificate[] = [];
    for (const { label, bytes } of blocks) {
      if (label !== "CERTIFICATE") return `a block "${label}" is no certificate`;
      const c = PeerCertificate.read(bytes);
      if (typeof c === "string") return c;
      found.push(c);
    }
    return found.length > 0 ? found : "no PEM certificate in it";
  }

  /** As {@linkcode readPem}, without the reason. */
  static fromPem(text: string): PeerCertificate | undefined {
    const c = PeerCertificate.readPem(text);
    return typeof c === "string" ? undefined : c;
  }

  /** The same certificate without names that are not to be believed (a CA of its path may not give them). */
  without(names: readonly string[]): PeerCertificate {
    if (names.length === 0) return this;
    const { der, view, key, commonName, firstName, altNames } = this;
    const believed = (n: string | undefined) => n !== undefined && !names.includes(n);
    const alt = altNames.filter(believed);
    const common = believed(commonName) ? commonName : undefined;
    return new PeerCertificate(der, view, key, common, firstName, alt);
  }

  /** The certificate as pkijs shows it. */
  get x509(): Certificate {
    return this.#x509 ??= Certificate.fromBER(this.der);
  }

  /** Why the key cannot be used, with the name of its algorithm. */
  get keyReason(): string {
    return `its key type is not supported (${unsupportedKey(this.view.spki)})`;
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

  /** The names that {@linkcode isFor} takes, each once. */
  namesThatCount(strict: boolean): string[] {
    const common = strict && this.altNames.length > 0 ? undefined : this.commonName;
    return [...new Set([...this.altNames, common ?? ""])].filter((n) => n !== "");
  }

  /** Why it is not for a name, for people; `undefined`: it is. `strict` as in {@linkcode isFor}. */
  whyNotFor(name: string, strict: boolean): string | undefined {
    if (this.isFor(name, strict)) return undefined;
    const names = this.namesThatCount(strict);
    const has = names.length === 0 ? "no name that counts" : `the name ${names.join(", ")}`;
    return `it is not for "${printable(name)}": it has ${printable(has)}`;
  }

  /** Why a certificate made for the other role alone does not play this one; `undefined`: it may. */
  roleReason(role: "server" | "client"): string | undefined {
    const { purposes } = this.view;
    const [wanted, other] = role === "server"
      ? [SERVER_AUTH, CLIENT_AUTH]
      : [CLIENT_AUTH, SERVER_AUTH];
    if (purposes === undefined || purposes.includes(wanted) || purposes.includes(ANY_PURPOSE)) {
      return undefined;
    }
    if (!purposes.includes(other)) return undefined; // Not about either: as the prototype, no reason.
    return `it is for ${role === "server" ? "clients" : "servers"} alone (extended key usage)`;
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
    const { ca, keyUsage, purposes } = this.view;
    if (ca === true) return "it is a CA certificate";
    if (keyUsage !== undefined && (keyUsage & DIGITAL_SIGNATURE) === 0) {
      return "its key usage has no digitalSignature";
    }
    const wanted = role === "server" ? SERVER_AUTH : CLIENT_AUTH;
    if (purposes && !purposes.includes(wanted) && !purposes.includes(ANY_PURPOSE)) {
      return `its extended key usage has no ${role}Auth`;
    }
    return undefined;
  }
}
