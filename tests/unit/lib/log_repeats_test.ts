/** What is proved here: like lines in a moment are counted, all others are written. */

import { assertEquals } from "@std/assert";
import { countingSink, LIKE_LINES_MAX, LIKE_MS, Logger } from "../../../lib/log.ts";

function setting() {
  const lines: string[] = [];
  const clock = { nowMs: 0 };
  const sink = countingSink((level, _, text) => lines.push(`${level} ${text}`), () => clock.nowMs);
  return { lines, clock, log: new Logger(sink, "t", true) };
}

Deno.test("a flood of lines that differ in numbers is counted, and the count is said", () => {
  const { lines, clock, log } = setting();
  for (let i = 0; i < 1000; i++) log.error(`Failed to read from ${i}.`);
  assertEquals(lines.length, LIKE_LINES_MAX.EE);
  log.error("Something else.");
  assertEquals(lines.at(-1), "EE Something else.");
  clock.nowMs += LIKE_MS;
  log.info("Later.");
  assertEquals(lines.slice(-2), [
    `EE Failed to read from 999. (${1000 - LIKE_LINES_MAX.EE} such lines were left out)`,
    "II Later.",
  ]);
  log.error("Failed to read from 7.");
  assertEquals(lines.at(-1), "EE Failed to read from 7.");
});

Deno.test("slow repeats, different lines and debugging are all written", () => {
  const { lines, clock, log } = setting();
  for (let i = 0; i < 100; i++) {
    log.warn("Again.");
    clock.nowMs += LIKE_MS;
  }
  assertEquals(lines.length, 100);
  const names = "abcdefghij";
  for (const a of names) {
    for (const b of names) for (const c of names) log.info(`name ${a}${b}${c}`);
  }
  assertEquals(lines.length, 1100);
  for (let i = 0; i < 1000; i++) log.dbg("x");
  assertEquals(lines.length, 2100);
});
