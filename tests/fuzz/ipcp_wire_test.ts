// Hostile bytes against every parser of the shims: no throw, no look outside the window, and what was
// parsed encodes back.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import * as frame from "../../lib/wire/eth_frame.ts";
import { dixMgmt, llcMgmt } from "../../lib/wire/eth_mgmt.ts";
import { isWireError } from "../../lib/wire/mod.ts";
import { udpMgmt } from "../../lib/wire/udp_mgmt.ts";
import { fuzzRuns } from "../support/seed.ts";

const RUNS = { numRuns: fuzzRuns(2000) };

for (const codec of [dixMgmt, llcMgmt, udpMgmt]) {
  Deno.test(`${codec.name} management survives any bytes and round-trips what it accepts`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: 64 }), (b, hash) => {
        if (codec === udpMgmt) b.fill(0, 0, 4);
        if (codec !== udpMgmt && b.length > 37) b[codec === dixMgmt ? 37 : 2]! &= 3;
        const m = codec.parse(b, hash);
        if (isWireError(m)) return;
        const out = new Uint8Array(codec.encodedLength(m));
        assertEquals(codec.encode(m, out, 0), out.length);
        assertEquals(codec.parse(out, hash), m);
      }),
      RUNS,
    );
  });
}

Deno.test("Ethernet headers look only at their window", () => {
  const [a, b] = [{ deid: 0, seid: 0, start: 0, end: 0 }, { deid: 0, seid: 0, start: 0, end: 0 }];
  const frames = fc.uint8Array({ maxLength: 80 });
  fc.assert(
    fc.property(frames, fc.nat(3), fc.nat(255), fc.nat(255), (bytes, cut, left, right) => {
      if (bytes.length > 14 && cut > 0) {
        bytes.set(cut === 1 ? [0xa0, 0x00] : [0, bytes.length - 14], 12);
      }
      const inside = (fill: number) => {
        const big = new Uint8Array(bytes.length + 40).fill(fill);
        big.set(bytes, 20);
        return big;
      };
      for (
        const parse of [
          (x: Uint8Array, o: typeof a) => frame.parseDix(x, 20, 20 + bytes.length, 0xa000, o),
          (x: Uint8Array, o: typeof a) => frame.parseLlc(x, 20, 20 + bytes.length, o),
        ]
      ) {
        const code = parse(inside(left), a);
        assertEquals(parse(inside(right), b), code);
        if (code !== 0) continue;
        assertEquals(a, b);
        assert(a.start <= a.end && a.start >= 20 && a.end <= 20 + bytes.length);
      }
    }),
    RUNS,
  );
});
