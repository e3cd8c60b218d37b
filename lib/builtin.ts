/**
 * Modules of the runtime's `node:` kind, at first use: the first of them costs a process about as much as all else that
 * starts it, and each thread again, so what starts often does without. Loading is all that happens here. Pure.
 */

/** Those that the library uses. */
interface Builtins {
  "node:crypto": typeof import("node:crypto");
  "node:timers": typeof import("node:timers");
  "node:worker_threads": typeof import("node:worker_threads");
  "node:zlib": typeof import("node:zlib");
}

type Get = <K extends keyof Builtins>(name: K) => Builtins[K];

/** The module; called again it is the same. */
export function builtin<K extends keyof Builtins>(name: K): Builtins[K] {
  return (globalThis as unknown as { process: { getBuiltinModule: Get } }).process
    .getBuiltinModule(name);
}
