/**
 * The requests that were served, in a file: a daemon that starts again knows those of its predecessor, so that no step
 * of the clock before or after the restart makes one of them new. Where the file outlives a reboot, so do they, but for
 * what a failure of power took from the disk. Without it (a full disk, a read-only directory) the list is as long as
 * the life of a daemon, which is said.
 *
 * Records of 32 bytes, appended: kind (1 unsigned, 2 signed), 7 zero bytes, id (16), timestamp (u64, ns, big-endian). What
 * is no record is passed over; the last may be cut short. Of more than {@linkcode RECORDS_MAX} the oldest go.
 */

import { ID_BYTES } from "../lib/wire/oap_header.ts";

const RECORD_BYTES = 32;
const AT = { kind: 0, id: 8, timestamp: 24 } as const;
const UNSIGNED = 1;
const SIGNED = 2;
/** So many records are kept when the file is made anew; it grows to twice as many. */
export const RECORDS_MAX = 32_768;

/** A request that was served. */
export interface ServedRequest {
  readonly signed: boolean;
  readonly id: Uint8Array;
  readonly timestampNs: bigint;
}

/**
 * The file of the system's node: in `stateDir`, which outlives a reboot and is made for its owner alone; where that cannot
 * be written (a read-only system), `otherwise`.
 */
export function servedFileIn(stateDir: string, otherwise: string): string {
  const path = `${stateDir}/served`;
  try {
    Deno.mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    Deno.openSync(path, { create: true, append: true, mode: 0o600 }).close();
    return path;
  } catch {
    return otherwise;
  }
}

/** See the file's comment. */
export class ReplayJournal implements Disposable {
  #file: Deno.FsFile | undefined;
  #records = 0;
  readonly #record = new Uint8Array(RECORD_BYTES);
  readonly #view = new DataView(this.#record.buffer);

  /** @param failed is told once why nothing is kept any more */
  constructor(readonly path: string, readonly failed: (cause: string) => void) {}

  /** What a predecessor served, oldest first; from now on what is added is kept. */
  open(): ServedRequest[] {
    const kept = this.#read();
    this.#rewrite(kept);
    return kept;
  }

  #read(): ServedRequest[] {
    let bytes: Uint8Array;
    try {
      bytes = Deno.readFileSync(this.path);
    } catch {
      return []; // There was none, or none that can be read: then there will be none that can be written.
    }
    const whole = Math.floor(bytes.length / RECORD_BYTES);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const found: ServedRequest[] = [];
    for (let n = Math.max(0, whole - RECORDS_MAX); n < whole; n++) {
      const at = n * RECORD_BYTES;
      const kind = bytes[at + AT.kind];
      if (kind !== UNSIGNED && kind !== SIGNED) continue;
      found.push({
        signed: kind === SIGNED,
        id: bytes.slice(at + AT.id, at + AT.id + ID_BYTES),
        timestampNs: view.getBigUint64(at + AT.timestamp),
      });
    }
    return found;
  }

  /** The file with these records alone, in one step. */
  #rewrite(kept: readonly ServedRequest[]): void {
    this.#close();
    const bytes = new Uint8Array(kept.length * RECORD_BYTES);
    kept.forEach((r, n) => bytes.set(this.#encode(r), n * RECORD_BYTES));
    const next = `${this.path}.new`;
    try {
      Deno.writeFileSync(next, bytes, { mode: 0o600 });
      Deno.renameSync(next, this.path);
      this.#file = Deno.openSync(this.path, { append: true });
      this.#records = kept.length;
    } catch (e) {
      this.#fail(e);
    }
  }

  #encode({ signed, id, timestampNs }: ServedRequest): Uint8Array {
    this.#record[AT.kind] = signed ? SIGNED : UNSIGNED;
    this.#record.set(id, AT.id);
    this.#view.setBigUint64(AT.timestamp, timestampNs);
    return this.#record;
  }

  /** Keeps a request. */
  add(request: ServedRequest): void {
    if (this.#file === undefined) return;
    try {
      if (this.#file.writeSync(this.#encode(request)) < RECORD_BYTES) throw new Error("disk full");
    } catch (e) {
      return this.#fail(e);
    }
    if (++this.#records >= 2 * RECORDS_MAX) this.#rewrite(this.#read());
  }

  #fail(e: unknown): void {
    this.#close();
    this.failed(e instanceof Error ? e.message : String(e));
  }

  #close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** Closes the file, which stays. */
  [Symbol.dispose](): void {
    this.#close();
  }
}
