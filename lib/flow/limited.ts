/** Asynchronous calls that know an end by signal alone get one by time as well. */

import { Errno, OuroError } from "../errno.ts";
import type { AsyncCallOptions } from "./options.ts";

/**
 * Runs with a signal that aborts with that of the options, or when their time is over: then it rejects with `OuroError`
 * -ETIMEDOUT. No timer is left behind.
 */
export async function limited<T>(
  options: AsyncCallOptions,
  action: string,
  run: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  const { signal } = options;
  const ms = options.timeoutMs ?? options.timeout;
  if (ms === undefined || ms === Infinity) return await run(signal);
  const over = new AbortController();
  const timer = setTimeout(
    () => over.abort(new OuroError(-Errno.ETIMEDOUT, action)),
    Math.min(ms, 0x7fffffff),
  );
  try {
    return await run(
      signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]),
    );
  } finally {
    clearTimeout(timer);
  }
}
