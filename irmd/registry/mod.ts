/**
 * The registry of the IRMd: everything it knows, as pure code. Start with `registry.ts`, which says how the
 * daemon uses it; `bindings.ts` and `flows.ts` are its parts, the other files
 * their tables.
 *
 * Pure.
 */

export * from "./bindings.ts";
export * from "./flow.ts";
export * from "./flows.ts";
export * from "./name.ts";
export * from "./plan.ts";
export * from "./records.ts";
export * from "./registry.ts";
export * from "./tables.ts";
export * from "./waiter.ts";
