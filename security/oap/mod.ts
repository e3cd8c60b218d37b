/**
 * OAP of one IRMd: makes requests, serves requests, completes responses (spec 40).
 *
 * This shell owns the files (certificates, keys, `enc.conf`), the clock, the random source and the
 * replay caches; the procedures themselves are pure (`client.ts`, `server.ts`).
 */

import { Errno } from "../../lib/errno.ts";
import type { Logger } from "../../lib/log.ts";
import { ID_BYTES, idTag } from "../../lib/wire/oap_header.ts";
import { kexByNid, type KexInfo } from "../../lib/wire/oap_ids.ts";
import { PeerCertificate } from "../certificate.ts";
import { generatePairBy } from "../costly.ts";
import type { CostlyWork } from "../costly_work.ts";
import { sha256 } from "../digest.ts";
import type { EncConf, Policy } from "../enc_conf.ts";
import { isFileRefusal, SecurityFiles, type Side, type SideFiles } from "../files.ts";
import { encapsulate, generatePair, type KexPair } from "../kex/pair.ts";
import type { PeerKey } from "../kex/spki.ts";
import {
  type StaticKemKey,
  staticKeyFromPem,
  staticKeyFromRaw,
  staticPublicFromPem,
  staticPublicFromRaw,
} from "../kex/static.ts";
import { TrustFiles } from "../trust_files.ts";
import { boundId, NONCE_BYTES } from "./binding.ts";
import { ClockGuard } from "./clock_guard.ts";
import { OapClient } from "./client.ts";
import { NONE, type OapPort, type OwnSide, type PeerRefusal, type SignedHeader } from "./port.ts";
import { ENTRIES_MAX, ReplayCache } from "./replay_cache.ts";
import { withReason } from "../reason.ts";
import { ReplayJournal } from "../replay_journal.ts";
import { readRequest, serveRequest, type ServerMemory } from "./server.ts";
import { type NameSecurity, type OapAccepted, type OapCompleted, OapFailure } from "./types.ts";

export { isOapFailure, OapFailure } from "./types.ts";
export type {
  NameSecurity,
  OapAccepted,
  OapCompleted,
  PeerIdentity,
  SecurityPaths,
} from "./types.ts";
export { nameRefusal } from "../files.ts";
export { checkPathsReadableBy } from "../path_access.ts";

/** Peers' certificates remembered in parsed form. */
const PEERS_MAX = 1024;

/** Own requests remembered: more than are made in the first moments of a daemon. */
const OWN_MAX = 1024;

/** What an {@linkcode OapService} needs. */
export interface OapOptions {
  /** Directory with `cacert/`, `untrusted/`, `server/`, `client/`. */
  readonly securityDir: string;
  /** Where lines go; its prefix should be `irmd/oap`. */
  readonly log: Logger;
  /** Wall clock, ns since the epoch. */
  readonly nowNs?: () => bigint;
  /** Random bytes for ids; without it ids also say for which name they are. */
  readonly random?: (bytes: number) => Uint8Array;
  /** Source of ephemeral key pairs, for tests. */
  readonly generatePair?: (kex: KexInfo) => Promise<KexPair>;
  /** Requests with an earlier timestamp are refused; default: the time of construction, by the clock as it is set now. */
  readonly startedNs?: bigint;
  /** File in which served requests outlive the daemon; without, they are forgotten at its end. */
  readonly servedFile?: string;
  /** A clock that is never set, ns; watched unless `startedNs` is given. */
  readonly monotonicNs?: () => bigint;
}

/** A request under way; one response completes it. */
export interface OapClientSession {
  /** Bytes for the server. */
  readonly request: Uint8Array;
  /** Failures have code -1008. */
  complete(response: Uint8Array): Promise<OapCompleted | OapFailure>;
}

/** The OAP half of an IRMd. */
export class OapService implements Disposable {
  readonly #log: Logger;
  readonly #options: OapOptions;
  readonly #port: OapPort;
  readonly #newId: (dst: string) => Uint8Array;
  readonly #memory: ServerMemory;
  readonly #files: SecurityFiles;
  readonly #trust: TrustFiles;
  /** Certificates by hash that were good once, so that they need no parsing; always verified. */
  readonly #peers = new Map<string, PeerCertificate>();
  /** Ids of the first requests of our own: those of flows within this host are served here. */
  readonly #own = new Set<string>();
  readonly #journal: ReplayJournal | undefined;

  constructor(options: OapOptions) {
    const log = this.#log = options.log;
    this.#options = options;
    const nowNs = options.nowNs ?? (() => BigInt(Date.now()) * 1_000_000n);
    const startedMs = performance.now();
    // Whole ms and one more, because timestamps are cut to whole ms.
    const uptimeNs = () => BigInt(Math.ceil(performance.now() - startedMs) + 1) * 1_000_000n;
    const guard = new ClockGuard();
    const { servedFile } = options;
    const journal = this.#journal = servedFile === undefined
      ? undefined
      : new ReplayJournal(servedFile, (cause) =>
        log.warn(
          `Served requests are not kept (${servedFile}: ${cause}): after a restart with a clock that was set back they may be taken again.`,
        ));
    const monotonicNs = options.monotonicNs ??
      (() => BigInt(Math.trunc(performance.now() * 1000)) * 1000n);
    this.#files = new SecurityFiles(options.securityDir, log);
    this.#trust = new TrustFiles(options.securityDir, log);
    this.#memory = {
      signed: new ReplayCache(ENTRIES_MAX, "refuse"),
      unsigned: new ReplayCache(ENTRIES_MAX, "forget"),
      isOwn: (id) => this.#own.has(id.toHex()),
      keep: (signed, id, timestampNs) => journal?.add({ signed, id, timestampNs }),
      // Not a time noted then: a clock that was set back would refuse every request until it has caught up.
      get startedNs() {
        if (options.startedNs !== undefined && !options.monotonicNs) return options.startedNs;
        const now = nowNs();
        const floor = guard.floorNs(now, monotonicNs());
        const started = options.startedNs ?? now - uptimeNs();
        return floor > started ? floor : started;
      },
    };
    const { random } = options;
    this.#newId = random
      ? () => random(ID_BYTES)
      : (dst) => boundId(crypto.getRandomValues(new Uint8Array(NONCE_BYTES)), dst);
    this.#port = {
      log,
      nowNs,
      generatePair: options.generatePair ?? generatePair,
      encapsulate,
      verifyPeer: (signed, role, policy) => this.#verifyPeer(signed, role, policy),
    };
  }

  /** Loads the trust store; a failure means that the IRMd must not start (spec 40 §13.2). And what was served before. */
  start(): OapFailure | undefined {
    const { signed, unsigned } = this.#memory;
    for (const r of this.#journal?.open() ?? []) {
      (r.signed ? signed : unsigned).add(r.id, r.timestampNs, r.timestampNs);
    }
    const reason = this.#trust.load();
    return reason === undefined ? undefined : new OapFailure(-Errno.EAUTH, reason);
  }

  /** Closes the file of served requests. */
  [Symbol.dispose](): void {
    this.#journal?.[Symbol.dispose]();
  }

  /** For one flow: who does what is costly of it. */
  #portOf(work: CostlyWork | undefined): OapPort {
    if (work === undefined) return this.#port;
    const { generatePair: given } = this.#options;
    return {
      ...this.#port,
      work,
      generatePair: given ?? ((kex) => generatePairBy(work, kex)),
      verifyPeer: (signed, role, policy) => this.#verifyPeer(signed, role, policy, work),
    };
  }

  /** Where costly work was not done nothing is good; the failure says why. */
  #unlessRefused<T>(
    outcome: T | OapFailure,
    work: CostlyWork | undefined,
    code: number,
  ): T | OapFailure {
    if (work?.refusal === undefined) return outcome;
    this.#log.warn(`Refused: ${work.refusal}.`);
    return new OapFailure(outcome instanceof OapFailure ? outcome.code : code, work.refusal);
  }

  /**
   * Makes the request for a flow to `dst`; a failure has code -9 (spec 40 §5).
   * @param work does what is costly of this and of the completion; without, this thread does
   */
  async prepare(
    sec: NameSecurity,
    dst: string,
    data: Uint8Array = NONE,
    work?: CostlyWork,
  ): Promise<OapClientSession | OapFailure> {
    const id = this.#newId(dst);
    if (this.#own.size < OWN_MAX) this.#own.add(id.toHex());
    // Looked at here too, so that a step of the clock is noticed early.
    void this.#memory.startedNs;
    const fail = (line: string, reason: string) => {
      this.#log.error(`${idTag(id)} ${withReason(line, reason)}`);
      return new OapFailure(-Errno.EBADF, reason);
    };
    this.#log.dbg(`Preparing OAP request for ${dst}.`);
    const files = this.#files.locate("client", dst, sec.client, sec.clientDir, sec.owner);
    if (isFileRefusal(files)) return fail(`Failed to load credentials for ${dst}.`, files.reason);
    const own = await this.#load(files, dst, sec.anonymousClient);
    if ("failed" in own) {
      const what = own.failed === "crt" ? "credentials" : "KEX config";
      return fail(`Failed to load ${what} for ${dst}.`, own.reason);
    }
    const serverKey = await this.#serverKey(files, own.conf);
    if (isFileRefusal(serverKey)) {
      return fail("Failed to load server KEM pk.", `${serverKey.path}: ${serverKey.reason}`);
    }
    const port = this.#portOf(work);
    const input = { ...own, id, dst, data, serverKey };
    const made = this.#unlessRefused(await OapClient.prepare(port, input), work, -Errno.EBADF);
    if (made instanceof OapFailure) return made;
    return {
      request: made.request,
      complete: async (response) =>
        this.#unlessRefused(await made.complete(response), work, -Errno.ECRYPT),
    };
  }

  /**
   * Why a request that has just arrived is refused whoever serves it: it cannot be read, is old or a copy. Costs next to
   * nothing, so that nobody waits and no memory is made for it; {@linkcode serve} looks again.
   */
  refusedOnArrival(request: Uint8Array): OapFailure | undefined {
    const read = readRequest(this.#port, this.#memory, request);
    return read instanceof OapFailure ? read : undefined;
  }

  /**
   * Answers a request for the registered name `name`; -1008 or -1009 on failure (spec 40 §6).
   * @param work does what is costly; without, this thread does
   */
  async serve(
    sec: NameSecurity,
    name: string,
    request: Uint8Array,
    data: Uint8Array = NONE,
    work?: CostlyWork,
  ): Promise<OapAccepted | OapFailure> {
    const fail = (code: number, line: string, reason: string) => {
      this.#log.error(withReason(line, reason));
      return new OapFailure(code, reason, true);
    };
    const noKeys = `Failed to load security keys for ${name}.`;
    const files = this.#files.locate("server", name, sec.server, sec.serverDir, sec.owner);
    if (isFileRefusal(files)) return fail(-Errno.EAUTH, noKeys, files.reason);
    const own = await this.#load(files, name);
    if ("failed" in own) {
      return own.failed === "crt"
        ? fail(-Errno.EAUTH, noKeys, own.reason)
        : fail(-Errno.ECRYPT, `Failed to load KEX config for ${name}.`, own.reason);
    }
    const served = await serveRequest(this.#portOf(work), this.#memory, {
      ...own,
      name,
      request,
      data,
      staticKey: (raw) => this.#staticKey(files, raw),
    });
    return this.#unlessRefused(served, work, -Errno.ECRYPT);
  }

  async #load(
    files: SideFiles,
    name: string,
    anonymous = false,
  ): Promise<OwnSide | { failed: "crt" | "enc"; reason: string }> {
    const credentials = anonymous ? null : await this.#files.credentials(files, name);
    if (isFileRefusal(credentials)) {
      return { failed: "crt", reason: `${credentials.path}: ${credentials.reason}` };
    }
    const conf = await this.#files.encConf(files, name);
    if (isFileRefusal(conf)) return { failed: "enc", reason: `${conf.path}: ${conf.reason}` };
    return { credentials, conf };
  }

  /** The server's static key, where the client is the one to encapsulate. */
  async #serverKey(f: SideFiles, conf: EncConf) {
    const family = kexByNid(conf.kexNid)?.family;
    if (conf.kemMode !== "client") return undefined;
    if (family === "mlkem") {
      const path = `${f.dir}/kex.srv.pub.pem`;
      return await this.#files.kemKey("kem-public", path, (b) => Promise.resolve(publicPem(b)));
    }
    if (family === "hybrid") {
      const path = `${f.dir}/kex.srv.pub.raw`;
      return await this.#files.kemKey(
        "kem-public",
        path,
        (b) => Promise.resolve(staticPublicFromRaw(b)),
      );
    }
    return undefined;
  }

  async #staticKey(f: SideFiles, raw: boolean): Promise<StaticKemKey | undefined> {
    const kind = raw ? "raw" : "pem";
    const path = `${f.dir}/kex.key.${kind}`;
    const found = await this.#files.kemKey("kem-key", path, (b) => {
      if (raw) return staticKeyFromRaw(b);
      return Promise.resolve(staticKeyFromPem(new TextDecoder().decode(b)));
    });
    if (!isFileRefusal(found)) return found;
    this.#log.error(withReason(`Failed to load ${kind} keypair from ${path}.`, found.reason));
    return undefined;
  }

  /**
   * Certificate, signature and chain of a peer; the lines are the same for all bad chains (§18.23). The signature comes
   * before the chain: a path is searched only for who holds the key of its end.
   */
  async #verifyPeer(
    signed: SignedHeader,
    role: Side,
    policy: Policy,
    work?: CostlyWork,
  ): Promise<PeerCertificate | PeerRefusal> {
    const hash = sha256(signed.crt).toHex();
    const certificate = this.#peers.get(hash) ?? PeerCertificate.read(signed.crt);
    if (typeof certificate === "string") {
      return { line: "Failed to load crt.", reason: `it is damaged (${certificate})` };
    }
    this.#log.dbg("Loaded peer crt.");
    if (!certificate.key) {
      return { line: "Failed to get pubkey from crt.", reason: certificate.keyReason };
    }
    if (!await certificate.key.verify(signed.digestNid, signed.signed, signed.signature, work)) {
      return { line: "Failed to verify signature.", reason: "the signature is wrong" };
    }
    const untrusted = (reason: string) => ({
      line: "Failed to verify peer with CA store.",
      reason,
    });
    const store = this.#trust.current();
    if (typeof store === "string") return untrusted(store);
    const verdict = await store.verify(certificate, Date.now(), work);
    if (!verdict.ok) return untrusted(verdict.reason);
    if (!this.#peers.has(hash)) {
      if (this.#peers.size >= PEERS_MAX) this.#peers.delete(this.#peers.keys().next().value!);
      this.#peers.set(hash, certificate);
    }
    const wrongRole = certificate.roleReason(role);
    if (wrongRole !== undefined) return untrusted(wrongRole);
    if (policy.strictCrt) {
      if (verdict.sha1) return untrusted("its chain is signed with SHA-1 (strict-crt)");
      if (verdict.weakRsaBits !== undefined) {
        return untrusted(`its chain has an RSA key of ${verdict.weakRsaBits} bits (strict-crt)`);
      }
      const reason = certificate.strictReason(role);
      if (reason) return untrusted(`${reason} (strict-crt)`);
    }
    this.#log.dbg("Successfully verified peer crt.");
    return certificate.without(verdict.excludedNames);
  }
}

function publicPem(bytes: Uint8Array): PeerKey | undefined {
  return staticPublicFromPem(new TextDecoder().decode(bytes));
}
