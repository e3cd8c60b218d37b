/**
 * Certificates of any shape, right or wrong, for tests: whatever `ouro pki` would never make. Keys are of
 * `node:crypto`; a field that is left out is left out of the certificate.
 */

import { type KeyObject, sign } from "node:crypto";
import { oid, Tag, tlv } from "../../security/der.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const text = (s: string): Bytes => Uint8Array.from(s, (c) => c.charCodeAt(0));
const bits = (b: Uint8Array, unused = 0): Bytes =>
  tlv(Tag.bitString, Uint8Array.of(unused), b.slice());
const TRUE = tlv(0x01, Uint8Array.of(0xff));

/** Attributes of a name as `CN=x`, `O=y`, `E=mail`; each its own relative name. */
export function dn(...attributes: string[]): Bytes {
  const types: Record<string, string> = {
    CN: "2.5.4.3",
    O: "2.5.4.10",
    OU: "2.5.4.11",
    E: "1.2.840.113549.1.9.1",
  };
  const rdns = attributes.map((a) => {
    const type = a.slice(0, a.indexOf("=")), value = a.slice(a.indexOf("=") + 1);
    const tag = type === "E" ? 0x16 : 0x0c;
    return tlv(
      0x31,
      tlv(Tag.sequence, oid(types[type]!), tlv(tag, new TextEncoder().encode(value))),
    );
  });
  return tlv(Tag.sequence, ...rdns);
}

/** A GeneralName as `dns:x`, `mail:x`, `uri:x`, `ip:0a000001`, `dir:O=x`, `rid:1.2.3`, `other:`. */
export function generalName(s: string): Bytes {
  const form = s.slice(0, s.indexOf(":"));
  const value = s.slice(s.indexOf(":") + 1);
  switch (form) {
    case "mail":
      return tlv(0x81, text(value));
    case "dns":
      return tlv(0x82, text(value));
    case "dir":
      return tlv(0xa4, dn(...value.split("/")));
    case "uri":
      return tlv(0x86, text(value));
    case "ip":
      return tlv(0x87, Uint8Array.fromHex(value));
    case "rid":
      return tlv(0x88, oid(value).subarray(2).slice());
    default:
      return tlv(0xa0, oid("1.2.3.4"), tlv(0xa0, tlv(0x0c, text(value))));
  }
}

/** An extension. */
export function extension(id: string, value: Uint8Array, critical = false): Bytes {
  return tlv(
    Tag.sequence,
    oid(id),
    ...(critical ? [TRUE] : []),
    tlv(Tag.octetString, value.slice()),
  );
}

/** basicConstraints. */
export function basicConstraints(ca: boolean, pathLength?: number, critical = true): Bytes {
  const body = [
    ...(ca ? [TRUE] : []),
    ...(pathLength === undefined ? [] : [tlv(Tag.integer, Uint8Array.of(pathLength))]),
  ];
  return extension("2.5.29.19", tlv(Tag.sequence, ...body), critical);
}

/** keyUsage from its first byte, bit 0 on top (0x80 digitalSignature, 0x04 keyCertSign). */
export function keyUsage(first: number, critical = true): Bytes {
  let unused = 0;
  while (unused < 7 && (first & (1 << unused)) === 0) unused++;
  return extension("2.5.29.15", bits(Uint8Array.of(first), unused), critical);
}

/** extKeyUsage. */
export function purposes(ids: readonly string[], critical = false): Bytes {
  return extension("2.5.29.37", tlv(Tag.sequence, ...ids.map(oid)), critical);
}

/** subjectAltName. */
export function altNames(names: readonly string[], critical = false): Bytes {
  return extension("2.5.29.17", tlv(Tag.sequence, ...names.map(generalName)), critical);
}

/** nameConstraints. */
export function nameConstraints(
  permitted: readonly string[],
  excluded: readonly string[],
  critical = true,
): Bytes {
  const list = (tag: number, names: readonly string[]) =>
    names.length === 0 ? [] : [tlv(tag, ...names.map((n) => tlv(Tag.sequence, generalName(n))))];
  return extension(
    "2.5.29.30",
    tlv(Tag.sequence, ...list(0xa0, permitted), ...list(0xa1, excluded)),
    critical,
  );
}

/** subjectKeyIdentifier. */
export function subjectKeyId(id: Uint8Array): Bytes {
  return extension("2.5.29.14", tlv(Tag.octetString, id.slice()));
}

/** authorityKeyIdentifier. */
export function authorityKeyId(
  keyId: Uint8Array | undefined,
  issuer?: { name: Uint8Array; serial: Uint8Array },
): Bytes {
  const body = [
    ...(keyId ? [tlv(0x80, keyId.slice())] : []),
    ...(issuer
      ? [tlv(0xa1, tlv(0xa4, issuer.name.slice())), tlv(0x82, issuer.serial.slice())]
      : []),
  ];
  return extension("2.5.29.35", tlv(Tag.sequence, ...body));
}

/** A time: UTCTime or GeneralizedTime with this text. */
export function time(tag: 0x17 | 0x18, s: string): Bytes {
  return tlv(tag, text(s));
}

/** A time as RFC 5280 wants it. */
export function timeOf(ms: number): Bytes {
  const s = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
  const year = Number(s.slice(0, 4));
  return year >= 1950 && year < 2050 ? time(0x17, s.slice(2)) : time(0x18, s);
}

/** Signature algorithms: identifier and the digest that `node:crypto` is asked for. */
export const SIGNATURES = {
  "ecdsa-sha1": { id: "1.2.840.10045.4.1", digest: "sha1", nullParams: false },
  "ecdsa-sha256": { id: "1.2.840.10045.4.3.2", digest: "sha256", nullParams: false },
  "ecdsa-sha384": { id: "1.2.840.10045.4.3.3", digest: "sha384", nullParams: false },
  "rsa-sha1": { id: "1.2.840.113549.1.1.5", digest: "sha1", nullParams: true },
  "rsa-sha256": { id: "1.2.840.113549.1.1.11", digest: "sha256", nullParams: true },
  ed25519: { id: "1.3.101.112", digest: null, nullParams: false },
} as const;

/** Name of a signature algorithm. */
export type SignatureWord = keyof typeof SIGNATURES;

/** A key pair. */
export interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** What a certificate says. */
export interface Shape {
  readonly version?: 1 | 2 | 3;
  /** Contents of the INTEGER. */
  readonly serial: Uint8Array;
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBefore: Uint8Array;
  readonly notAfter: Uint8Array;
  readonly key: Pair;
  readonly extensions: readonly Uint8Array[];
  /** Who signs, and how. */
  readonly signer: Pair;
  readonly signature: SignatureWord;
  /** Another algorithm outside than inside. */
  readonly outer?: SignatureWord;
  /** Changes the fields of the signed part before they are signed. */
  readonly fields?: (fields: Bytes[]) => Bytes[];
  /** Changes what is around: signed part, algorithm, signature. */
  readonly parts?: (parts: Bytes[]) => Bytes[];
}

function algorithm(word: SignatureWord): Bytes {
  const { id, nullParams } = SIGNATURES[word];
  return tlv(Tag.sequence, oid(id), ...(nullParams ? [tlv(0x05)] : []));
}

/** Makes a certificate, DER. */
export function certificate(c: Shape): Bytes {
  const version = c.version ?? 3;
  const fields = [
    ...(version === 1 ? [] : [tlv(0xa0, tlv(Tag.integer, Uint8Array.of(version - 1)))]),
    tlv(Tag.integer, c.serial.slice()),
    algorithm(c.signature),
    c.issuer.slice(),
    tlv(Tag.sequence, c.notBefore.slice(), c.notAfter.slice()),
    c.subject.slice(),
    new Uint8Array(c.key.publicKey.export({ format: "der", type: "spki" })),
    ...(c.extensions.length > 0
      ? [tlv(0xa3, tlv(Tag.sequence, ...c.extensions.map((e) => e.slice())))]
      : []),
  ];
  const tbs = tlv(Tag.sequence, ...(c.fields?.(fields) ?? fields));
  const made = sign(SIGNATURES[c.signature].digest, tbs, c.signer.privateKey);
  const parts = [tbs, algorithm(c.outer ?? c.signature), bits(new Uint8Array(made))];
  return tlv(Tag.sequence, ...(c.parts?.(parts) ?? parts));
}
