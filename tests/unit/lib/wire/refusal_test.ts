import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { isWireError } from "../../../../lib/wire/mod.ts";
import {
  describe,
  encode,
  parse,
  REFUSAL_BYTES_MAX,
  refusalText,
} from "../../../../lib/wire/refusal.ts";

Deno.test("a reason is read as it was written, padding or not, cut where it is too long", () => {
  assertEquals([...encode("no")], [0, 110, 111]);
  assertEquals(encode("").length, 0);
  assertEquals(refusalText(encode("closed")), "closed");
  assertEquals(refusalText(Uint8Array.of(...encode("closed"), 0, 0, 0)), "closed");
  assertEquals(refusalText(encode("a\nb\0c")), "a\\x0ab\\x00c");
  assertEquals(encode("ä".repeat(300)).length, 1 + REFUSAL_BYTES_MAX);
  assertEquals(describe(encode("no")), "refusal: no");
});

Deno.test("what is no reason is none, whatever it is", () => {
  for (const bytes of [[], [0], [1, 110], new Array(2000).fill(0)]) {
    const b = Uint8Array.from(bytes);
    assertEquals([isWireError(parse(b)), refusalText(b)], [true, undefined], `${bytes.length}`);
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (b) => {
    const text = parse(b);
    if (isWireError(text)) return;
    // deno-lint-ignore no-control-regex -- they are what is looked for
    assert(!/[\0-\x1f\x7f-\x9f]/.test(text as string), JSON.stringify(text));
    assert(describe(b).startsWith("refusal: "));
  }));
});
