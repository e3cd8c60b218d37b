/**
 * Surviving a peer that cuts off shared memory (`sigaction` of <signal.h>, `mmap` and `mprotect` of <sys/mman.h>),
 * x86_64 Linux.
 *
 * Who may write an object of /dev/shm may also truncate it, and the next access of anybody who has it mapped raises
 * SIGBUS, which ends the process (spec 10 §11.3). After {@linkcode surviveTruncation} the missing page becomes a
 * private page of zeros instead: an empty ring, a block without reference, an unlocked mutex, all of which are
 * checked like any hostile value.
 *
 * Safety: the handler is code of our own, since a signal handler cannot be JavaScript. It makes one system call and
 * touches no memory but the siginfo it is given, so it may interrupt anything. It handles an access beyond the end of
 * a mapped object (BUS_ADRERR) alone; for any other cause, or when the page cannot be had, it ends the process by an
 * illegal instruction.
 */

import { libc, warmErrno } from "./ffi.ts";

const TABLE = {
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
    parameters: ["i32", /* signum */ "buffer", /* act */ "pointer" /* oldact */],
    result: "i32",
  },
} as const;

/** Values of <signal.h> and <sys/mman.h> on x86_64. */
const SIGBUS = 7;
const SA_SIGINFO = 4;
const SA_ONSTACK = 0x08000000;
const PROT_READ_WRITE = 3;
const PROT_READ_EXEC = 5;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const PAGE_BYTES = 4096;
/** `struct sigaction` of glibc: handler at 0, mask of 128 bytes at 8, flags at 136, restorer at 144. */
const SIGACTION_BYTES = 152;
const SIGACTION_FLAGS = 136;

/** `void handler(int signum, siginfo_t *info, void *context)`: info is in rsi. */
const HANDLER = Uint8Array.of(
  ...[0x83, 0x7e, 0x08, 0x02], //                         cmp  dword [rsi+8], 2   ; si_code, BUS_ADRERR
  ...[0x75, 0x35], //                                     jne  fail
  ...[0x48, 0x8b, 0x7e, 0x10], //                         mov  rdi, [rsi+16]      ; si_addr
  ...[0x48, 0x81, 0xe7, 0x00, 0xf0, 0xff, 0xff], //       and  rdi, -4096
  ...[0xbe, 0x00, 0x10, 0x00, 0x00], //                   mov  esi, 4096
  ...[0xba, 0x03, 0x00, 0x00, 0x00], //                   mov  edx, PROT_READ | PROT_WRITE
  ...[0x41, 0xba, 0x32, 0x00, 0x00, 0x00], //             mov  r10d, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
  ...[0x49, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff], //       mov  r8, -1
  ...[0x45, 0x31, 0xc9], //                               xor  r9d, r9d
  ...[0xb8, 0x09, 0x00, 0x00, 0x00], //                   mov  eax, SYS_mmap
  ...[0x0f, 0x05], //                                     syscall
  ...[0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff], //             cmp  rax, -4096
  ...[0x77, 0x01], //                                     ja   fail
  0xc3, //                                                ret
  ...[0x0f, 0x0b], //                               fail: ud2
);

let installed = false;

/**
 * From now on the truncation of a mapped object gives zeros instead of ending this process. Whether it is so: not on
 * other processors than x86_64, nor where the system allows no new code.
 */
export function surviveTruncation(): boolean {
  if (installed) return true;
  if (Deno.build.arch !== "x86_64") return false;
  warmErrno();
  const sys = libc(TABLE);
  const page = sys.mmap(null, BigInt(PAGE_BYTES), PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0n);
  // MAP_FAILED is the address -1.
  if (page === null || Deno.UnsafePointer.value(page) === 0xffffffffffffffffn) return false;
  const code = Deno.UnsafePointerView.getArrayBuffer(page, PAGE_BYTES);
  new Uint8Array(code).set(HANDLER);
  if (sys.mprotect(page, BigInt(PAGE_BYTES), PROT_READ_EXEC) !== 0) return false;
  const action = new DataView(new ArrayBuffer(SIGACTION_BYTES));
  action.setBigUint64(0, BigInt(Deno.UnsafePointer.value(page)), true);
  action.setInt32(SIGACTION_FLAGS, SA_SIGINFO | SA_ONSTACK, true);
  installed = sys.sigaction(SIGBUS, new Uint8Array(action.buffer), null) === 0;
  return installed;
}
