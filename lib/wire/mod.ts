/**
 * What every wire module guarantees, written once. Pure.
 *
 * - `parse` never throws, reads only `[at, end)` of its buffer, and keeps no reference to it unless
 *   its doc says so; it compares lengths before it reads.
 * - `encode` writes into a given buffer, writes reserved bytes as zero, and writes nothing when it fails.
 * - `describe` renders any bytes, garbage included, as one line.
 */

/** Why bytes were refused: the field and the reason, as one value that is never thrown. */
export class WireError {
  constructor(
    /** The field that was bad, e.g. `flow_info.qos.delay`. */
    readonly field: string,
    /** What was wrong with it, e.g. `missing`, `short: 3 of 8 bytes`. */
    readonly reason: string,
  ) {}

  toString(): string {
    return `${this.field}: ${this.reason}`;
  }
}

/** Whether a parse result is a refusal. */
export function isWireError(x: unknown): x is WireError {
  return x instanceof WireError;
}
