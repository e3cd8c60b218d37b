/** One allocation between a client and a server that share a security directory. */

import { assertEquals } from "@std/assert";
import {
  isOapFailure,
  type OapAccepted,
  type OapCompleted,
  type OapFailure,
} from "../../security/oap/mod.ts";
import { DEFAULTS, ensure, KeptLog, type SecDir } from "./security_dir.ts";

/** What is served. */
export const NAME = "svc";

/** What both ends of an allocation got. */
export interface Outcome {
  accepted: OapAccepted | OapFailure;
  completed: OapCompleted | OapFailure | undefined;
  clientLog: KeptLog;
  serverLog: KeptLog;
}

/** One allocation with the files of a directory, which serves as both hosts. */
export async function allocate(sec: SecDir): Promise<Outcome> {
  const clientLog = new KeptLog(true);
  const serverLog = new KeptLog(true);
  const session = await sec.service(clientLog).prepare(DEFAULTS, NAME, new Uint8Array([1, 2]));
  ensure(!isOapFailure(session), Deno.inspect(session));
  const accepted = await sec.service(serverLog).serve(
    DEFAULTS,
    NAME,
    session.request,
    new Uint8Array([3]),
  );
  const completed = isOapFailure(accepted) ? undefined : await session.complete(accepted.response);
  return { accepted, completed, clientLog, serverLog };
}

/** Fails unless both ends agree, and returns what they have. */
export function agreed(o: Outcome): { accepted: OapAccepted; completed: OapCompleted } {
  const { accepted, completed } = o;
  ensure(!isOapFailure(accepted), `${Deno.inspect(accepted)} ${o.serverLog.lines.join("\n")}`);
  ensure(completed && !isOapFailure(completed), `${Deno.inspect(completed)} ${o.clientLog.lines}`);
  assertEquals(completed.key?.toHex(), accepted.key?.toHex());
  assertEquals(completed.cipherNid, accepted.cipherNid);
  assertEquals([...accepted.data], [1, 2]);
  assertEquals([...completed.data], [3]);
  return { accepted, completed };
}

/** Fails unless one end refused with this code, for this reason, and an error or warning of it says so. */
export function refused(o: Outcome, code: number, part: string): void {
  const end = isOapFailure(o.accepted) ? o.accepted : o.completed;
  ensure(isOapFailure(end), "was not refused");
  assertEquals(end.code, code);
  ensure(end.reason.includes(part), `"${end.reason}" does not say "${part}"`);
  const { lines } = end === o.accepted ? o.serverLog : o.clientLog;
  const said = lines.some((l) => /\((EE|WW)\):/.test(l) && l.includes(part));
  ensure(said, `no error says "${part}": ${lines.join("\n")}`);
}
