/** Which RSA keys are taken: those whose arithmetic has a bounded cost, up to the bounds themselves. */

import { assertEquals } from "@std/assert";
import { bigintBytes, integer, oid, Tag, tlv } from "../../../security/der.ts";
import { RSA_BITS_MAX } from "../../../security/key_kind.ts";
import { rsaKeyOf } from "../../../security/rsa.ts";

/** A SubjectPublicKeyInfo of numbers of so many bits, which need not be those of a real key. */
function spki(modulusBits: number, exponentBits: number): Uint8Array {
  const odd = (bits: number) => integer(bigintBytes((1n << BigInt(bits - 1)) | 1n));
  const key = tlv(Tag.sequence, odd(modulusBits), odd(exponentBits));
  return tlv(
    Tag.sequence,
    tlv(Tag.sequence, oid("1.2.840.113549.1.1.1"), tlv(0x05)),
    tlv(Tag.bitString, Uint8Array.of(0), key),
  );
}

Deno.test("RSA: moduli and exponents up to their bounds, and not a bit more", () => {
  for (
    const [modulus, exponent, taken] of [
      [511, 17, false],
      [512, 17, true],
      [3072, 256, true],
      [3072, 257, false],
      [3073, 64, true],
      [3073, 65, false],
      [RSA_BITS_MAX, 17, true],
      [RSA_BITS_MAX + 1, 17, false],
      // As long as the modulus, and no smaller.
      [512, 512, false],
    ] as const
  ) {
    const key = rsaKeyOf(spki(modulus, exponent));
    assertEquals(
      key && [key.bits, key.exponentBits],
      taken ? [modulus, exponent] : undefined,
      `${modulus} ${exponent}`,
    );
  }
});
