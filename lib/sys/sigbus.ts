/**
 * Surviving a peer that cuts off shared memory, x86_64 Linux.
 *
 * Who may write an object of /dev/shm may also truncate it, and the next access of anybody who has it mapped raises
 * SIGBUS, which ends the process (spec 10 §11.3). After {@linkcode surviveTruncation} the object gets its length back
 * instead, and the access finds a page of zeros that all who have it mapped share: an empty ring, a block without
 * reference, an unlocked mutex, all of which are checked like any hostile value. So nobody has to map it again; what
 * the zeros lost is repaired by who owns it. Where the object cannot be had any more (its name is gone, the file system
 * or the descriptors are exhausted), and for a mapping that was not {@linkcode guard}ed, the page of zeros is private.
 *
 * Safety: the handler is code of our own, since a signal handler cannot be JavaScript. It makes a few system calls and
 * touches no memory but the siginfo it is given, its stack and a table that it shares with this module, so it may
 * interrupt anything; registers come back with the end of the signal. An entry of the table is in use while its
 * mapping is there, and the access that raised the signal is one to it. The handler takes an access beyond the end of
 * a mapped object (BUS_ADRERR) alone; for any other cause, or when the page cannot be had, it ends the process by an
 * illegal instruction. All threads of a process use the handler and the table of the first: they find it by its bytes.
 */

import { handlerOf, handleSignal, PAGE_BYTES, takesSignalCode } from "./signal_code.ts";

/** Number of <signal.h>. */
const SIGBUS = 7;

/** The handler's page, then its table: a head, then an entry for each guarded mapping. */
const ENTRIES_MAX = 32768;
const ENTRY_BYTES = 128;
const TABLE_BYTES = (ENTRIES_MAX + 1) * ENTRY_BYTES;
/** Of the head: entries that were ever in use, truncated pages that were met. Words. */
const Head = { USED: 0, FAULTS: 1 } as const;
/** Of an entry: the range of addresses (END 0: free), what fstat says of the object, its path. Bytes. */
const Entry = { START: 8, END: 16, INO: 24, PATH: 32 } as const;

/** `void handler(int signum, siginfo_t *info, void *context)`: info is in rsi. */
// deno-fmt-ignore
const HANDLER = Uint8Array.of(
  ...[0x83, 0x7e, 0x08, 0x02],                            //        cmp dword [rsi+8], 2 ; si_code, BUS_ADRERR
  ...[0x0f, 0x85, 0xf0, 0x00, 0x00, 0x00],                //        jne fail
  ...[0x48, 0x8b, 0x5e, 0x10],                            //        mov rbx, [rsi+16] ; si_addr
  ...[0x48, 0x8d, 0x2d, 0xeb, 0x0f, 0x00, 0x00],          //        lea rbp, [rip+handler+4096] ; the table
  ...[0xf0, 0xff, 0x45, 0x04],                            //        lock inc dword [rbp+4] ; FAULTS
  ...[0x44, 0x8b, 0x65, 0x00],                            //        mov r12d, [rbp] ; USED
  ...[0x41, 0xff, 0xcc],                                  // look:  dec r12d
  ...[0x0f, 0x88, 0xa0, 0x00, 0x00, 0x00],                //        js zeros
  ...[0x48, 0x83, 0xed, 0x80],                            //        sub rbp, -128
  ...[0x48, 0x3b, 0x5d, 0x08],                            //        cmp rbx, [rbp+8] ; START
  ...[0x72, 0xed],                                        //        jb look
  ...[0x48, 0x3b, 0x5d, 0x10],                            //        cmp rbx, [rbp+16] ; END
  ...[0x73, 0xe7],                                        //        jae look
  ...[0x48, 0x8d, 0x7d, 0x20],                            //        lea rdi, [rbp+32] ; PATH
  ...[0xbe, 0x02, 0x00, 0x0a, 0x00],                      //        mov esi, 0xa0002 ; O_RDWR | O_CLOEXEC | O_NOFOLLOW
  ...[0x31, 0xd2],                                        //        xor edx, edx
  ...[0xb8, 0x02, 0x00, 0x00, 0x00],                      //        mov eax, 2 ; SYS_open
  ...[0x0f, 0x05],                                        //        syscall
  ...[0x85, 0xc0],                                        //        test eax, eax
  ...[0x78, 0x7a],                                        //        js zeros
  ...[0x41, 0x89, 0xc5],                                  //        mov r13d, eax
  ...[0x48, 0x81, 0xec, 0x98, 0x00, 0x00, 0x00],          //        sub rsp, 152
  ...[0x44, 0x89, 0xef],                                  //        mov edi, r13d
  ...[0x48, 0x89, 0xe6],                                  //        mov rsi, rsp
  ...[0xb8, 0x05, 0x00, 0x00, 0x00],                      //        mov eax, 5 ; SYS_fstat
  ...[0x0f, 0x05],                                        //        syscall
  ...[0x4c, 0x8b, 0x74, 0x24, 0x08],                      //        mov r14, [rsp+8] ; st_ino
  ...[0x48, 0x81, 0xc4, 0x98, 0x00, 0x00, 0x00],          //        add rsp, 152
  ...[0x4c, 0x3b, 0x75, 0x18],                            //        cmp r14, [rbp+24] ; INO
  ...[0xb8, 0xff, 0xff, 0xff, 0xff],                      //        mov eax, -1
  ...[0x75, 0x3a],                                        //        jne shut
  ...[0x44, 0x89, 0xef],                                  //        mov edi, r13d
  ...[0x31, 0xf6],                                        //        xor esi, esi
  ...[0x48, 0x8b, 0x55, 0x10],                            //        mov rdx, [rbp+16]
  ...[0x48, 0x2b, 0x55, 0x08],                            //        sub rdx, [rbp+8]
  ...[0x48, 0xff, 0xca],                                  //        dec rdx ; the last byte: the length comes back
  ...[0x41, 0xba, 0x01, 0x00, 0x00, 0x00],                //        mov r10d, 1
  ...[0xb8, 0x1d, 0x01, 0x00, 0x00],                      //        mov eax, 285 ; SYS_fallocate
  ...[0x0f, 0x05],                                        //        syscall
  ...[0x85, 0xc0],                                        //        test eax, eax
  ...[0x78, 0x19],                                        //        js shut
  ...[0x44, 0x89, 0xef],                                  //        mov edi, r13d
  ...[0x31, 0xf6],                                        //        xor esi, esi
  ...[0x48, 0x89, 0xda],                                  //        mov rdx, rbx ; this page
  ...[0x48, 0x2b, 0x55, 0x08],                            //        sub rdx, [rbp+8]
  ...[0x41, 0xba, 0x01, 0x00, 0x00, 0x00],                //        mov r10d, 1
  ...[0xb8, 0x1d, 0x01, 0x00, 0x00],                      //        mov eax, 285 ; SYS_fallocate
  ...[0x0f, 0x05],                                        //        syscall
  ...[0x41, 0x89, 0xc6],                                  // shut:  mov r14d, eax
  ...[0x44, 0x89, 0xef],                                  //        mov edi, r13d
  ...[0xb8, 0x03, 0x00, 0x00, 0x00],                      //        mov eax, 3 ; SYS_close
  ...[0x0f, 0x05],                                        //        syscall
  ...[0x45, 0x85, 0xf6],                                  //        test r14d, r14d
  ...[0x74, 0x33],                                        //        jz done
  ...[0x48, 0x89, 0xdf],                                  // zeros: mov rdi, rbx
  ...[0x48, 0x81, 0xe7, 0x00, 0xf0, 0xff, 0xff],          //        and rdi, -4096
  ...[0xbe, 0x00, 0x10, 0x00, 0x00],                      //        mov esi, 4096
  ...[0xba, 0x03, 0x00, 0x00, 0x00],                      //        mov edx, 3 ; PROT_READ | PROT_WRITE
  ...[0x41, 0xba, 0x32, 0x00, 0x00, 0x00],                //        mov r10d, 0x32 ; MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS
  ...[0x49, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff],          //        mov r8, -1
  ...[0x45, 0x31, 0xc9],                                  //        xor r9d, r9d
  ...[0xb8, 0x09, 0x00, 0x00, 0x00],                      //        mov eax, 9 ; SYS_mmap
  ...[0x0f, 0x05],                                        //        syscall
  ...[0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff],                //        cmp rax, -4096
  ...[0x77, 0x01],                                        //        ja fail
  ...[0xc3],                                              // done:  ret
  ...[0x0f, 0x0b],                                        // fail:  ud2
);

/** The table of the process, as this thread sees it. */
let table: DataView<ArrayBuffer> | undefined;
let words = new Int32Array(2);
let refused = false;
/** Entries that this thread has used and given back. */
const free: number[] = [];

/**
 * From now on the truncation of a mapped object does not end this process. Whether it is so: not on other processors than
 * x86_64, nor where the system allows no new code.
 */
export function surviveTruncation(): boolean {
  if (table !== undefined) return true;
  if (refused || !takesSignalCode()) return false;
  const page = handlerOf(SIGBUS, HANDLER) ?? handleSignal(SIGBUS, HANDLER, TABLE_BYTES);
  refused = page === undefined;
  if (page === undefined) return false;
  const at = Deno.UnsafePointer.offset(page, PAGE_BYTES)!;
  table = new DataView(Deno.UnsafePointerView.getArrayBuffer(at, TABLE_BYTES));
  words = new Int32Array(table.buffer, 0, 2);
  return true;
}

/**
 * Lets the object of a mapping have its length back when somebody cuts it off.
 * @param path of the object, which must still be the one with this inode then
 * @returns an entry for {@linkcode unguard}; -1 when pages that are cut off become private zeros
 */
export function guard(at: Deno.PointerObject, bytes: number, path: string, ino: number): number {
  if (table === undefined) return -1;
  const name = new TextEncoder().encode(path);
  if (name.length >= ENTRY_BYTES - Entry.PATH) return -1;
  const entry = free.pop() ?? Atomics.add(words, Head.USED, 1) + 1;
  if (entry > ENTRIES_MAX) {
    Atomics.sub(words, Head.USED, 1);
    return -1;
  }
  const start = entry * ENTRY_BYTES;
  const address = BigInt(Deno.UnsafePointer.value(at));
  table.setBigUint64(start + Entry.START, address, true);
  table.setBigUint64(start + Entry.INO, BigInt(ino), true);
  const place = new Uint8Array(table.buffer, start + Entry.PATH, ENTRY_BYTES - Entry.PATH);
  place.fill(0);
  place.set(name);
  table.setBigUint64(start + Entry.END, address + BigInt(bytes), true);
  return entry;
}

/** Forgets a mapping that is about to end. */
export function unguard(entry: number): void {
  if (entry < 0 || table === undefined) return;
  table.setBigUint64(entry * ENTRY_BYTES + Entry.END, 0n, true);
  free.push(entry);
}

/** How often this process met memory that somebody had cut off. */
export function truncations(): number {
  return Atomics.load(words, Head.FAULTS);
}
