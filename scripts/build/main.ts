// deno-lint-ignore-file no-console -- a program, which prints
/**
 * `deno task build`: makes dist/ouro, one executable file.
 *
 *     deno run -A scripts/build/main.ts [--form auto|compiled|portable] [--out FILE]
 *
 * `auto` tries `deno compile`, whose runtime (denort) is downloaded, and makes the portable form
 * where that cannot be reached. `DENORT_BIN` names a runtime that is there already.
 */

import config from "../../deno.json" with { type: "json" };
import { parseArgs } from "@std/cli/parse-args";
import { dirname, fromFileUrl, join, resolve } from "@std/path";
import { V8_FLAGS } from "../../lib/self.ts";
import { bundle } from "./bundle.ts";
import { otherWords, refuse } from "../options.ts";
import { buildPortable } from "./portable.ts";

const USAGE =
  "usage: deno run -A scripts/build/main.ts [--form auto|compiled|portable] [--out FILE]";
const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** Longest time for `deno compile`, ms: where packets to its server are dropped it would not end. */
const COMPILE_LIMIT_MS = 120_000;

/** Compiles the bundle; returns why it could not, or undefined. */
async function compile(
  out: string,
  programDir: string,
  workDir: string,
): Promise<string | undefined> {
  // It does not overwrite a file that it did not make.
  const temporary = join(workDir, `compiled.${Deno.pid}`);
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["compile", "-A", "--no-prompt", "--no-config", "--no-lock", V8_FLAGS],
      ...["--include", ".", "--output", temporary, "main.js"],
    ],
    cwd: programDir,
    stdout: "null",
    stderr: "piped",
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(COMPILE_LIMIT_MS),
  }).output();
  if (code === 0) {
    await Deno.rename(temporary, out);
    return undefined;
  }
  const text = new TextDecoder().decode(stderr).trim();
  // The outermost error and its innermost cause.
  const first = text.match(/^error: (.*)$/m)?.[1] ?? text.split("\n")[0];
  const causes = [...text.matchAll(/^\s+\d+: (.*)$/gm)].filter(([, cause]) =>
    cause !== "<unknown>"
  );
  return [first, causes.at(-1)?.[1]].filter(Boolean).join(": ");
}

async function main(): Promise<number> {
  const args = parseArgs(Deno.args, {
    string: ["form", "out"],
    unknown: otherWords(USAGE),
    default: { form: "auto", out: join(ROOT, "dist/ouro") },
  });
  if (!["auto", "compiled", "portable"].includes(args.form)) {
    return refuse(`--form must be auto, compiled or portable, not "${args.form}"`, USAGE);
  }
  const out = resolve(args.out);
  const workDir = join(ROOT, "dist/build");
  const programDir = await Deno.makeTempDir({ prefix: "ouro-program-" });
  try {
    await Deno.mkdir(dirname(out), { recursive: true });
    await Deno.mkdir(workDir, { recursive: true });
    const files = await bundle(ROOT, programDir);
    if (args.form !== "portable") {
      const why = await compile(out, programDir, workDir);
      if (why === undefined) {
        console.log(`${out}: compiled, ${files.length} files`);
        return 0;
      }
      console.log(`deno compile: ${why}`);
      if (args.form === "compiled") return 1;
    }
    await buildPortable({
      out,
      programDir,
      files,
      deno: Deno.execPath(),
      version: config.version,
      workDir,
    });
    const { size } = await Deno.stat(out);
    console.log(
      `${out}: portable form, ${files.length} files, ${(size / 1e6).toFixed(1)} MB`,
    );
    return 0;
  } finally {
    await Deno.remove(programDir, { recursive: true }).catch(() => {});
  }
}

Deno.exit(
  await main().catch((error) => {
    console.error(`build: ${error instanceof Error ? error.message : error}`);
    return 1;
  }),
);
