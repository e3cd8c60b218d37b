// deno-lint-ignore-file no-console -- a program, which prints
/**
 * Chat: everybody who joins sees what the others say. The server passes lines on; a slow reader holds up nobody but itself.
 *
 *     deno run -A examples/chat.ts serve town.square
 *     deno run -A examples/chat.ts town.square alice
 */
import { TextLineStream } from "./lines.ts";
import { Errno, Flow, OuroError, QOS } from "../lib/mod.ts";
import { run, serveAs, usage } from "./support.ts";

const text = new TextDecoder();
const bytes = new TextEncoder();
/** Lines kept for somebody who does not read; then they leave. */
const BACKLOG_LINES = 1000;

/** One guest: its flow and the lines it still has to get. */
class Guest {
  readonly #lines: Uint8Array[] = [];
  #sending = false;
  constructor(readonly flow: Flow) {}

  /** Queues a line and sends what is queued, in order. */
  async say(line: Uint8Array): Promise<void> {
    this.#lines.push(line);
    if (this.#lines.length > BACKLOG_LINES) return void this.flow.dealloc();
    if (this.#sending) return;
    this.#sending = true;
    try {
      while (this.#lines.length > 0) await this.flow.write(this.#lines.shift()!);
    } catch (e) {
      if (!(e instanceof OuroError)) throw e; // gone: its reader says so too
    }
    this.#sending = false;
  }
}

async function serve(name: string): Promise<void> {
  await serveAs(name);
  console.log(`serving ${name}`);
  const guests = new Set<Guest>();
  const tell = (line: string, but?: Guest) => {
    for (const g of guests) if (g !== but) g.say(bytes.encode(line));
  };
  const host = async (guest: Guest) => {
    await using flow = guest.flow;
    const who = text.decode(await flow.read({ timeoutMs: 10_000 }));
    guests.add(guest);
    tell(`* ${who} comes in`, guest);
    try {
      for await (const line of flow.readable) tell(`${who}: ${text.decode(line)}`, guest);
    } finally {
      guests.delete(guest);
      tell(`* ${who} leaves`);
    }
  };
  for await (const flow of Flow.listen()) {
    host(new Guest(flow)).catch((e) => console.error(e.message));
  }
}

async function join(name: string, who: string): Promise<void> {
  await using flow = await Flow.alloc(name, { qos: QOS.data, timeoutMs: 5000 });
  await flow.write(bytes.encode(who));
  const hear = (async () => {
    for await (const line of flow.readable) console.log(text.decode(line));
    if (flow.isClosed) return; // we left ourselves
    console.log("* the server is gone");
    Deno.exit(0);
  })();
  hear.catch((e) => {
    if (!(e instanceof OuroError && e.code === -Errno.ENOTALLOC)) console.error(e.message);
  });
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(
    new TextLineStream(),
  );
  for await (const line of lines) if (line !== "") await flow.write(bytes.encode(line));
}

const [first, second] = Deno.args;
if (first === undefined || second === undefined) usage("chat.ts serve NAME", "chat.ts NAME NICK");
await run(() => first === "serve" ? serve(second) : join(first, second));
