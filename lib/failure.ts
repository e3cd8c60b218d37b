/** How protocol code says that something failed: a value of one shape. Pure. */

/** Why something failed. */
export interface Failure {
  /** Negative errno. */
  readonly code: number;
  /** The step that failed, e.g. `enrollment`. */
  readonly stage: string;
  /** One line for a person: what was seen, and what to do where that is known. */
  readonly cause: string;
}
