/**
 * Whether this process was told to end: from then on it waits for nobody who may be slow, neither for the IRMd's answers
 * nor for whoever reads its output. The tools say so when a signal comes; a library decides nothing here.
 *
 * State of the process, as are its signals and its standard output. It is handed on where those are made (`socketLink`,
 * `stdout`, `stderr`); everybody else has the signal passed in.
 */

const controller = new AbortController();

/** Aborts when the process was told to end. */
export const hurry: AbortSignal = controller.signal;

/** The process was told to end. */
export function hurryUp(): void {
  controller.abort();
}
