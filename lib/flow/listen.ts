/**
 * What comes to a server, one after the other, until its signal aborts or the loop over it ends.
 */

import { Errno, OuroError } from "../errno.ts";
import type { FlowOptions } from "./options.ts";

/** Codes that end {@linkcode Flow.listen}: the IRMd is gone, or we aren't known to it. */
const LISTEN_ENDS: ReadonlySet<number> = new Set([
  -Errno.EIRMD,
  -Errno.EINVAL,
  -Errno.EPERM,
  -Errno.ETIMEDOUT,
  -Errno.EBADF,
]);

/**
 * What `next` gives; a failure of one flow's set-up is passed over. `return()` and `throw()` end a pending `next()`
 * as well. Rejects with `OuroError`, see {@linkcode Flow.listen}.
 */
export function untilEnd<T>(
  options: FlowOptions,
  next: (options: FlowOptions) => Promise<T>,
): AsyncGenerator<T, void, void> {
  const stop = new AbortController();
  const { signal } = options;
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const all = each({ ...options, signal: either }, next);
  // A generator that waits does not hear of its end: the wait has to be ended for it.
  const end = all.return.bind(all);
  all.return = (value) => {
    stop.abort();
    return end(value);
  };
  const fail = all.throw.bind(all);
  all.throw = (error) => {
    stop.abort();
    return fail(error);
  };
  return all;
}

async function* each<T>(
  options: FlowOptions,
  next: (options: FlowOptions) => Promise<T>,
): AsyncGenerator<T, void, void> {
  const { signal } = options;
  while (!signal?.aborted) {
    try {
      yield await next(options);
    } catch (e) {
      if (signal?.aborted) return;
      // A flow that failed while it was set up is its peer's trouble; a lost IRMd is ours.
      if (!(e instanceof OuroError) || LISTEN_ENDS.has(e.code)) throw e;
    }
  }
}
