/**
 * Processes that misbehave for the fault tests, and those they must not disturb. Words: a role and what it needs.
 *
 *     server PROG     accepts flows; the first message of each says how it is served (First); prints `flow ID`;
 *                     SIGUSR2 ends it in good order
 *     talk NAME QOS   exchanges a message every 20 ms and prints `answer N`
 *     hog             takes every block of its pool, prints `holds N`; SIGUSR1 gives them back (`gave back`),
 *                     SIGTERM ends it in good order with all of them in its hands
 *     leave NAME HOW  has a reliable flow; after SIGUSR1 it writes and leaves without closing: `exit`, `end` or `error`
 *     compute         accepts a flow and takes two messages, then computes while the file exists that the second names
 *
 * With OURO_TEST_UID it becomes that user first.
 */

import { partsOfProcess } from "../../lib/flow/process.ts";
import { Errno, errnoName, Flow, OuroError, OuroProcess, QOS } from "../../lib/mod.ts";
import { becomeUser } from "../../lib/sys/users.ts";

/** First byte of the first message of a flow to `server`. */
export const First = {
  /** Every message is answered with itself. */
  ECHO: 1,
  /** Nothing is read until SIGUSR1; then everything, and the flow is answered with {@linkcode Took}. */
  DEAF: 2,
  /** As ECHO; when the flow goes down it waits for the flow to come up again. */
  PATIENT: 3,
} as const;

/** A message to a deaf flow: its number, and whether it is the last one. */
export function numbered(n: number, last: boolean, bytes = 64): Uint8Array<ArrayBuffer> {
  const message = new Uint8Array(bytes);
  new DataView(message.buffer).setUint32(0, n);
  message[4] = last ? 1 : 0;
  return message;
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

async function echo(flow: Flow, patient: boolean): Promise<void> {
  for (;;) {
    try {
      await flow.write(await flow.read());
    } catch (e) {
      if (!patient || !(e instanceof OuroError) || e.code !== -Errno.EFLOWDOWN) throw e;
      await new Promise((done) => setTimeout(done, 20));
    }
  }
}

/** Reads until the last message; answers how many came and whether in order. */
async function catchUp(flow: Flow): Promise<void> {
  let expected = 0;
  let inOrder = true;
  for (;;) {
    const message = await flow.read();
    inOrder &&= new DataView(message.buffer).getUint32(message.byteOffset) === expected;
    expected += 1;
    if (message[4] === 1) break;
  }
  await flow.write(new TextEncoder().encode(`${expected} ${inOrder ? "in order" : "mixed up"}`));
}

async function server(process: OuroProcess): Promise<void> {
  let listen = () => {};
  const listening = new Promise<void>((done) => listen = done);
  Deno.addSignalListener("SIGUSR1", listen);
  Deno.addSignalListener("SIGUSR2", () => {
    process.close();
    Deno.exit(0);
  });
  const serve = async (flow: Flow) => {
    try {
      const first = await flow.read();
      print(`flow ${flow.id} ${first[0] === First.DEAF ? "deaf" : "echo"}`);
      if (first[0] !== First.DEAF) {
        await flow.write(first);
        await echo(flow, first[0] === First.PATIENT);
      }
      await listening;
      await catchUp(flow);
      await flow.read(); // until the client closes it
    } catch (e) {
      if (!(e instanceof OuroError)) throw e;
    }
    await flow.dealloc();
    print(`closed ${flow.id}`);
  };
  print("ready");
  try {
    for await (const flow of Flow.listen({ process })) void serve(flow);
  } catch (e) {
    if (!(e instanceof OuroError)) throw e;
    // Without IRMd there are no new flows; those it has go on.
    print(`no more flows: ${errnoName(e.code)}`);
  }
}

async function talk(process: OuroProcess, name: string, qos: keyof typeof QOS): Promise<void> {
  const flow = await Flow.alloc(process, name, { qos, timeoutMs: 60_000 });
  await flow.write(Uint8Array.of(First.ECHO));
  await flow.read({ timeoutMs: 60_000 });
  for (let n = 0;; n++) {
    await flow.write(numbered(n, false), { timeoutMs: 60_000 });
    const answer = await flow.read({ timeoutMs: 60_000 });
    if (new DataView(answer.buffer).getUint32(answer.byteOffset) !== n) throw new Error(`not ${n}`);
    print(`answer ${n}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** Payload for which each class of blocks is taken (spec 10 §4.1). */
const CLASS_PAYLOADS = [1, 300, 1000, 3000, 12_000, 60_000, 200_000, 900_000];

async function hog(process: OuroProcess): Promise<void> {
  const { pool } = partsOfProcess(process);
  const held: number[] = [];
  for (const len of CLASS_PAYLOADS) {
    for (let off; (off = pool.alloc(len)) > 0;) held.push(off);
  }
  Deno.addSignalListener("SIGUSR1", () => {
    for (const off of held.splice(0)) pool.remove(off);
    print("gave back");
  });
  const stopped = new Promise<void>((done) => Deno.addSignalListener("SIGTERM", done));
  print(`holds ${held.length}`);
  await stopped;
  process.close();
  Deno.exit(0);
}

async function compute(process: OuroProcess): Promise<void> {
  print("ready");
  const flow = await Flow.accept(process);
  await flow.read(); // as to any server, the way it should serve
  const path = new TextDecoder().decode(await flow.read());
  print("computing");
  // No call of the library and no turn of the event loop: its timers and its waiter are not served.
  let x = 1;
  for (let exists = true; exists;) {
    for (let k = 0; k < 1e6; k++) x = Math.imul(x, 48271);
    try {
      // deno-lint-ignore no-sync-fn-in-async-fn -- it must block
      Deno.statSync(path);
    } catch {
      exists = x === Infinity;
    }
  }
  print("computed");
  await catchUp(flow);
  await flow.dealloc();
}

async function leave(process: OuroProcess, name: string, how: string): Promise<void> {
  const flow = await Flow.alloc(process, name, { qos: QOS.data, timeoutMs: 60_000 });
  await flow.write(Uint8Array.of(First.ECHO));
  await flow.read();
  print("ready");
  await new Promise<void>((done) => {
    Deno.addSignalListener("SIGUSR1", function go() {
      Deno.removeSignalListener("SIGUSR1", go);
      done();
    });
  });
  await flow.write(new Uint8Array(100));
  if (how === "exit") Deno.exit(0);
  if (how === "error") throw new Error("as it was told");
}

async function main(): Promise<void> {
  const [role, name = "", qos = "raw"] = Deno.args;
  const uid = Number(Deno.env.get("OURO_TEST_UID") ?? 0);
  if (uid !== 0) becomeUser(uid, uid);
  const prog = role === "server" ? name : `fault-${role}`;
  const process = OuroProcess.open({ prog });
  switch (role) {
    case "server":
      return await server(process);
    case "talk":
      return await talk(process, name, qos as keyof typeof QOS);
    case "hog":
      return await hog(process);
    case "leave":
      return await leave(process, name, qos);
    case "compute":
      return await compute(process);
    default:
      throw new Error(`no such role: ${role}`);
  }
}

if (import.meta.main) await main();
