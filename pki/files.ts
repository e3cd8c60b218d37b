/**
 * Files of the security directory as `ouro pki` writes them: nothing is overwritten unless forced, a
 * private key is never readable by others, not even for a moment.
 */

import { fileCause } from "../lib/cli/reason.ts";
import { nameRefusal } from "../security/files.ts";

/** A file to be written. */
export interface NewFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Private files get mode 0600, others 0644. */
  readonly isPrivate: boolean;
}

/** A refusal for the person at the terminal. */
export class PkiError extends Error {
  override readonly name = "PkiError";
}

/** Throws `PkiError` for a name that cannot be a directory below `server` or `client`. */
export function refuseBadNames(...names: readonly string[]): void {
  for (const name of names) {
    const reason = nameRefusal(name);
    if (reason) throw new PkiError(reason);
  }
}

/** Writes all files, or none when one of them exists and `force` is off. */
export function writeAll(files: readonly NewFile[], force: boolean): void {
  if (!force) {
    for (const f of files) {
      if (exists(f.path)) throw new PkiError(`${f.path} exists (overwrite it with --force)`);
    }
  }
  for (const f of files) {
    makeDirectory(f.path.slice(0, f.path.lastIndexOf("/")));
    write(f, force);
  }
}

/** Whether something is at a path, a dangling link included. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A directory with its parents; `private` of a CA only for its owner. */
function makeDirectory(path: string): void {
  const isPrivate = path.endsWith("/private");
  try {
    Deno.mkdirSync(path, { recursive: true, mode: isPrivate ? 0o700 : 0o755 });
  } catch (e) {
    throw new PkiError(`cannot make ${path}: ${fileCause(e)}`);
  }
}

/** By a new file beside it and a rename, so that readers see the old or the new one. */
function write(f: NewFile, force: boolean): void {
  const mode = f.isPrivate ? 0o600 : 0o644;
  const temporary = `${f.path}.${crypto.randomUUID()}.new`;
  try {
    using file = Deno.openSync(temporary, { write: true, createNew: true, mode });
    Deno.chmodSync(temporary, mode); // The umask may have taken bits, a default ACL added some.
    for (let at = 0; at < f.bytes.length;) at += file.writeSync(f.bytes.subarray(at));
    file.syncSync();
    if (force) Deno.renameSync(temporary, f.path);
    else {
      Deno.linkSync(temporary, f.path); // Fails when somebody made it meanwhile.
      Deno.removeSync(temporary);
    }
  } catch (e) {
    try {
      Deno.removeSync(temporary);
    } catch {
      // It was renamed, or never made.
    }
    if (e instanceof Deno.errors.AlreadyExists) {
      throw new PkiError(`${f.path} exists (overwrite it with --force)`);
    }
    throw new PkiError(`cannot write ${f.path}: ${fileCause(e)}`);
  }
}
