// deno-lint-ignore-file camelcase -- the vectors have these names
/** The transcripts `cli/` of vectors/irmd.json, and what of them an implementation must give. */

import vectors from "../../vectors/irmd.json" with { type: "json" };
import { USAGE } from "../../../irm/usage.ts";

/** A command line with what must come of it. */
export interface CliCase {
  readonly name: string;
  readonly argv: readonly string[];
  readonly irmdRunning: boolean;
  readonly order: number;
  readonly exit: number;
  readonly stdout: string;
  /** Lines that stderr begins with; reasons of ours may follow. */
  readonly stderr: string;
}

/** Orders of the second list, which begins on a daemon without names and IPCPs. */
export const SECOND_LIST_ORDER = 179;

interface RawCase {
  readonly name: string;
  readonly input?: { readonly argv?: readonly string[]; readonly irmd_running?: boolean };
  readonly exit?: number;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly order?: number;
}

/** All `cli/` cases in their order. `bindir` stands for `<bindir>`. Throws on a case of another form. */
export function cliCases(bindir: string): CliCase[] {
  const cases: CliCase[] = [];
  for (const raw of vectors.cases as unknown as RawCase[]) {
    const group = raw.name.split("/", 1)[0]!;
    if (group !== "cli" && group !== "cli2") continue;
    const { argv, irmd_running } = raw.input ?? {};
    const { exit, stdout, stderr, order } = raw;
    if (!argv || exit === undefined || stdout === undefined || order === undefined) {
      throw new Error(`${raw.name}: not a case of the known form`);
    }
    const words = argv.map((word) => word.replaceAll("<bindir>", bindir));
    // A negative exit is a crash of the prototype: usage and exit 1 are wanted instead.
    const crashed = exit < 0;
    cases.push({
      name: raw.name,
      argv: words,
      irmdRunning: irmd_running !== false,
      order,
      exit: crashed ? 1 : exit,
      stdout: crashed ? usageOf(words) : mended(expand(stdout, bindir)),
      stderr: argv[1] === "name" || words[0] === "name"
        ? mended(stderr ?? "").replace('try "irm ipcp help"', 'try "irm name help"')
        : mended(stderr ?? ""),
    });
  }
  return cases.sort((a, b) => a.order - b.order);
}

/** Hints of the prototype that are no commands, as they should be. */
function mended(text: string): string {
  return text.replaceAll('try "irm name list.', 'try "irm name list".');
}

function usageOf(argv: readonly string[]): string {
  const key = argv.slice(0, 2).join(" ");
  if (!(key in USAGE)) throw new Error(`no usage for ${key}`);
  return USAGE[key as keyof typeof USAGE];
}

function expand(stdout: string, bindir: string): string {
  return stdout.replaceAll("<bindir>", bindir)
    .replace(/<usage of irm ([a-z ]+)>/g, (_, of: string) => usageOf(of.split(" ")));
}

/** Output with pids made equal: digits in the first column of the table of IPCPs. */
export function withoutPids(stdout: string): string {
  return stdout.replace(/^\| *(\d+|PPPP) \|/gm, "|    PPPP |");
}
