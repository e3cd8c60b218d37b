/**
 * Giving up capabilities (`capset`, `prctl` of <sys/prctl.h>, <linux/capability.h>), checked with Linux 6.
 *
 * Capabilities belong to a thread; threads inherit those of their maker. So the main thread calls this before it
 * starts the threads that do the work. Nothing happens in a process that has none.
 */

import { lazyLibc } from "./ffi.ts";

const TABLE = {
  // int capset(cap_user_header_t header, const cap_user_data_t data);
  capset: { parameters: ["buffer", /* header */ "buffer" /* data */], result: "i32" },
  // int capget(cap_user_header_t header, cap_user_data_t data);
  capget: { parameters: ["buffer", /* header */ "buffer" /* data */], result: "i32" },
  // int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
} as const;

const sys = lazyLibc(TABLE);

/** Numbers of <linux/capability.h>. */
export const Cap = { DAC_OVERRIDE: 1, IPC_LOCK: 14, SYS_ADMIN: 21 } as const;

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
  let mask = 0;
  for (const cap of keep) mask |= 1 << cap;
  mask &= had;
  const header = new Uint32Array([LINUX_CAPABILITY_VERSION_3, 0]);
  const data = new Uint32Array([mask, mask, 0, 0, 0, 0]);
  return sys().capset(new Uint8Array(header.buffer), new Uint8Array(data.buffer)) === 0;
}
