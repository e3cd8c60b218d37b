/**
 * OAP of one IRMd: makes requests, serves requests, completes responses (spec 40).
 *
 * This shell owns the files (certificates, keys, `enc.conf`), the clock and the random source; the
 * procedures themselves are pure.
 */

import type { Logger } from "../../lib/log.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { encode, encodedLength, LENGTH, type OapHeader, parse } from "../../lib/wire/oap_header.ts";
import { digestByNid, REQUEST_HASH_NID_DEFAULT } from "../../lib/wire/oap_ids.ts";
import { digest } from "../digest.ts";
import { checkAge, ReplayCache } from "./replay_cache.ts";
import { type NameSecurity, type OapAccepted, type OapCompleted, OapFailure } from "./types.ts";

export { isOapFailure, OapFailure } from "./types.ts";
export type { NameSecurity, OapAccepted, OapCompleted, SecurityPaths } from "./types.ts";

const NONE = new Uint8Array(0);

/** What an {@linkcode OapService} needs. */
export interface OapOptions {
  /** Directory with `cacert/`, `untrusted/`, `server/`, `client/`. */
  readonly securityDir: string;
  /** Where lines go; its prefix should be `irmd/oap`. */
  readonly log: Logger;
  /** Wall clock, ns since the epoch. */
  readonly nowNs?: () => bigint;
  /** Random bytes. */
  readonly random?: (bytes: number) => Uint8Array;
}

/** A request under way; one response completes it. */
export interface OapClientSession {
  /** Bytes for the server. */
  readonly request: Uint8Array;
  complete(response: Uint8Array): Promise<OapCompleted | OapFailure>;
}

/** The OAP half of an IRMd. */
export class OapService {
  readonly #log: Logger;
  readonly #nowNs: () => bigint;
  readonly #random: (bytes: number) => Uint8Array;
  readonly #replay = new ReplayCache();

  constructor(options: OapOptions) {
    this.#log = options.log;
    this.#nowNs = options.nowNs ?? (() => BigInt(Date.now()) * 1_000_000n);
    this.#random = options.random ?? ((n) => crypto.getRandomValues(new Uint8Array(n)));
  }

  /** Loads the trust store; a failure means that the IRMd must not start (spec 40 §13.2). */
  start(): Promise<OapFailure | undefined> {
    return Promise.resolve(undefined);
  }

  /** Makes the request for a flow to `dst`; a failure has code -9 (spec 40 §5). */
  prepare(
    _sec: NameSecurity,
    dst: string,
    data: Uint8Array = NONE,
  ): Promise<OapClientSession | OapFailure> {
    const request = encodeNew({
      id: this.#random(16),
      timestampNs: this.#nowNs(),
      cipherNid: 0,
      kdfNid: 0,
      digestNid: 0,
      crt: NONE,
      kex: NONE,
      raw: false,
      clientEncap: false,
      data,
      reqHash: NONE,
      signature: NONE,
    });
    const log = this.#log;
    return Promise.resolve({
      request,
      complete(response: Uint8Array): Promise<OapCompleted | OapFailure> {
        const nid = REQUEST_HASH_NID_DEFAULT;
        const h = parse(response, 0, response.length, digestByNid(nid)!.bytes);
        const id = hexId(request);
        const fail = (reason: string) => {
          log.error(`${id} ${reason}`);
          return Promise.resolve(new OapFailure(-1008, reason));
        };
        if (isWireError(h)) return fail("Failed to decode OAP response header.");
        if (!equal(h.id, request.subarray(0, 16))) return fail("OAP response ID mismatch.");
        if (!equal(h.reqHash, digest(nid, request)!)) return fail("Response req_hash mismatch.");
        log.info(`${id} OAP completed for ${dst}.`);
        return Promise.resolve({ cipherNid: 0, key: null, data: h.data.slice(), peerName: "" });
      },
    });
  }

  /** Answers a request for the registered name `name` (spec 40 §6). */
  serve(
    _sec: NameSecurity,
    name: string,
    request: Uint8Array,
    data: Uint8Array = NONE,
  ): Promise<OapAccepted | OapFailure> {
    const h = parse(request, 0, request.length, 0);
    const fail = (reason: string) => {
      this.#log.error(reason);
      return Promise.resolve(new OapFailure(-1009, reason));
    };
    if (isWireError(h)) return fail("Failed to decode OAP header.");
    const id = hexId(request);
    const now = this.#nowNs();
    const age = checkAge(now, h.timestampNs);
    if (!age.ok) return fail(`${id} OAP header failed replay check.`);
    if (this.#replay.add(h.id, h.timestampNs, now) !== "added") {
      this.#log.warn(`${id} OAP header already known.`);
      return fail(`${id} OAP header failed replay check.`);
    }
    const reqHash = digest(h.digestNid || REQUEST_HASH_NID_DEFAULT, request)!;
    const response = encodeNew({
      ...h,
      timestampNs: this.#nowNs(),
      cipherNid: 0,
      kdfNid: 0,
      digestNid: 0,
      crt: NONE,
      kex: NONE,
      raw: false,
      clientEncap: false,
      data,
      reqHash,
      signature: NONE,
    });
    this.#log.info(`${id} OAP request processed for ${name}.`);
    return Promise.resolve({
      response,
      cipherNid: 0,
      key: null,
      data: h.data.slice(),
      peerName: "",
    });
  }
}

function encodeNew(h: OapHeader): Uint8Array {
  const out = new Uint8Array(Math.max(LENGTH, encodedLength(h)));
  encode(h, out, 0);
  return out;
}

function hexId(header: Uint8Array): string {
  let s = "[";
  for (let i = 0; i < 8; i++) s += header[i]!.toString(16).padStart(2, "0");
  return s + "]";
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
