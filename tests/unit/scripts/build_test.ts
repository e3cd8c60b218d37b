/** Parts of the build that need no build: archives and worker references. The rest: e2e/build_test.ts. */

import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { importLater, pointAtWorkers } from "../../../scripts/build/bundle.ts";
import { type Entry, tar } from "../../../scripts/build/tar.ts";

Deno.test("tar() is read by tar with the same names, modes and bytes", async () => {
  const entries: Entry[] = [
    { path: "a", bytes: new Uint8Array(0), mode: 0o400 },
    { path: "dir/b.js", bytes: new Uint8Array(512).fill(1), mode: 0o500 },
    { path: "dir/deep/c", bytes: new Uint8Array(513).fill(2), mode: 0o644 },
  ];
  const dir = await Deno.makeTempDir({ prefix: "ouro-tar-" });
  try {
    await Deno.writeFile(`${dir}/x.tar`, tar(entries));
    const { code } = await new Deno.Command("tar", { args: ["-xpf", "x.tar"], cwd: dir }).output();
    assertEquals(code, 0);
    for (const { path, bytes, mode } of entries) {
      assertEquals(await Deno.readFile(`${dir}/${path}`), bytes);
      assertEquals((await Deno.stat(`${dir}/${path}`)).mode! & 0o777, mode);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("tar() gives whole blocks and the same bytes for the same files", () => {
  const files = fc.array(fc.uint8Array({ maxLength: 1500 }), { maxLength: 4 });
  fc.assert(fc.property(files, (list) => {
    const entries = list.map((bytes, i) => ({ path: `f${i}`, bytes, mode: 0o600 }));
    const archive = tar(entries);
    assertEquals(archive.length % 512, 0);
    assertEquals(archive, tar(entries));
  }));
});

Deno.test("tar() refuses a path of 101 bytes and takes 100", () => {
  const entry = (length: number) => ({
    path: "x".repeat(length),
    bytes: new Uint8Array(0),
    mode: 0o600,
  });
  tar([entry(100)]);
  assertThrows(() => tar([entry(101)]), Error, "too long");
});

const WORKERS = new Map([["a_worker", "/out/lib/a_worker.js"]]);

Deno.test("pointAtWorkers() leads from any chunk to the worker's bundle", () => {
  const source = `new Worker(new URL("./a_worker.ts", import.meta.url), { type: "module" });`;
  assertEquals(
    pointAtWorkers(source, "/out/chunk-X.js", WORKERS),
    `new Worker(new URL("./lib/a_worker.js", import.meta.url), { type: "module" });`,
  );
  assertEquals(
    pointAtWorkers(source, "/out/ipcp/b.js", WORKERS),
    `new Worker(new URL("../lib/a_worker.js", import.meta.url), { type: "module" });`,
  );
});

Deno.test("pointAtWorkers() refuses a worker that is not bundled", () => {
  const source = `new URL("./b_worker.ts", import.meta.url)`;
  assertThrows(() => pointAtWorkers(source, "/out/m.js", WORKERS), Error, "unknown worker");
});

Deno.test("importLater() hides what is imported later, and nothing else", () => {
  const source = [
    `import { a } from "./chunk-A.js";`,
    `const { main } = await import("./main-B.js");`,
    `load: async () => (await import("./deep/c.js")).main,`,
    `const made = import(url); const crypto = import("node:crypto");`,
  ];
  assertEquals(importLater(source.join("\n")).split("\n"), [
    source[0],
    `const { main } = await import(String("./main-B.js"));`,
    `load: async () => (await import(String("./deep/c.js"))).main,`,
    source[3],
  ]);
});
