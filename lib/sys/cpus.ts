/** Processors of the host. */

import { lazyLibc } from "./ffi.ts";

// long sysconf(int name); `<bits/confname.h>` of glibc
const sys = lazyLibc({ sysconf: { parameters: ["i32"], result: "isize" } } as const);
const SC_NPROCESSORS_ONLN = 84;

/**
 * Processors that are online. Not those that this thread may use (`navigator.hardwareConcurrency`): a peer may run where we
 * do not.
 */
export function onlineCpus(): number {
  return Number(sys().sysconf(SC_NPROCESSORS_ONLN));
}
