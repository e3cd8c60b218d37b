// deno-lint-ignore-file no-console -- a program, which prints
/**
 * The peers of frct_end_test.ts: `blocked` blocks its thread in a read, `exit` leaves after the first message, `deaf`
 * reads one and then never again, `late` reads after two seconds and counts.
 */
import { errnoName, Flow, OuroProcess } from "../../lib/mod.ts";

OuroProcess.current();
console.log("serving");
const flow = await Flow.accept();
const forever = () => new Promise<never>(() => setInterval(() => {}, 1000));
switch (Deno.args[0]) {
  case "blocked": {
    // Blocks the thread, without a time-out, until the flow ends.
    const buffer = new Uint8Array(100);
    let n;
    do n = flow.readSync(buffer); while (n >= 0);
    console.log(`ended with ${errnoName(n)}`);
    await flow.dealloc();
    break;
  }
  case "exit":
    await flow.read();
    Deno.exit(0);
    break;
  case "deaf":
    await flow.read();
    await forever();
    break;
  case "late": {
    await new Promise((resolve) => setTimeout(resolve, 2000)); // what is tested: not reading meanwhile
    let inOrder = true;
    for (let i = 0; i < 1000; i++) {
      const m = await flow.read();
      inOrder &&= ((m[0]! << 8) | m[1]!) === i;
    }
    await flow.write(new TextEncoder().encode(inOrder ? "1000 in order" : "out of order"));
    await flow.dealloc();
    break;
  }
}
