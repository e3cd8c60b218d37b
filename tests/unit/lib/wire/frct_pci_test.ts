/** The FRCT header alone: taking apart, building, refusing. What endpoints do with it is in lib/frct. */
import { assert, assertEquals } from "@std/assert";
import { decodeHex, encodeHex } from "@std/encoding";
import fc from "fast-check";
import {
  describeFrct,
  encodeFrctPci,
  FRCT_PCI_LENGTH,
  newFrctPci,
  parseFrctPci,
  PciError,
  PciFlag,
} from "../../../../lib/wire/frct_pci.ts";

/** Packets of spec 31 §1: bytes, flags, window, seqno, ackno. */
const SEEN = [
  ["03000000000001000000000000", 0x03, 0, 0x100, 0],
  ["0f0051010000010000005001bb", 0x0f, 0x5101, 0x100, 0x5001],
  ["0c0051010000000000005001", 0x0c, 0x5101, 0, 0x5001],
  ["040000000000000000000101", 0x04, 0, 0, 0x101],
  ["08fffffe0000000000000000", 0x08, 0xfffffe, 0, 0],
  ["100000000000000000000000", 0x10, 0, 0, 0],
  ["0e000201fffffff000000101", 0x0e, 0x201, 0xfffffff0, 0x101],
] as const;

Deno.test("parseFrctPci() and encodeFrctPci() agree on the packets seen on the wire", () => {
  for (const [hex, flags, window, seqno, ackno] of SEEN) {
    const b = decodeHex(hex);
    const pci = newFrctPci();
    assertEquals(parseFrctPci(b, 0, b.length, pci), PciError.None, hex);
    assertEquals(pci, { flags, window, seqno, ackno }, hex);
    const out = new Uint8Array(FRCT_PCI_LENGTH);
    assertEquals(encodeFrctPci(out, 0, flags, window, seqno, ackno), FRCT_PCI_LENGTH);
    assertEquals(encodeHex(out), hex.slice(0, 24));
  }
});

Deno.test("parseFrctPci() refuses 11 bytes and takes 12", () => {
  const b = decodeHex("0c0051010000000000005001");
  assertEquals(parseFrctPci(b, 0, 11, newFrctPci()), PciError.Short);
  assertEquals(parseFrctPci(b, 1, 12, newFrctPci()), PciError.Short);
  assertEquals(parseFrctPci(b, 0, 12, newFrctPci()), PciError.None);
  assertEquals(parseFrctPci(b, 0, 13, newFrctPci()), PciError.Short);
  assertEquals(parseFrctPci(b, -1, 11, newFrctPci()), PciError.Short);
});

Deno.test("parseFrctPci() refuses unused and fragment flags, and a payload without DATA", () => {
  for (let flags = 0; flags < 256; flags++) {
    const bare = new Uint8Array(12);
    bare[0] = flags;
    const loaded = new Uint8Array(13);
    loaded[0] = flags;
    const bad = (flags & 0xe0) !== 0;
    const data = (flags & PciFlag.DATA) !== 0;
    assertEquals(parseFrctPci(bare, 0, 12, newFrctPci()), bad ? PciError.Flags : PciError.None);
    assertEquals(
      parseFrctPci(loaded, 0, 13, newFrctPci()),
      bad ? PciError.Flags : data ? PciError.None : PciError.Payload,
    );
  }
});

Deno.test("encodeFrctPci() leaves its surroundings alone and writes nothing without room", () => {
  const out = new Uint8Array(20).fill(0xa5);
  assertEquals(encodeFrctPci(out, 4, 0x0f, 0x123456, 0x89abcdef, 0xfedcba98), 12);
  assertEquals(encodeHex(out), "a5a5a5a50f12345689abcdeffedcba98a5a5a5a5");
  out.fill(0xa5);
  assertEquals(encodeFrctPci(out, 9, 0x0f, 1, 2, 3), 0);
  assertEquals(encodeFrctPci(out, -1, 0x0f, 1, 2, 3), 0);
  assert(out.every((x) => x === 0xa5));
});

Deno.test("encodeFrctPci() then parseFrctPci() is the identity", () => {
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 0x1f }),
    fc.integer({ min: 0, max: 0xffffff }),
    u32,
    u32,
    fc.integer({ min: 0, max: 40 }),
    (flags, window, seqno, ackno, at) => {
      const out = new Uint8Array(64);
      encodeFrctPci(out, at, flags, window, seqno, ackno);
      const pci = newFrctPci();
      assertEquals(parseFrctPci(out, at, at + 12, pci), PciError.None);
      assertEquals(pci, { flags, window, seqno, ackno });
    },
  ));
});

Deno.test("parseFrctPci() depends on its window only, and describeFrct() survives anything", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 9 }), (b, pad) => {
      const inside = new Uint8Array(pad.length * 2 + b.length);
      inside.set(pad);
      inside.set(b, pad.length);
      const [x, y] = [newFrctPci(), newFrctPci()];
      const r = parseFrctPci(b, 0, b.length, x);
      assertEquals(parseFrctPci(inside, pad.length, pad.length + b.length, y), r);
      assertEquals(x, y);
      assert(describeFrct(b).length > 0);
    }),
  );
});

Deno.test("describeFrct() names flags and fields that are there", () => {
  assertEquals(describeFrct(new Uint8Array()), "keepalive");
  assertEquals(
    describeFrct(decodeHex("0f0051010000010000005001bb")),
    "DATA|DRF|ACK|FC seq 00000100 ack 00005001 window 005101 +1",
  );
  assertEquals(describeFrct(decodeHex("0c00")), "short packet of 2 bytes");
});
