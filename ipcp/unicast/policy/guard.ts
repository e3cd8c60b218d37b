/**
 * What stands between a policy from a file and the node: whatever the policy does, the node goes on. Pure.
 *
 * A policy that throws, takes more turns than it may, or says what cannot be is left at once and for good: what comes in
 * its place goes on with what is known (`routing.ts`, `directory.ts`, `congestion.ts`), and it is said once.
 */

/** Turns of a call that a command or a message causes. */
export const CONTROL_TURNS = 2e6;
/** Turns of a call for a packet. */
export const PACKET_TURNS = 1e5;
/** Effects that a policy gives between two inputs, at most. */
export const EFFECTS_MAX = 10_000;
/** Shortest time between two times that a policy's timer runs, µs. */
export const TIMER_US = 1000;

/** A policy and what looks after it. */
export class Guard {
  /** It is not asked any more. */
  isBroken = false;
  readonly #name: string;
  readonly #turns: (n: number) => void;
  readonly #instead: string;
  readonly #say: (line: string) => void;
  readonly #describe: (e: unknown) => string;

  /**
   * @param name of the policy, for people
   * @param turns before a call: the turns it may take
   * @param instead what comes in its place, for people
   * @param say told once
   */
  constructor(
    name: string,
    turns: (n: number) => void,
    instead: string,
    say: (line: string) => void,
    describe: (e: unknown) => string,
  ) {
    this.#name = name;
    this.#turns = turns;
    this.#instead = instead;
    this.#say = say;
    this.#describe = describe;
  }

  /** A call begins. */
  begin(turns: number): void {
    this.#turns(turns);
  }

  /** Calls the policy; `broken` if it threw, or had done so before. */
  call<T>(method: string, run: () => T): T | Broken {
    if (this.isBroken) return BROKEN;
    try {
      this.#turns(CONTROL_TURNS);
      return run();
    } catch (e) {
      this.threw(method, e);
      return BROKEN;
    }
  }

  threw(method: string, e: unknown): void {
    let what: string;
    try {
      what = this.#describe(e);
    } catch {
      what = "something that cannot be shown";
    }
    this.#leave(`threw in ${method}: ${what}`);
  }

  /** It said what cannot be. */
  nonsense(method: string, what: string): void {
    this.#leave(`${method}: ${what}`);
  }

  #leave(why: string): void {
    if (this.isBroken) return;
    this.isBroken = true;
    this.#say(`Policy ${this.#name} is left: ${why}; ${this.#instead} takes its place.`);
  }
}

export const BROKEN: unique symbol = Symbol("broken");
/** The policy is not asked any more. */
export type Broken = typeof BROKEN;

/** A value that a policy gave, for people. */
export function shown(x: unknown): string {
  try {
    return typeof x === "object" ? Object.prototype.toString.call(x) : String(x).slice(0, 40);
  } catch {
    return "something";
  }
}
