/** Output to readers that are quick, slow, stopped or gone; without and with a stop. */

import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Outlet } from "../../../lib/cli/outlet.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A pipe whose reader takes nothing before `read` is called. */
class Pipe {
  text = "";
  full = false;
  broken = false;
  #waiting: (() => void)[] = [];
  readonly hurry = new AbortController();
  readonly outlet = new Outlet(this, () => !this.full, this.hurry.signal, "the pipe");

  writeSync(b: Uint8Array): number {
    if (this.broken) throw new Deno.errors.BrokenPipe("closed");
    assertEquals(this.full, false, "a write that blocks");
    this.text += new TextDecoder().decode(b);
    return b.length;
  }

  async write(b: Uint8Array): Promise<number> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.broken) throw new Deno.errors.BrokenPipe("closed");
    // A part, as the kernel may.
    const n = Math.max(1, b.length >> 1);
    this.text += new TextDecoder().decode(b.subarray(0, n));
    return n;
  }

  async readAll(): Promise<void> {
    this.full = false;
    for (let more = true; more;) {
      const waiting = this.#waiting.splice(0);
      waiting.forEach((go) => go());
      await Promise.resolve().then(() => {}).then(() => {});
      more = waiting.length > 0;
    }
  }
}

Deno.test("Outlet: what there is room for is written at once, however long", () => {
  const pipe = new Pipe();
  const long = "x".repeat(10_000);
  assertEquals(pipe.outlet.writeSync(bytes(long)), 10_000);
  assertEquals(pipe.text, long);
});

Deno.test("Outlet: a write that fails says where, without the runtime's number; who may lose it does not hear of it", async () => {
  const full = () => {
    throw new Error("No space left on device (os error 28)");
  };
  const file = { writeSync: full, write: async () => await full() };
  const { signal } = new AbortController();
  const outlet = (hasRoom: boolean) => new Outlet(file, () => hasRoom, signal, "the file");
  const said = "cannot write to the file: No space left on device";
  assertThrows(() => outlet(true).writeSync(bytes("x")), Error, said);
  outlet(true).offer(bytes("x"));
  const later = outlet(false);
  later.writeSync(bytes("x"));
  await assertRejects(() => later.settle(), Error, said);
});

Deno.test("Outlet: what a full pipe does not take is written later, in order", async () => {
  const pipe = new Pipe();
  pipe.outlet.writeSync(bytes("a"));
  pipe.full = true;
  for (const text of ["b", "c", "d"]) pipe.outlet.writeSync(bytes(text));
  assertEquals(pipe.text, "a");
  pipe.full = false;
  // Never before what waits.
  pipe.outlet.writeSync(bytes("e"));
  assertEquals(pipe.text, "a");
  await pipe.readAll();
  await pipe.outlet.settle();
  pipe.outlet.writeSync(bytes("f"));
  assertEquals(pipe.text, "abcdef");
});

Deno.test("Outlet: room() waits only when much waits, and offer() adds nothing then", async () => {
  const pipe = new Pipe();
  pipe.full = true;
  pipe.outlet.writeSync(bytes("few"));
  await pipe.outlet.room();
  pipe.outlet.writeSync(bytes("y".repeat(70_000)));
  pipe.outlet.offer(bytes("lost"));
  let roomy = false;
  const room = pipe.outlet.room().then(() => roomy = true);
  await Promise.resolve();
  assertEquals(roomy, false);
  await pipe.readAll();
  await room;
  pipe.outlet.offer(bytes("."));
  assertEquals(pipe.text, `few${"y".repeat(70_000)}.`);
});

Deno.test("Outlet: a reader that is gone is told to who writes, waits or settles, and is nobody's trouble in offer()", async () => {
  const pipe = new Pipe();
  pipe.broken = true;
  assertThrows(() => pipe.outlet.writeSync(bytes("x")), Deno.errors.BrokenPipe);
  pipe.outlet.offer(bytes("x"));
  const later = new Pipe();
  later.full = true;
  later.outlet.writeSync(bytes("x"));
  later.broken = true;
  const settled = assertRejects(() => later.outlet.settle(), Deno.errors.BrokenPipe);
  await later.readAll();
  await settled;
  assertThrows(() => later.outlet.writeSync(bytes("y")), Deno.errors.BrokenPipe);
  await assertRejects(() => later.outlet.room(), Deno.errors.BrokenPipe);
});

Deno.test("Outlet: whoever is told to end waits for no reader, neither for room nor to settle", async () => {
  const pipe = new Pipe();
  pipe.full = true;
  pipe.outlet.writeSync(bytes("y".repeat(70_000)));
  const room = pipe.outlet.room();
  pipe.hurry.abort();
  await room;
  await pipe.outlet.room();
  await pipe.outlet.settle();
  assertEquals(pipe.text, "");
});
