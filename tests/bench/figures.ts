// deno-lint-ignore-file no-console -- a program, which prints
/**
 * How the benches measure: in slices, so that the time which other work on the machine took can be told from the time
 * of the code. The median of the slices, and as `best` the tenth percentile, which other work does not reach.
 */

export interface Figures {
  readonly median: number;
  readonly best: number;
}

/** Round trips of a slice: a look at the clock costs a tenth of one. */
const BATCH = 50;

/** Figures of values with the best one first. */
function figuresOf(values: readonly number[]): Figures {
  return { median: values[values.length >> 1]!, best: values[Math.floor(values.length / 10)]! };
}

/** Rates of slices. */
export function rates(values: readonly number[]): Figures {
  return figuresOf(values.toSorted((a, b) => b - a));
}

/**
 * Round trips, µs: `once` makes one. `count` of them, fewer when `enoughMs` have gone: a busy machine gets fewer
 * messages, not a bench without end. The first quarter warms up.
 */
export function roundTrips(count: number, once: () => void, enoughMs = Infinity): Figures {
  const times: number[] = [];
  const begin = performance.now();
  for (let i = 0; i < count / BATCH && performance.now() < begin + enoughMs; i++) {
    const start = performance.now();
    for (let k = 0; k < BATCH; k++) once();
    times.push((performance.now() - start) * 1000 / BATCH);
  }
  return figuresOf(times.slice(times.length >> 2).sort((a, b) => a - b));
}

/** Prints figures of a peer as one JSON line. */
export function report(figures: Figures | Record<string, number>): void {
  console.log(JSON.stringify(figures));
}

/** The figures that a peer has printed, if any. */
export function reported<F>(out: string): F | undefined {
  const json = out.split("\n").find((l) => l.startsWith("{"));
  return json === undefined ? undefined : JSON.parse(json);
}

/** Prints one line of the bench's table. */
export function line(what: string, value: string, note = ""): void {
  console.log(`${what.padEnd(44)} ${value.padStart(16)}  ${note}`);
}
