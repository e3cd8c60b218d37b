/**
 * Keeps a daemon's memory small: what serves requests needs no large young generation, and what the start of the
 * program left over goes back to the system.
 */

import { form, V8_FLAGS } from "./self.ts";
import { execute } from "./sys/exec.ts";
import { commandLine } from "./sys/title.ts";
import { limitArenas, trimMalloc } from "./sys/malloc.ts";

/** Arenas of the allocator; the threads of the runtime seldom allocate at once. */
const ARENAS_MAX = 2;
/** When the start is over and its memory free, ms. */
const STARTED_MS = 2000;
/** How often the memory of busy times goes back, ms. */
const TRIM_MS = 60_000;

/**
 * Holds the memory of this process small from now on. V8 takes the limit of its young generation from its command line
 * alone, which our own forms give; a daemon that was started with a plain `deno run` becomes one that has it here, as
 * the same process. So this comes before anything is opened.
 */
export function keepHeapSmall(): void {
  if (form() === "source") {
    const argv = withHeapFlags(commandLine());
    if (argv !== undefined) execute(Deno.execPath(), argv);
  }
  limitArenas(ARENAS_MAX);
  for (const timer of [setTimeout(trimMalloc, STARTED_MS), setInterval(trimMalloc, TRIM_MS)]) {
    Deno.unrefTimer(timer as unknown as number);
  }
}

/** `deno run …` with our flags for V8; undefined for another command line or one that has such flags. */
export function withHeapFlags(argv: readonly string[]): string[] | undefined {
  if (argv.length < 3 || argv[1] !== "run") return undefined;
  if (argv.some((word) => word.startsWith("--v8-flags") || word.includes("\ufffd"))) {
    return undefined;
  }
  return [argv[0]!, "run", `${V8_FLAGS},--optimize-for-size`, ...argv.slice(2)];
}
