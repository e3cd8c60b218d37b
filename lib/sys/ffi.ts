/**
 * What every FFI module of this room shares: the lazily opened C library, errno and its exception.
 *
 * Checked with glibc 2.36, x86_64 (LP64). Each module declares its own symbol table and passes it to
 * {@linkcode lazyLibc}; nothing outside `lib/sys` sees a table or a raw pointer.
 *
 * Safety: errno is per OS thread and is read by a second FFI call, so it is valid only directly after
 * the failed call, on the same thread, with no suspension point between.
 */

import { Errno, errnoName, errnoText } from "../errno.ts";

/** An address that a module of `lib/sys` made; other rooms pass it along and never look inside. */
export type MemRef = Deno.PointerObject & { readonly __memRef?: never };

/** Opens `libc.so.6` with a symbol table; call it once a module, on first use. */
export function libc<const S extends Deno.ForeignLibraryInterface>(
  symbols: S,
): Deno.DynamicLibrary<S>["symbols"] {
  return Deno.dlopen("libc.so.6", symbols).symbols;
}

const ERRNO_TABLE = {
  // int *__errno_location(void);
  __errno_location: { parameters: [], result: "pointer" },
} as const;

let errnoView: Deno.UnsafePointerView | undefined;

/** The calling thread's errno (positive), valid directly after a failed call. */
export function errno(): number {
  if (errnoView === undefined) {
    const at = libc(ERRNO_TABLE).__errno_location();
    if (at === null) return Errno.EIO;
    errnoView = new Deno.UnsafePointerView(at);
    // Opening the library for the first time may have changed errno; callers that care warm it up.
  }
  return errnoView.getInt32();
}

/** Makes the errno of this thread readable without side effects; call before the first checked call. */
export function warmErrno(): void {
  if (errnoView === undefined) errno();
}

/** State of the thread, as its opened tables are: modules make those before anybody could hand them a way to open. */
let isSparing = false;

/**
 * From now on this thread makes each function at its first use: the runtime compiles a way into every one, which takes about
 * as long as a hundred system calls, and a program that ends soon uses few of each table. Not for a library: what a test
 * of its user opens for the first time, the sanitizers of `deno test` call a leak.
 */
export function spareStarts(): void {
  isSparing = true;
}

/**
 * Gives the functions of a table; the C library is opened at the first call, and errno is readable from then on.
 * One a module: `const sys = lazyLibc(TABLE);`.
 */
export function lazyLibc<const S extends Deno.ForeignLibraryInterface>(
  symbols: S,
): () => Deno.DynamicLibrary<S>["symbols"] {
  let table: Deno.DynamicLibrary<S>["symbols"] | undefined;
  return () => {
    if (table === undefined) {
      warmErrno();
      table = isSparing ? madeByUse(symbols) : libc(symbols);
    }
    return table;
  };
}

/** A table of which each function is made at its first use. */
function madeByUse<const S extends Deno.ForeignLibraryInterface>(
  symbols: S,
): Deno.DynamicLibrary<S>["symbols"] {
  // What is made hides the getter of its name, so that calls cost what they do with a table that was opened whole.
  const getters = {};
  for (const name of Object.keys(symbols)) {
    Object.defineProperty(getters, name, {
      get() {
        const value = (libc({ [name]: symbols[name]! }) as Record<string, unknown>)[name];
        Object.defineProperty(this, name, { value });
        return value;
      },
    });
  }
  return Object.create(getters) as Deno.DynamicLibrary<S>["symbols"];
}

/** A failed system call: its errno, its name and the object it was about. */
export class SysError extends Error {
  override readonly name: string = "SysError";
  /** Positive errno. */
  readonly errno: number;
  /** Name of the C function. */
  readonly call: string;
  /** Path, name or descriptor the call was about. */
  readonly object: string;

  constructor(errno: number, call: string, object: string) {
    super(`${call} ${JSON.stringify(object)}: ${errnoName(errno)}: ${errnoText(errno)}`);
    this.errno = errno;
    this.call = call;
    this.object = object;
  }
}

const encoder = new TextEncoder();

/** A zero-terminated UTF-8 copy of a string. Throws `SysError(EINVAL)` when it contains a NUL. */
export function cstr(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new SysError(Errno.EINVAL, "cstr", text);
  return encoder.encode(text + "\0");
}
