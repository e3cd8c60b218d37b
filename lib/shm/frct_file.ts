/**
 * What the reliable and ordered flows of a process say of themselves, for the RIB (spec 80 §8.4): an object that the
 * IRMd makes beside the flow set of a process where a RIB is shown, `BASE.frct.PID`. The process writes, the IRMd reads,
 * both with pwrite and pread, so that nobody who cuts the object short harms anybody.
 *
 *     0      mark of a process of this library; zero: nobody writes here (programs of the prototype)
 *     256 n  slot of flow n: i32 flow id (0: free), i32 fd, i32 count of writes, i32 0, f64 when (ns of CLOCK_MONOTONIC),
 *            f64 values, in the last 4 bytes the count again
 *
 * A slot whose two counts differ was read while it was written.
 */

import { type Instance, shmName } from "../instance.ts";
import { FLOW_IDS_MAX } from "../limits.ts";
import { SysError } from "../sys/ffi.ts";
import { ShmObject } from "../sys/mman.ts";
import type { Owner } from "./pool.ts";

const SLOT_BYTES = 256;
const FILE_BYTES_MAX = SLOT_BYTES * FLOW_IDS_MAX;
const MARK = 0x66726374;
const WHEN = 16;
const VALUES = 24;
/** Values that a slot holds. */
export const FRCT_VALUES_MAX: number = (SLOT_BYTES - 4 - VALUES) >> 3;
/** How often a slot that is being written is read again. */
const TRIES = 4;

function nameOf(instance: Instance, pid: number): string {
  return shmName(instance, "frct", pid);
}

/** The end of the process. */
export class FrctFile implements Disposable {
  readonly #object: ShmObject;
  readonly #bytes = new Uint8Array(SLOT_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  #count = 0;

  private constructor(object: ShmObject) {
    this.#object = object;
  }

  /** Opens what the IRMd made for this process, and says that it is used; undefined where no RIB is shown. */
  static open(instance: Instance, pid: number): FrctFile | undefined {
    try {
      const file = new FrctFile(ShmObject.open(nameOf(instance, pid)));
      file.#view.setInt32(0, MARK, true);
      file.#object.pwrite(file.#bytes, SLOT_BYTES, 0);
      return file;
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      return undefined;
    }
  }

  /** Says how a flow is; that it cannot be said (memory is short) harms nobody. */
  put(flowId: number, fd: number, whenNs: number, values: readonly number[]): void {
    const view = this.#view;
    this.#count = (this.#count + 1) | 0;
    view.setInt32(0, flowId, true);
    view.setInt32(4, fd, true);
    view.setInt32(8, this.#count, true);
    view.setFloat64(WHEN, whenNs, true);
    for (let i = 0; i < FRCT_VALUES_MAX; i++) {
      view.setFloat64(VALUES + i * 8, values[i] ?? 0, true);
    }
    view.setInt32(SLOT_BYTES - 4, this.#count, true);
    this.#object.pwrite(this.#bytes, SLOT_BYTES, flowId * SLOT_BYTES);
  }

  /** The flow is over. */
  clear(flowId: number): void {
    this.#bytes.fill(0);
    this.#object.pwrite(this.#bytes, SLOT_BYTES, flowId * SLOT_BYTES);
  }

  [Symbol.dispose](): void {
    this.#object.close();
  }
}

/** What a slot said. */
export interface FrctSlot {
  readonly flowId: number;
  readonly fd: number;
  readonly whenNs: number;
  readonly values: readonly number[];
}

/** The end of the IRMd. */
export const FrctFiles = {
  /** Bytes that an object counts for: what one flow takes. */
  BYTES: 2 * SLOT_BYTES,

  /** Makes the object of a process, which alone may write it. Throws `SysError`. */
  create(instance: Instance, pid: number, owner: Owner): void {
    const name = nameOf(instance, pid);
    ShmObject.take(name, () => ShmObject.create(name, SLOT_BYTES, 0o600, owner).close());
  },

  unlink(instance: Instance, pid: number): void {
    ShmObject.clear(nameOf(instance, pid));
  },

  /** Whether the process writes there; a program of the prototype does not. */
  used(instance: Instance, pid: number): boolean {
    return reading(instance, pid, (object) => {
      const bytes = new Uint8Array(4);
      return object.pread(bytes, 4, 0) === 4 &&
        new DataView(bytes.buffer).getInt32(0, true) === MARK;
    }) ?? false;
  },

  /** The slots of flows, in their order; what is no slot of them is left out. */
  read(instance: Instance, pid: number, flowIds: Iterable<number>): FrctSlot[] {
    return reading(instance, pid, (object) => {
      const slots: FrctSlot[] = [];
      for (const flowId of flowIds) {
        const slot = slotOf(object, flowId);
        if (slot !== undefined) slots.push(slot);
      }
      return slots;
    }) ?? [];
  },
};

/** Undefined when there is no such object, or its user has put something else in its place. */
function reading<T>(instance: Instance, pid: number, use: (object: ShmObject) => T): T | undefined {
  try {
    using object = ShmObject.open(nameOf(instance, pid));
    return use(object);
  } catch (e) {
    if (!(e instanceof SysError)) throw e;
    return undefined;
  }
}

function slotOf(object: ShmObject, flowId: number): FrctSlot | undefined {
  const at = flowId * SLOT_BYTES;
  if (at < SLOT_BYTES || at >= FILE_BYTES_MAX) return undefined;
  const bytes = new Uint8Array(SLOT_BYTES);
  const view = new DataView(bytes.buffer);
  for (let n = 0; n < TRIES; n++) {
    const got = object.pread(bytes, SLOT_BYTES, at);
    if (got !== SLOT_BYTES || view.getInt32(0, true) !== flowId) return undefined;
    if (view.getInt32(8, true) === view.getInt32(SLOT_BYTES - 4, true)) break;
  }
  const values: number[] = [];
  for (let i = 0; i < FRCT_VALUES_MAX; i++) values.push(view.getFloat64(VALUES + i * 8, true));
  return { flowId, fd: view.getInt32(4, true), whenNs: view.getFloat64(WHEN, true), values };
}
