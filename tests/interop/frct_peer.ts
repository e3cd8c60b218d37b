// deno-lint-ignore-file no-console -- a program, which prints
/**
 * Our library at one end of a flow to the prototype's oping; prints what happened as one line of JSON.
 *
 *     frct_peer.ts echo [PATIENCE]                  serves one flow, answers every message
 *     frct_peer.ts ping NAME QOS COUNT [PATIENCE]   sends COUNT pings 30 ms apart, waits for the answers
 *
 * PATIENCE is how long a message is waited for, ms.
 */
import { FrctFlag } from "../../lib/frct/mod.ts";
import { Errno, Flow, OuroError, OuroProcess, QOS } from "../../lib/mod.ts";

/** Pause between pings, ms: the prototype mostly behaves at this pace (spec 31 §11). */
const PACE_MS = 30;

const [mode, ...words] = Deno.args;
const [name, qos, count] = words;
/** How long a message is waited for, ms. */
const ANSWER_MS = Number(words[mode === "echo" ? 0 : 3] ?? 2000);

function report(got: number, flow: Flow, end: string): void {
  const { frctStats, counters, qos } = flow;
  console.log(
    JSON.stringify({ got, end, inOrder: qos.inOrder, loss: qos.loss, counters, frctStats }),
  );
}

async function echo(): Promise<void> {
  OuroProcess.current();
  console.log("serving");
  const flow = await Flow.accept();
  let got = 0;
  let end = "idle";
  try {
    for (;; got++) {
      const message = await flow.read({ timeoutMs: ANSWER_MS });
      message[3] = 1; // oping: a reply
      await flow.write(message);
    }
  } catch (e) {
    if (!(e instanceof OuroError)) throw e;
    if (e.code !== -Errno.ETIMEDOUT) end = e.message;
  }
  report(got, flow, end);
  // The prototype's client may have gone without acknowledging: no linger of R here.
  flow.setFrctFlags(FrctFlag.Rescntl);
  await flow.dealloc();
}

async function ping(): Promise<void> {
  const flow = await Flow.alloc(name!, {
    qos: QOS[qos as keyof typeof QOS],
    timeoutMs: 5000,
  });
  const message = new Uint8Array(64);
  const view = new DataView(message.buffer);
  let got = 0;
  let end = "done";
  try {
    for (let i = 0; i < Number(count); i++) {
      view.setUint32(4, i);
      await flow.write(message);
      const answer = await flow.read({ timeoutMs: ANSWER_MS });
      if (new DataView(answer.buffer, answer.byteOffset).getUint32(4) === i) got++;
      await new Promise((resolve) => setTimeout(resolve, PACE_MS));
    }
  } catch (e) {
    if (!(e instanceof OuroError)) throw e;
    end = e.message;
  }
  report(got, flow, end);
  flow.setFrctFlags(FrctFlag.Rescntl);
  await flow.dealloc();
}

await (mode === "echo" ? echo() : ping());
Deno.exit(0);
