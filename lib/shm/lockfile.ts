/**
 * The lockfile: one IRMd a host (an instance), spec 10 §7. Four bytes, the pid of the IRMd.
 *
 * Read by `pread`, so a file that is still empty reads as pid 0 instead of faulting. Pid 0 means
 * "being created" and counts as alive.
 */

import { Errno } from "../errno.ts";
import { type Instance, shmName } from "../instance.ts";
import { SysError } from "../sys/ffi.ts";
import { ShmObject } from "../sys/mman.ts";
import { LOCKFILE_BYTES, MODE_LOCKFILE } from "./layout.ts";

function name(instance: Instance): string {
  return shmName(instance, "lockfile");
}

/** Taking, reading and dropping the lockfile. */
export const Lockfile = {
  /** Creates the lockfile with our pid. False when there is one; throws `SysError` otherwise. */
  create(instance: Instance, pid: number = Deno.pid): boolean {
    try {
      using object = ShmObject.create(name(instance), LOCKFILE_BYTES, MODE_LOCKFILE);
      const bytes = new Uint8Array(LOCKFILE_BYTES);
      new DataView(bytes.buffer).setInt32(0, pid, true);
      object.pwrite(bytes, LOCKFILE_BYTES, 0);
      return true;
    } catch (e) {
      if (e instanceof SysError && e.errno === Errno.EEXIST) return false;
      throw e;
    }
  },

  /** Pid in the lockfile, 0 when it is just being made, `undefined` when there is none. */
  owner(instance: Instance): number | undefined {
    try {
      using object = ShmObject.open(name(instance));
      const bytes = new Uint8Array(LOCKFILE_BYTES);
      if (object.pread(bytes, LOCKFILE_BYTES, 0) !== LOCKFILE_BYTES) return 0;
      return new DataView(bytes.buffer).getInt32(0, true);
    } catch (e) {
      if (e instanceof SysError && e.errno === Errno.ENOENT) return undefined;
      throw e;
    }
  },

  /** Removes it. The caller made sure that it is its own or that its owner is dead. */
  unlink(instance: Instance): number {
    return ShmObject.unlink(name(instance));
  },
};
