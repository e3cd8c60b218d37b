/**
 * The first thing that the library does: it says in one line where it cannot run.
 */

if ((globalThis as { Deno?: { dlopen?: unknown } }).Deno?.dlopen === undefined) {
  const { process } = globalThis as { process?: { versions?: Record<string, string> } };
  const here = process?.versions?.bun !== undefined
    ? "Bun"
    : process?.versions?.node !== undefined
    ? "Node.js"
    : "this runtime";
  throw new Error(`@ouro/ouro needs Deno 2.9 or later (its FFI); it cannot run on ${here}`);
}
