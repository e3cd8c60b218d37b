/** The lines that say why: causes, numbers alone, hostile text, the runtime's file errors. */

import { assertEquals } from "@std/assert";
import {
  fileCause,
  lineOf,
  NOT_RUNNING,
  reasonOf,
  startFailureText,
} from "../../../lib/cli/reason.ts";
import { OuroError } from "../../../lib/errno.ts";

const detail = (process: string, cause: string, stage = "alloc") => ({ stage, process, cause });

Deno.test("reasonOf() gives number, cause, and who says so when that is not the IRMd", () => {
  const cases: [OuroError, string][] = [
    [
      new OuroError(-1007, "x", detail("irmd", 'name "n" is not known')),
      '-1007: name "n" is not known',
    ],
    [
      new OuroError(-1003, "x", detail("ipcpd-local l1", "busy")),
      "-1003: busy (ipcpd-local l1, alloc)",
    ],
    [new OuroError(-1, "x", detail("ipcpd l1", "busy", "")), "-1: busy (ipcpd l1)"],
    [new OuroError(-1002, "x"), `-1002: ${NOT_RUNNING}`],
    [new OuroError(-1, "x"), "-1: refused by the IRMd, its log says why"],
    [new OuroError(-110, "x"), "-110: timed out"],
    [new OuroError(-1, "x", detail("irmd", "")), "-1: refused by the IRMd, its log says why"],
    [new OuroError(-1, "x", detail("irmd", "a\n\x1b[31mb")), "-1: a\\x0a\\x1b[31mb"],
  ];
  for (const [error, line] of cases) assertEquals(reasonOf(error), line);
});

Deno.test("startFailureText() tells memory that cannot be opened from an IRMd that does not answer", () => {
  const announce = new OuroError(-1002, "Cannot announce to the IRMd");
  const memory = new OuroError(-13, "Cannot open the packet pool (/ouroboros.gspp)");
  assertEquals(startFailureText(announce), "FATAL: Could not announce to IRMd.");
  assertEquals(startFailureText(memory), "FATAL: Could not open packet buffer.");
});

Deno.test("fileCause() leaves the runtime's number, call and path out", () => {
  let caught: unknown;
  try {
    Deno.readFileSync("/nonexistent/file (os error 3)");
  } catch (e) {
    caught = e;
  }
  assertEquals(fileCause(caught), "No such file or directory");
  assertEquals(fileCause(new Error("a\nb")), "a");
  assertEquals(fileCause("text"), "text");
});

Deno.test("lineOf() names the path and leaves the runtime's number and call out", () => {
  const error = (text: string) => lineOf(new Error(text));
  assertEquals(error("No space left (os error 28): writefile '/d/x'"), "/d/x: No space left");
  assertEquals(error("No space left (os error 28)"), "No space left");
  assertEquals(error("it's so\nand more"), "it's so");
  assertEquals(lineOf(new TypeError()), "TypeError");
  assertEquals(lineOf("text"), "text");
});
