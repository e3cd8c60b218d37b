/** Does costly arithmetic, here and now: in a thread of its own for a daemon (`irmd/costly_worker.ts`), else by itself. */

import { kexByWord, type KexInfo } from "../lib/wire/oap_ids.ts";
import type { CostlyJob, CostlyParts, CostlyWork } from "./costly_work.ts";
import { generatePair, GroupPair, groupSecret, type KexPair } from "./kex/pair.ts";
import type { PeerKey } from "./kex/spki.ts";
import { Secret } from "./secret.ts";
import { VerifyKey } from "./signature.ts";
import { SigningKey } from "./signing_key.ts";

/** Does one job. */
export async function doCostly(job: CostlyJob): Promise<CostlyParts> {
  switch (job.kind) {
    case "sign": {
      const key = await SigningKey.fromDer(job.label, job.der);
      const made = typeof key === "string" ? undefined : await key.sign(job.digestNid, job.data);
      return made === undefined ? [] : [made.slice()];
    }
    case "verify": {
      const { word, pss, data, signature } = job;
      const good = await VerifyKey.of(job.spki)?.verifyDigest(word, pss, data, signature);
      return good === true ? [new Uint8Array(0)] : [];
    }
    case "group-pair": {
      const pair = new GroupPair(kexByWord(job.word));
      return [pair.exponent, pair.wire];
    }
    case "group-secret": {
      const secret = groupSecret(kexByWord(job.word), job.exponent, job.peer);
      return secret === undefined ? [] : [secret.bytes];
    }
  }
}

/** Makes an ephemeral pair; where that is costly, and deriving with it, others do it. */
export async function generatePairBy(work: CostlyWork, kex: KexInfo): Promise<KexPair> {
  if (kex.family !== "ffdhe") return await generatePair(kex);
  const [exponent, wire] = await work.run({ kind: "group-pair", word: kex.word });
  return new RemoteGroupPair(work, kex, exponent ?? NONE, wire ?? NONE);
}

const NONE = new Uint8Array(0);

/** A pair of a finite-field group with which others compute; without exponent it derives nothing. */
class RemoteGroupPair implements KexPair {
  constructor(
    readonly work: CostlyWork,
    readonly kex: KexInfo,
    readonly exponent: Uint8Array<ArrayBuffer>,
    readonly wire: Uint8Array<ArrayBuffer>,
  ) {}

  async derive(peer: PeerKey): Promise<Secret | undefined> {
    if (peer.kex !== this.kex || this.exponent.length === 0) return undefined;
    const [secret] = await this.work.run({
      kind: "group-secret",
      word: this.kex.word,
      exponent: this.exponent,
      peer: peer.raw,
    });
    this.exponent.fill(0);
    return secret === undefined ? undefined : new Secret(secret);
  }

  decapsulate(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}
