// deno-lint-ignore-file no-console -- a program, which prints
/**
 * A process with flows for tests/e2e/security_test.ts and tests/interop/oap_test.ts.
 *
 *     security_peer.ts echo                 answers every message of every flow, for ever
 *     security_peer.ts ask DST N [TEXT]     sends N messages to DST and checks the answers
 *     security_peer.ts oping DST N          the same to a server of the prototype's oping
 *     security_peer.ts rally DST N          N small messages to it as fast as they come back
 *
 * `ask` prints `<n> of <N> answered`, or `refused <code> <reason>` and exits with 1.
 */

import { Flow, OuroError, OuroProcess } from "../../lib/mod.ts";

const [role, dst, count, text] = Deno.args;

if (role === "echo") await echo();
else if (role === "rally") rally();
else Deno.exit(await ask());

async function echo(): Promise<void> {
  console.log("ready");
  for await (const flow of Flow.listen()) {
    void (async () => {
      try {
        for (;;) await flow.write(answer(await flow.read()));
      } catch (e) {
        if (!(e instanceof OuroError)) throw e;
        await flow.dealloc().catch(() => {});
      }
    })();
  }
}

/** The message itself; one of oping's form (type 0) becomes its reply (type 1). */
function answer(m: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (m.length >= 24 && m.subarray(0, 4).every((x) => x === 0)) m[3] = 1;
  return m;
}

/** Messages of all sizes; of oping's form (type 0, id, time) when that is who answers. */
function message(i: number): Uint8Array<ArrayBuffer> {
  if (text !== undefined) return new TextEncoder().encode(text);
  const bytes = crypto.getRandomValues(new Uint8Array(64 + (i * 97) % 1200));
  if (role === "oping") {
    const v = new DataView(bytes.buffer);
    v.setUint32(0, 0);
    v.setUint32(4, i);
  }
  return bytes;
}

async function ask(): Promise<number> {
  let flow: Flow;
  try {
    flow = await Flow.alloc(dst!);
  } catch (e) {
    if (!(e instanceof OuroError)) throw e;
    console.log(`refused ${e.code} ${e.detail?.cause ?? ""}`);
    return 1;
  }
  let good = 0;
  for (let i = 0; i < Number(count); i++) {
    const sent = message(i);
    await flow.write(sent);
    try {
      const answer = await flow.read({ timeoutMs: 60_000 });
      const from = role === "oping" ? 4 : 0; // The type tells question and answer apart.
      if (answer.length === sent.length && answer.every((x, j) => j < from || x === sent[j])) {
        good++;
      }
    } catch (e) {
      if (!(e instanceof OuroError)) throw e;
      break;
    }
  }
  console.log(`${good} of ${count} answered`);
  await flow.dealloc();
  return 0;
}

/** Enough packets to see keys rotate: busy, one question at a time, losses counted. */
function rally(): void {
  const flow = Flow.allocSync(OuroProcess.open({ prog: "security_peer" }), dst!);
  const sent = new Uint8Array(24);
  const v = new DataView(sent.buffer);
  const buffer = new Uint8Array(64);
  let good = 0;
  for (let i = 0; i < Number(count); i++) {
    v.setUint32(4, i);
    while (flow.writeSync(sent, { nonblock: true }) < 0);
    const n = flow.readSync(buffer, { timeoutMs: 200 });
    if (n === sent.length && new DataView(buffer.buffer).getUint32(4) === i) good++;
  }
  console.log(`${good} of ${count} answered`);
  flow.deallocSync();
}
