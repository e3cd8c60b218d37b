/**
 * The server half of OAP: check a request, answer it (spec 40 §6, §8).
 *
 * Pure: files are loaded by the caller; clock, random source and cryptography come through the port,
 * the replay caches are the service's. A request is remembered only after it authenticated, so a
 * damaged copy cannot turn the genuine one into a replay (§18.10, 11).
 */

import { Errno } from "../../lib/errno.ts";
import { idTag, parse, type ParsedOapHeader } from "../../lib/wire/oap_header.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import {
  cipherByNid,
  digestByNid,
  kexByNid,
  type KexInfo,
  REQUEST_HASH_NID_DEFAULT,
} from "../../lib/wire/oap_ids.ts";
import { digest } from "../digest.ts";
import { isReduced, KEM_SIZES, peerField, type PeerKey } from "../kex/spki.ts";
import { printable } from "../../lib/printable.ts";
import { withReason } from "../reason.ts";
import type { StaticKemKey } from "../kex/static.ts";
import { agree, checkKex, checkMinKex, isRefusal } from "./negotiate.ts";
import { checkPeerName } from "./peer_name.ts";
import { bareHeader, dump, encodeSigned, NONE } from "./port.ts";
import type { OapPort, OwnSide, StaticKeySource } from "./port.ts";
import { checkAge, FUTURE_MS_MAX, type ReplayCache } from "./replay_cache.ts";
import { isBoundTo } from "./binding.ts";
import { dhKey, FRESH_BYTES, FRESH_KEX, freshKemKey, kemKey } from "./session_key.ts";
import {
  identityOf,
  negotiatedText,
  type OapAccepted,
  OapFailure,
  type PeerIdentity,
} from "./types.ts";

const AUTH_FAILED = -Errno.EAUTH;
const CRYPT_FAILED = -Errno.ECRYPT;

/** What a server remembers between requests. */
export interface ServerMemory {
  /** Requests with a verified signature: never forgotten early. */
  readonly signed: ReplayCache;
  /** Requests without one: the oldest are forgotten when there are too many. */
  readonly unsigned: ReplayCache;
  /** Start of this daemon, ns: older requests might have been served before it (§18.12). */
  readonly startedNs: bigint;
  /** Whether this daemon made a request itself, since its start. */
  isOwn(id: Uint8Array): boolean;
  /** A request was remembered; kept for the next daemon. */
  keep?(signed: boolean, id: Uint8Array, timestampNs: bigint): void;
}

/** What a request is served with. */
export interface ServerInput extends OwnSide {
  readonly name: string;
  readonly request: Uint8Array;
  readonly data: Uint8Array;
  readonly staticKey: StaticKeySource;
}

/** Outcome of the key exchange. */
interface Exchanged {
  readonly cipherNid: number;
  readonly kdfNid: number;
  readonly key: Uint8Array | null;
  /** Kex field of the response. */
  readonly wire: Uint8Array;
  readonly raw: boolean;
  /** What was agreed, a sentence; undefined without key exchange. */
  readonly negotiated: string | undefined;
}

/** Serves one request. */
export async function serveRequest(
  port: OapPort,
  memory: ServerMemory,
  input: ServerInput,
): Promise<OapAccepted | OapFailure> {
  const { log } = port;
  log.dbg(`Processing OAP request for ${input.name}.`);
  const h = readRequest(port, memory, input.request);
  if (h instanceof OapFailure) return h;
  const tag = idTag(h.id);
  if (log.debug) dump(log, h, "<--");
  const peer = await authenticate(port, input, h, tag);
  if (peer instanceof OapFailure) return peer;
  const known = remember(port, memory, h, tag);
  if (known) return known;
  const exchanged = await exchange(port, input, h, tag);
  if (exchanged instanceof OapFailure) return exchanged;
  const reqHash = digest(h.digestNid || REQUEST_HASH_NID_DEFAULT, input.request)!;
  const response = await encodeSigned(
    {
      ...bareHeader(h.id, port.nowNs()),
      cipherNid: exchanged.cipherNid,
      kdfNid: exchanged.kdfNid,
      digestNid: input.conf.digestNid,
      kex: exchanged.wire,
      raw: exchanged.raw,
      data: input.data,
      reqHash,
    },
    input.credentials,
    port,
  );
  if (typeof response === "string") {
    log.error(`${tag} ${withReason("Failed to create OAP response header.", response)}`);
    exchanged.key?.fill(0);
    return new OapFailure(AUTH_FAILED, response);
  }
  log.dbg(`${tag} OAP request processed for ${input.name}.`);
  const { cipherNid, key, negotiated } = exchanged;
  const who = peer === undefined ? [] : [authenticatedAs(peer.name)];
  const said = negotiated === undefined ? who : [...who, negotiated];
  return { response, cipherNid, key, data: h.data.slice(), peer, said };
}

/**
 * Steps 1 to 4, before anything costly: whether a request can be read and is new, by its time, the start of the daemon
 * and what is known. Nothing is remembered of it.
 */
export function readRequest(
  port: OapPort,
  memory: ServerMemory,
  request: Uint8Array,
): ParsedOapHeader | OapFailure {
  const { log } = port;
  const h = parse(request, 0, request.length, 0);
  if (isWireError(h)) {
    log.error(withReason("Failed to decode OAP header.", `${h}`));
    return new OapFailure(AUTH_FAILED, `request: ${h}`);
  }
  const tag = idTag(h.id);
  const fail = (reason: string) => {
    log.error(`${tag} ${withReason("OAP header failed replay check.", reason)}`);
    return new OapFailure(AUTH_FAILED, reason);
  };
  const age = checkAge(port.nowNs(), h.timestampNs);
  if (!age.ok) {
    const line = age.why === "future"
      ? `OAP header from ${-age.ms} ms into future.`
      : `OAP header too old (${age.ms} ms).`;
    log.error(`${tag} ${line}`);
    return fail(`${line.slice(0, -1)}: are the clocks of both hosts right?`);
  }
  // One served before the start may have come from the future; this daemon's own requests are none of those.
  const floorNs = memory.startedNs + BigInt(FUTURE_MS_MAX) * 1_000_000n;
  if (h.timestampNs <= floorNs && !memory.isOwn(h.id)) {
    log.error(`${tag} OAP header from before the start of this IRMd.`);
    return fail("the request is older than this IRMd");
  }
  // One list for both: a signed request without its certificate is no new one.
  const { signed, unsigned } = memory;
  if (!signed.has(h.id, h.timestampNs) && !unsigned.has(h.id, h.timestampNs)) return h;
  log.warn(`${tag} OAP header already known.`);
  return fail("OAP header already known");
}

/** Step 5: chain and signature, then our policy about the client. */
async function authenticate(
  port: OapPort,
  input: ServerInput,
  h: ParsedOapHeader,
  tag: string,
): Promise<PeerIdentity | undefined | OapFailure> {
  const { log } = port;
  const { policy } = input.conf;
  const fail = (reason: string) => {
    log.error(`${tag} ${withReason("Failed to authenticate client.", reason)}`);
    return new OapFailure(AUTH_FAILED, reason);
  };
  if (policy.requireBinding && !isBoundTo(h.id, input.name)) {
    const reason = `the request does not say that it is for ${input.name} (require-binding)`;
    return fail(reason);
  }
  if (h.crt.length === 0) {
    log.dbg(`${tag} No crt provided.`);
    if (!policy.requireAuth) return undefined;
    const reason = `the client did not authenticate (require-auth of ${input.name})`;
    return fail(reason);
  }
  const peer = await port.verifyPeer(h, "client", policy);
  if ("line" in peer) {
    log.error(`${tag} ${peer.line}`);
    return fail(peer.reason);
  }
  const name = peer.name;
  if (name === undefined) log.warn(`${tag} Failed to extract name from certificate.`);
  log.dbg(`${tag} ${authenticatedAs(name)}`);
  const refused = checkPeerName(peer, policy);
  if (refused) return fail(refused);
  return identityOf(peer, peer.commonName ?? peer.altNames[0] ?? "");
}

function authenticatedAs(name: string | undefined): string {
  return `Client authenticated as ${name ? printable(name) : "<no name>"}.`;
}

/** Remembers an authenticated request; a copy that was faster makes this one a replay. */
function remember(
  port: OapPort,
  memory: ServerMemory,
  h: ParsedOapHeader,
  tag: string,
): OapFailure | undefined {
  const [own, other] = h.crt.length > 0
    ? [memory.signed, memory.unsigned]
    : [memory.unsigned, memory.signed];
  const outcome = other.has(h.id, h.timestampNs)
    ? "known"
    : own.add(h.id, h.timestampNs, port.nowNs());
  if (outcome === "added") {
    memory.keep?.(own === memory.signed, h.id, h.timestampNs);
    return undefined;
  }
  const line = outcome === "known" ? "OAP header already known." : "Replay cache is full.";
  port.log.warn(`${tag} ${line}`);
  port.log.error(`${tag} OAP header failed replay check.`);
  return new OapFailure(AUTH_FAILED, line);
}

/** Step 6: negotiation and key exchange (spec 40 §8). */
async function exchange(
  port: OapPort,
  input: ServerInput,
  h: ParsedOapHeader,
  tag: string,
): Promise<Exchanged | OapFailure> {
  const { log } = port;
  const { conf } = input;
  const fail = (line: string, level: "error" | "warn" = "error") => {
    log[level](`${tag} ${line}`);
    return new OapFailure(CRYPT_FAILED, line);
  };
  const agreed = agree({ ...h, hasKex: h.kex.length > 0 }, conf);
  if (isRefusal(agreed)) return fail(agreed.text, agreed.level);
  const { cipherNid, kdfNid } = agreed;
  if (cipherNid === 0) {
    log.dbg(`${tag} No key exchange.`);
    return { cipherNid, kdfNid, key: null, wire: NONE, raw: false, negotiated: undefined };
  }
  if (log.debug) {
    const side = (same: boolean) => same ? "client" : "server";
    log.dbg(`Selected ${side(cipherNid === h.cipherNid)} cipher ${cipherByNid(cipherNid)!.word}.`);
    const kdf = digestByNid(kdfNid)?.word ?? "sha256";
    log.dbg(`Selected ${side(kdfNid === h.kdfNid)} KDF ${kdf}.`);
  }
  const done = h.clientEncap
    ? await exchangeAsAsked(port, input, h, kdfNid)
    : await exchangeForClient(port, input, h, kdfNid);
  if (typeof done === "string") return fail(done);
  const cipher = cipherByNid(cipherNid)!;
  const negotiated = negotiatedText(done.kex.word, cipher);
  log.dbg(`${tag} ${negotiated}`);
  return { cipherNid, kdfNid, key: done.key, wire: done.wire, raw: done.raw, negotiated };
}

/** A finished exchange, or the line that says why not. */
type Done = { kex: KexInfo; key: Uint8Array; wire: Uint8Array; raw: boolean } | string;

/** R flag clear: the algorithm is that of the client's key. */
async function exchangeForClient(
  port: OapPort,
  input: ServerInput,
  h: ParsedOapHeader,
  kdfNid: number,
): Promise<Done> {
  const malformed = `Failed to get algo from ${h.raw ? "raw" : "DER"} key.`;
  const field = peerField(h.kex, h.raw);
  if (field === "malformed") return malformed;
  // The client does not choose what the server computes: what it may not be is refused before its point is decoded.
  const refused = checkKex(field === "unsupported" ? undefined : field.kex, input.conf);
  if (refused) return refused.text;
  if (field === "unsupported") return "Client KEX (null) too weak.";
  const peer = field.read();
  if (peer === "malformed") return malformed;
  const sizes = KEM_SIZES[peer.kex.word];
  if (!sizes) return await exchangeDh(port, peer, h.kex, kdfNid);
  const latticeBytes = sizes.publicBytes - (sizes.hybrid?.dhBytes ?? 0);
  const made = isReduced(peer.raw, latticeBytes) ? await port.encapsulate(peer) : undefined;
  if (!made) return "Failed to encapsulate KEM.";
  return {
    kex: peer.kex,
    key: kemKey(kdfNid, made.secret, h.kex),
    wire: made.ciphertext,
    raw: sizes.hybrid !== undefined,
  };
}

/** R flag set: the algorithm stays our own; a KEM uses the static key, DH an ephemeral one. */
async function exchangeAsAsked(
  port: OapPort,
  input: ServerInput,
  h: ParsedOapHeader,
  kdfNid: number,
): Promise<Done> {
  const own = kexByNid(input.conf.kexNid);
  if (!own) return "Client encapsulation without KEM of the server.";
  if (!KEM_SIZES[own.word]) {
    const field = peerField(h.kex, h.raw);
    if (typeof field === "string" || field.kex !== own) return "Failed to derive secret.";
    const refused = checkMinKex(own, input.conf.policy);
    if (refused) return refused.text;
    const peer = field.read();
    if (peer === "malformed") return "Failed to derive secret.";
    return await exchangeDh(port, peer, h.kex, kdfNid);
  }
  const key = await input.staticKey(h.raw);
  if (!key) return "Failed to decapsulate KEM.";
  const weak = checkMinKex(key.kex, input.conf.policy);
  if (weak) return weak.text;
  const sizes = KEM_SIZES[key.kex.word]!;
  if (h.kex.length === sizes.ciphertextBytes + FRESH_BYTES) {
    return await exchangeFresh(port, key, sizes.ciphertextBytes, h, kdfNid);
  }
  if (!input.conf.policy.allowStaticKem) return STATIC_REFUSED;
  const secret = await key.decapsulate(h.kex);
  if (!secret) return "Failed to decapsulate KEM.";
  return { kex: key.kex, key: kemKey(kdfNid, secret, key.publicWire), wire: NONE, raw: false };
}

/** The prototype's form of `kem_mode=client` without the administrator's word. */
const STATIC_REFUSED =
  "Client encapsulation refused: whoever replays the request gets the same key (allow-static-kem).";

/** Behind the ciphertext came the client's fresh key: ours is the answer. */
async function exchangeFresh(
  port: OapPort,
  key: StaticKemKey,
  ciphertextBytes: number,
  h: ParsedOapHeader,
  kdfNid: number,
): Promise<Done> {
  const field = h.kex.subarray(ciphertextBytes);
  const fresh = peerField(field, false);
  if (typeof fresh === "string" || fresh.kex !== FRESH_KEX) return "Failed to derive secret.";
  const peer = fresh.read();
  if (peer === "malformed") return "Failed to derive secret.";
  const encapsulated = await key.decapsulate(h.kex.subarray(0, ciphertextBytes));
  if (!encapsulated) return "Failed to decapsulate KEM.";
  const pair = await port.generatePair(FRESH_KEX);
  const derived = await pair.derive(peer);
  if (!derived) {
    encapsulated[Symbol.dispose]();
    return "Failed to derive secret.";
  }
  const made = freshKemKey(kdfNid, encapsulated, derived, key.publicWire, field, pair.wire);
  return { kex: key.kex, key: made, wire: pair.wire, raw: false };
}

async function exchangeDh(
  port: OapPort,
  peer: PeerKey,
  field: Uint8Array,
  kdfNid: number,
): Promise<Done> {
  const pair = await port.generatePair(peer.kex);
  port.log.dbg(`Generated ${peer.kex.word} ephemeral keys.`);
  const secret = await pair.derive(peer);
  if (!secret) return "Failed to derive secret.";
  port.log.dbg("DHE: derived shared secret.");
  const key = dhKey(kdfNid, secret, pair.wire, field);
  return { kex: peer.kex, key, wire: pair.wire, raw: false };
}
