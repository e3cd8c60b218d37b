/**
 * Signal handlers of machine code (`sigaction` of <signal.h>, `mmap` and `mprotect` of <sys/mman.h>), x86_64 Linux: a
 * handler runs in any thread at any moment, where no JavaScript can.
 *
 * Safety: the code of a handler is a constant of the module that installs it, which says why it may interrupt anything.
 * It is written before its page can be executed, and stays for the life of the process.
 */

import { lazyLibc } from "./ffi.ts";

const SYMBOLS = {
  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
  mmap: {
    parameters: [
      "pointer", /* addr */
      "usize", /* length */
      "i32", /* prot */
      "i32", /* flags */
      "i32", /* fd */
      "i64", /* offset */
    ],
    result: "pointer",
  },
  // int mprotect(void *addr, size_t length, int prot);
  mprotect: {
    parameters: ["pointer", /* addr */ "usize", /* length */ "i32" /* prot */],
    result: "i32",
  },
  // int sigaction(int signum, const struct sigaction *act, struct sigaction *oldact);
  sigaction: {
    parameters: ["i32", /* signum */ "buffer", /* act */ "buffer" /* oldact */],
    result: "i32",
  },
} as const;

const sys = lazyLibc(SYMBOLS);

/** Values of <signal.h> and <sys/mman.h> on x86_64. */
const SA_SIGINFO = 4;
const SA_ONSTACK = 0x08000000;
const SA_RESTART = 0x10000000;
const PROT_READ_WRITE = 3;
const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS = 0x22;
export const PAGE_BYTES = 4096;
/** `struct sigaction` of glibc: handler at 0, mask of 128 bytes at 8, flags at 136, restorer at 144. */
const SIGACTION_BYTES = 152;
const SIGACTION_FLAGS = 136;

/** Whether handlers of our code can be installed on this processor. */
export function takesSignalCode(): boolean {
  return Deno.build.arch === "x86_64";
}

/**
 * Makes `code` the handler of a signal for all threads.
 * @param behindBytes writable memory behind the code's page
 * @returns the page; undefined where the system allows no new code
 */
export function handleSignal(
  signal: number,
  code: Uint8Array,
  behindBytes = 0,
): Deno.PointerObject | undefined {
  const bytes = BigInt(PAGE_BYTES + behindBytes);
  const page = sys().mmap(null, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0n);
  // MAP_FAILED is the address -1.
  if (page === null || Deno.UnsafePointer.value(page) === 0xffffffffffffffffn) return undefined;
  new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(page, PAGE_BYTES)).set(code);
  if (sys().mprotect(page, BigInt(PAGE_BYTES), PROT_READ_EXEC) !== 0) return undefined;
  const action = new DataView(new ArrayBuffer(SIGACTION_BYTES));
  action.setBigUint64(0, BigInt(Deno.UnsafePointer.value(page)), true);
  action.setInt32(SIGACTION_FLAGS, SA_SIGINFO | SA_ONSTACK | SA_RESTART, true);
  return sys().sigaction(signal, new Uint8Array(action.buffer), null) === 0 ? page : undefined;
}

/** The page of a signal's handler when that is this very code, which another thread has installed. */
export function handlerOf(signal: number, code: Uint8Array): Deno.PointerObject | undefined {
  const old = new DataView(new ArrayBuffer(SIGACTION_BYTES));
  if (sys().sigaction(signal, null, new Uint8Array(old.buffer)) !== 0) return undefined;
  const address = old.getBigUint64(0, true);
  // Neither SIG_DFL nor SIG_IGN; ours is at the start of a page.
  if (address <= 1n || address % BigInt(PAGE_BYTES) !== 0n) return undefined;
  const at = Deno.UnsafePointer.create(address)!;
  const there = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(at, code.length));
  return code.every((byte, k) => there[k] === byte) ? at : undefined;
}
