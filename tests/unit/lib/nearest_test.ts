/** The word that was meant. */

import { assertEquals } from "@std/assert";
import { didYouMean, nearest } from "../../../lib/cli/nearest.ts";

const TYPES = ["unicast", "broadcast", "local", "udp4", "udp6", "eth-llc", "eth-dix"];

Deno.test("nearest() finds slips of the hand and nothing far away", () => {
  const cases: Record<string, string | undefined> = {
    ethdix: "eth-dix",
    "eth-dxi": "eth-dix",
    UNICAST: "unicast",
    loacl: "local",
    udp: "udp4",
    bogus: undefined,
    "": undefined,
  };
  for (const [word, wanted] of Object.entries(cases)) {
    assertEquals(nearest(word, TYPES), wanted, word);
  }
  assertEquals(nearest("x".repeat(1000), TYPES), undefined);
});

Deno.test("didYouMean() is a part of a sentence, or nothing", () => {
  assertEquals(didYouMean("ethdix", TYPES), ', did you mean "eth-dix"?');
  assertEquals(didYouMean("bogus", TYPES), "");
});
