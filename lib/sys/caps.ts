/**
 * Giving up capabilities (`capset`, `prctl` of <sys/prctl.h>, <linux/capability.h>), checked with Linux 6.
 *
 * Capabilities belong to a thread; threads inherit those of their maker. So the main thread calls this before it
 * starts the threads that do the work, and {@linkcode keepCapabilitiesEverywhere} reaches those that the runtime has
 * started. Nothing happens in a process that has none.
 *
 * Safety: the handler of {@linkcode keepCapabilitiesEverywhere} makes two system calls that concern the thread it
 * interrupts and touches no memory but its own page.
 */

import { lazyLibc } from "./ffi.ts";
import { handleSignal, takesSignalCode } from "./signal_code.ts";

const TABLE = {
  // int capset(cap_user_header_t header, const cap_user_data_t data);
  capset: { parameters: ["buffer", /* header */ "buffer" /* data */], result: "i32" },
  // int capget(cap_user_header_t header, cap_user_data_t data);
  capget: { parameters: ["buffer", /* header */ "buffer" /* data */], result: "i32" },
  // int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  // int tgkill(pid_t tgid, pid_t tid, int sig);
  tgkill: { parameters: ["i32", /* tgid */ "i32", /* tid */ "i32" /* sig */], result: "i32" },
} as const;

const sys = lazyLibc(TABLE);

/** Numbers of <linux/capability.h>. */
export const Cap = { DAC_OVERRIDE: 1, IPC_LOCK: 14, SYS_ADMIN: 21 } as const;

/** What is left in an IPCP that works: to open the memory of other users' processes, and to keep it in memory. */
export const DATA_CAPABILITIES: readonly number[] = [Cap.DAC_OVERRIDE, Cap.IPC_LOCK];

/** What a thread that serves a file system keeps. */
export const UNMOUNTING: readonly number[] = [Cap.SYS_ADMIN];

const LINUX_CAPABILITY_VERSION_3 = 0x20080522;
const PR_SET_NO_NEW_PRIVS = 38;

/** Permitted capabilities of the calling thread, bit n is capability n (the lower 32). */
export function permittedCapabilities(): number {
  const header = new Uint32Array([LINUX_CAPABILITY_VERSION_3, 0]);
  const data = new Uint32Array(6); // two of {effective, permitted, inheritable}
  sys().capget(new Uint8Array(header.buffer), new Uint8Array(data.buffer));
  return data[1]!;
}

/**
 * Keep only `keep` of the calling thread's capabilities, and let no program started from here gain any.
 * Whether the kernel did it; without capabilities there is nothing to do.
 */
export function keepCapabilities(keep: readonly number[]): boolean {
  const had = permittedCapabilities();
  sys().prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n);
  const mask = maskOf(keep) & had;
  const header = new Uint32Array([LINUX_CAPABILITY_VERSION_3, 0]);
  const data = new Uint32Array([mask, mask, 0, 0, 0, 0]);
  return sys().capset(new Uint8Array(header.buffer), new Uint8Array(data.buffer)) === 0;
}

/** A real-time signal that neither the C library nor the runtime uses. */
const SIGNAL = 50;
/** How long threads may take to give up what they have, and the pause between two looks, ms. */
const REACH_MS = 2000;
const LOOK_MS = 10;

/** `void handler(int signum)`. */
// deno-fmt-ignore
const HANDLER = [
  ...[0xbf, 0x26, 0x00, 0x00, 0x00],             // mov  edi, PR_SET_NO_NEW_PRIVS
  ...[0xbe, 0x01, 0x00, 0x00, 0x00],             // mov  esi, 1
  ...[0x31, 0xd2],                               // xor  edx, edx
  ...[0x45, 0x31, 0xd2],                         // xor  r10d, r10d
  ...[0x45, 0x31, 0xc0],                         // xor  r8d, r8d
  ...[0xb8, 0x9d, 0x00, 0x00, 0x00],             // mov  eax, SYS_prctl
  ...[0x0f, 0x05],                               // syscall
  ...[0x48, 0x8d, 0x3d, 0x10, 0x00, 0x00, 0x00], // lea  rdi, [rip+16]  ; the header at 48
  ...[0x48, 0x8d, 0x35, 0x11, 0x00, 0x00, 0x00], // lea  rsi, [rip+17]  ; the sets at 56
  ...[0xb8, 0x7e, 0x00, 0x00, 0x00],             // mov  eax, SYS_capset
  ...[0x0f, 0x05],                               // syscall
  0xc3,                                          // ret
];
const HEADER_AT = 48;
const SETS_AT = 56;
const CODE_BYTES = SETS_AT + 24;

/**
 * Lets every thread of the process keep only `keep` of its capabilities, those of the runtime included, and let no program
 * started from there gain any. Threads that keep exactly `spared` already are left as they are. On other processors than
 * x86_64 it is the calling thread alone.
 * @returns whether all threads were reached; an idle one is at once, before the promise is there
 */
export async function keepCapabilitiesEverywhere(
  keep: readonly number[],
  spared: readonly number[] = [],
): Promise<boolean> {
  const had = permittedCapabilities();
  if (!keepCapabilities(keep)) return false;
  if (!takesSignalCode()) return false;
  const mask = maskOf(keep) & had;
  const code = new Uint8Array(CODE_BYTES);
  code.set(HANDLER);
  const words = new DataView(code.buffer);
  words.setUint32(HEADER_AT, LINUX_CAPABILITY_VERSION_3, true);
  words.setUint32(SETS_AT, mask, true);
  words.setUint32(SETS_AT + 4, mask, true);
  const good = (caps: bigint) =>
    (caps & ~BigInt(mask >>> 0)) === 0n || caps === BigInt(maskOf(spared) >>> 0);
  let others = threads().filter((t) => !good(t.permitted));
  if (others.length === 0) return true;
  if (handleSignal(SIGNAL, code) === undefined) return false;
  for (const { tid } of others) sys().tgkill(Deno.pid, tid, SIGNAL);
  for (let ms = 0; ms < REACH_MS; ms += LOOK_MS) {
    others = threads().filter((t) => !good(t.permitted));
    if (others.length === 0) return true;
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
  return false;
}

function maskOf(caps: readonly number[]): number {
  let mask = 0;
  for (const cap of caps) mask |= 1 << cap;
  return mask;
}

/** The threads of this process that are there, and their permitted capabilities. */
export function threads(): { tid: number; permitted: bigint }[] {
  const found = [];
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    try {
      const status = Deno.readTextFileSync(`/proc/self/task/${name}/status`);
      const permitted = /^CapPrm:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
      found.push({ tid: Number(name), permitted: BigInt(`0x${permitted}`) });
    } catch {
      // It has ended.
    }
  }
  return found;
}
