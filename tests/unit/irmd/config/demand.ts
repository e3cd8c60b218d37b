/** An assertion that narrows types, which the one of the library does not. */

/** Fails unless the condition holds. */
export function demand(condition: unknown, message = "condition does not hold"): asserts condition {
  if (!condition) throw new Error(message);
}
