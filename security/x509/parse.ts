/**
 * What a certificate says, read strictly (RFC 5280 §4, X.690 DER). Pure.
 *
 * The parts that its signature does not cover (outer lengths, the outer algorithm, the bits of the signature's frame)
 * have one form alone: who holds a key must not make a second certificate from the first. Extensions appear once each.
 * Names are kept in a canonical text, in which names that RFC 5280 §7.1 calls equal are equal. Nothing here throws.
 */

import { bitStringBytes, contents, oidText, readTlv, Tag, type Tlv } from "../der.ts";

/** An extension. */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  /** The value inside its OCTET STRING. */
  readonly value: Tlv;
}

/** One attribute of a name. */
export interface Attribute {
  readonly oid: string;
  readonly tag: number;
  /** Its text; undefined for values that are no strings or not well formed. */
  readonly text: string | undefined;
  /** Canonical: equal for attributes that are equal. */
  readonly canonical: string;
}

/** A distinguished name. */
export interface Name {
  /** Relative names in order; within one sorted, since it is a set. */
  readonly rdns: readonly (readonly Attribute[])[];
  /** Equal for names that are equal. */
  readonly canonical: string;
}

/** An entry of subjectAltName and the like. */
export interface GeneralName {
  /** Number of the form: 0 other, 1 mail, 2 DNS, 3 X.400, 4 directory, 5 EDI, 6 URI, 7 address, 8 registered id. */
  readonly form: number;
  /** Text of forms 1, 2 and 6; undefined if it is not ASCII. */
  readonly text: string | undefined;
  /** The text in small letters. */
  readonly lower: string | undefined;
  /** Name of form 4. */
  readonly name: Name | undefined;
  readonly bytes: Uint8Array;
}

/** A constraint on names. */
export interface Subtree {
  readonly base: GeneralName;
  /** It has a minimum other than 0 or a maximum, which nobody processes. */
  readonly limited: boolean;
}

/** nameConstraints. */
export interface NameConstraints {
  readonly permitted: readonly Subtree[];
  readonly excluded: readonly Subtree[];
}

/** authorityKeyIdentifier. */
export interface AuthorityKey {
  readonly keyId: Uint8Array | undefined;
  readonly issuer: Name | undefined;
  readonly serial: Uint8Array | undefined;
}

/** A certificate as read. Times in ms since 1970. */
export interface X509 {
  readonly der: Uint8Array;
  /** What is signed. */
  readonly tbs: Uint8Array;
  /** 1, 2 or 3. */
  readonly version: number;
  readonly serial: Uint8Array;
  readonly issuer: Name;
  readonly subject: Name;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly spki: Uint8Array;
  readonly signatureOid: string;
  readonly signatureParams: Uint8Array | undefined;
  readonly signature: Uint8Array;
  readonly extensions: ReadonlyMap<string, Extension>;
  readonly altNames: readonly GeneralName[];
  readonly nameConstraints: NameConstraints | undefined;
  /** basicConstraints: undefined if there are none. */
  readonly ca: boolean | undefined;
  readonly pathLength: number | undefined;
  /** First two bytes of keyUsage, bit 0 on top; undefined if there is none. */
  readonly keyUsage: number | undefined;
  /** extKeyUsage, object identifiers. */
  readonly purposes: readonly string[] | undefined;
  readonly subjectKeyId: Uint8Array | undefined;
  readonly authorityKey: AuthorityKey | undefined;
}

/** Object identifiers of the extensions that are read. */
export const Ext = {
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  altName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  crlPoints: "2.5.29.31",
  policies: "2.5.29.32",
  policyMappings: "2.5.29.33",
  authorityKeyId: "2.5.29.35",
  policyConstraints: "2.5.29.36",
  purposes: "2.5.29.37",
  inhibitAnyPolicy: "2.5.29.54",
  proxy: "1.3.6.1.5.5.7.1.14",
} as const;

/** Attributes of names that are looked at. */
export const OID_COMMON_NAME = "2.5.4.3";
export const OID_EMAIL = "1.2.840.113549.1.9.1";

/** Elements of one SEQUENCE at most; names, extensions and constraints of a certificate. */
const ELEMENTS_MAX = 4096;

/** Why a certificate cannot be read. */
class Refusal extends Error {}

function refuse(reason: string): never {
  throw new Refusal(reason);
}

/** The certificate in `der`, all of it, or why it is none. */
export function parseX509(der: Uint8Array): X509 | string {
  try {
    return read(der);
  } catch (e) {
    if (e instanceof Refusal) return e.message;
    return `it cannot be read (${e instanceof Error ? e.message : e})`;
  }
}

/** An element whose length has its one shortest form. */
function element(bytes: Uint8Array, at: number, end: number, what: string): Tlv {
  const t = readTlv(bytes, at, end) ?? refuse(`${what} is cut or has no definite length`);
  const length = t.to - t.from;
  const form = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
  if (t.from - t.at !== 2 + form) refuse(`the length of ${what} is not in its shortest form`);
  return t;
}

function inside(t: Tlv, what: string): Tlv[] {
  const all: Tlv[] = [];
  for (let at = t.from; at < t.to;) {
    const c = element(t.bytes, at, t.to, what);
    if (all.push(c) > ELEMENTS_MAX) refuse(`${what} has too many elements`);
    at = c.to;
  }
  return all;
}

function expect(t: Tlv | undefined, tag: number, what: string): Tlv {
  return t !== undefined && t.tag === tag ? t : refuse(`${what} is not there or of another type`);
}

function read(der: Uint8Array): X509 {
  const whole = element(der, 0, der.length, "the certificate");
  if (whole.tag !== Tag.sequence || whole.to !== der.length) refuse("it is no certificate alone");
  const [tbs, algorithm, bits, ...more] = inside(whole, "the certificate");
  if (more.length > 0) refuse("something follows its signature");
  expect(tbs, Tag.sequence, "the signed part");
  expect(algorithm, Tag.sequence, "the signature algorithm");
  const signature = bits && bitStringBytes(bits) || refuse("the signature has unused bits");
  const fields = inside(tbs!, "the signed part");
  let i = 0;
  let version = 1;
  if (fields[0]?.tag === 0xa0) {
    const v = contents(expect(inside(fields[i++]!, "the version")[0], Tag.integer, "the version"));
    if (v.length !== 1 || v[0]! > 2) refuse("its version is unknown");
    version = v[0]! + 1;
  }
  const serial = contents(expect(fields[i++], Tag.integer, "the serial number"));
  if (serial.length === 0) refuse("its serial number is empty");
  if (!isShortest(serial)) refuse("its serial number is not in its shortest form");
  const inner = expect(fields[i++], Tag.sequence, "the inner signature algorithm");
  if (!sameBytes(slice(inner), slice(algorithm!))) {
    refuse("the signature algorithm outside is not the one inside");
  }
  const issuer = readName(expect(fields[i++], Tag.sequence, "the issuer"));
  const validity = inside(expect(fields[i++], Tag.sequence, "the validity"), "the validity");
  const subject = readName(expect(fields[i++], Tag.sequence, "the subject"));
  const spki = slice(expect(fields[i++], Tag.sequence, "the public key"));
  const extensions = new Map<string, Extension>();
  for (; i < fields.length; i++) {
    const tag = fields[i]!.tag;
    if (tag === 0xa3) readExtensions(fields[i]!, version, extensions);
    else if (tag !== 0x81 && tag !== 0x82) refuse("its signed part has an unknown field");
  }
  const [oid, params] = inside(algorithm!, "the signature algorithm");
  const known = readKnown(extensions);
  return {
    der,
    tbs: slice(tbs!),
    version,
    serial,
    issuer,
    subject,
    notBeforeMs: readTime(validity[0]),
    notAfterMs: readTime(validity[1]),
    spki,
    signatureOid: (oid && oidText(oid)) ?? refuse("its signature algorithm cannot be read"),
    signatureParams: params && slice(params),
    signature,
    extensions,
    ...known,
  };
}

/** Whether the contents of an INTEGER are: the first nine bits are not all the same (X.690 §8.3.2). */
function isShortest(c: Uint8Array): boolean {
  if (c.length < 2) return c.length === 1;
  return c[0] === 0 ? c[1]! >= 0x80 : c[0] !== 0xff || c[1]! < 0x80;
}

function slice(t: Tlv): Uint8Array {
  return t.bytes.subarray(t.at, t.to);
}

/** Whether two byte strings are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

// Names.

const STRING_TAGS: Readonly<Record<number, string>> = {
  0x0c: "utf-8",
  0x12: "ascii",
  0x13: "ascii",
  0x14: "latin1",
  0x16: "ascii",
  0x1c: "ucs-4",
  0x1e: "utf-16be",
};
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf16 = new TextDecoder("utf-16be", { fatal: true, ignoreBOM: true });

/** Tags of values that are no text and may be in a name: BIT STRING, SEQUENCE, and strings of 7 bits that have more. */
const OTHER_VALUES: ReadonlySet<number> = new Set([0x03, 0x12, 0x13, 0x16, 0x30]);

function unreadable(value: Tlv): never {
  const is = value.tag in STRING_TAGS ? "is not in its encoding" : "is of no type of names";
  return refuse(`a value in a name ${is}`);
}

/** The text of a string value, undefined if it is none. */
function textOf(t: Tlv): string | undefined {
  const bytes = contents(t);
  try {
    switch (STRING_TAGS[t.tag]) {
      case "utf-8":
        return isAscii(bytes) ? latin1(bytes) : utf8.decode(bytes);
      case "utf-16be":
        return utf16.decode(bytes);
      case "ascii":
        return isAscii(bytes) ? latin1(bytes) : undefined;
      case "latin1":
        return latin1(bytes);
      case "ucs-4": {
        if (bytes.length % 4 !== 0) return undefined;
        const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        let s = "";
        for (let i = 0; i < bytes.length; i += 4) s += String.fromCodePoint(v.getUint32(i));
        return s;
      }
    }
  } catch {
    // Not in its encoding.
  }
  return undefined;
}

/** Characters that are made in one call. */
const CHARACTERS = 4096;

// A hostile certificate has thousands of names: what is done for each is cheap, also before it is compiled.

function latin1(bytes: Uint8Array): string {
  if (bytes.length <= CHARACTERS) return String.fromCharCode.apply(undefined, bytes as never);
  return latin1(bytes.subarray(0, CHARACTERS)) + latin1(bytes.subarray(CHARACTERS));
}

function isAscii(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! > 0x7f) return false;
  return true;
}

/** Case, and spaces at the ends and more than one in the middle, make no difference. */
function fold(text: string): string {
  if (/^[^A-Z \t\n\v\f\r]*$/.test(text)) return text;
  return text.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, "").replace(/[ \t\n\v\f\r]+/g, " ")
    .replace(/[A-Z]/g, (c) => c.toLowerCase());
}

/** A Name (SEQUENCE OF SET OF attribute). */
export function readName(t: Tlv): Name {
  const rdns = inside(t, "a name").map((set) => {
    expect(set, 0x31, "a relative name");
    const attributes = inside(set, "a relative name").map((pair): Attribute => {
      const parts = inside(expect(pair, Tag.sequence, "an attribute"), "an attribute");
      const oid = parts[0] && oidText(parts[0]);
      const value = parts[1];
      if (oid === undefined || value === undefined || parts.length > 2) {
        refuse("a name cannot be read");
      }
      const text = textOf(value) ?? (OTHER_VALUES.has(value.tag) ? undefined : unreadable(value));
      const how = text === undefined ? `#${slice(value).toHex()}` : JSON.stringify(fold(text));
      return { oid, tag: value.tag, text, canonical: `${oid}=${how}` };
    });
    if (attributes.length === 0) refuse("a relative name is empty");
    return attributes.sort((a, b) => a.canonical < b.canonical ? -1 : 1);
  });
  const canonical = rdns.map((rdn) => rdn.map((a) => a.canonical).join("+")).join("/");
  return { rdns, canonical };
}

// Times.

function readTime(t: Tlv | undefined): number {
  const text = t === undefined ? "" : latin1(contents(t));
  const utc = t?.tag === 0x17 && /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const general = t?.tag === 0x18 && /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const m = utc || general || refuse("its validity is no time of RFC 5280");
  const n = m.slice(1).map(Number);
  const year = utc ? (n[0]! < 50 ? 2000 + n[0]! : 1900 + n[0]!) : n[0]!;
  const at = new Date(0);
  at.setUTCFullYear(year, n[1]! - 1, n[2]!);
  at.setUTCHours(n[3]!, n[4]!, n[5]!);
  const same = at.getUTCFullYear() === year && at.getUTCMonth() === n[1]! - 1 &&
    at.getUTCDate() === n[2]! && at.getUTCHours() === n[3]! && at.getUTCMinutes() === n[4]! &&
    at.getUTCSeconds() === n[5]!;
  return same ? at.getTime() : refuse("its validity is no time that exists");
}

// Extensions.

function readExtensions(t: Tlv, version: number, into: Map<string, Extension>): void {
  if (version !== 3) refuse(`it has extensions and is of version ${version}`);
  const list = expect(inside(t, "the extensions")[0], Tag.sequence, "the extensions");
  for (const e of inside(list, "the extensions")) {
    const parts = inside(expect(e, Tag.sequence, "an extension"), "an extension");
    const oid = (parts[0] && oidText(parts[0])) ?? refuse("an extension has no identifier");
    let critical = false;
    if (parts[1]?.tag === 0x01) {
      critical = readBoolean(parts[1]);
      parts.splice(1, 1);
    }
    const octets = expect(parts[1], Tag.octetString, `extension ${oid}`);
    if (parts.length !== 2) refuse(`extension ${oid} cannot be read`);
    if (into.has(oid)) refuse(`extension ${oid} is there twice`);
    const value = readTlv(octets.bytes, octets.from, octets.to);
    if (value === undefined || value.to !== octets.to) {
      // Unknown extensions may hold anything.
      if (KNOWN.has(oid)) refuse(`extension ${oid} cannot be read`);
      into.set(oid, { oid, critical, value: octets });
    } else into.set(oid, { oid, critical, value });
  }
}

function readBoolean(t: Tlv): boolean {
  const b = contents(t);
  if (b.length !== 1 || (b[0] !== 0 && b[0] !== 0xff)) refuse("a BOOLEAN is not 00 or ff");
  return b[0] === 0xff;
}

const KNOWN: ReadonlySet<string> = new Set(Object.values(Ext));

type Known = Pick<
  X509,
  | "altNames"
  | "nameConstraints"
  | "ca"
  | "pathLength"
  | "keyUsage"
  | "purposes"
  | "subjectKeyId"
  | "authorityKey"
>;

function readKnown(extensions: ReadonlyMap<string, Extension>): Known {
  const value = (oid: string, tag: number) => {
    const e = extensions.get(oid);
    return e && expect(e.value, tag, `extension ${oid}`);
  };
  const basic = value(Ext.basicConstraints, Tag.sequence);
  const usage = value(Ext.keyUsage, Tag.bitString);
  const alt = value(Ext.altName, Tag.sequence);
  const purposes = value(Ext.purposes, Tag.sequence);
  const keyId = value(Ext.subjectKeyId, Tag.octetString);
  const authority = value(Ext.authorityKeyId, Tag.sequence);
  const names = value(Ext.nameConstraints, Tag.sequence);
  const altNames = alt === undefined ? [] : inside(alt, "subjectAltName").map(readGeneralName);
  if (alt !== undefined && altNames.length === 0) refuse("subjectAltName is empty");
  return {
    altNames,
    nameConstraints: names &&
      readNameConstraints(names),
    ...readBasic(basic),
    keyUsage: usage && readUsage(usage),
    purposes: purposes &&
      inside(purposes, "extKeyUsage").map((t) =>
        oidText(t) ?? refuse("extKeyUsage cannot be read")
      ),
    subjectKeyId: keyId && contents(keyId),
    authorityKey: authority && readAuthority(authority),
  };
}

function readBasic(t: Tlv | undefined): Pick<X509, "ca" | "pathLength"> {
  if (t === undefined) return { ca: undefined, pathLength: undefined };
  const parts = inside(t, "basicConstraints");
  let ca = false;
  if (parts[0]?.tag === 0x01) ca = readBoolean(parts.shift()!);
  let pathLength: number | undefined;
  if (parts[0]?.tag === Tag.integer) {
    const c = contents(parts.shift()!);
    if (!isShortest(c) || c[0]! >= 0x80) {
      refuse("its path length is no number in its shortest form");
    }
    pathLength = c.reduce((n, b) => n * 256 + b, 0);
  }
  if (parts.length > 0) refuse("basicConstraints cannot be read");
  if (pathLength !== undefined && !ca) refuse("it limits a path and is no CA");
  return { ca, pathLength };
}

function readUsage(t: Tlv): number {
  const c = contents(t);
  if (c.length < 2 || c.length > 3 || c[0]! > 7) refuse("keyUsage cannot be read");
  const usage = ((c[1]! << 8) | (c[2] ?? 0)) &
    (c.length === 2 ? 0xff << (8 + c[0]!) : 0xffff << c[0]!);
  return usage === 0 ? refuse("its key usage allows nothing") : usage;
}

function readAuthority(t: Tlv): AuthorityKey {
  let keyId: Uint8Array | undefined;
  let issuer: Name | undefined;
  let serial: Uint8Array | undefined;
  for (const part of inside(t, "authorityKeyIdentifier")) {
    if (part.tag === 0x80) keyId = contents(part);
    else if (part.tag === 0xa1) {
      issuer = inside(part, "authorityKeyIdentifier").map(readGeneralName)
        .find((n) => n.form === 4)?.name;
    } else if (part.tag === 0x82) serial = contents(part);
    else refuse("authorityKeyIdentifier cannot be read");
  }
  return { keyId, issuer, serial };
}

/** Whether the contents of an OBJECT IDENTIFIER are (X.690 §8.19). */
function isOid(c: Uint8Array): boolean {
  return c.length > 0 && c.at(-1)! < 0x80 &&
    c.every((x, i) => x !== 0x80 || (i > 0 && c[i - 1]! >= 0x80));
}

/** A GeneralName. */
function readGeneralName(t: Tlv): GeneralName {
  const form = t.tag & 0x1f;
  if ((t.tag & 0xc0) !== 0x80 || form > 8) refuse("an alternative name is of no known form");
  const isConstructed = form === 0 || form === 3 || form === 4 || form === 5;
  if (((t.tag & 0x20) !== 0) !== isConstructed) refuse("an alternative name is of another form");
  if (form === 0) {
    const [id, value, ...more] = inside(t, "another name");
    if (id === undefined || oidText(id) === undefined || value?.tag !== 0xa0 || more.length > 0) {
      refuse("another name cannot be read");
    }
  } else if (form === 3 || form === 5) inside(t, "an alternative name");
  else if (form === 8 && !isOid(contents(t))) refuse("a registered id cannot be read");
  const bytes = contents(t);
  const isText = form === 1 || form === 2 || form === 6;
  const text = isText && isAscii(bytes) && !bytes.includes(0) ? latin1(bytes) : undefined;
  if (isText && text === undefined) refuse("an alternative name is not ASCII");
  let name: Name | undefined;
  if (form === 4) name = readName(expect(inside(t, "a name")[0], Tag.sequence, "a name"));
  return { form, text, lower: text?.toLowerCase(), name, bytes };
}

function readNameConstraints(t: Tlv): NameConstraints {
  const lists: { permitted: Subtree[]; excluded: Subtree[] } = { permitted: [], excluded: [] };
  for (const part of inside(t, "nameConstraints")) {
    const list = part.tag === 0xa0
      ? lists.permitted
      : part.tag === 0xa1
      ? lists.excluded
      : refuse("nameConstraints cannot be read");
    for (const subtree of inside(part, "nameConstraints")) {
      const parts = inside(expect(subtree, Tag.sequence, "a subtree"), "a subtree");
      const limited = parts.length > 1 &&
        parts.slice(1).some((l) =>
          l.tag !== 0x80 || contents(l).length !== 1 || contents(l)[0] !== 0
        );
      list.push({ base: readGeneralName(parts[0] ?? refuse("a subtree is empty")), limited });
    }
  }
  return lists;
}
