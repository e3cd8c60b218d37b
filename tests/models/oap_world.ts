/**
 * OAP under an attacker who holds the network: the procedures of the program (`security/oap/client.ts`, `server.ts`)
 * with symbolic cryptography, so that every run of a bounded world can be tried. A signature is a term that only the
 * holder of a key makes, a Diffie-Hellman secret one that only the holder of one half makes.
 *
 * The world: a client that means `srv`, the servers `srv` and `other` of one CA, each with settings; the attacker `eve`
 * with a certificate of that CA, and perhaps with the stolen key of one of the others.
 */

import { kexByWord, type KexInfo, REQUEST_HASH_NID_DEFAULT } from "../../lib/wire/oap_ids.ts";
import { encode, encodedLength, type OapHeader, parse } from "../../lib/wire/oap_header.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import type { PeerCertificate } from "../../security/certificate.ts";
import type { Credentials } from "../../security/credentials.ts";
import { digest, sha256 } from "../../security/digest.ts";
import { type EncConf, EncConfError, parseEncConf } from "../../security/enc_conf.ts";
import type { KexPair } from "../../security/kex/pair.ts";
import { encodePublic, type PeerKey } from "../../security/kex/spki.ts";
import { Secret } from "../../security/secret.ts";
import { boundId } from "../../security/oap/binding.ts";
import { OapClient } from "../../security/oap/client.ts";
import { NONE, type OapPort } from "../../security/oap/port.ts";
import { ReplayCache } from "../../security/oap/replay_cache.ts";
import { serveRequest } from "../../security/oap/server.ts";
import { isOapFailure, type OapAccepted, type OapCompleted } from "../../security/oap/types.ts";

/** Who has a certificate; its name is theirs. */
export type Who = "alice" | "srv" | "other" | "eve";

/** Settings of one side. */
export interface SideSettings {
  readonly cert: boolean;
  readonly conf: string;
}

type Bytes = Uint8Array<ArrayBuffer>;

const utf8 = (...parts: (string | Uint8Array)[]): Bytes =>
  sha256(...parts.map((p) => typeof p === "string" ? new TextEncoder().encode(`${p}\0`) : p))
    .slice();

const certificateOf = (who: Who) => new TextEncoder().encode(`certificate of ${who}`);
const WHO: ReadonlyMap<string, Who> = new Map(
  (["alice", "srv", "other", "eve"] as const).map((w) => [certificateOf(w).toHex(), w]),
);

function signature(who: Who, data: Uint8Array): Bytes {
  return utf8("signature", who, data);
}

function credentials(who: Who): Credentials {
  const certificate = { der: certificateOf(who) };
  const key = {
    kind: { type: "ec" },
    sign: (_: number, d: Uint8Array) => Promise.resolve(signature(who, d)),
  };
  return { certificate, key } as unknown as Credentials;
}

/** Public keys by owner, so that the observer knows whose secrets are whose. */
const X25519 = kexByWord("X25519");
const OWNER = new Map<string, string>();
let made = 0;

function pairOf(owner: string, kex: KexInfo): KexPair {
  const pub = utf8("public", owner, String(made++));
  OWNER.set(pub.toHex(), owner);
  return {
    kex,
    wire: encodePublic(kex, pub),
    derive(peer: PeerKey) {
      const [a, b] = [pub.toHex(), peer.raw.toHex()].sort();
      return Promise.resolve(new Secret(utf8("dh", a!, b!)));
    },
    decapsulate: () => Promise.resolve(undefined),
  };
}

const SILENT = { debug: false, error() {}, warn() {}, info() {}, dbg() {}, proto() {} };
const NOW = 1_800_000_000_000_000_000n;

function portOf(owner: string): OapPort {
  return {
    log: SILENT,
    nowNs: () => NOW,
    generatePair: (kex) => Promise.resolve(pairOf(owner, kex)),
    encapsulate: () => Promise.resolve(undefined),
    verifyPeer(h) {
      const who = WHO.get(h.crt.toHex());
      if (who === undefined) return Promise.resolve({ line: "no", reason: "no certificate" });
      if (signature(who, h.signed).toHex() !== h.signature.toHex()) {
        return Promise.resolve({ line: "no", reason: "the signature is wrong" });
      }
      const peer = {
        der: h.crt,
        name: who,
        commonName: who,
        altNames: [],
        key: undefined,
        isFor: (name: string) => name === who,
        whyNotFor: (name: string) => name === who ? undefined : `it is ${who}'s`,
      };
      return Promise.resolve(peer as unknown as PeerCertificate);
    },
  };
}

function confOf(text: string): EncConf {
  const parsed = parseEncConf(new TextEncoder().encode(text));
  if (parsed instanceof EncConfError) throw new Error(`${parsed}`);
  return parsed.conf;
}

/** A server of the world, with what it remembers. */
export class Server {
  readonly accepted: { request: Uint8Array; result: OapAccepted }[] = [];
  readonly #memory = {
    signed: new ReplayCache(16, "refuse"),
    unsigned: new ReplayCache(16, "forget"),
    startedNs: 0n,
    isOwn: () => false,
  };

  constructor(readonly who: "srv" | "other", readonly settings: SideSettings) {}

  /** Its answer, or undefined for a refusal. */
  async serve(request: Uint8Array): Promise<Uint8Array | undefined> {
    const { who, settings } = this;
    const result = await serveRequest(portOf(who), this.#memory, {
      credentials: settings.cert ? credentials(who) : null,
      conf: confOf(settings.conf),
      name: who,
      request,
      data: NONE,
      staticKey: () => Promise.resolve(undefined),
    });
    if (isOapFailure(result)) return undefined;
    this.accepted.push({ request, result });
    return result.response;
  }
}

/** The client of the world, with one request under way. */
export class Client {
  private constructor(
    readonly settings: SideSettings,
    readonly session: OapClient,
  ) {}

  static async start(settings: SideSettings): Promise<Client> {
    const session = await OapClient.prepare(portOf("alice"), {
      credentials: settings.cert ? credentials("alice") : null,
      conf: confOf(settings.conf),
      id: boundId(utf8("nonce", String(made++)).subarray(0, 8), "srv"),
      dst: "srv",
      data: NONE,
      serverKey: undefined,
    });
    if (!(session instanceof OapClient)) throw new Error(session.reason);
    return new Client(settings, session);
  }

  /** What it ends with; undefined for a refusal. */
  async complete(response: Uint8Array): Promise<OapCompleted | undefined> {
    const result = await this.session.complete(response);
    return isOapFailure(result) ? undefined : result;
  }
}

/** Who holds the other half of a key exchange field. */
export function ownerOf(message: Uint8Array, hashBytes: number): string | undefined {
  const h = parse(message, 0, message.length, hashBytes);
  if (isWireError(h) || h.kex.length === 0) return undefined;
  return OWNER.get(h.kex.subarray(-32).toHex());
}

/** What the attacker does to a message: each part as it is, or changed; then signed by nobody, or by a key it has. */
export interface Change {
  readonly kex: "keep" | "eve" | "none";
  readonly cipher: "keep" | "weak" | "strong";
  readonly hash: "keep" | "right";
  /** `keep`: certificate and signature as they are. */
  readonly sign: "keep" | "strip" | Who;
}

const CIPHERS = { weak: 904, strong: 1018 };

/** A message as the attacker sends it on; `request` is what a response says it answers. */
export function changed(
  message: Uint8Array,
  c: Change,
  hashBytes: number,
  request: Uint8Array | undefined,
): Uint8Array {
  const h = parse(message, 0, message.length, hashBytes);
  if (isWireError(h)) throw new Error(`${h}`);
  const kex = c.kex === "keep" ? h.kex : c.kex === "none" ? NONE : pairOf("eve", X25519).wire;
  const next: OapHeader = {
    ...h,
    kex,
    cipherNid: c.cipher === "keep" ? h.cipherNid : CIPHERS[c.cipher],
    reqHash: c.hash === "right" && request !== undefined ? hashOf(request) : h.reqHash,
    ...(c.sign === "keep" ? {} : { crt: NONE, signature: NONE }),
  };
  if (c.sign === "keep" || c.sign === "strip") return bytesOf(next);
  const unsigned = bytesOf({ ...next, crt: certificateOf(c.sign) });
  const bytes = new Uint8Array(unsigned.length + 32);
  bytes.set(unsigned);
  bytes.set(signature(c.sign, unsigned), unsigned.length);
  return bytes;
}

function bytesOf(h: OapHeader): Bytes {
  const b = new Uint8Array(encodedLength(h));
  const n = encode(h, b, 0);
  if (isWireError(n)) throw new Error(`${n}`);
  return b;
}

/** Hash of a request by its own digest, as a response has it. */
export function hashOf(request: Uint8Array): Uint8Array {
  const h = parse(request, 0, request.length, 0);
  if (isWireError(h)) throw new Error(`${h}`);
  return digest(h.digestNid || REQUEST_HASH_NID_DEFAULT, request)!;
}
