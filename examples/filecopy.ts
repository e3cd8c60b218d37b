// deno-lint-ignore-file no-console -- a program, which prints
/**
 * File copy over a reliable flow, with a progress bar and a check sum.
 *
 *     deno run -A examples/filecopy.ts receive files ./incoming
 *     deno run -A examples/filecopy.ts send files big.iso
 *
 * The first message says what comes ({"name", "size", "sha256"}); then the bytes, cut into messages by the
 * stream; at the end the receiver answers "ok" or why not.
 */
import { basename, join } from "@std/path";
import { createHash } from "node:crypto";
import { Flow, QOS } from "../lib/mod.ts";
import { run, serveAs, usage } from "./support.ts";

const text = new TextDecoder();
const bytes = new TextEncoder();

interface Header {
  name: string;
  size: number;
  sha256: string;
}

/** A bar on stderr: `big.iso [#####.....] 51 %  12.3 MB/s`. */
class Progress {
  readonly #start = performance.now();
  #done = 0;
  #shownMs = 0;
  constructor(readonly name: string, readonly size: number) {}

  add(n: number): void {
    this.#done += n;
    const now = performance.now();
    if (now - this.#shownMs < 100 && this.#done < this.size) return;
    this.#shownMs = now;
    const share = this.size === 0 ? 1 : this.#done / this.size;
    const bar = "#".repeat(Math.round(share * 30)).padEnd(30, ".");
    const rate = this.#done / 1e6 / Math.max(1e-3, (now - this.#start) / 1000);
    const line = `\r${this.name} [${bar}] ${Math.floor(share * 100)} %  ${rate.toFixed(1)} MB/s `;
    Deno.stderr.writeSync(bytes.encode(line));
    if (this.#done >= this.size) Deno.stderr.writeSync(bytes.encode("\n"));
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  for await (const chunk of file.readable) hash.update(chunk);
  return hash.digest("hex");
}

async function send(service: string, path: string): Promise<void> {
  const { size } = await Deno.stat(path);
  const header: Header = { name: basename(path), size, sha256: await sha256(path) };
  await using flow = await Flow.alloc(service, { qos: QOS.data, timeoutMs: 5000 });
  await flow.write(bytes.encode(JSON.stringify(header)));
  const bar = new Progress(header.name, size);
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      controller.enqueue(chunk);
      bar.add(chunk.length);
    },
  });
  const file = await Deno.open(path);
  await file.readable.pipeThrough(counted).pipeTo(flow.writable, { preventClose: true });
  const answer = text.decode(await flow.read({ timeoutMs: 60_000 }));
  console.log(answer);
  if (answer !== "ok") Deno.exitCode = 1;
}

async function receive(service: string, directory: string): Promise<void> {
  await serveAs(service);
  await Deno.mkdir(directory, { recursive: true });
  console.log(`serving ${service}`);
  for await (const flow of Flow.listen()) {
    take(flow, directory).catch((e) => console.error(`Cannot receive: ${e.message}`));
  }
}

async function take(flow: Flow, directory: string): Promise<void> {
  await using f = flow;
  const header = JSON.parse(text.decode(await f.read({ timeoutMs: 10_000 }))) as Header;
  const path = join(directory, basename(header.name));
  const partial = `${path}.part`;
  const hash = createHash("sha256");
  const bar = new Progress(header.name, header.size);
  {
    using file = await Deno.open(partial, { write: true, create: true, truncate: true });
    let left = header.size;
    for await (const chunk of left > 0 ? f.readableBytes : []) {
      if (chunk.length > left) throw new Error("more bytes than announced");
      for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
      hash.update(chunk);
      left -= chunk.length;
      bar.add(chunk.length);
      if (left === 0) break;
    }
    if (left > 0) throw new Error("fewer bytes than announced");
  }
  const good = hash.digest("hex") === header.sha256;
  if (good) await Deno.rename(partial, path);
  await f.write(bytes.encode(good ? "ok" : "check sum is wrong"));
  console.log(`${path}: ${header.size} bytes, ${good ? "ok" : "damaged"}`);
}

const [verb, service, path] = Deno.args;
if ((verb !== "send" && verb !== "receive") || service === undefined || path === undefined) {
  usage("filecopy.ts receive NAME DIRECTORY", "filecopy.ts send NAME FILE");
}
await run(() => verb === "send" ? send(service, path) : receive(service, path));
