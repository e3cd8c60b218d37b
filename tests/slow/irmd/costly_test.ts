/** The threads that do costly arithmetic. Whose turn it is: tests/unit/irmd/costly_queue_test.ts. */

import { assert, assertEquals } from "@std/assert";
import { generateKeyPairSync } from "node:crypto";
import { Costly } from "../../../irmd/costly.ts";
import { Share } from "../../../irmd/shares.ts";
import { kexByWord } from "../../../lib/wire/oap_ids.ts";
import { doCostly, generatePairBy } from "../../../security/costly.ts";
import type { CostlyJob, CostlyWork } from "../../../security/costly_work.ts";
import { generatePair } from "../../../security/kex/pair.ts";
import { peerField } from "../../../security/kex/spki.ts";
import { isOapFailure } from "../../../security/oap/mod.ts";
import { VerifyKey } from "../../../security/signature.ts";
import { SigningKey } from "../../../security/signing_key.ts";
import { init, leaf } from "../../../pki/make.ts";
import { DEFAULTS, ensure, KeptLog, pkiOptions, SecDir } from "../../support/security_dir.ts";

/** A daemon's, with the threads of the program. */
function costly(start?: () => Worker): Costly {
  return new Costly(new Share(16, 1), start, 2);
}

const asker = { uid: 1000, wanted: () => true };

Deno.test("threads: sign, verify and exchange as in place", async () => {
  using c = costly();
  const work = c.for(asker);
  const data = new TextEncoder().encode("what is signed");
  const slh = await crypto.subtle.generateKey("SLH-DSA-SHA2-128f", true, [
    "sign",
    "verify",
  ]) as CryptoKeyPair;
  const rsa = generateKeyPairSync("rsa", { modulusLength: 3072 });
  const bytes = (b: ArrayBuffer | Uint8Array) => new Uint8Array(b as ArrayBuffer);
  const pairs = [
    {
      pkcs8: bytes(await crypto.subtle.exportKey("pkcs8", slh.privateKey)),
      spki: bytes(await crypto.subtle.exportKey("spki", slh.publicKey)),
    },
    {
      pkcs8: bytes(rsa.privateKey.export({ format: "der", type: "pkcs8" })),
      spki: bytes(rsa.publicKey.export({ format: "der", type: "spki" })),
    },
  ];
  for (const { pkcs8, spki } of pairs) {
    const key = await SigningKey.fromDer("PRIVATE KEY", pkcs8);
    ensure(typeof key !== "string");
    assert(key.file !== undefined, "it is no costly key");
    const signature = await key.sign(0, data, work);
    ensure(signature !== undefined, work.refusal);
    const check = VerifyKey.of(spki)!;
    assert(await check.verify(0, data, signature));
    assert(await check.verify(0, data, signature, work));
    signature[signature.length >> 1]! ^= 1;
    assert(!await check.verify(0, data, signature, work));
  }
  const kex = kexByWord("ffdhe2048");
  const mine = await generatePairBy(work, kex);
  const theirs = await generatePair(kex);
  const read = (wire: Uint8Array) => {
    const field = peerField(wire, false);
    const peer = typeof field === "string" ? field : field.read();
    ensure(typeof peer !== "string");
    return peer;
  };
  const theirKey = read(theirs.wire);
  const secret = await mine.derive(theirKey);
  assertEquals(secret?.bytes.toHex(), (await theirs.derive(read(mine.wire)))?.bytes.toHex());
  assert(secret !== undefined);
  assertEquals(work.refusal, undefined);
  assertEquals(c.share.used, 0);
});

/** A thread of other code than the program's. */
function thread(source: string): Worker {
  return new Worker(`data:text/javascript,${encodeURIComponent(source)}`, { type: "module" });
}

const JOB: CostlyJob = { kind: "group-pair", word: "ffdhe2048" };
const GOOD = `onmessage = () => postMessage({ kind: "done", parts: [new Uint8Array(1)] });`;

Deno.test("threads: one that dies, throws or cannot be made costs its work, and the next has another", async () => {
  const sources = [
    `onmessage = () => { throw new Error("broken") };`,
    `throw new Error("not even begun");`,
    `onmessage = () => postMessage({ kind: "failed", cause: "cannot" });`,
  ];
  for (const source of sources) {
    let made = 0;
    using c = costly(() => thread(made++ === 0 ? source : GOOD));
    const first = c.for(asker);
    assertEquals((await first.run(JOB)).length, 0);
    assert(/broken|begun|cannot/.test(first.refusal ?? ""), first.refusal);
    // Nothing of that flow is done any more.
    assertEquals((await first.run(JOB)).length, 0);
    if (source.includes("failed")) continue; // That thread is a good one.
    assertEquals((await c.for(asker).run(JOB)).length, 1);
    assertEquals(c.share.used, 0);
  }
  using none = costly(() => {
    throw new Error("no thread to be had");
  });
  const work = none.for(asker);
  assertEquals((await work.run(JOB)).length, 0);
  assert(work.refusal?.includes("no thread to be had"));
  assertEquals(none.share.used, 0);
});

Deno.test("threads: a user whose share is taken is told so, others are served", async () => {
  // The work of this user never ends; everybody else's does.
  const stuck =
    `onmessage = ({ data }) => { if (data.word !== "ffdhe4096") postMessage({ kind: "done", parts: [] }) };`;
  using c = costly(() => thread(stuck));
  const endless: CostlyJob = { kind: "group-pair", word: "ffdhe4096" };
  let wanted = true;
  const waiting: CostlyWork[] = [];
  for (let n = c.share.heldBy(1000); c.share.allows(1000); n++) {
    const work = c.for({ uid: 1000, wanted: () => wanted });
    void work.run(endless);
    waiting.push(work);
    assertEquals(c.share.heldBy(1000), n + 1);
  }
  const more = c.for(asker);
  await more.run(JOB);
  assert(more.refusal?.startsWith("uid 1000 has its share of costly"), more.refusal);
  const root = c.for({ uid: 0, wanted: () => true });
  await root.run(JOB);
  assertEquals(root.refusal, undefined);
  // Those who hang up leave; the one at work stays.
  wanted = false;
  c.sweep();
  assertEquals(c.share.heldBy(1000), 1);
  assertEquals(waiting.length, 8);
});

for (const by of ["deadline", "sweep"]) {
  Deno.test(`threads: who waits no longer hears so while its work is done (${by}); its thread is at work still`, async () => {
    // Its first work ends when it hears something else.
    const slow = `let n = 0;
      onmessage = () => { if (n++ > 0) postMessage({ kind: "done", parts: [new Uint8Array(1)] }); };`;
    const worker = thread(slow);
    using c = costly(() => worker);
    let over = false;
    const leftMs = by === "deadline" ? { leftMs: () => 1 } : {};
    const work = c.for({ uid: 1000, wanted: () => !over, ...leftMs });
    const done = work.run(JOB);
    over = true;
    if (by === "sweep") c.sweep();
    assertEquals(await done, []);
    assert(work.refusal?.startsWith("nobody waits"), work.refusal);
    assertEquals(c.share.heldBy(1000), 1);
    // The next of this user waits for its turn, and gets what is its own.
    const next = c.for(asker);
    const result = next.run(JOB);
    assertEquals(c.share.heldBy(1000), 2);
    worker.postMessage(undefined);
    assertEquals([(await result).length, next.refusal, c.share.heldBy(1000)], [1, undefined, 0]);
  });
}

Deno.test("a plain flow opens while six SLH-DSA signatures wait for their turn", async () => {
  using sec = new SecDir();
  await init(pkiOptions(sec.dir));
  await leaf(pkiOptions(sec.dir, { keyType: "slh-dsa-sha2-128s" }), "server", "slow", "slow");
  const log = new KeptLog();
  const service = sec.service(log);
  const turns: PromiseWithResolvers<void>[] = [];
  const work: CostlyWork = {
    refusal: undefined,
    run: async (job) => {
      const turn = Promise.withResolvers<void>();
      turns.push(turn);
      await turn.promise;
      return turns[0] === turn ? await doCostly(job) : [];
    },
  };
  const request = async (name: string) => {
    const session = await service.prepare(DEFAULTS, name, undefined, work);
    ensure(!isOapFailure(session));
    return session.request;
  };
  const requests = [];
  for (let n = 0; n < 6; n++) requests.push(await request("slow"));
  const none = new Uint8Array(0);
  const served = requests.map((r) => service.serve(DEFAULTS, "slow", r, none, work));
  const plain = await service.serve(DEFAULTS, "other", await request("other"), none, work);
  assert(!isOapFailure(plain));
  // Who gets its turn has a good signature; who gets none is refused.
  while (turns.length < 6) await Promise.resolve();
  for (const { resolve } of turns) resolve();
  const ends = await Promise.all(served);
  assertEquals(ends.filter(isOapFailure).length, 5);
});
