/** Addresses as text: what inet_pton takes and nothing else. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  formatInet4,
  formatInet6,
  isAnyAddress,
  parseInet4,
  parseInet6,
} from "../../../lib/inet.ts";

Deno.test("parseInet4() takes four plain numbers", () => {
  assertEquals(parseInet4("127.0.0.1"), Uint8Array.of(127, 0, 0, 1));
  for (const bad of ["1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "a.b.c.d", ""]) {
    assertEquals(parseInet4(bad), undefined, bad);
  }
});

Deno.test("parseInet6() takes full, shortened and mapped forms", () => {
  const one = new Uint8Array(16);
  one[15] = 1;
  assertEquals(parseInet6("::1"), one);
  assertEquals(parseInet6("0:0:0:0:0:0:0:1"), one);
  assertEquals(parseInet6("::")!.every((b) => b === 0), true);
  assertEquals(parseInet6("::ffff:1.2.3.4")!.slice(10), Uint8Array.of(255, 255, 1, 2, 3, 4));
  assertEquals(parseInet6("fe80::")!.slice(0, 2), Uint8Array.of(0xfe, 0x80));
  for (
    const bad of [
      "",
      ":",
      "1",
      "zz",
      "1::2::3",
      "1:2:3:4:5:6:7:8:9",
      "12345::",
      "::1%lo",
      "1.2.3.4",
    ]
  ) {
    assertEquals(parseInet6(bad), undefined, bad);
  }
  assertEquals(parseInet6("1:2:3:4:5:6:7::8"), undefined);
});

Deno.test("formatInet4() and formatInet6() are undone by parsing", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
    assertEquals(parseInet6(formatInet6(bytes)), bytes);
    assertEquals(parseInet4(formatInet4(bytes)), bytes.slice(0, 4));
  }));
  const gaps = fc.array(fc.constantFrom(0, 0, 0, 1), { minLength: 16, maxLength: 16 });
  fc.assert(fc.property(gaps, (list) => {
    const bytes = Uint8Array.from(list);
    assertEquals(parseInet6(formatInet6(bytes)), bytes);
  }));
  assertEquals(formatInet6(new Uint8Array(16)), "::");
});

Deno.test("isAnyAddress() is true for zeros alone", () => {
  assertEquals(isAnyAddress(Uint8Array.of(0, 0, 0, 0)), true);
  assertEquals(isAnyAddress(Uint8Array.of(0, 0, 0, 1)), false);
});
