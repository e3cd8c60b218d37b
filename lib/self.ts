/**
 * How this program was started and how it starts itself again, in each of its forms: from source
 * (`deno run main.ts`), as the portable file (launcher, deno and bundle in one), compiled.
 *
 * The launcher of the portable form sets `OURO_SELF` (its own path) and `OURO_ARGV0` (the name it
 * was called by, since an exec from sh cannot pass it on); neither is inherited by children.
 */

import { fromFileUrl } from "@std/path";

/** The forms the program is delivered in. */
export type Form = "source" | "portable" | "compiled";

/** Flags of `deno run` for the bundle: everything is in it, so nothing is looked up or asked for. */
export const BUNDLE_FLAGS: readonly string[] = [
  "run",
  "-A",
  "--no-prompt",
  "--no-config",
  "--no-lock",
  "--no-remote",
  "--no-npm",
  "--quiet",
];

interface Start {
  readonly form: Form;
  /** The file to run again: launcher, compiled binary; undefined from source. */
  readonly file: string | undefined;
  /** The name the program was called by, without directory. */
  readonly name: string;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** First word of the command line as the kernel has it; `""` when /proc is not there. */
function argv0(): string {
  try {
    return new TextDecoder().decode(Deno.readFileSync("/proc/self/cmdline")).split("\0", 1)[0]!;
  } catch {
    return "";
  }
}

let start: Start | undefined;

function started(): Start {
  if (start) return start;
  const self = Deno.env.get("OURO_SELF");
  const name = Deno.env.get("OURO_ARGV0");
  if (self !== undefined) Deno.env.delete("OURO_SELF");
  if (name !== undefined) Deno.env.delete("OURO_ARGV0");
  if (Deno.build.standalone) {
    start = { form: "compiled", file: Deno.execPath(), name: baseName(argv0()) };
  } else if (import.meta.url.endsWith("/lib/self.ts")) {
    start = { form: "source", file: undefined, name: "" };
  } else {
    start = { form: "portable", file: self, name: baseName(name ?? "") };
  }
  return start;
}

/** The form this process runs in. */
export function form(): Form {
  return started().form;
}

/** The name the program was called by (`oping` through a link), `""` when started from source. */
export function callName(): string {
  return started().name;
}

/** The executable file that links may point to; undefined from source. */
export function selfFile(): string | undefined {
  return started().file;
}

/**
 * The argument vector that starts this program again with the given words, e.g.
 * `selfCommand("ipcpd-local", "n1")`.
 */
export function selfCommand(...words: string[]): string[] {
  const { form, file } = started();
  if (form === "source") {
    const main = fromFileUrl(new URL("../main.ts", import.meta.url));
    return [Deno.execPath(), "run", "-A", "--no-prompt", "--quiet", main, ...words];
  }
  if (file !== undefined && runnable(file)) return [file, ...words];
  // The portable file was removed while we run: what it unpacked is still there.
  return [Deno.execPath(), ...BUNDLE_FLAGS, fromFileUrl(Deno.mainModule), ...words];
}

function runnable(path: string): boolean {
  try {
    const info = Deno.statSync(path);
    return info.isFile && ((info.mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}
