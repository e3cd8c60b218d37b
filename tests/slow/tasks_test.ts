import { assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** Words that a task does not take, and what it says. */
const REFUSED: readonly (readonly [words: string[], says: RegExp])[] = [
  [["scripts/sim.ts", "--seeds", "abc"], /^--seeds abc: wants a whole number from 1 to \d+\n/],
  [["scripts/sim.ts", "--seed", "0x3"], /^--seed 0x3: wants a whole number/],
  [["scripts/sim.ts", "--faults", "cutt"], /^--faults cutt: there is no such fault \(cut, /],
  [["scripts/sim.ts", "--bogus"], /^unknown option --bogus\ndeno task sim /],
  [["tests/mutation/main.ts", "--bogus"], /^unknown option --bogus\ndeno task mutate /],
  [["tests/bench/main.ts", "--bogus"], /^unknown option --bogus\ndeno task bench /],
  [["tests/bench/table/main.ts", "--rounds", "x"], /^--rounds x: wants a whole number/],
];

for (const [words, says] of REFUSED) {
  Deno.test(`a task ends at once: ${words.join(" ")}`, async () => {
    const args = ["run", "-A", "--no-check", "--quiet", ...words];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT })
      .output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assertMatch(text(stderr), says);
    assertEquals([code, text(stdout)], [2, ""]);
  });
}
