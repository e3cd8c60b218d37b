/**
 * The C allocator of the process (`<malloc.h>`), checked with glibc 2.36. The runtime's own threads allocate from it
 * when a program is loaded; what they freed stays in their arenas until somebody asks for it back.
 */

import { lazyLibc } from "./ffi.ts";

const TABLE = {
  // int malloc_trim(size_t pad);
  malloc_trim: { parameters: ["u64" /* pad */], result: "i32" },
  // int mallopt(int param, int value);
  mallopt: { parameters: ["i32", /* param */ "i32" /* value */], result: "i32" },
} as const;

const sys = lazyLibc(TABLE);

const M_ARENA_MAX = -8;

/** Gives memory that is free in the allocator back to the system; takes a few ms. Whether there was any. */
export function trimMalloc(): boolean {
  return sys().malloc_trim(0n) === 1;
}

/** Lets threads that come share the arenas there are when these are so many. Whether the allocator takes it. */
export function limitArenas(arenas: number): boolean {
  return sys().mallopt(M_ARENA_MAX, arenas) === 1;
}
