// Name hashes and CRC-32 against dht.json (kind hash) and flowlib.json (group crc32), and their properties.

import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import fc from "fast-check";
import { crc32 } from "../../../lib/crc32.ts";
import { HASH_BYTES } from "../../../lib/codes.ts";
import { hashBytes, hashOf, hashPrefix, nameHash } from "../../../lib/hash.ts";

// deno-lint-ignore no-explicit-any -- shapes differ per kind
function cases(file: string): any[] {
  const path = fromFileUrl(new URL(`../../vectors/${file}`, import.meta.url));
  return JSON.parse(Deno.readTextFileSync(path)).cases;
}

const hex = (x: Uint8Array | number) => typeof x === "number" ? x : x.toHex();

Deno.test("vectors dht.json kind hash: nameHash()", async (t) => {
  const mine = cases("dht.json").filter((v) => v.kind === "hash");
  for (const v of mine) {
    await t.step(v.name, () => {
      assertEquals(hex(nameHash(v.input.algo_id, v.input.name)), v.hex ?? v.output);
    });
  }
});

Deno.test("vectors flowlib.json crc32/: crc32()", async (t) => {
  const mine = cases("flowlib.json").filter((v) => v.name.startsWith("crc32/"));
  for (const v of mine) {
    await t.step(v.name, () => {
      assertEquals(crc32(Uint8Array.fromHex(v.input.data)), v.input.crc32_u32);
    });
  }
});

Deno.test("crc32() agrees with a bit-by-bit twin and chains over its previous value", () => {
  const naive = (b: Uint8Array) => {
    let c = 0xffffffff;
    for (const x of b) {
      c ^= x;
      for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
    }
    return ~c >>> 0;
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (b, at) => {
    const k = Math.min(at, b.length);
    assertEquals(crc32(b), naive(b));
    assertEquals(crc32(b, k), naive(b.subarray(k)));
    assertEquals(crc32(b, k, b.length, crc32(b, 0, k)), crc32(b));
  }));
});

Deno.test("hashOf() gives the length of its algorithm, -EINVAL for an unknown one", () => {
  HASH_BYTES.forEach((n, algo) => {
    assertEquals((hashOf(algo, new Uint8Array(3)) as Uint8Array).length, n);
    assertEquals(hashBytes(algo), n);
  });
  for (const algo of [-1, 6, 99, 1.5]) assertEquals(hashOf(algo, new Uint8Array(3)), -22);
  assertEquals(hashBytes(6), 0);
});

Deno.test("hashPrefix() shows four bytes, less when there are less", () => {
  assertEquals(hashPrefix(Uint8Array.of(0, 1, 255, 16, 9)), "0001ff10");
  assertEquals(hashPrefix(Uint8Array.of(7)), "07");
});
