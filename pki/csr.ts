/**
 * Requests for certificates (PKCS#10, RFC 2986): the key is made and stays where it is used, only the request travels.
 */

import { AttributeTypeAndValue, RelativeDistinguishedNames } from "pkijs";
import {
  bitStringBytes,
  children,
  contents,
  oid,
  oidText,
  readTlv,
  Tag,
  type Tlv,
  tlv,
} from "../security/der.ts";
import { certificateAlgorithm } from "../security/certificate_algorithm.ts";
import { VerifyKey } from "../security/signature.ts";
import type { SigningKey } from "../security/signing_key.ts";
import { readName } from "../security/x509/parse.ts";
import { altNames, signatureAlgorithm, text } from "./issue.ts";

const EXTENSION_REQUEST = "1.2.840.113549.1.9.14";
const ALT_NAME = "2.5.29.17";
const OID_CN = "2.5.4.3";
const OID_O = "2.5.4.10";

/** What a request asks for; its signature was checked. */
export interface CertificateRequest {
  readonly commonName: string;
  readonly organization: string | undefined;
  readonly spki: Uint8Array<ArrayBuffer>;
  /** DNS names asked for. */
  readonly altNames: readonly string[];
  /** What else is asked for and no certificate of ours has. */
  readonly leftOut: readonly string[];
}

const version = tlv(Tag.integer, new Uint8Array(1));

/** Makes a request; DER. */
export async function makeRequest(
  wanted: {
    commonName: string;
    organization: string;
    altNames: readonly string[];
    spki: Uint8Array;
  },
  key: SigningKey,
): Promise<Uint8Array<ArrayBuffer>> {
  const subject = new RelativeDistinguishedNames({
    typesAndValues: [
      new AttributeTypeAndValue({ type: OID_O, value: text(wanted.organization) }),
      new AttributeTypeAndValue({ type: OID_CN, value: text(wanted.commonName) }),
    ],
  });
  const names = altNames([wanted.commonName, ...wanted.altNames]);
  const attributes = names === undefined ? [] : [tlv(
    Tag.sequence,
    oid(EXTENSION_REQUEST),
    tlv(
      0x31,
      tlv(Tag.sequence, tlv(Tag.sequence, oid(ALT_NAME), tlv(Tag.octetString, names))),
    ),
  )];
  const info = tlv(
    Tag.sequence,
    version,
    new Uint8Array(subject.toSchema().toBER()),
    wanted.spki,
    tlv(0xa0, ...attributes),
  );
  const { algorithm, digestNid } = signatureAlgorithm(key);
  const signature = await key.sign(digestNid, info);
  if (!signature) throw new Error("the key cannot sign");
  return tlv(
    Tag.sequence,
    info,
    new Uint8Array(algorithm.toSchema().toBER()),
    tlv(Tag.bitString, new Uint8Array(1), signature),
  );
}

/** Reads a request and checks that its maker has the key; or says what is wrong with it. */
export async function readRequest(der: Uint8Array): Promise<CertificateRequest | string> {
  const whole = readTlv(der);
  const [info, algorithm, bits] = (whole?.to === der.length && children(whole)) || [];
  const signature = bits && bitStringBytes(bits);
  if (!info || !algorithm || !signature) return "it is no certificate request";
  const [, subject, spkiTlv, attributes] = children(info) ?? [];
  if (!subject || !spkiTlv) return "it is no certificate request";
  const spki = sliceOf(spkiTlv);
  const key = VerifyKey.of(spki);
  if (!key) return "its key type is not supported";
  const [id, params] = children(algorithm) ?? [];
  const how = certificateAlgorithm((id && oidText(id)) ?? "", params && sliceOf(params));
  if (!how) return "its signature algorithm is not supported";
  if (!await key.verifyDigest(how.word, how.pss, sliceOf(info), signature)) {
    return "its signature is wrong: whoever made it does not have the key";
  }
  try {
    const all = readName(subject).rdns.flat();
    const names = all.filter((a) => a.oid === OID_CN).map((a) => a.text);
    if (names.length !== 1 || !names[0]) return "it needs exactly one common name";
    const organization = all.find((a) => a.oid === OID_O)?.text;
    return { commonName: names[0], organization, spki, ...requested(attributes) };
  } catch (e) {
    return e instanceof Error ? e.message : "its subject cannot be read";
  }
}

function sliceOf(t: Tlv): Uint8Array<ArrayBuffer> {
  return t.bytes.slice(t.at, t.to);
}

/** Names that are asked for, and what else is and will not be in the certificate; throws if it cannot be read. */
function requested(attributes: Tlv | undefined): { altNames: string[]; leftOut: string[] } {
  const altNames: string[] = [];
  const leftOut: string[] = [];
  for (const attribute of attributes === undefined ? [] : parts(attributes)) {
    const [id, set] = parts(attribute);
    if (!id || !set || oidText(id) !== EXTENSION_REQUEST) continue;
    const [list] = parts(set);
    for (const extension of list === undefined ? [] : parts(list)) {
      const fields = parts(extension);
      const oid = fields[0] && oidText(fields[0]);
      if (oid !== ALT_NAME) {
        leftOut.push(`extension ${oid ?? "that cannot be read"}`);
        continue;
      }
      const inner = readTlv(contents(fields.at(-1)!));
      if (inner === undefined) throw new Error("its names cannot be read");
      for (const name of parts(inner)) {
        if (name.tag === 0x82) altNames.push(String.fromCharCode(...contents(name)));
        else leftOut.push(`a name of the form ${FORMS[name.tag & 0x1f] ?? "unknown"}`);
      }
    }
  }
  return { altNames, leftOut };
}

/** Forms of alternative names that are no names of flows. */
const FORMS: Readonly<Record<number, string>> = {
  1: "e-mail address",
  4: "directory name",
  6: "URI",
  7: "IP address",
};

function parts(t: Tlv): Tlv[] {
  const found = children(t);
  if (found === undefined) throw new Error("its names are damaged or more than 32");
  return found;
}
