/**
 * What one flow with FRCT says of itself for the RIB: at most so often that saying it costs nothing, and in the end as it
 * was last. Where no RIB is shown there is none of these.
 */

import type { FrctEndpoint } from "../frct/mod.ts";
import { frctLineValues } from "../frct/rib.ts";
import type { FrctFile } from "../shm/frct_file.ts";

/** How old what is said may be, µs. */
const SHOW_US = 100_000;

/** See the head of this file. */
export class FrctShow {
  /** When what has changed must be said, µs; Infinity: nothing has. */
  deadlineUs: number = Infinity;
  #nextUs = -Infinity;

  constructor(
    private readonly file: FrctFile,
    private readonly flowId: number,
    private readonly fd: number,
  ) {}

  /** Something about the flow has changed. */
  changed(endpoint: FrctEndpoint, nowUs: number): void {
    if (nowUs < this.#nextUs) this.deadlineUs = this.#nextUs;
    else this.#say(endpoint, nowUs);
  }

  /** Says what is due. */
  due(endpoint: FrctEndpoint, nowUs: number): void {
    if (nowUs >= this.deadlineUs) this.#say(endpoint, nowUs);
  }

  #say(endpoint: FrctEndpoint, nowUs: number): void {
    this.#nextUs = nowUs + SHOW_US;
    this.deadlineUs = Infinity;
    this.file.put(this.flowId, this.fd, nowUs * 1000, frctLineValues(endpoint.stats(nowUs)));
  }

  /** The flow is over. */
  end(): void {
    this.deadlineUs = Infinity;
    this.file.clear(this.flowId);
  }
}
