// What a layer carries, from what those below carry.

import { assertEquals } from "@std/assert";
import { leastOf, lessHead } from "../../../../ipcp/member/limits.ts";

Deno.test("leastOf() is what every flow carries; those that tell nothing do not count", () => {
  assertEquals(leastOf([]), {});
  assertEquals(leastOf([{}]), {});
  assertEquals(leastOf([{}, { sduBytesMax: 1481 }]), { sduBytesMax: 1481 });
  assertEquals(
    leastOf([{ sduBytesMax: 9000, sduBytesWhole: 1400 }, { sduBytesMax: 2000 }]),
    { sduBytesMax: 2000, sduBytesWhole: 1400 },
  );
  assertEquals(leastOf([{ sduBytesMax: 9, sduBytesWhole: 9 }]), { sduBytesMax: 9 });
});

Deno.test("lessHead() leaves one byte at least", () => {
  assertEquals(lessHead({}, 15), {});
  assertEquals(lessHead({ sduBytesMax: 1496 }, 15), { sduBytesMax: 1481 });
  assertEquals(lessHead({ sduBytesMax: 20, sduBytesWhole: 10 }, 15), {
    sduBytesMax: 5,
    sduBytesWhole: 1,
  });
});
