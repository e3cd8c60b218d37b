/** The prototype's oping as a client of our echo (frct_peer.ts): what it does by itself is told from what ours does. */

import { type RunningProcess, type RunResult, script } from "../support/process.ts";
import { type CHost, STARTS } from "./c_host.ts";
import { sayRetry } from "./retries.ts";

/** Our library as the other end. */
export const PEER = script("tests/interop/frct_peer.ts");

/** The prototype's client needs about 2 s; then it hangs in its own close (spec 31 §11). */
export const CLIENT_MS = 12_000;

/** How an exchange ended. */
export interface Exchange {
  /** Answers that the client counted. */
  received: number;
  client: RunResult;
  ours: RunResult;
}

/**
 * Runs `oping WORDS` of the prototype against a server of ours that `serve` starts. A client that dies at its start never
 * asks for a flow: the thread that its library starts walks the list of flows, which the main thread makes after that
 * (SIGSEGV in `flow_rx`; on a busy machine often). It is started again, and that is said.
 */
export async function pingOurs(
  host: CHost,
  words: readonly string[],
  serve: () => Promise<RunningProcess>,
): Promise<Exchange> {
  for (let starts = 1;; starts++) {
    const server = await serve();
    const running = host.spawn(["stdbuf", "-oL", "oping", ...words]);
    const timer = setTimeout(() => running.kill("SIGKILL"), CLIENT_MS);
    const client = await running.wait(30_000);
    clearTimeout(timer);
    if (client.code === 139 && client.out === "" && starts < STARTS) {
      sayRetry("the prototype's client died at its start: SIGSEGV in its thread flow_rx");
      await server.stop("SIGKILL", 1000);
      continue;
    }
    const ours = await server.wait(20_000);
    return { received: Number(/(\d+) received/.exec(client.out)?.[1] ?? 0), client, ours };
  }
}

/**
 * What the prototype's client did by itself in an exchange that is not complete, or undefined: then it is ours. The ends
 * share no memory, so whatever crashes there does so on good packets.
 */
export function prototypesFault({ client, ours }: Exchange): string | undefined {
  if (ours.code !== 0) return undefined;
  if (client.code === 139) return "SIGSEGV in flow_read, at a block freed before (spec 31 §11, 4)";
  if (/Invalid message/.test(client.out)) return "it took its own messages (spec 31 §11, 4)";
  if (/Server timed out/.test(client.out)) {
    return "its 2 s were over, or its monitor thread had the answers (spec 31 §11, 6)";
  }
  if (client.code === 137) return "hung in its own close (spec 31 §11, 11)";
  return undefined;
}
