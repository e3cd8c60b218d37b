/**
 * What drives control machines in a process: it does what they want, keeps their deadlines with one timer, and lets
 * commands wait for their answers by token. It decides nothing.
 */

import { Errno } from "../lib/errno.ts";
import type { Machine } from "./machine.ts";

/** Longest time that a timer takes, µs. */
const TIMER_MAX_US = 2 ** 31 * 1000 - 1e6;

interface Part {
  readonly machine: Machine<unknown>;
  readonly doNext: () => boolean;
}

/** `R` is what commands are answered with; results of their own are errno numbers. */
export class MachineShell<R = never> {
  readonly #nowUs: () => number;
  readonly #idle: () => void;
  readonly #parts: Part[] = [];
  readonly #commands = new Map<number, (result: number | R) => void>();
  #nextToken = 1;
  #pumping = false;
  #stopped = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtUs = Infinity;

  /**
   * @param nowUs monotonic clock, µs
   * @param idle called whenever the machines want nothing more
   */
  constructor(nowUs: () => number, idle: () => void = () => {}) {
    this.#nowUs = nowUs;
    this.#idle = idle;
  }

  /** Drive a machine too: `perform` does one thing that it wants. It may call back, but must not throw. */
  drive<E>(machine: Machine<E>, perform: (effect: E) => void): void {
    const doNext = () => {
      const effect = machine.poll();
      if (effect === undefined) return false;
      perform(effect);
      return true;
    };
    this.#parts.push({ machine, doNext });
  }

  /** Tell a machine something and do what follows. Nothing happens any more once stopped. */
  feed(input: (nowUs: number) => void): void {
    if (this.#stopped) return;
    input(this.#nowUs());
    this.#pump();
  }

  /** A command to a machine: `input` passes the token on that {@linkcode answer} is called with. */
  command(input: (nowUs: number, token: number) => void): Promise<number | R> {
    if (this.#stopped) return Promise.resolve(-Errno.EIPCPSTATE);
    const token = this.#nextToken++;
    const { promise, resolve } = Promise.withResolvers<number | R>();
    this.#commands.set(token, resolve);
    this.feed((nowUs) => input(nowUs, token));
    return promise;
  }

  /** The command with a token is answered. */
  answer(token: number, result: number | R): void {
    this.#commands.get(token)?.(result);
    this.#commands.delete(token);
  }

  /** Commands that wait. */
  get waiting(): number {
    return this.#commands.size;
  }

  /** Do what the machines want, until they want nothing. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let busy = true; busy;) {
        busy = false;
        for (const { doNext } of this.#parts) if (doNext()) busy = true;
      }
    } finally {
      this.#pumping = false;
    }
    this.#idle();
    this.#arm();
  }

  #arm(): void {
    let atUs = Infinity;
    for (const { machine } of this.#parts) atUs = Math.min(atUs, machine.deadlineUs());
    if (atUs === this.#timerAtUs) return;
    clearTimeout(this.#timer);
    this.#timerAtUs = atUs;
    if (atUs === Infinity) return;
    const inUs = Math.min(Math.max(0, atUs - this.#nowUs()), TIMER_MAX_US);
    this.#timer = setTimeout(() => this.#due(), Math.ceil(inUs / 1000));
  }

  #due(): void {
    this.#timerAtUs = Infinity;
    this.feed((nowUs) => {
      for (const { machine } of this.#parts) {
        if (machine.deadlineUs() <= nowUs) machine.onTimer(nowUs);
      }
    });
  }

  /** Let `input` be the last thing that machines are told; commands that still wait are answered with -1004. */
  stop(input: (nowUs: number) => void = () => {}): void {
    if (this.#stopped) return;
    this.feed(input);
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const resolve of this.#commands.values()) resolve(-Errno.EIPCPSTATE);
    this.#commands.clear();
  }
}
