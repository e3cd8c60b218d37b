/** What is proved here: what a log line may hold. What daemons write is proved by the end-to-end tests. */

import { assertEquals } from "@std/assert";
import { type Level, Logger } from "../../../lib/log.ts";

Deno.test("Logger: what others have named neither forges a line nor talks to the terminal", () => {
  const lines: string[] = [];
  const log = new Logger(
    (level: Level, prefix, text) => lines.push(`${prefix}(${level}): ${text}`),
    "x",
    true,
  );
  const hostile = "a\n==1== irmd(EE): b\x1b[31m\x9b\0";
  const good = "a\\x0a==1== irmd(EE): b\\x1b[31m\\x9b\\x00";
  log.error(hostile);
  log.warn(hostile);
  log.info(hostile);
  log.dbg(hostile);
  log.proto(hostile);
  assertEquals(lines, ["EE", "WW", "II", "DB", "PP"].map((l) => `x(${l}): ${good}`));
});
