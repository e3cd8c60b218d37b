/**
 * How this program was started and how it starts itself again, in each of its forms: from source
 * (`deno run main.ts`), as the portable file (launcher, deno and bundle in one), compiled.
 *
 * The launcher of the portable form sets `OURO_SELF` (its own path) and `OURO_ARGV0` (the name it
 * was called by, since an exec from sh cannot pass it on), and a `DENO_DIR` where the runtime keeps
 * compiled code, with the user's in `OURO_DENO_DIR`. Children inherit none of it.
 */

import { fromFileUrl } from "@std/path";

/** The forms the program is delivered in. */
export type Form = "source" | "portable" | "compiled";

/** For V8: keep the heap of a daemon small; the data path allocates nothing. */
export const V8_FLAGS = "--v8-flags=--max-semi-space-size=1";

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
  V8_FLAGS,
];

/** As first word: the next one is the command, whatever name the binary is called by. */
export const RUN_WORD = "--run";

/** Where the launcher says by which name it was called. */
export const CALLED_AS = "OURO_ARGV0";

/** What the launcher tells us alone; not for children. */
const LAUNCHER_VARIABLES = ["OURO_SELF", CALLED_AS, "OURO_DENO_DIR", "DENO_NO_UPDATE_CHECK"];

interface Start {
  readonly form: Form;
  /** The file to run again: launcher, compiled binary; undefined from source. */
  readonly file: string | undefined;
  /** The name the program was called by, without directory. */
  readonly name: string;
  /** Where the runtime keeps compiled code, in the portable form. */
  readonly denoDir?: string | undefined;
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
  const name = Deno.env.get(CALLED_AS);
  if (Deno.build.standalone) {
    start = { form: "compiled", file: Deno.execPath(), name: baseName(argv0()) };
  } else if (import.meta.url.endsWith("/lib/self.ts")) {
    start = { form: "source", file: undefined, name: "" };
  } else {
    const usersDir = Deno.env.get("OURO_DENO_DIR");
    start = {
      form: "portable",
      file: self && realPath(self),
      name: baseName(name ?? ""),
      denoDir: usersDir === undefined ? undefined : Deno.env.get("DENO_DIR"),
    };
    if (usersDir) Deno.env.set("DENO_DIR", usersDir);
    else if (usersDir === "") Deno.env.delete("DENO_DIR");
    for (const variable of LAUNCHER_VARIABLES) Deno.env.delete(variable);
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
  const { form, file, denoDir } = started();
  if (form === "source") {
    const flags = ["run", "-A", "--no-prompt", "--quiet", V8_FLAGS];
    return [Deno.execPath(), ...flags, mainFile(), ...words];
  }
  // Running what is unpacked already is quicker and needs no environment.
  const bundle = form === "portable" ? bundlePath() : undefined;
  if (bundle !== undefined && isFile(Deno.execPath())) {
    const env = denoDir === undefined
      ? []
      : ["/usr/bin/env", `OURO_DENO_DIR=${Deno.env.get("DENO_DIR") ?? ""}`, `DENO_DIR=${denoDir}`];
    return [...env, Deno.execPath(), ...BUNDLE_FLAGS, bundle, ...words];
  }
  // A copy that is called `irmd` is always the IRMd, unless told otherwise.
  return [file ?? Deno.execPath(), RUN_WORD, ...words];
}

/** The file whose presence in a command line says that a process runs this program. */
export function mainFile(): string {
  const { form, file } = started();
  if (form === "source") return fromFileUrl(new URL("../main.ts", import.meta.url));
  return (form === "portable" ? bundlePath() : undefined) ?? file ?? Deno.execPath();
}

/** The main file of the bundle this code is in; chunks lie beside it or in directories below. */
function bundlePath(): string | undefined {
  let dir = new URL(".", import.meta.url);
  for (; dir.pathname !== "/"; dir = new URL("..", dir)) {
    const path = fromFileUrl(new URL("main.js", dir));
    if (isFile(path)) return path;
  }
  return undefined;
}

function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return path;
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
