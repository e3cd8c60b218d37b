// The RIB as a file system: the kernel's requests in, answers out, without a kernel; garbage; bounds.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { RibAnswerer, RibAsker, ribChannel } from "../../../../lib/rib/channel.ts";
import { HANDLES_MAX, RibFileSystem } from "../../../../lib/rib/file_system.ts";
import { fixedComponent, Rib } from "../../../../lib/rib/tree.ts";
import { describe, IN_BYTES, Op, parse, ROOT } from "../../../../lib/wire/fuse.ts";
import { WireError } from "../../../../lib/wire/mod.ts";

const rib = new Rib();
rib.add(() => [
  fixedComponent("b", { long: () => ({ values: {}, text: "x".repeat(300_000) }) }),
  fixedComponent("a", { one: () => ({ values: { n: 1 }, text: "1\n", changedSec: 77 }) }),
]);

function fileSystem(): RibFileSystem {
  const channel = ribChannel();
  const answerer = new RibAnswerer(channel, (tree) => tree === 7 ? rib : undefined);
  const asker = new RibAsker(channel, (q) => answerer.answer(q, 1000));
  assertEquals(asker.view(8).list("").kind, "none");
  return new RibFileSystem(asker.view(7), 5, 6);
}

/** A request as the kernel writes it. */
function request(op: number, node: number, body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(IN_BYTES + body.length);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, bytes.length, true);
  v.setUint32(4, op, true);
  v.setUint32(8, 0x11223344, true);
  v.setUint32(12, 0x80000001, true);
  v.setUint32(16, node, true);
  bytes.set(body, IN_BYTES);
  return bytes;
}

/** The error and the body of an answer. */
function ask(fs: RibFileSystem, op: number, node: number, body?: Uint8Array) {
  const r = parse(request(op, node, body));
  if (r instanceof WireError) throw new Error(`${r}`);
  const bytes = fs.answer(r, 1000)!;
  const v = new DataView(bytes.buffer);
  assertEquals(v.getUint32(0, true), bytes.length);
  assertEquals([v.getUint32(8, true), v.getUint32(12, true)], [0x11223344, 0x80000001]);
  return { error: -v.getInt32(4, true), body: bytes.subarray(16) };
}

const name = (text: string) => new TextEncoder().encode(`${text}\0`);
const u32 = (bytes: Uint8Array, at: number) =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

function reading(handle: number, offset: number, size: number): Uint8Array {
  const bytes = new Uint8Array(40);
  const v = new DataView(bytes.buffer);
  v.setUint32(0, handle, true);
  v.setUint32(8, offset, true);
  v.setUint32(16, size, true);
  return bytes;
}

function names(body: Uint8Array): string[] {
  const found: string[] = [];
  for (let at = 0; at < body.length;) {
    const n = u32(body, at + 16);
    found.push(new TextDecoder().decode(body.subarray(at + 24, at + 24 + n)));
    at += (24 + n + 7) & ~7;
  }
  return found;
}

function list(fs: RibFileSystem, node: number): string[] {
  const handle = u32(ask(fs, Op.opendir, node).body, 0);
  const all: string[] = [];
  for (;;) {
    const some = names(ask(fs, Op.readdir, node, reading(handle, all.length, 64)).body);
    if (some.length === 0) break;
    all.push(...some);
  }
  ask(fs, Op.releasedir, node, reading(handle, 0, 0));
  return all;
}

Deno.test("INIT is answered with version 7.19, another major version refused", () => {
  const fs = fileSystem();
  const { error, body } = ask(fs, Op.init, 0, Uint8Array.of(7, 0, 0, 0, 38, 0, 0, 0));
  assertEquals([error, body.length, u32(body, 0), u32(body, 4)], [0, 24, 7, 19]);
  assertEquals(ask(fs, Op.init, 0, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0)).error, 71);
});

Deno.test("directories list their entries in order, a piece at a time", () => {
  const fs = fileSystem();
  assertEquals(list(fs, ROOT), [".", "..", "a", "b"]);
  const a = u32(ask(fs, Op.lookup, ROOT, name("a")).body, 0);
  assertEquals(list(fs, a), [".", "..", "one"]);
  assertEquals(fs.size.handles, 0);
});

Deno.test("a file has its size, owner and time, and is read to its end", () => {
  const fs = fileSystem();
  const a = u32(ask(fs, Op.lookup, ROOT, name("a")).body, 0);
  const entry = ask(fs, Op.lookup, a, name("one")).body;
  const [size, time, mode] = [u32(entry, 48), u32(entry, 40 + 32), u32(entry, 40 + 60)];
  assertEquals([size, time, mode, u32(entry, 40 + 68)], [2, 77, 0o100644, 5]);
  const node = u32(entry, 0);
  const handle = u32(ask(fs, Op.open, node).body, 0);
  const piece = (at: number) =>
    new TextDecoder().decode(ask(fs, Op.read, node, reading(handle, at, 100)).body);
  assertEquals([piece(0), piece(1), piece(2), piece(1000)], ["1\n", "\n", "", ""]);
});

Deno.test("a file longer than a request is not repeated from its start", () => {
  const fs = fileSystem();
  const b = u32(ask(fs, Op.lookup, ROOT, name("b")).body, 0);
  const node = u32(ask(fs, Op.lookup, b, name("long")).body, 0);
  const handle = u32(ask(fs, Op.open, node).body, 0);
  let got = 0;
  for (;;) {
    const n = ask(fs, Op.read, node, reading(handle, got, 0xffffffff)).body.length;
    if (n === 0) break;
    got += n;
  }
  assertEquals(got, 300_000);
});

Deno.test("what is not there is ENOENT, what is not served ENOSYS", () => {
  const fs = fileSystem();
  assertEquals(ask(fs, Op.lookup, ROOT, name("x")).error, 2);
  const a = u32(ask(fs, Op.lookup, ROOT, name("a")).body, 0);
  for (const x of ["x", "", "..", "__proto__"]) {
    assertEquals(ask(fs, Op.lookup, a, name(x)).error, 2);
  }
  assertEquals(ask(fs, Op.getattr, 999).error, 2);
  assertEquals(ask(fs, Op.read, ROOT, reading(999, 0, 1)).error, 9);
  assertEquals(ask(fs, Op.getxattr, ROOT).error, 38);
  assertEquals(fs.size.nodes, 2);
});

Deno.test("nodes are forgotten with their look-ups, open handles are bounded", () => {
  const fs = fileSystem();
  const a = u32(ask(fs, Op.lookup, ROOT, name("a")).body, 0);
  ask(fs, Op.lookup, ROOT, name("a"));
  const forget = (n: number) => {
    const r = parse(request(Op.forget, a, Uint8Array.of(n, 0, 0, 0, 0, 0, 0, 0)));
    if (r instanceof WireError) throw new Error(`${r}`);
    assertEquals(fs.answer(r, 0), undefined);
  };
  forget(1);
  assertEquals(fs.size.nodes, 2);
  forget(1);
  assertEquals(fs.size.nodes, 1);
  for (let i = 0; i < HANDLES_MAX; i++) assertEquals(ask(fs, Op.opendir, ROOT).error, 0);
  assertEquals(ask(fs, Op.opendir, ROOT).error, 23);
});

Deno.test("parse() and describe() take anything, and answer() whatever parses", () => {
  const fs = fileSystem();
  const anyRequest = fc.tuple(fc.nat(45), fc.nat(5), fc.uint8Array({ maxLength: 60 }));
  fc.assert(
    fc.property(anyRequest, fc.uint8Array(), ([op, node, body], any) => {
      describe(any);
      for (const bytes of [any, request(op, node, body)]) {
        const r = parse(bytes);
        if (!(r instanceof WireError)) fs.answer(r, 0);
      }
    }),
    { numRuns: 500 },
  );
  assert(parse(request(Op.lookup, ROOT).subarray(0, 39)) instanceof WireError);
});

Deno.test("a tree whose thread does not answer is late, once for a second and then for a moment", () => {
  const asked: number[] = [];
  const asker = new RibAsker(ribChannel(), (q) => asked.push(q.number)).view(1);
  assertEquals(asker.list("").kind, "late");
  const from = performance.now();
  for (let i = 0; i < 5; i++) assertEquals(asker.read("a", "one").kind, "late");
  assert(performance.now() - from < 4 * 1000, "each was waited for as the first one");
  assertEquals(asked.length, 6);
});
