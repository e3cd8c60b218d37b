// deno-lint-ignore-file no-console -- a program, which prints
/**
 * Echo: the smallest server and client.
 *
 *     deno run -A examples/echo.ts serve my.echo
 *     deno run -A examples/echo.ts my.echo hello world
 */
import { Flow, QOS } from "../lib/mod.ts";
import { run, serveAs, usage } from "./support.ts";

async function serve(name: string): Promise<void> {
  await serveAs(name);
  console.log(`serving ${name}`);
  for await (const flow of Flow.listen()) echo(flow);
}

async function echo(flow: Flow): Promise<void> {
  await using f = flow;
  for await (const message of f.readable) await f.write(message);
}

async function ask(name: string, words: string[]): Promise<void> {
  await using flow = await Flow.alloc(name, { qos: QOS.data, timeoutMs: 5000 });
  for (const word of words) {
    await flow.write(new TextEncoder().encode(word));
    console.log(new TextDecoder().decode(await flow.read({ timeoutMs: 5000 })));
  }
}

const [first, ...rest] = Deno.args;
if (first === undefined || rest.length === 0) usage("echo.ts serve NAME", "echo.ts NAME WORD…");
await run(() => first === "serve" ? serve(rest[0]!) : ask(first, rest));
