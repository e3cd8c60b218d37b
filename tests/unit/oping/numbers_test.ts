/** Numbers as C reads and prints them. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { fixed3, signed32, timeWithUnit } from "../../../oping/numbers.ts";

Deno.test("signed32() wraps as C does", () => {
  assertEquals(signed32(4294967295), -1);
});

Deno.test("fixed3() rounds exact ties to the even digit", () => {
  const cases: [number, string][] = [
    [0.3125, "0.312"],
    [0.4375, "0.438"],
    [-0.3125, "-0.312"],
    [0.0625, "0.062"],
    [0.1875, "0.188"],
    [1.9375, "1.938"],
    [12.9375, "12.938"],
    [0.03125, "0.031"],
    [2, "2.000"],
    [0.1005, "0.101"],
    [NaN, "NaN"],
  ];
  for (const [x, text] of cases) assertEquals(fixed3(x), text, String(x));
});

Deno.test("fixed3() agrees with exact decimal arithmetic", () => {
  // k/2^20 has an exact value in units of 10^-20; round that by hand.
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 30 }), (k) => {
    const scaled = BigInt(k) * 1000n;
    const unit = 1n << 20n;
    let n = scaled / unit;
    const twice = (scaled % unit) * 2n;
    if (twice > unit || (twice === unit && n % 2n === 1n)) n++;
    assertEquals(fixed3(k / 2 ** 20), `${n / 1000n}.${String(n % 1000n).padStart(3, "0")}`);
  }));
});

Deno.test("timeWithUnit() turns to ms at 0.1 ms", () => {
  assertEquals(timeWithUnit(0.099), "99.000 µs");
  assertEquals(timeWithUnit(0.1), "0.100 ms");
});
