/**
 * What programs show in the RIB: `proc.PID/FD/frct` for each of their flows with FRCT (spec 80 §8.2, §8.4), for programs
 * of any user. A program says how its flows are in an object of its own (`lib/shm/frct_file.ts`); the daemon reads it
 * when somebody looks, shows of it what is about flows that the program has, and mounts it with the first such flow.
 * Programs of the prototype mount their own.
 */

import { frctValues, frctValuesText } from "../lib/frct/rib.ts";
import type { Instance } from "../lib/instance.ts";
import { FDS_MAX } from "../lib/limits.ts";
import type { Logger } from "../lib/log.ts";
import type { RibServer } from "../lib/rib/mount.ts";
import type { RibObject, RibTree } from "../lib/rib/tree.ts";
import { FrctFiles, type FrctSlot } from "../lib/shm/frct_file.ts";
import { monotonicNs } from "../lib/sys/clock.ts";
import { SysError } from "../lib/sys/ffi.ts";
import type { Registry } from "./registry/mod.ts";

/** Programs that are shown at once, and those of a user without privileges. */
const SHOWN_MAX = 256;
const SHOWN_OF_USER_MAX = 32;

const FILE = "frct";

/** See the file's comment. */
export class RibPrograms {
  readonly #instance: Instance;
  readonly #log: Logger;
  readonly #files: RibServer;
  readonly #registry: Registry;
  /** Those that have an object. */
  readonly #known = new Set<number>();
  readonly #shown = new Map<number, { readonly tree: number; readonly flowUid: number }>();
  #said = false;

  constructor(instance: Instance, log: Logger, files: RibServer, registry: Registry) {
    this.#instance = instance;
    this.#log = log;
    this.#files = files;
    this.#registry = registry;
  }

  /** A program has announced itself. */
  announced(pid: number, uid: number, gid: number): void {
    try {
      FrctFiles.create(this.#instance, pid, { uid, gid });
      this.#known.add(pid);
    } catch (e) {
      if (!(e instanceof SysError)) throw e;
      this.#fail(`no memory for process ${pid}: ${e.message}`);
    }
  }

  /** A program got a flow with FRCT. */
  granted(pid: number): void {
    if (!this.#known.has(pid) || this.#shown.has(pid)) return;
    const proc = this.#registry.procs.get(pid);
    if (proc === undefined || !FrctFiles.used(this.#instance, pid)) return;
    const { uid, gid, flowUid } = proc;
    const ofUser = [...this.#shown.values()].filter((s) => s.flowUid === flowUid).length;
    if (this.#shown.size >= SHOWN_MAX || (flowUid !== 0 && ofUser >= SHOWN_OF_USER_MAX)) return;
    const tree = this.#files.open(`proc.${pid}`, this.#tree(pid), { uid, gid });
    if (typeof tree === "number") this.#shown.set(pid, { tree, flowUid });
    else this.#fail(tree);
  }

  #fail(why: string): void {
    if (!this.#said) this.#log.warn(`The RIB does not show all programs: ${why}.`);
    this.#said = true;
  }

  /** A program has ended, or left. */
  gone(pid: number): void {
    if (!this.#known.delete(pid)) return;
    FrctFiles.unlink(this.#instance, pid);
    const shown = this.#shown.get(pid);
    this.#shown.delete(pid);
    if (shown !== undefined) void this.#files.unmount(shown.tree);
  }

  #tree(pid: number): RibTree {
    return {
      list: (component) => {
        const slots = this.#slots(pid);
        if (component === "") return [...slots.keys()].sort();
        return slots.has(component) ? [FILE] : undefined;
      },
      read: (component, name) => {
        const slot = name === FILE ? this.#slots(pid).get(component) : undefined;
        return slot === undefined ? undefined : objectOf(slot);
      },
    };
  }

  /** What a program says of the flows that it has, by descriptor. */
  #slots(pid: number): Map<string, FrctSlot> {
    const slots = new Map<string, FrctSlot>();
    const ids: number[] = [];
    for (const flow of this.#registry.flows.all()) {
      if (flow.qos.inOrder !== 0 && (flow.nPid === pid || flow.n1Pid === pid)) ids.push(flow.id);
    }
    for (const slot of FrctFiles.read(this.#instance, pid, ids)) {
      const { fd, flowId } = slot;
      const isFree = fd >= 0 && fd < FDS_MAX && !slots.has(`${fd}`);
      // Each thread of a program has descriptors of its own.
      slots.set(`${isFree ? fd : FDS_MAX + flowId}`, slot);
    }
    return slots;
  }
}

function objectOf({ whenNs, values }: FrctSlot): RibObject {
  const ago = monotonicNs() - whenNs;
  const shown = frctValues(values, Number.isFinite(ago) ? ago : 0);
  return { values: shown, text: frctValuesText(shown) };
}
