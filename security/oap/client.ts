/**
 * The client half of OAP: make a request, complete it with the response (spec 40 §5).
 *
 * Pure: files are loaded by the caller; clock, random source and cryptography come through the port.
 * Every failure of prepare is -9, every failure of complete -1008, as the prototype's applications see
 * it; the reason travels beside it. One response completes a request, right or wrong.
 */

import { Errno } from "../../lib/errno.ts";
import { ID_BYTES, idTag, parse, type ParsedOapHeader } from "../../lib/wire/oap_header.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import {
  cipherByNid,
  digestByNid,
  kexByNid,
  type KexInfo,
  kexRank,
  REQUEST_HASH_NID_DEFAULT,
} from "../../lib/wire/oap_ids.ts";
import { digest } from "../digest.ts";
import { encodePublic, KEM_SIZES, peerField, type PeerKey } from "../kex/spki.ts";
import type { KexPair } from "../kex/pair.ts";
import type { Secret } from "../secret.ts";
import { printable } from "../../lib/printable.ts";
import { withReason } from "../reason.ts";
import { checkPeerName } from "./peer_name.ts";
import { checkResponse, isRefusal } from "./negotiate.ts";
import { bareHeader, dump, encodeSigned, equalBytes, NONE } from "./port.ts";
import type { OapPort, OwnSide } from "./port.ts";
import { dhKey, FRESH_KEX, freshKemKey, kemKey } from "./session_key.ts";
import {
  identityOf,
  negotiatedText,
  type OapCompleted,
  OapFailure,
  type PeerIdentity,
} from "./types.ts";

const PREPARE_FAILED = -Errno.EBADF;
const COMPLETE_FAILED = -Errno.ECRYPT;

/** How the session key will come about. */
type Exchange =
  | { readonly how: "none" }
  | { readonly how: "pair"; readonly pair: KexPair }
  | {
    readonly how: "encapsulated";
    readonly secret: Secret;
    readonly serverPublic: Uint8Array;
    /** Our fresh pair; undefined in the prototype's form. */
    readonly fresh: KexPair | undefined;
  };

/** What a request is made from. */
export interface ClientInput extends OwnSide {
  /** 16 random bytes, the id of the request. */
  readonly id: Uint8Array;
  readonly dst: string;
  readonly data: Uint8Array;
  /** The server's static key, only in `kem_mode=client` with a KEM. */
  readonly serverKey: PeerKey | undefined;
}

/** A request under way. */
export class OapClient {
  #exchange: Exchange;
  #done = false;

  private constructor(
    readonly request: Uint8Array<ArrayBuffer>,
    private readonly port: OapPort,
    private readonly input: ClientInput,
    private readonly hashNid: number,
    exchange: Exchange,
  ) {
    this.#exchange = exchange;
  }

  /** Makes a request. */
  static async prepare(port: OapPort, input: ClientInput): Promise<OapClient | OapFailure> {
    const { conf, dst, id } = input;
    const { log } = port;
    const tag = idTag(id);
    const fail = (line: string, reason: string) => {
      log.error(`${tag} ${withReason(line, reason)}`);
      return new OapFailure(PREPARE_FAILED, reason);
    };
    const exchange = await startExchange(port, input, tag);
    if (typeof exchange === "string") return fail("Failed to prepare client KEX.", exchange);
    const kex = kexByNid(conf.kexNid);
    const bytes = await encodeSigned(
      {
        ...bareHeader(id, port.nowNs()),
        cipherNid: conf.cipherNid,
        kdfNid: conf.kdfNid,
        digestNid: conf.digestNid,
        kex: exchange.wire,
        raw: kex?.family === "hybrid",
        clientEncap: exchange.state.how === "encapsulated",
        data: input.data,
      },
      input.credentials,
      port,
    );
    if (typeof bytes === "string") return fail("Failed to create OAP request header.", bytes);
    log.dbg(`${tag} OAP request prepared for ${dst}.`);
    const hashNid = conf.digestNid || REQUEST_HASH_NID_DEFAULT;
    return new OapClient(bytes, port, input, hashNid, exchange.state);
  }

  /** Checks the response and finishes the key exchange; the request is then used up. */
  async complete(response: Uint8Array): Promise<OapCompleted | OapFailure> {
    if (this.#done) return new OapFailure(COMPLETE_FAILED, "this request was completed before");
    this.#done = true;
    const result = await this.#complete(response);
    if (this.#exchange.how === "encapsulated") this.#exchange.secret[Symbol.dispose]();
    this.#exchange = { how: "none" };
    return result;
  }

  async #complete(response: Uint8Array): Promise<OapCompleted | OapFailure> {
    const { port, input } = this;
    const { log } = port;
    const tag = idTag(this.request);
    const fail = (line: string, reason = line) => {
      log.error(`${tag} ${withReason(line, reason)}`);
      return new OapFailure(COMPLETE_FAILED, reason);
    };
    log.dbg(`${tag} Completing OAP for ${input.dst}.`);
    const h = parse(response, 0, response.length, digestByNid(this.hashNid)!.bytes);
    if (isWireError(h)) return fail("Failed to decode OAP response header.", `response: ${h}`);
    if (log.debug) dump(log, h, "<--");
    if (!equalBytes(h.id, this.request.subarray(0, ID_BYTES))) {
      return fail("OAP response ID mismatch.");
    }
    const peer = await this.#authenticate(h, tag);
    if (peer instanceof OapFailure) return peer;
    const { kexNid } = input.conf;
    const who = peer === undefined ? [] : [`Server authenticated as ${printable(peer.name)}.`];
    if (kexNid === 0) {
      log.dbg(`${tag} OAP completed for ${input.dst}.`);
      return { cipherNid: 0, key: null, data: h.data.slice(), peer, said: who };
    }
    const key = await this.#finishExchange(h);
    if (typeof key === "string") {
      fail(key);
      return fail("Failed to complete key exchange.", key);
    }
    const cipher = cipherByNid(h.cipherNid)!;
    const negotiated = negotiatedText(kexByNid(kexNid)!.word, cipher);
    log.dbg(`${tag} ${negotiated}`);
    log.dbg(`${tag} OAP completed for ${input.dst}.`);
    const said = [...who, negotiated];
    return { cipherNid: h.cipherNid, key, data: h.data.slice(), peer, said };
  }

  /** Steps 3 to 5: who answered, and to which request. */
  async #authenticate(
    h: ParsedOapHeader,
    tag: string,
  ): Promise<PeerIdentity | undefined | OapFailure> {
    const { port, input } = this;
    const { log } = port;
    const { policy } = input.conf;
    const fail = (line: string, reason = line) => {
      log.error(`${tag} ${withReason(line, reason)}`);
      return new OapFailure(COMPLETE_FAILED, reason);
    };
    let peer;
    if (h.crt.length > 0) {
      const found = await port.verifyPeer(h, "server", policy);
      if ("line" in found) {
        fail(found.line);
        return fail("Failed to authenticate server.", found.reason);
      }
      if (found.name === undefined) log.warn(`${tag} Failed to extract name from certificate.`);
      log.dbg(`${tag} Successfully authenticated peer.`);
      peer = found;
    } else {
      log.dbg(`${tag} No crt provided.`);
      if (policy.requireAuth) {
        const reason = `the server of ${input.dst} did not authenticate (require-auth)`;
        return fail("Failed to authenticate server.", reason);
      }
    }
    if (!equalBytes(h.reqHash, digest(this.hashNid, this.request)!)) {
      return fail("Response req_hash mismatch.");
    }
    if (!peer) return undefined;
    const { name } = peer;
    const misnamed = peer.whyNotFor(input.dst, policy.strictCrt);
    if (misnamed !== undefined) {
      const shown = printable(name ?? "");
      return fail(`Peer crt for '${shown}' does not match '${input.dst}'.`, misnamed);
    }
    const refused = checkPeerName(peer, policy);
    if (refused) return fail(refused);
    return identityOf(peer, input.dst); // One of its names, as was just checked.
  }

  /** Steps 7 to 10; the key or the line that says why not. */
  async #finishExchange(h: ParsedOapHeader): Promise<Uint8Array | string> {
    const { conf } = this.input;
    const checked = checkResponse(h.cipherNid, h.kdfNid, conf);
    if (isRefusal(checked)) return checked.text;
    const { log } = this.port;
    if (log.debug) {
      log.dbg(`Accepted server cipher ${cipherByNid(h.cipherNid)!.word}.`);
      log.dbg(`Accepted server KDF ${digestByNid(checked.kdfNid)?.word ?? "sha256"}.`);
    }
    const exchange = this.#exchange;
    if (exchange.how === "encapsulated" && exchange.fresh) {
      const { fresh } = exchange;
      const peer = keyOf(h.kex, FRESH_KEX);
      if (peer === undefined) {
        return "Server did not send its part of the key (a prototype wants allow-static-kem).";
      }
      const derived = await fresh.derive(peer);
      if (!derived) return "Failed to derive secret.";
      const { secret, serverPublic } = exchange;
      return freshKemKey(checked.kdfNid, secret, derived, serverPublic, fresh.wire, h.kex);
    }
    if (exchange.how === "encapsulated") {
      return kemKey(checked.kdfNid, exchange.secret, exchange.serverPublic);
    }
    if (exchange.how === "none") return "Failed to derive secret.";
    const { pair } = exchange;
    if (KEM_SIZES[pair.kex.word]) {
      if (h.kex.length === 0) return "Server did not send KEM CT.";
      const secret = await pair.decapsulate(h.kex);
      return secret ? kemKey(checked.kdfNid, secret, pair.wire) : "Failed to decapsulate KEM.";
    }
    if (h.kex.length === 0) return "Server did not send DHE public key.";
    const peer = keyOf(h.kex, pair.kex);
    const secret = peer && await pair.derive(peer);
    return secret
      ? dhKey(checked.kdfNid, secret, pair.wire, h.kex)
      : "Failed to derive DHE secret.";
  }
}

/** The public key in a field, if it is one of this algorithm. */
function keyOf(bytes: Uint8Array, kex: KexInfo): PeerKey | undefined {
  const field = peerField(bytes, false);
  const peer = typeof field === "string" || field.kex !== kex ? "malformed" : field.read();
  return peer === "malformed" ? undefined : peer;
}

/** Step 4: own pair or encapsulation to the server's static key; a reason when it cannot be. */
async function startExchange(
  port: OapPort,
  input: ClientInput,
  tag: string,
): Promise<{ state: Exchange; wire: Uint8Array } | string> {
  const { conf } = input;
  const kex = kexByNid(conf.kexNid);
  if (!kex) return { state: { how: "none" }, wire: NONE };
  if (kex.rank < kexRank(conf.policy.minKexNid)) {
    return `kex=${kex.word} is weaker than min-kex`;
  }
  const isKem = KEM_SIZES[kex.word] !== undefined;
  if (isKem && conf.kemMode === "client") {
    const made = input.serverKey && await port.encapsulate(input.serverKey);
    if (!input.serverKey || !made) {
      port.log.error(`${tag} Failed to load server KEM pk.`);
      return "the server's KEM key cannot be used";
    }
    const serverPublic = encodePublic(input.serverKey.kex, input.serverKey.raw);
    const { secret, ciphertext } = made;
    if (conf.policy.allowStaticKem) {
      const state: Exchange = { how: "encapsulated", secret, serverPublic, fresh: undefined };
      return { state, wire: ciphertext };
    }
    const fresh = await port.generatePair(FRESH_KEX);
    const wire = new Uint8Array(ciphertext.length + fresh.wire.length);
    wire.set(ciphertext);
    wire.set(fresh.wire, ciphertext.length);
    return { state: { how: "encapsulated", secret, serverPublic, fresh }, wire };
  }
  const pair = await port.generatePair(kex);
  port.log.dbg(`${tag} Generated ephemeral ${kex.word} keys (${pair.wire.length} bytes).`);
  return { state: { how: "pair", pair }, wire: pair.wire };
}
