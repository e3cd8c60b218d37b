/**
 * Protocol Buffers messages by field table: the encoding that the IRMd, the IPCPs, enrollment, CEP
 * and the directory share (proto2, spec 20 §3). Pure.
 *
 * A {@linkcode Schema} is a table of fields; it encodes in ascending field order and decodes without
 * ever throwing. Decoding follows proto2: unknown fields are skipped, of a repeated scalar field the
 * last value wins, a second sub-message is merged into the first, every `required` field at any depth
 * must be there, packed and unpacked repeated numbers are both read.
 *
 * Two kinds of refusal are told apart, because a daemon answers them differently (spec 20 §2.1, §19.5):
 * a plain {@linkcode WireError} says the bytes are not such a message, a {@linkcode WireValueError} says
 * the message is well formed but holds a value that may not be used (too long, not UTF-8, NUL inside).
 */

import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { WireError } from "./mod.ts";

/** A well-formed message with a value that must be refused (answered with -22, not by closing). */
export class WireValueError extends WireError {}

/** How a field's value is written. `enum` is an int32 on the wire and any number is accepted. */
export type FieldKind =
  | "uint32"
  | "sint32"
  | "int32"
  | "enum"
  | "uint64"
  | "int64"
  | "string"
  | "bytes"
  | "message";

/** proto2 label of a field. */
export type FieldLabel = "required" | "optional" | "repeated";

/** One row of a message's table. */
export interface Field {
  /** Field number. */
  readonly no: number;
  /** Name in the .proto file, for error texts. */
  readonly name: string;
  /** Property of the value object. */
  readonly key: string;
  readonly kind: FieldKind;
  readonly label: FieldLabel;
  /** Longest string or byte field accepted, bytes. */
  readonly maxBytes: number;
  /** Table of a sub-message. */
  readonly schema: AnySchema | undefined;
}

// deno-lint-ignore no-explicit-any -- a table holds schemas of every value type
type AnySchema = Schema<any>;
type Values = Record<string, unknown>;

/** Tag of a length-delimited field etc., precomputed per row. */
interface Row extends Field {
  readonly tag: number;
  readonly wire: WireType;
  /** Bit of a required field in the mask of fields seen, 0 for others. */
  readonly bit: number;
}

function field(
  no: number,
  name: string,
  kind: FieldKind,
  label: FieldLabel = "required",
  key: string = camel(name),
  of: Partial<Pick<Field, "maxBytes" | "schema">> = {},
): Field {
  return { no, name, key, kind, label, maxBytes: 0, schema: undefined, ...of };
}

/** Field of a number. `name` is the name in the .proto file, `key` the property. */
export function num(
  no: number,
  name: string,
  kind: Exclude<FieldKind, "string" | "bytes" | "message">,
  label?: FieldLabel,
  key?: string,
): Field {
  return field(no, name, kind, label, key);
}

/** String field of at most `maxBytes` bytes of UTF-8 without NUL. */
export function str(
  no: number,
  name: string,
  maxBytes: number,
  label?: FieldLabel,
  key?: string,
): Field {
  return field(no, name, "string", label, key, { maxBytes });
}

/** Byte-string field of at most `maxBytes` bytes. */
export function bin(
  no: number,
  name: string,
  maxBytes: number,
  label?: FieldLabel,
  key?: string,
): Field {
  return field(no, name, "bytes", label, key, { maxBytes });
}

/** Field that holds a sub-message. */
export function sub(
  no: number,
  name: string,
  schema: AnySchema,
  label?: FieldLabel,
  key?: string,
): Field {
  return field(no, name, "message", label, key, { schema });
}

function camel(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
}

function wireTypeOf(kind: FieldKind): WireType {
  return kind === "string" || kind === "bytes" || kind === "message"
    ? WireType.LengthDelimited
    : WireType.Varint;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Numbers in a packed list, at most: what a message of the largest size could hold. */
const REPEATED_MAX = 10240;

/** A message type: its table, and the codec over it. `T` is the type of the decoded value. */
export class Schema<T extends object> {
  /** Name of the message in the .proto file. */
  readonly name: string;
  readonly #rows: readonly Row[];
  readonly #byNo: readonly (Row | undefined)[];
  readonly #far: ReadonlyMap<number, Row>;
  readonly #required: number;
  readonly #check: ((value: T) => string | undefined) | undefined;

  /** `check` looks at a decoded value as a whole and returns what is wrong with it. */
  constructor(name: string, fields: readonly Field[], check?: (value: T) => string | undefined) {
    this.name = name;
    let bits = 0;
    this.#rows = [...fields].sort((a, b) => a.no - b.no).map((f) => {
      const wire = wireTypeOf(f.kind);
      const bit = f.label === "required" ? 1 << bits++ : 0;
      return { ...f, wire, bit, tag: ((f.no << 3) | wire) >>> 0 };
    });
    if (bits > 31) throw new RangeError(`${name}: too many required fields: ${bits}`);
    this.#required = bits === 0 ? 0 : (2 ** bits - 1) | 0;
    const near: (Row | undefined)[] = new Array(32).fill(undefined);
    const far = new Map<number, Row>();
    for (const r of this.#rows) r.no < 32 ? near[r.no] = r : far.set(r.no, r);
    this.#byNo = near;
    this.#far = far;
    this.#check = check;
  }

  /** The bytes of a message. Throws for a value outside its field's type: that is a defect of the caller. */
  encode(value: T): Uint8Array {
    const w = new BinaryWriter();
    this.#write(w, value as Values);
    return w.finish();
  }

  /** The value of `bytes[at, end)`; copies byte fields, keeps no reference. Never throws. */
  decode(bytes: Uint8Array, at = 0, end: number = bytes.length): T | WireError {
    if (at < 0 || end > bytes.length || at > end) return new WireError(this.name, "short");
    const value: Values = {};
    try {
      const part = at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end);
      const r = new BinaryReader(part);
      const bad = this.#read(r, part, part.length, value, this.name);
      return bad ?? value as T;
    } catch (e) {
      return new WireError(this.name, e instanceof Error ? e.message : "undecodable");
    }
  }

  #write(w: BinaryWriter, value: Values): void {
    for (const f of this.#rows) {
      const v = value[f.key];
      if (v === undefined || v === null) {
        if (f.label === "required") {
          throw new TypeError(`Cannot encode ${this.name}: ${f.name} is missing`);
        }
        continue;
      }
      if (f.label === "repeated") {
        for (const item of v as unknown[]) this.#writeOne(w, f, item);
      } else this.#writeOne(w, f, v);
    }
  }

  #writeOne(w: BinaryWriter, f: Row, v: unknown): void {
    w.uint32(f.tag);
    switch (f.kind) {
      case "uint32":
        w.uint32(v as number);
        break;
      case "sint32":
        w.sint32(v as number);
        break;
      case "int32":
      case "enum":
        w.int32(v as number);
        break;
      case "uint64":
        w.uint64(v as bigint);
        break;
      case "int64":
        w.int64(v as bigint);
        break;
      case "string":
        w.string(v as string);
        break;
      case "bytes":
        w.bytes(v as Uint8Array);
        break;
      case "message":
        w.fork();
        f.schema!.#write(w, v as Values);
        w.join();
        break;
    }
  }

  #read(
    r: BinaryReader,
    bytes: Uint8Array,
    end: number,
    out: Values,
    path: string,
  ): WireError | undefined {
    let seen = 0;
    let soft: WireError | undefined; // a bad value; structure errors found later go first
    while (r.pos < end) {
      const tag = r.uint32();
      const no = tag >>> 3;
      const wire = tag & 7;
      if (no === 0) return new WireError(path, "field number 0");
      const f = no < 32 ? this.#byNo[no] : this.#far.get(no);
      if (f === undefined) {
        if (wire === WireType.StartGroup || wire === WireType.EndGroup) {
          return new WireError(path, "group");
        }
        r.skip(wire);
      } else if (wire === f.wire) {
        const bad = this.#readOne(r, bytes, end, f, out, path);
        if (bad !== undefined) {
          if (!(bad instanceof WireValueError)) return bad;
          soft ??= bad;
        }
        seen |= f.bit;
      } else if (
        f.label === "repeated" && f.wire === WireType.Varint && wire === WireType.LengthDelimited
      ) {
        const last = r.uint32() + r.pos;
        if (last > end) return new WireError(`${path}.${f.name}`, "short");
        while (r.pos < last) {
          const bad = this.#readOne(r, bytes, last, f, out, path);
          if (bad !== undefined) return bad;
        }
        if (r.pos !== last) return new WireError(`${path}.${f.name}`, "short");
      } else {
        return new WireError(`${path}.${f.name}`, `wire type ${wire}`);
      }
      if (r.pos > end) return new WireError(path, "short");
    }
    if (seen !== this.#required) {
      const f = this.#rows.find((row) => row.bit !== 0 && (seen & row.bit) === 0)!;
      return new WireError(`${path}.${f.name}`, "missing");
    }
    if (soft === undefined && this.#check !== undefined) {
      const why = this.#check(out as T);
      if (why !== undefined) soft = new WireValueError(path, why);
    }
    return soft;
  }

  /** Reads one value of a field into `out`. */
  #readOne(
    r: BinaryReader,
    bytes: Uint8Array,
    end: number,
    f: Row,
    out: Values,
    path: string,
  ): WireError | undefined {
    const v = f.wire === WireType.Varint
      ? readNumber(r, f.kind)
      : this.#readPart(r, bytes, end, f, out, `${path}.${f.name}`);
    if (v instanceof WireError) return v;
    if (f.label === "repeated") {
      const list = out[f.key] as unknown[] | undefined;
      if (list === undefined) out[f.key] = [v];
      else if (list.length < REPEATED_MAX) list.push(v);
      else return new WireValueError(`${path}.${f.name}`, `more than ${REPEATED_MAX} values`);
    } else out[f.key] = v;
    return undefined;
  }

  /** Reads a length and what it counts: a sub-message, bytes or a string. */
  #readPart(
    r: BinaryReader,
    bytes: Uint8Array,
    end: number,
    f: Row,
    out: Values,
    path: string,
  ): unknown {
    const length = r.uint32() >>> 0;
    const from = r.pos;
    const last = from + length;
    if (last > end) return new WireError(path, "short");
    if (f.kind === "message") {
      const old = f.label === "repeated" ? undefined : out[f.key];
      const value: Values = (old as Values | undefined) ?? {};
      const bad = f.schema!.#read(r, bytes, last, value, path);
      if (bad !== undefined && !(bad instanceof WireValueError)) return bad;
      if (r.pos !== last) return new WireError(path, "short");
      return bad ?? value;
    }
    r.pos = last;
    if (length > f.maxBytes) {
      return new WireValueError(path, `too long: ${length} bytes, at most ${f.maxBytes}`);
    }
    if (f.kind === "bytes") return bytes.slice(from, last);
    const s = text(bytes, from, last);
    if (s === undefined) return new WireValueError(path, "not UTF-8");
    return s ?? new WireValueError(path, "contains NUL");
  }
}

function readNumber(r: BinaryReader, kind: FieldKind): number | bigint {
  switch (kind) {
    case "uint32":
      return r.uint32() >>> 0;
    case "sint32":
      return r.sint32();
    case "uint64":
      return BigInt(r.uint64());
    case "int64":
      return BigInt(r.int64());
    default:
      return r.int32(); // int32 and enum
  }
}

/** The string of `[from, to)`; undefined when it is not UTF-8, null when it holds a NUL. */
function text(bytes: Uint8Array, from: number, to: number): string | undefined | null {
  if (to - from <= 32) {
    let s = "";
    let i = from;
    for (; i < to; i++) {
      const c = bytes[i]!;
      if (c > 0x7f) break;
      if (c === 0) return null;
      s += String.fromCharCode(c);
    }
    if (i === to) return s;
  }
  try {
    const s = utf8.decode(bytes.subarray(from, to));
    return s.includes("\0") ? null : s;
  } catch {
    return undefined;
  }
}
