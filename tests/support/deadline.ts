/** Waiting in tests: for a condition or a promise, with a deadline that fails with a message. */

/**
 * Deadline of a wait, ms: long enough for a machine with much other work, it only limits failures. Tests give another
 * one only where being late is what would be wrong, and a longer one for whole builds. Who breaks
 * things on purpose sets a shorter one.
 */
export const DEADLINE_MS = Number(Deno.env.get("OURO_TEST_DEADLINE_MS") ?? 120_000);

/** Polls until `condition` gives something other than false or undefined, and returns that. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  deadlineMs: number = DEADLINE_MS,
): Promise<Exclude<T, false | undefined | null>> {
  const end = performance.now() + deadlineMs;
  for (let pauseMs = 2;; pauseMs = Math.min(pauseMs * 2, 50)) {
    const got = await condition();
    if (got !== false && got !== undefined && got !== null) {
      return got as Exclude<T, false | undefined | null>;
    }
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((done) => setTimeout(done, pauseMs));
  }
}

/** The promise, or a failure when it is not settled in time. */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  deadlineMs: number = DEADLINE_MS,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
