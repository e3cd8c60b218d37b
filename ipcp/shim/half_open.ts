/**
 * Flows that were accepted for an asker whose address may be forged, and on which nothing was heard since: only some
 * stay. A C process may be silent for good, so while they are few each stays however long it says nothing; of more, the
 * oldest ends once it had the time to speak. Of our own nodes a silent one says that it is there (`flow_here`). Pure.
 */

/** So many stay. */
export const HALF_OPEN_MAX = 64;
/** Of a small number of endpoint ids, one part in so many. */
const OF_EIDS = 4;
/** Time to speak, µs: our nodes say that they are there after {@linkcode SILENT_US}. */
export const HALF_OPEN_LIFE_US = 4e6;
/** When a process that asked for a flow and has written nothing counts as silent, µs. */
export const SILENT_US = 1e6;

/** See the file's comment. */
export class HalfOpen {
  /** Since when, oldest first. */
  readonly #since = new Map<number, number>();
  readonly #max: number;

  /** @param eids how many endpoint ids there are */
  constructor(eids: number) {
    this.#max = Math.min(HALF_OPEN_MAX, Math.ceil(eids / OF_EIDS));
  }

  get size(): number {
    return this.#since.size;
  }

  /** A flow was accepted. */
  add(nowUs: number, flowId: number): void {
    this.#since.set(flowId, nowUs);
  }

  /** It has ended, or somebody is there. */
  delete(flowId: number): void {
    this.#since.delete(flowId);
  }

  /** A flow that is one too many and had its time; it is not counted any more. */
  take(nowUs: number): number | undefined {
    if (this.deadlineUs() > nowUs) return undefined;
    const [flowId] = this.#since.keys();
    this.#since.delete(flowId!);
    return flowId;
  }

  /** When to look again. */
  deadlineUs(): number {
    if (this.#since.size <= this.#max) return Infinity;
    const [sinceUs] = this.#since.values();
    return sinceUs! + HALF_OPEN_LIFE_US;
  }
}
