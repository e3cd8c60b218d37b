/**
 * Standard output and error of a program that hears signals. Text is written at once while its reader keeps up. What a full
 * pipe does not take waits here, and is written by a thread of the runtime: so the event loop turns, and signals are heard,
 * whatever the reader does. Who writes much awaits {@linkcode Outlet.room} now and then, which is the back-pressure.
 */

import { hurry } from "../hurry.ts";
import { fileCause } from "./reason.ts";
import { hasRoom } from "../sys/fd.ts";

/** What a pipe that is writable takes without blocking, bytes (PIPE_BUF, pipe(7)). */
const PIPE_BYTES = 4096;
/** More than this that waits makes writers wait, bytes. */
const WAITING_MAX = 65_536;
/** Longest wait for the reader of a process that was told to end, ms. */
const HURRY_MS = 20;

/** A stream of the runtime. */
export interface OutletStream {
  writeSync(bytes: Uint8Array): number;
  write(bytes: Uint8Array): Promise<number>;
}

/** See the head of this file. */
export class Outlet {
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #failure: unknown;

  /**
   * @param hasRoom whether {@linkcode PIPE_BYTES} are taken without blocking
   * @param hurry aborts when the process is told to end
   * @param name what failures call it
   */
  constructor(
    private readonly stream: OutletStream,
    private readonly hasRoom: () => boolean,
    private readonly hurry: AbortSignal,
    private readonly name: string,
  ) {}

  /** Takes all of it, or nothing when much waits already or nobody reads: for what may be lost. */
  offer(bytes: Uint8Array): void {
    if (this.#waitingBytes > WAITING_MAX) return;
    try {
      this.writeSync(bytes);
    } catch {
      // Nobody reads it.
    }
  }

  /** Takes all of it. Throws what this or an earlier write failed with, `BrokenPipe` when nobody reads any more. */
  writeSync(bytes: Uint8Array): number {
    this.#check();
    let at = 0;
    try {
      while (at < bytes.length && this.#writing === undefined && this.hasRoom()) {
        at += this.stream.writeSync(bytes.subarray(at, at + PIPE_BYTES));
      }
    } catch (error) {
      throw this.#failed(error);
    }
    if (at < bytes.length) this.#keep(bytes.slice(at));
    return bytes.length;
  }

  /** Resolves when little waits, or when the process is told to end. Rejects as {@linkcode writeSync} throws. */
  async room(): Promise<void> {
    while (this.#waitingBytes > WAITING_MAX && !this.hurry.aborted) await this.#turn();
    this.#check();
  }

  /** Resolves when everything was written; soon when the process is told to end. Rejects as {@linkcode writeSync} throws. */
  async settle(): Promise<void> {
    while (this.#writing !== undefined && !this.hurry.aborted) await this.#turn();
    if (this.#writing !== undefined) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => timer = setTimeout(resolve, HURRY_MS));
      await Promise.race([this.#writing, late]);
      clearTimeout(timer);
    }
    this.#check();
  }

  #failed(error: unknown): unknown {
    return error instanceof Deno.errors.BrokenPipe
      ? error
      : new Error(`cannot write to ${this.name}: ${fileCause(error)}`);
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #keep(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    try {
      for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
        const n = await this.stream.write(next);
        this.#waitingBytes -= n;
        if (n < next.length) this.#waiting[0] = next.subarray(n);
        else this.#waiting.shift();
      }
    } catch (error) {
      this.#failure = this.#failed(error);
      this.#waiting = [];
      this.#waitingBytes = 0;
    } finally {
      this.#writing = undefined;
    }
  }

  /** What waits was written, or the process is told to end. */
  #turn(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.hurry.removeEventListener("abort", done);
        resolve();
      };
      this.hurry.addEventListener("abort", done);
      this.#writing?.then(done);
    });
  }
}

/** Standard output of the process. */
export const stdout: Outlet = new Outlet(Deno.stdout, () => hasRoom(1), hurry, "standard output");
/** Standard error of the process. */
export const stderr: Outlet = new Outlet(Deno.stderr, () => hasRoom(2), hurry, "standard error");
