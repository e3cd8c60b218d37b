/**
 * Certificates: what goes into them and how they are signed (RFC 5280), for a root, an intermediate,
 * a server and a client. Encoding is pkijs's, signing is OAP's own.
 */

import { BitString, Integer, OctetString, PrintableString, Utf8String } from "asn1js";
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  Extension,
  ExtKeyUsage,
  GeneralName,
  GeneralNames,
  PublicKeyInfo,
  Time,
} from "pkijs";
import { oid, Tag, tlv } from "../security/der.ts";
import { sha256 } from "../security/digest.ts";
import { keyKind, pqOid } from "../security/key_kind.ts";
import { SigningKey } from "../security/signing_key.ts";

/** What a certificate is for. */
export type Purpose = "root" | "intermediate" | "server" | "client";

/** A request for a certificate. */
export interface Wanted {
  readonly purpose: Purpose;
  readonly commonName: string;
  readonly organization: string;
  /** SubjectPublicKeyInfo of the subject. */
  readonly spki: Uint8Array<ArrayBuffer>;
  /** More DNS names. */
  readonly altNames?: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** Who signs: its certificate (`undefined` for itself) and its key. */
export interface Issuer {
  readonly certificate: Uint8Array<ArrayBuffer> | undefined;
  readonly key: SigningKey;
}

const OID_CN = "2.5.4.3";
const OID_O = "2.5.4.10";
const EKU = { server: "1.3.6.1.5.5.7.3.1", client: "1.3.6.1.5.5.7.3.2" } as const;

/** Key usage bits, most significant first: 0 digitalSignature, 5 keyCertSign, 6 cRLSign. */
const USAGE_LEAF = new Uint8Array([0x80]);
const USAGE_CA = new Uint8Array([0x06]);

/** Makes a certificate; DER. Throws when the issuer's key cannot sign. */
export async function issue(wanted: Wanted, issuer: Issuer): Promise<Uint8Array<ArrayBuffer>> {
  const c = new Certificate();
  const parent = issuer.certificate ? Certificate.fromBER(issuer.certificate) : c;
  c.version = 2;
  c.serialNumber = new Integer({ valueHex: serial().buffer });
  c.subject.typesAndValues.push(
    new AttributeTypeAndValue({ type: OID_O, value: text(wanted.organization) }),
    new AttributeTypeAndValue({ type: OID_CN, value: text(wanted.commonName) }),
  );
  c.issuer = parent.subject;
  c.notBefore = time(wanted.notBefore);
  c.notAfter = time(wanted.notAfter);
  c.subjectPublicKeyInfo = PublicKeyInfo.fromBER(wanted.spki);
  const authority = issuer.certificate ? keyId(parent) : keyId(c);
  c.extensions = extensions(wanted, keyId(c), authority);
  return await sign(c, issuer.key);
}

/** The same certificate with another serial number and other dates, from an issuer; DER. */
export async function reissue(
  old: Uint8Array<ArrayBuffer>,
  issuer: Issuer,
  notBefore: Date,
  notAfter: Date,
): Promise<Uint8Array<ArrayBuffer>> {
  const c = Certificate.fromBER(old);
  const parent = issuer.certificate ? Certificate.fromBER(issuer.certificate) : c;
  c.serialNumber = new Integer({ valueHex: serial().buffer });
  c.issuer = parent.subject;
  c.notBefore = time(notBefore);
  c.notAfter = time(notAfter);
  return await sign(c, issuer.key);
}

async function sign(c: Certificate, key: SigningKey): Promise<Uint8Array<ArrayBuffer>> {
  const { algorithm, digestNid } = signatureAlgorithm(key);
  c.signature = algorithm;
  c.signatureAlgorithm = algorithm;
  const tbs = c.encodeTBS();
  const signature = await key.sign(digestNid, new Uint8Array(tbs.toBER()));
  if (!signature) throw new Error("the issuer's key cannot sign");
  c.tbsView = new Uint8Array(tbs.toBER());
  c.signatureValue = new BitString({ valueHex: signature.slice().buffer });
  return new Uint8Array(c.toSchema(true).toBER());
}

function extensions(wanted: Wanted, own: Uint8Array, authority: Uint8Array): Extension[] {
  const { purpose } = wanted;
  const isCa = purpose === "root" || purpose === "intermediate";
  const list = [
    extension("2.5.29.19", true, new BasicConstraints(basic(purpose)).toSchema()),
    extension("2.5.29.15", true, usage(isCa ? USAGE_CA : USAGE_LEAF, isCa ? 1 : 7)),
    extension("2.5.29.14", false, new OctetString({ valueHex: own.slice().buffer })),
  ];
  if (purpose !== "root") {
    const aki = new AuthorityKeyIdentifier({
      keyIdentifier: new OctetString({ valueHex: authority.slice().buffer }),
    });
    list.push(extension("2.5.29.35", false, aki.toSchema()));
  }
  if (purpose === "server" || purpose === "client") {
    const eku = new ExtKeyUsage({ keyPurposes: [EKU[purpose]] });
    list.push(extension("2.5.29.37", false, eku.toSchema()));
    const names = altNames([wanted.commonName, ...wanted.altNames ?? []]);
    if (names) {
      list.push(
        new Extension({ extnID: "2.5.29.17", critical: false, extnValue: names.buffer }),
      );
    }
  }
  return list;
}

/** subjectAltName of DNS names. They are ASCII; other names are found by the CN. */
export function altNames(names: readonly string[]): Uint8Array<ArrayBuffer> | undefined {
  const ascii = [...new Set(names)].filter((n) => /^[\x21-\x7e]+$/.test(n));
  if (ascii.length === 0) return undefined;
  const all = ascii.map((value) => new GeneralName({ type: 2, value }));
  return new Uint8Array(new GeneralNames({ names: all }).toSchema().toBER());
}

function basic(purpose: Purpose) {
  if (purpose === "root") return { cA: true, pathLenConstraint: 1 };
  if (purpose === "intermediate") return { cA: true, pathLenConstraint: 0 };
  return {};
}

function usage(bits: Uint8Array, unusedBits: number): BitString {
  return new BitString({ valueHex: bits.slice().buffer, unusedBits });
}

function extension(
  extnID: string,
  critical: boolean,
  schema: { toBER(sizeOnly?: boolean): ArrayBuffer },
): Extension {
  return new Extension({ extnID, critical, extnValue: schema.toBER(false) });
}

/** Key identifier: 20 bytes of a hash of the public key (RFC 7093 method 1). */
function keyId(c: Certificate): Uint8Array {
  const key = c.subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView;
  return sha256(new Uint8Array(key)).slice(0, 20);
}

/** A text of a name in its narrowest type. */
export function text(s: string): Utf8String | PrintableString {
  return /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(s)
    ? new PrintableString({ value: s })
    : new Utf8String({ value: s });
}

/** UTCTime until 2049, GeneralizedTime after (RFC 5280 §4.1.2.5). */
function time(value: Date): Time {
  return new Time({ type: value.getUTCFullYear() < 2050 ? 0 : 1, value });
}

/** 16 random bytes, positive. */
function serial(): Uint8Array<ArrayBuffer> {
  const s = crypto.getRandomValues(new Uint8Array(16));
  s[0] = (s[0]! & 0x7f) | 0x40;
  return s;
}

/** The algorithm identifier that a key signs certificates with, and OAP's digest id for it. */
export function signatureAlgorithm(key: SigningKey): {
  algorithm: AlgorithmIdentifier;
  digestNid: number;
} {
  const { kind } = key;
  const plain = (id: string, digestNid = 0) => ({
    algorithm: new AlgorithmIdentifier({ algorithmId: id }),
    digestNid,
  });
  switch (kind.type) {
    case "ec":
      if (kind.bits <= 256) return plain("1.2.840.10045.4.3.2", 672);
      if (kind.bits <= 384) return plain("1.2.840.10045.4.3.3", 673);
      return plain("1.2.840.10045.4.3.4", 674);
    case "rsa": {
      const der = tlv(Tag.sequence, oid("1.2.840.113549.1.1.11"), new Uint8Array([5, 0]));
      return { algorithm: AlgorithmIdentifier.fromBER(der), digestNid: 672 };
    }
    case "rsa-pss": {
      // OAP signs with the largest salt, so the parameters must say how large that is.
      const saltBytes = Math.ceil((kind.bits - 1) / 8) - 32 - 2;
      return { algorithm: AlgorithmIdentifier.fromBER(pssDer(saltBytes)), digestNid: 672 };
    }
    case "ed25519":
      return plain("1.3.101.112");
    case "ed448":
      return plain("1.3.101.113");
    default:
      return plain(pqOid(kind.name)!);
  }
}

function pssDer(saltBytes: number): Uint8Array<ArrayBuffer> {
  const hash = tlv(Tag.sequence, oid("2.16.840.1.101.3.4.2.1"), new Uint8Array([5, 0]));
  const mgf = tlv(Tag.sequence, oid("1.2.840.113549.1.1.8"), hash);
  const salt = tlv(Tag.integer, new Uint8Array([saltBytes >> 8, saltBytes & 0xff]));
  const params = tlv(Tag.sequence, tlv(0xa0, hash), tlv(0xa1, mgf), tlv(0xa2, salt));
  return tlv(Tag.sequence, oid("1.2.840.113549.1.1.10"), params);
}

/** A key that was just made, as signer. */
export async function signerOf(pkcs8: Uint8Array<ArrayBuffer>): Promise<SigningKey> {
  const key = await SigningKey.fromDer("PRIVATE KEY", pkcs8);
  if (typeof key === "string") throw new Error(key);
  return key;
}

/** Type of a public key for people, e.g. `EC secp256`, `ML-DSA-65`. */
export function keyWords(spki: Uint8Array): string {
  const kind = keyKind(spki);
  if (!kind) return "unknown key type";
  switch (kind.type) {
    case "ec":
      return `EC ${kind.curve}`;
    case "rsa":
      return `RSA ${kind.bits}`;
    case "rsa-pss":
      return `RSA-PSS ${kind.bits}`;
    case "ed25519":
      return "Ed25519";
    case "ed448":
      return "Ed448";
    default:
      return kind.name;
  }
}
