/**
 * The lockfile: one IRMd a host (an instance), spec 10 §7. Four bytes, the pid of the IRMd.
 *
 * Ours keeps it locked (flock) for as long as it runs: a pid says nothing in another PID namespace, and comes back. The
 * prototype's does not, so an unlocked one is believed by its pid.
 *
 * Read by `pread`, so a file that is still empty reads as pid 0 instead of faulting. Pid 0 means
 * "being created" and counts as alive.
 */

import { Errno } from "../errno.ts";
import { type Instance, shmName } from "../instance.ts";
import { SysError } from "../sys/ffi.ts";
import { ShmObject } from "../sys/mman.ts";
import { LOCKFILE_BYTES, MODE_LOCKFILE, MODE_PRIVATE } from "./layout.ts";

function name(instance: Instance): string {
  return shmName(instance, "lockfile");
}

/** Taking, reading and dropping the lockfile. */
export const Lockfile = {
  /** Creates the lockfile with our pid. False when there is one; throws `SysError` otherwise. */
  create(instance: Instance, pid: number = Deno.pid): boolean {
    try {
      using object = ShmObject.create(name(instance), LOCKFILE_BYTES, MODE_LOCKFILE);
      Lockfile.sign(object, pid);
      return true;
    } catch (e) {
      if (e instanceof SysError && e.errno === Errno.EEXIST) return false;
      throw e;
    }
  },

  /** Writes our pid into a lockfile that is open and locked. */
  sign(object: ShmObject, pid: number = Deno.pid): void {
    const bytes = new Uint8Array(LOCKFILE_BYTES);
    new DataView(bytes.buffer).setInt32(0, pid, true);
    object.pwrite(bytes, LOCKFILE_BYTES, 0);
  },

  /**
   * Makes the lockfile, empty, locked, and closed to other users, who could lock it too. Undefined when there is one
   * already; throws `SysError` otherwise.
   */
  make(instance: Instance): ShmObject | undefined {
    try {
      const object = ShmObject.create(name(instance), LOCKFILE_BYTES, MODE_PRIVATE);
      // Whoever opened it in between keeps it.
      if (object.lock() === 0) return object;
      object.close();
      return undefined;
    } catch (e) {
      if (e instanceof SysError && e.errno === Errno.EEXIST) return undefined;
      throw e;
    }
  },

  /** Opens the one that is there, whoever holds it; undefined when there is none. Throws `SysError`. */
  open(instance: Instance): ShmObject | undefined {
    try {
      return ShmObject.open(name(instance));
    } catch (e) {
      if (e instanceof SysError && e.errno === Errno.ENOENT) return undefined;
      throw e;
    }
  },

  /** Removes what has its name and is none: a directory, a file of another user. Returns 0 or a negative errno. */
  clear(instance: Instance): number {
    return ShmObject.clear(name(instance));
  },

  /** Pid in an open lockfile, 0 when it is just being made. */
  pidIn(object: ShmObject): number {
    const bytes = new Uint8Array(LOCKFILE_BYTES);
    if (object.pread(bytes, LOCKFILE_BYTES, 0) !== LOCKFILE_BYTES) return 0;
    return new DataView(bytes.buffer).getInt32(0, true);
  },

  /** Pid in the lockfile, 0 when it is just being made, `undefined` when there is none. */
  owner(instance: Instance): number | undefined {
    try {
      using object = ShmObject.open(name(instance));
      return Lockfile.pidIn(object);
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
