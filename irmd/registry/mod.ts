/**
 * The registry of the IRMd: everything it knows, as pure code. Start with `registry.ts`, which says how the
 * daemon uses it; `bindings.ts` is its part without flows, the other files are its tables.
 */

export * from "./bindings.ts";
export * from "./flow.ts";
export * from "./name.ts";
export * from "./registry.ts";
export * from "./tables.ts";
export * from "./waiter.ts";
