// Arbitrary text for properties.

import fc from "fast-check";

const scalar = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 0x7f }) },
  { weight: 2, arbitrary: fc.integer({ min: 0x80, max: 0xd7ff }) },
  { weight: 1, arbitrary: fc.integer({ min: 0xe000, max: 0x10ffff }) },
);

/**
 * Any text without lone surrogates, as long as `minLength` to `maxLength` characters. Making fast-check's own strings of
 * the unit `binary` takes three seconds a process.
 */
export function anyText(maxLength: number, minLength = 0): fc.Arbitrary<string> {
  return fc.array(scalar, { minLength, maxLength }).map((codes) => String.fromCodePoint(...codes));
}
