// deno-lint-ignore-file no-console -- a program, which prints
/** The client of permissions_test.ts: sends a message to a name and prints what comes back. Words: the name. */

import { Flow, QOS } from "../../lib/mod.ts";

await using flow = await Flow.alloc(Deno.args[0]!, { qos: QOS.data, lingerMs: 1000 });
await flow.write(new TextEncoder().encode("hello"));
console.log(new TextDecoder().decode(await flow.read()));
