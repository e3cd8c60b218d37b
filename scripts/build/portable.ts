/**
 * The portable form: one executable file of a launcher script, the deno runtime and the program.
 *
 *     launcher.sh, filled in | runtime-<hash>.tar.gz | program-<hash>.tar.gz
 *
 * The launcher knows the place, length and SHA-256 of what follows it (see launcher.sh).
 */

import { encodeHex } from "@std/encoding";
import { basename, join } from "@std/path";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { BUNDLE_FLAGS } from "../../lib/self.ts";
import { importLater } from "./bundle.ts";
import { type Entry, tar } from "./tar.ts";

const LAUNCHER = new URL("./launcher.sh", import.meta.url);

function sha256(bytes: Uint8Array): string {
  return encodeHex(createHash("sha256").update(bytes).digest());
}

function sums(entries: readonly Entry[]): string {
  return entries.map((e) => `${sha256(e.bytes)}  ${e.path}`).join("\n");
}

/** Compresses the runtime, which takes seconds, or takes it from an earlier build. */
async function compressedRuntime(entries: Entry[], hash: string, workDir: string) {
  const cached = join(workDir, `runtime-${hash}.tar.gz`);
  try {
    return await Deno.readFile(cached);
  } catch {
    const bytes = gzipSync(tar(entries), { level: 6 });
    await Deno.mkdir(workDir, { recursive: true });
    await Deno.writeFile(`${cached}.${Deno.pid}`, bytes);
    await Deno.rename(`${cached}.${Deno.pid}`, cached);
    return bytes;
  }
}

/** What goes into the portable form. */
export interface PortableInput {
  /** Where the result goes; replaced in one step. */
  readonly out: string;
  /** Directory of the bundle, and its files. */
  readonly programDir: string;
  readonly files: readonly string[];
  /** The deno binary to carry. */
  readonly deno: string;
  readonly version: string;
  /** A directory for what can be used again by the next build. */
  readonly workDir: string;
}

/** Writes the portable file. */
export async function buildPortable(input: PortableInput): Promise<void> {
  const runtime: Entry[] = [
    { path: "deno", bytes: await Deno.readFile(input.deno), mode: 0o500 },
  ];
  const encoder = new TextEncoder();
  const program: Entry[] = await Promise.all(input.files.map(async (path) => ({
    path,
    bytes: encoder.encode(importLater(await Deno.readTextFile(join(input.programDir, path)))),
    mode: 0o400,
  })));
  const runtimeHash = sha256(runtime[0]!.bytes).slice(0, 16);
  const programHash = sha256(encoder.encode(sums(program))).slice(0, 16);
  const runtimeGz = await compressedRuntime(runtime, runtimeHash, input.workDir);
  const programGz = gzipSync(tar(program), { level: 9 });

  const names = { runtime: `runtime-${runtimeHash}`, program: `program-${programHash}` };
  const files = [`${names.runtime}/deno`, ...program.map((e) => `${names.program}/${e.path}`)];
  const unsafe = files.find((path) => !/^[\w./-]+$/.test(path));
  if (unsafe) throw new Error(`file name that the launcher cannot hold: ${unsafe}`);
  const good = [...runtime, ...program].map((e) => `${e.mode.toString(8)}:${e.bytes.length}`);
  const values: Record<string, string> = {
    VERSION: input.version,
    RUNTIME: names.runtime,
    PROGRAM: names.program,
    FILES: files.join(" "),
    GOOD: good.join("\n"),
    FLAGS: BUNDLE_FLAGS.join(" "),
    RUNTIME_SUMS: sums(runtime),
    PROGRAM_SUMS: sums(program),
    RUNTIME_SIZE: String(runtimeGz.length),
    PROGRAM_SIZE: String(programGz.length),
  };
  const template = await Deno.readTextFile(LAUNCHER);
  // The offsets stand in the text whose length they depend on: fixed width makes that independent.
  const fill = (runtimeAt: number, programAt: number) =>
    template.replace(/@([A-Z0-9_]+)@/g, (_, key: string) => {
      if (key === "RUNTIME_AT") return String(runtimeAt).padEnd(10, " ");
      if (key === "PROGRAM_AT") return String(programAt).padEnd(10, " ");
      const value = values[key];
      if (value === undefined) throw new Error(`launcher.sh: unknown placeholder @${key}@`);
      return value;
    });
  const length = encoder.encode(fill(0, 0)).length;
  const head = encoder.encode(fill(length + 1, length + 1 + runtimeGz.length));

  const temporary = join(input.workDir, `${basename(input.out)}.${Deno.pid}`);
  using file = await Deno.open(temporary, {
    write: true,
    create: true,
    truncate: true,
    mode: 0o755,
  });
  for (const bytes of [head, runtimeGz, programGz]) {
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  }
  await Deno.chmod(temporary, 0o755);
  await Deno.rename(temporary, input.out);
}
