/**
 * One IRMd a node, and what a killed one left behind (spec 10 §2.1, spec 20 §14.4, §19.13): the lock, shared
 * memory, sockets of IPCPs, and IPCPs that have lost their IRMd.
 */

import { basename } from "@std/path";
import { Errno } from "../lib/errno.ts";
import { type Instance, shmName } from "../lib/instance.ts";
import type { Logger } from "../lib/log.ts";
import { CALLED_AS } from "../lib/self.ts";
import { Lockfile } from "../lib/shm/lockfile.ts";
import { SysError } from "../lib/sys/ffi.ts";
import { ShmObject } from "../lib/sys/mman.ts";
import { kill, pidAlive, procArgv, procVariable } from "../lib/sys/process.ts";
import { Signal } from "../lib/sys/signals.ts";
import { effectiveUid } from "../lib/sys/users.ts";
import { FILE_LIMIT } from "./objects.ts";

const SHM_DIR = "/dev/shm";
/** How long another IRMd may take between making the lock and writing its pid, ms. */
const LOCK_MS = 500;

/** A start that cannot go on; the text is one line for the log. */
export class StartError extends Error {
  override readonly name: string = "StartError";
}

/**
 * Takes the lock, clearing up after a dead owner. Its holder keeps it open, and removes it at the end. Throws
 * `StartError`.
 */
export async function takeLock(instance: Instance, log: Logger): Promise<ShmObject> {
  const endMs = performance.now() + LOCK_MS;
  for (;;) {
    const made = guarded(() => Lockfile.make(instance));
    if (made !== undefined) {
      // Nobody else is here, so whatever lies about is nobody's.
      return clearedUp(instance, log, made, undefined);
    }
    if (clearSquatter(instance, log)) continue;
    const lock = openLock(instance);
    if (lock === undefined) continue;
    const owner = Lockfile.pidIn(lock);
    // One that others may open is the prototype's: they could lock it too.
    const ours = (lock.stat().mode & 0o077) === 0;
    if (ours && lock.lock() < 0) {
      lock.close();
      throw new StartError(`IRMd already running (${owner}), exiting.${whereIs(owner)}`);
    }
    if (owner === 0 && performance.now() < endMs) {
      lock.close();
      await new Promise((done) => setTimeout(done, 10));
      continue;
    }
    if (!isAt(lock, instance)) {
      lock.close();
      continue;
    }
    if (owner !== 0 && isIrmd(owner)) {
      lock.close();
      throw new StartError(`IRMd already running (${owner}), exiting.`);
    }
    log.warn("IRMd didn't properly shut down last time.");
    if (!ours) {
      lock.close();
      removeStale(instance, log, owner);
      const unlinked = Lockfile.unlink(instance);
      if (unlinked < 0 && unlinked !== -Errno.ENOENT) {
        throw new StartError(`Lockfile error: cannot remove the lock of process ${owner}.`);
      }
      continue;
    }
    clearedUp(instance, log, lock, owner);
    log.warn("Stale resources cleaned.");
    return lock;
  }
}

/** The lock is ours: signs it, and removes what lies about. */
function clearedUp(
  instance: Instance,
  log: Logger,
  lock: ShmObject,
  owner: number | undefined,
): ShmObject {
  try {
    Lockfile.sign(lock);
    removeStale(instance, log, owner);
    return lock;
  } catch (e) {
    Lockfile.unlink(instance);
    lock.close();
    throw e;
  }
}

function lockPath(instance: Instance): string {
  return `${SHM_DIR}${shmName(instance, "lockfile")}`;
}

/** Whether the lock that we hold is the one that others will find. */
function isAt(lock: ShmObject, instance: Instance): boolean {
  try {
    return Deno.lstatSync(lockPath(instance)).ino === lock.stat().ino;
  } catch {
    return false;
  }
}

/** Removes what has the lock's name and is of a user who cannot run this node; false when it is a lock. */
function clearSquatter(instance: Instance, log: Logger): boolean {
  if (effectiveUid() !== 0) return false;
  const path = lockPath(instance);
  let found: Deno.FileInfo | undefined;
  try {
    found = Deno.lstatSync(path);
  } catch (e) {
    if (e instanceof Deno.errors.NotFound) return false;
    // The file system (FUSE) of a user who lets nobody look.
  }
  if (found?.isFile && found.uid === 0) return false;
  const whose = found === undefined ? "another user" : `uid ${found.uid}`;
  log.warn(`${path} of ${whose} is no lock of this node, it is removed.`);
  return Lockfile.clear(instance) === 0;
}

/** As `Lockfile.open`. Throws `StartError` when the lock is another user's and not for us to open. */
function openLock(instance: Instance): ShmObject | undefined {
  try {
    return Lockfile.open(instance);
  } catch (e) {
    if (!(e instanceof SysError) || e.errno !== Errno.EACCES) throw e;
    const whose = ownerOf(`${SHM_DIR}${e.object}`);
    const by = whose === undefined ? "another user" : `uid ${whose}`;
    throw new StartError(`Lockfile error: this node belongs to ${by} (${SHM_DIR}${e.object}).`);
  }
}

/** What to add when a holder of the lock cannot be seen from here. */
function whereIs(pid: number): string {
  if (pid === 0 || (pid !== Deno.pid && pidAlive(pid))) return "";
  return " It is in another PID namespace and shares /dev/shm with this one: give this node a prefix of its own.";
}

function guarded<T>(make: () => T): T {
  try {
    return make();
  } catch (e) {
    if (!(e instanceof SysError)) throw e;
    throw new StartError(
      e.errno === Errno.ENOSPC
        ? "Lockfile error: /dev/shm is full."
        : e.errno === Errno.EROFS
        ? "Lockfile error: /dev/shm is read-only (mount -o remount,rw /dev/shm)."
        : e.errno === Errno.EFBIG
        ? `Lockfile error: ${FILE_LIMIT}.`
        : `Lockfile error: ${e.message}.`,
    );
  }
}

/**
 * The words a process was started with, or undefined when not known. A link to the portable form has
 * the runtime in its command line; the name it was called by goes before that.
 */
function startWords(pid: number): string[] | undefined {
  // Who owns the memory of a process can hold up whoever reads its words (through FUSE).
  if (!isOurs(pid)) return undefined;
  const argv = procArgv(pid);
  const called = procVariable(pid, CALLED_AS);
  return called === undefined ? argv : [called, ...argv ?? []];
}

/** Whether a process is root's, or of the user who runs this node. */
function isOurs(pid: number): boolean {
  const uid = ownerOf(`/proc/${pid}`);
  return uid === 0 || uid === effectiveUid();
}

/** Whether a process is a running IRMd: another program may have got the pid since. */
function isIrmd(pid: number): boolean {
  if (pid === Deno.pid || !pidAlive(pid) || !isOurs(pid)) return false;
  const words = startWords(pid);
  // Not readable or cleared: the safe answer is that it is one.
  if (words === undefined || words.length === 0) return true;
  return words.some((word) => basename(word) === "irmd");
}

/** Removes shared memory, IPCP sockets and orphaned IPCPs of earlier runs. Throws `StartError`. */
function removeStale(instance: Instance, log: Logger, owner: number | undefined): void {
  for (const pid of ipcpSockets(instance)) {
    if (owner !== undefined && isOrphan(pid, owner)) {
      log.warn(`Killing orphaned IPCP ${pid}.`);
      kill(pid, Signal.KILL);
    }
    remove(`${instance.socketDir}/ipcp.${pid}.sock`);
  }
  const base = instance.shmBase.slice(1);
  const mine = new RegExp(
    `^${base}\\.(gspp|pup\\.\\d+|rbuff\\.\\d+\\.\\d+|set\\.\\d+|frct\\.\\d+)$`,
  );
  for (const name of entries(SHM_DIR)) {
    if (mine.test(name)) remove(`${SHM_DIR}/${name}`);
  }
}

function ipcpSockets(instance: Instance): number[] {
  return entries(instance.socketDir).flatMap((name) => {
    const pid = /^ipcp\.(\d+)\.sock$/.exec(name)?.[1];
    return pid === undefined ? [] : [Number(pid)];
  });
}

/** Whether a process is an IPCP that the dead IRMd `owner` started. */
function isOrphan(pid: number, owner: number): boolean {
  const words = startWords(pid) ?? [];
  const at = words.findIndex((word) => basename(word).startsWith("ipcpd-"));
  // Behind a link come the words of the runtime first.
  return at >= 0 && words.indexOf(String(owner), at) > at;
}

function entries(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map((e) => e.name);
  } catch {
    return [];
  }
}

function remove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (e) {
    if (e instanceof Deno.errors.NotFound) return;
    // A directory that another user has put there.
    if (path.startsWith(`${SHM_DIR}/`) && ShmObject.clear(path.slice(SHM_DIR.length)) === 0) return;
    const uid = ownerOf(path);
    const whose = uid === undefined ? "" : ` of uid ${uid}`;
    throw new StartError(`Cannot remove the left-over ${path}${whose}; remove it and start again.`);
  }
}

function ownerOf(path: string): number | undefined {
  try {
    return Deno.lstatSync(path).uid ?? undefined;
  } catch {
    return undefined;
  }
}
