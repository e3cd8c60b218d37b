/**
 * Becoming another program as the same process (`execv` of <unistd.h>), checked with glibc 2.36.
 *
 * Safety: the other threads of the runtime end with the call, so nothing may be under way that must not be cut off.
 * Descriptors without close-on-exec stay open; the runtime and `lib/sys` make none.
 */

import { cstr, errno, lazyLibc } from "./ffi.ts";

const TABLE = {
  // int execv(const char *path, char *const argv[]);
  execv: { parameters: ["buffer", /* path */ "buffer" /* argv */], result: "i32" },
  // int execve(const char *path, char *const argv[], char *const envp[]);
  execve: {
    parameters: ["buffer", /* path */ "buffer", /* argv */ "buffer" /* envp */],
    result: "i32",
  },
  // sighandler_t signal(int sig, sighandler_t handler);
  signal: { parameters: ["i32", /* sig */ "usize" /* handler */], result: "usize" },
} as const;

const sys = lazyLibc(TABLE);

/** The runtime ignores it, and what is ignored stays so; 0 is the default action. */
const SIGPIPE = 13;
const SIG_DFL = 0n;

/** Runs `path` in place of this program, with `env` or the same environment. Returns a negative errno, or never. */
export function execute(
  path: string,
  argv: readonly string[],
  env?: Readonly<Record<string, string>>,
): number {
  const hold: Uint8Array<ArrayBuffer>[] = [];
  const words = vector(argv, hold);
  if (env === undefined) sys().execv(cstr(path), words);
  else {
    const entries = vector(Object.entries(env).map(([k, v]) => `${k}=${v}`), hold);
    sys().signal(SIGPIPE, SIG_DFL);
    sys().execve(cstr(path), words, entries);
  }
  const code = -errno();
  hold.length = 0;
  return code;
}

/** An array of C strings that ends with a null pointer; `hold` keeps them alive. */
function vector(
  words: readonly string[],
  hold: Uint8Array<ArrayBuffer>[],
): Uint8Array<ArrayBuffer> {
  const pointers = new BigUint64Array(words.length + 1);
  words.forEach((word, i) => {
    const s = cstr(word);
    hold.push(s);
    pointers[i] = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(s)));
  });
  return new Uint8Array(pointers.buffer);
}
