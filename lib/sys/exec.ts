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
} as const;

const sys = lazyLibc(TABLE);

/** Runs `path` in place of this program with the same environment. Returns a negative errno, or never. */
export function execute(path: string, argv: readonly string[]): number {
  const words = argv.map(cstr);
  const pointers = new BigUint64Array(words.length + 1); // ends with a null pointer
  words.forEach((word, i) => {
    pointers[i] = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(word)));
  });
  sys().execv(cstr(path), new Uint8Array(pointers.buffer));
  return -errno();
}
