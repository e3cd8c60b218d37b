/**
 * How long this thread may run at a time while others want its processor. Checked on x86_64 and aarch64.
 *
 * C: `syscall` of <unistd.h> with `sched_getattr`, `sched_setattr` and their `struct sched_attr` (<linux/sched/types.h>).
 */

import { lazyLibc } from "./ffi.ts";

const sys = lazyLibc(
  {
    // long syscall(long number, pid_t pid, struct sched_attr *attr, unsigned int size or flags, unsigned int flags)
    syscall: { parameters: ["i32", "i32", "buffer", "u32", "u32"], result: "i32" },
  } as const,
);

const NUMBERS = { x86_64: { set: 314, get: 315 }, aarch64: { set: 274, get: 275 } } as const;

/** struct sched_attr: offsets of what is used of its first version. */
const ATTR_BYTES = 48;
const POLICY_AT = 4;
const RUNTIME_AT = 24;
const SCHED_OTHER = 0;
/** The shortest that the kernel takes, ns. */
const SLICE_NS = 100_000n;

/**
 * Asks for short slices: the thread gets as much of its processor as before, but sooner after it was woken, and giving the
 * processor up costs it less. Whether the kernel took it; before Linux 6.12 it then makes no difference.
 */
export function shortSlices(): boolean {
  const { set, get } = NUMBERS[Deno.build.arch];
  const bytes = new Uint8Array(ATTR_BYTES);
  const attr = new DataView(bytes.buffer);
  // What is not changed stays as it is: a nice value above all.
  if (sys().syscall(get, 0, bytes, ATTR_BYTES, 0) !== 0) return false;
  if (attr.getUint32(POLICY_AT, true) !== SCHED_OTHER) return false;
  attr.setBigUint64(RUNTIME_AT, SLICE_NS, true);
  return sys().syscall(set, 0, bytes, 0, 0) === 0;
}
