// deno-lint-ignore-file no-console -- a program, which prints
/**
 * Request and response: one server, many clients, each with a reliable flow of its own.
 *
 *     deno run -A examples/reqresp.ts serve kv
 *     deno run -A examples/reqresp.ts load kv 100 50      100 flows at once, 50 requests each
 *
 * The service keeps numbers by key: {"add": "key", "by": 3} answers {"value": …}.
 */
import { Flow, OuroError, QOS } from "../lib/mod.ts";
import { run, serveAs, usage } from "./support.ts";

const text = new TextDecoder();
const bytes = new TextEncoder();

async function serve(name: string): Promise<void> {
  await serveAs(name);
  console.log(`serving ${name}`);
  const values = new Map<string, number>();
  for await (const flow of Flow.listen()) {
    answer(flow, values).catch((e) => console.error(`Cannot serve a client: ${e.message}`));
  }
}

async function answer(flow: Flow, values: Map<string, number>): Promise<void> {
  await using f = flow;
  for await (const request of f.readable) {
    const { add, by } = JSON.parse(text.decode(request)) as { add: string; by: number };
    const value = (values.get(add) ?? 0) + by;
    values.set(add, value);
    await f.write(bytes.encode(JSON.stringify({ value })));
  }
}

async function load(name: string, flows: number, requests: number): Promise<void> {
  const key = `load-${Deno.pid}`;
  const open = await Promise.all(
    Array.from({ length: flows }, () => Flow.alloc(name, { qos: QOS.data, timeoutMs: 20_000 })),
  );
  const start = performance.now();
  const clients = open.map(async (flow) => {
    await using f = flow;
    let last = 0;
    for (let i = 0; i < requests; i++) {
      await f.write(bytes.encode(JSON.stringify({ add: key, by: 1 })));
      last = JSON.parse(text.decode(await f.read({ timeoutMs: 20_000 }))).value;
    }
    return last;
  });
  const results = await Promise.all(clients);
  const seconds = (performance.now() - start) / 1000;
  const total = flows * requests;
  if (Math.max(...results) !== total) {
    throw new OuroError(-5, `Cannot trust the server: ${results}`);
  }
  console.log(`${flows} flows, ${total} requests, ${Math.round(total / seconds)} a second`);
}

const [verb, name, flows, requests] = Deno.args;
if ((verb !== "serve" && verb !== "load") || name === undefined) {
  usage("reqresp.ts serve NAME", "reqresp.ts load NAME [FLOWS] [REQUESTS]");
}
await run(() =>
  verb === "serve" ? serve(name) : load(name, Number(flows ?? 100), Number(requests ?? 20))
);
