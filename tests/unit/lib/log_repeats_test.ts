/** What is proved here: like lines, and those that names of others make unlike, are counted; all others are written. */

import { assert, assertEquals } from "@std/assert";
import { countingSink, LIKE_LINES_MAX, LIKE_MOST_MS, LIKE_MS, Logger } from "../../../lib/log.ts";

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

Deno.test("a flood that goes on for an hour is some lines a minute, and the first after it is written", () => {
  const { lines, clock, log } = setting();
  const minutes = 60;
  for (let s = 0; s < 60 * minutes; s++) {
    for (let i = 0; i < 30; i++) log.warn(`A connection of uid ${i} is refused.`);
    clock.nowMs += 1000;
  }
  const most = minutes * 60_000 / LIKE_MOST_MS + 7;
  assert(lines.length <= most * (LIKE_LINES_MAX.WW + 1), `${lines.length} lines`);
  clock.nowMs += LIKE_MOST_MS;
  log.warn("A connection of uid 7 is refused.");
  assertEquals(lines.at(-1), "WW A connection of uid 7 is refused.");
  // The count was said, and the next flood begins with a second again.
  clock.nowMs += LIKE_MOST_MS;
  log.warn("A connection of uid 8 is refused.");
  clock.nowMs += LIKE_MS;
  const before = lines.length;
  for (let i = 0; i < 30; i++) log.warn(`A connection of uid ${i} is refused.`);
  assertEquals(lines.length - before, LIKE_LINES_MAX.WW);
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

Deno.test("a flood with another name in each line is bounded as well, and so is a line", () => {
  const { lines, clock, log } = setting();
  const word = (n: number) => n.toString(36).replace(/[0-9]/g, (c) => "ghijklmnop"[Number(c)]!);
  const minutes = 10;
  for (let s = 0; s < 60 * minutes; s++) {
    for (let i = 0; i < 300; i++) log.warn(`Allocation rejected: ${word(300 * s + i)}x (-1007).`);
    clock.nowMs += 1000;
  }
  const most = minutes * 60_000 / LIKE_MOST_MS + 7;
  assert(lines.length <= most * (5 * LIKE_LINES_MAX.WW + 1), `${lines.length} lines`);
  assert(lines.some((line) => line.endsWith("such lines were left out)")));
  log.warn("Something else.");
  assertEquals(lines.at(-1), "WW Something else.");
  log.info(`Process added: 1 (${"x".repeat(10_000)}).`);
  assert(lines.at(-1)!.length < 2100);
});
