// deno-lint-ignore-file no-console -- a program, which prints
/**
 * One end of the works of the bench's table, written as an application would: over a flow, or over TCP with plain Deno.
 *
 *     peer.ts serve WORK WHERE SIZE      prints "ready", then what it measured as one JSON line
 *     peer.ts WORK WHERE SIZE [COUNT]    the client; prints one JSON line
 *
 * WHERE is `flow:NAME` or `tcp:HOST:PORT`. Works: `file`, `chunks`, `rtt`, `messages`, `echo`,
 * `open`; and over raw flows alone `pairs` (busy round trips) and `flood`.
 */

import { createHash } from "node:crypto";
import { Errno } from "../../../lib/errno.ts";
import { Flow, OuroProcess, QOS } from "../../../lib/mod.ts";
import { type Figures, openEnd, serveEnds } from "./ends.ts";

const words = [...Deno.args];
const serving = words[0] === "serve";
if (serving) words.shift();
const [work, where, sizeWord, countWord] = words as [string, string, string, string?];
const size = Number(sizeWord);
const count = Number(countWord ?? 0);

function report(figures: Figures): void {
  console.log(JSON.stringify(figures));
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? NaN;
}

/** Takes a byte stream to its end: bytes a second from the first byte, and their hash. */
async function takeFile(readable: ReadableStream<Uint8Array>): Promise<void> {
  const hash = createHash("sha256");
  let bytes = 0;
  let start = 0;
  for await (const chunk of readable) {
    if (start === 0) start = performance.now();
    bytes += chunk.length;
    hash.update(chunk);
  }
  const seconds = (performance.now() - start) / 1000;
  report({ rate: bytes / seconds, bytes, hash: hash.digest("hex") });
}

/** Sends `size` bytes of a file: `count` bytes a chunk, or as the file gives them when it is 0. */
async function sendFile(): Promise<void> {
  const path = await Deno.makeTempFile({ dir: "/dev/shm", prefix: "ouro-bench-" });
  const hash = createHash("sha256");
  {
    using file = await Deno.open(path, { write: true });
    const piece = new Uint8Array(1 << 20);
    for (let at = 0; at < size; at += piece.length) {
      for (let i = 0; i < piece.length; i += 4096) {
        crypto.getRandomValues(piece.subarray(i, i + 64));
      }
      const part = piece.subarray(0, Math.min(piece.length, size - at));
      hash.update(part);
      await file.write(part);
    }
  }
  const end = await openEnd(where);
  const file = await Deno.open(path);
  await Deno.remove(path);
  await file.readable.pipeTo(end.writable);
  const again = end.retransmissions?.() ?? 0;
  await end.close();
  report({ hash: hash.digest("hex"), retransmissions: again });
}

/** Bytes in chunks of `size` from memory, `count` of them. */
async function sendChunks(): Promise<void> {
  const end = await openEnd(where);
  const chunk = new Uint8Array(size);
  let left = count;
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (left-- > 0) controller.enqueue(chunk);
      else controller.close();
    },
  }, { highWaterMark: 0 });
  await source.pipeTo(end.writable);
  await end.close();
  report({});
}

async function takeChunks(readable: ReadableStream<Uint8Array>): Promise<void> {
  let bytes = 0;
  let start = 0;
  for await (const chunk of readable) {
    if (start === 0) start = performance.now();
    bytes += chunk.length;
  }
  report({ rate: bytes / (performance.now() - start) * 1000, bytes });
}

/** Round trips of `size` bytes with `await`, µs. */
async function roundTrips(): Promise<void> {
  const end = await openEnd(where);
  const message = new Uint8Array(size);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    for (let k = 0; k < 20; k++) {
      await end.send(message);
      await end.receive(size);
    }
    times.push((performance.now() - start) * 1000 / 20);
  }
  await end.close();
  report({ us: median(times.slice(times.length >> 2)) });
}

/** `count` messages of `size` bytes as fast as `await` lets us. */
async function sendMessages(): Promise<void> {
  const end = await openEnd(where);
  const message = new Uint8Array(size);
  for (let i = 0; i < count; i++) await end.send(message);
  await end.finish();
  await end.close();
  report({});
}

/**
 * Memory of this process without garbage, bytes: its own, and what others map as well (rings in shared memory, programs).
 */
function memory(): { own: number; shared: number } {
  const { gc } = globalThis as { gc?: () => void };
  for (let i = 0; i < 3; i++) gc?.();
  const text = Deno.readTextFileSync("/proc/self/smaps_rollup");
  const bytes = (key: string) =>
    Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(text)![1]) * 1024;
  const own = bytes("Anonymous");
  return { own, shared: bytes("Rss") - own };
}

/** Ends that are open before memory is looked at first: what a process needs for any is not counted. */
const FIRST_ENDS = 100;

/**
 * Memory of each end beyond the first ones, each used once; then, with one question under way on each, answers a second.
 */
async function echoes(): Promise<void> {
  const ends: Awaited<ReturnType<typeof openEnd>>[] = [];
  const message = new Uint8Array(size);
  const open = async (until: number) => {
    while (ends.length < until) {
      const end = await openEnd(where);
      await end.send(message);
      await end.receive(size);
      ends.push(end);
    }
  };
  const first = Math.min(FIRST_ENDS, count >> 1);
  await open(first);
  const before = memory();
  await open(count);
  const after = memory();
  const more = count - first;
  const bytes = (after.own - before.own) / more;
  const shared = (after.shared - before.shared) / more;
  let answers = 0;
  let running = true;
  const one = async (end: Awaited<ReturnType<typeof openEnd>>) => {
    while (running) {
      await end.send(message);
      await end.receive(size);
      answers++;
    }
  };
  const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));
  const all = ends.map(one);
  await pause(1000);
  const answered = answers;
  const start = performance.now();
  await pause(2500);
  const rate = (answers - answered) / (performance.now() - start) * 1000;
  running = false;
  await Promise.race([Promise.all(all), pause(2000)]);
  report({ rate, bytes, shared });
}

/** Opens and closes ends: one after the other (`size` 1), or `size` at once, for `count` ms. */
async function opens(): Promise<void> {
  const once = async () => {
    const start = performance.now();
    const end = await openEnd(where);
    const took = performance.now() - start;
    await end.close();
    return took;
  };
  for (let i = 0; i < 20; i++) await once();
  const times: number[] = [];
  let rounds = 0;
  const start = performance.now();
  while (performance.now() < start + count) {
    const begin = performance.now();
    const some = await Promise.all(Array.from({ length: size }, once));
    if (size === 1) times.push(...some);
    else times.push(performance.now() - begin);
    rounds++;
  }
  const rate = rounds * size / (performance.now() - start) * 1000;
  report({ ms: median(times), rate });
}

async function serve(): Promise<void> {
  for await (const end of serveEnds(where, () => console.log("ready"))) {
    if (work === "file") return await takeFile(end.readable);
    if (work === "chunks") return await takeChunks(end.readable);
    if (work === "messages") return await takeMessages(end);
    if (work === "open") end.waitForEnd();
    else echoAll(end);
  }
}

type End = Awaited<ReturnType<typeof openEnd>>;

async function echoAll(end: End): Promise<void> {
  try {
    for (;;) await end.send(await end.receive(size));
  } catch {
    await end.close().catch(() => {});
  }
}

async function takeMessages(end: End): Promise<void> {
  let bytes = 0;
  let start = 0;
  try {
    for (;;) {
      bytes += await end.receiveSome(size);
      if (start === 0) start = performance.now();
    }
  } catch {
    report({ rate: bytes / size / (performance.now() - start) * 1000 });
  }
}

/** Busy round trips over a flow as its name is configured (encrypted or not), µs. */
function busyRoundTrips(): void {
  const flow = Flow.allocSync(OuroProcess.current(), where.split(":").at(-1)!, { qos: QOS.raw });
  const message = new Uint8Array(size);
  const into = new Uint8Array(2048);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    for (let k = 0; k < 100; k++) {
      flow.writeSync(message);
      while (flow.readSync(into, { nonblock: true }) === -Errno.EAGAIN);
    }
    times.push(performance.now() - start);
  }
  flow.deallocSync();
  report({ us: median(times.slice(times.length >> 2)) * 1000 / 100 });
}

function busyEcho(): void {
  const process = OuroProcess.current();
  console.log("ready");
  for (;;) {
    const flow = Flow.acceptSync(process);
    const into = new Uint8Array(2048);
    for (;;) {
      const n = flow.readSync(into, { nonblock: true });
      if (n === -Errno.EAGAIN) continue;
      if (n < 0) break;
      flow.writeSync(into.subarray(0, n));
    }
    flow.deallocSync();
  }
}

/** Sends as fast as it can for `count` ms. */
function flood(): void {
  const flow = Flow.allocSync(OuroProcess.current(), where.split(":").at(-1)!, { qos: QOS.raw });
  const message = new Uint8Array(size);
  let sent = 0;
  for (const end = performance.now() + count; performance.now() < end;) {
    for (let k = 0; k < 64; k++) if (flow.writeSync(message) === size) sent++;
  }
  console.log(JSON.stringify({ sent }));
}

/** The receiver looks for a message each so many µs; a flood must not leave it without one. */
const LOOK_EVERY_US = 50;
/** So long, ms: less than the flood lasts. */
const LOOK_MS = 2500;

/** The share of looks that found a message, from the first message on, and what the IPCP below dropped. */
async function floodTaker(): Promise<void> {
  const process = OuroProcess.current();
  console.log("ready");
  const flow = Flow.acceptSync(process);
  const into = new Uint8Array(2048);
  flow.readSync(into);
  let found = 0;
  let looks = 0;
  for (const end = performance.now() + LOOK_MS; performance.now() < end; looks++) {
    const next = performance.now() + LOOK_EVERY_US / 1000;
    if (flow.readSync(into, { nonblock: true }) > 0) found++;
    while (performance.now() < next);
  }
  const dropped = (await flow.lossesBelow())?.received ?? NaN;
  report({ share: found / looks, dropped });
}

if (serving && work === "pairs") busyEcho();
else if (serving && work === "flood") await floodTaker();
else if (serving) await serve();
else if (work === "pairs") busyRoundTrips();
else if (work === "flood") flood();
else if (work === "file") await sendFile();
else if (work === "chunks") await sendChunks();
else if (work === "rtt") await roundTrips();
else if (work === "messages") await sendMessages();
else if (work === "echo") await echoes();
else await opens();
Deno.exit(0);
