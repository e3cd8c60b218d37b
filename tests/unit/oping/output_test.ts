/** Text that is kept until it is flushed, and short writes. */

import { assertEquals, assertThrows } from "@std/assert";
import { Output } from "../../../oping/output.ts";

/** A sink that takes at most `atOnce` bytes. */
function sink(atOnce: number): { text: () => string; writes: number[]; out: Output } {
  const bytes: number[] = [];
  const writes: number[] = [];
  const out = new Output({
    writeSync(b) {
      const n = Math.min(atOnce, b.length);
      bytes.push(...b.subarray(0, n));
      writes.push(n);
      return n;
    },
  });
  return { text: () => new TextDecoder().decode(new Uint8Array(bytes)), writes, out };
}

Deno.test("Output: nothing is written before flush(), then everything once", () => {
  const { text, writes, out } = sink(1000);
  out.line("one µs");
  out.text("two\n");
  assertEquals(text(), "");
  out.flush();
  out.flush();
  assertEquals(text(), "one µs\ntwo\n");
  assertEquals(writes.length, 1);
});

Deno.test("Output: a sink that takes 3 bytes at a time gets all of them in order", () => {
  const { text, out } = sink(3);
  out.line("0123456789");
  out.flush();
  assertEquals(text(), "0123456789\n");
});

Deno.test("Output: much text is written without flush()", () => {
  const { text, out } = sink(1e6);
  for (let k = 0; k < 2000; k++) out.line("0123456789");
  assertEquals(text().length > 0, true);
  out.flush();
  assertEquals(text().length, 22_000);
});

Deno.test("Output: a closed sink is the caller's trouble", () => {
  const out = new Output({
    writeSync() {
      throw new Deno.errors.BrokenPipe("closed");
    },
  });
  out.line("x");
  assertThrows(() => out.flush(), Deno.errors.BrokenPipe);
});
