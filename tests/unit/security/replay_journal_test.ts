/** Requests that were served outlive the daemon. */

import { assert, assertEquals } from "@std/assert";
import { RECORDS_MAX, ReplayJournal, servedFileIn } from "../../../security/replay_journal.ts";
import { isOapFailure } from "../../../security/oap/mod.ts";
import { init, leaf } from "../../../pki/make.ts";
import { NAME } from "../../support/oap_allocation.ts";
import { DEFAULTS, ensure, KeptLog, pkiOptions, SecDir } from "../../support/security_dir.ts";

const none = (cause: string) => {
  throw new Error(cause);
};

function served(n: number, signed = n % 2 === 0) {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(12, n);
  return { signed, id, timestampNs: 1_700_000_000_000_000_000n + BigInt(n) };
}

Deno.test("what was added is there when the next opens the file, in order", () => {
  using dir = new SecDir();
  const path = `${dir.dir}/served`;
  for (const from of [0, 3]) {
    using journal = new ReplayJournal(path, none);
    assertEquals(journal.open(), Array.from({ length: from }, (_, n) => served(n)));
    for (let n = from; n < from + 3; n++) journal.add(served(n));
  }
  assertEquals(Deno.statSync(path).mode! & 0o777, 0o600);
  // One that was killed while it wrote; and what is no record.
  using file = Deno.openSync(path, { append: true });
  file.writeSync(new Uint8Array(32).fill(9));
  file.writeSync(Uint8Array.of(1, 0, 0));
  using journal = new ReplayJournal(path, none);
  assertEquals(journal.open(), Array.from({ length: 6 }, (_, n) => served(n)));
});

Deno.test("the file keeps the latest and does not grow for ever", () => {
  using dir = new SecDir();
  const path = `${dir.dir}/served`;
  using journal = new ReplayJournal(path, none);
  journal.open();
  for (let n = 0; n < 2 * RECORDS_MAX + 5; n++) journal.add(served(n));
  assertEquals(Deno.statSync(path).size, 32 * (RECORDS_MAX + 5));
  using next = new ReplayJournal(path, none);
  const kept = next.open();
  assertEquals(kept.length, RECORDS_MAX);
  assertEquals(kept.at(-1), served(2 * RECORDS_MAX + 4));
});

Deno.test("a file that cannot be written is told once, and nothing else", () => {
  using dir = new SecDir();
  const said: string[] = [];
  using journal = new ReplayJournal(`${dir.dir}/nowhere/served`, (cause) => said.push(cause));
  assertEquals(journal.open(), []);
  journal.add(served(1));
  journal.add(served(2));
  assertEquals(said.length, 1);
});

Deno.test("the file is where a reboot leaves it, else where it can be written", () => {
  using dir = new SecDir();
  const state = `${dir.dir}/lib/ouroboros`;
  assertEquals(servedFileIn(state, "/other"), `${state}/served`);
  assertEquals(Deno.statSync(state).mode! & 0o777, 0o700);
  {
    using journal = new ReplayJournal(`${state}/served`, none);
    journal.open();
    journal.add(served(0));
  }
  using journal = new ReplayJournal(servedFileIn(state, "/other"), none);
  assertEquals(journal.open(), [served(0)], "asking for it leaves it as it is");
  assertEquals(servedFileIn(`${state}/served/below`, "/other"), "/other");
});

Deno.test("the clock is set back and the daemon starts again: what was served stays served", async () => {
  using sec = new SecDir();
  await init(pkiOptions(sec.dir));
  await leaf(pkiOptions(sec.dir), "client", NAME, "alice");
  const servedFile = `${sec.dir}/served`;
  // The hour in which the request was made comes a second time.
  let nowNs = BigInt(Date.now()) * 1_000_000n;
  const clock = { nowNs: () => nowNs };
  const session = await sec.service(new KeptLog(), clock).prepare(DEFAULTS, NAME);
  ensure(!isOapFailure(session));
  for (const keeps of [false, true]) {
    const file = keeps ? { servedFile } : {};
    const at = nowNs;
    using before = sec.service(new KeptLog(), { ...clock, ...file });
    assertEquals(before.start(), undefined);
    const first = await before.serve(DEFAULTS, NAME, session.request);
    assert(!isOapFailure(first), Deno.inspect(first));
    before[Symbol.dispose]();
    nowNs -= 3_600_000_000_000n;
    using after = sec.service(new KeptLog(), { ...clock, ...file, startedNs: nowNs });
    assertEquals(after.start(), undefined);
    nowNs = at;
    const again = await after.serve(DEFAULTS, NAME, session.request);
    assertEquals(isOapFailure(again), keeps);
    if (isOapFailure(again)) assertEquals(again.reason, "OAP header already known");
  }
});
