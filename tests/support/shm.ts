/** Helpers of the shared-memory tests: an instance of their own that leaves nothing in /dev/shm. */

import { type Instance, instanceOf } from "../../lib/instance.ts";

/** Runs `use` with a fresh instance; `defer`red functions run last first, then all objects are removed. */
export function withShm(use: (i: Instance, defer: (f: () => void) => void) => void): void {
  const instance = instanceOf(`/tmp/ouro-shm-test-${crypto.randomUUID()}`);
  const undo: (() => void)[] = [];
  try {
    use(instance, (f) => undo.push(f));
  } finally {
    for (const f of undo.reverse()) f();
    removeShm(instance);
  }
}

/** Removes every object of an instance. */
export function removeShm(instance: Instance): void {
  for (const entry of Deno.readDirSync("/dev/shm")) {
    if (entry.name.startsWith(`${instance.shmBase.slice(1)}.`)) {
      Deno.removeSync(`/dev/shm/${entry.name}`);
    }
  }
}

/** Where what was cleared out of the way is now; undefined: it has gone. */
export function movedAside(ino: number | null): string | undefined {
  for (const { name } of Deno.readDirSync("/dev/shm")) {
    const path = `/dev/shm/${name}`;
    try {
      if (name.startsWith(".") && Deno.lstatSync(path).ino === ino) return path;
    } catch {
      // Another test's, which has gone meanwhile.
    }
  }
  return undefined;
}

/** Lower-case hex of bytes. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const b of bytes) text += b.toString(16).padStart(2, "0");
  return text;
}

/** A sparse image {size, fill, chunks: [{off, hex, repeat?}]} as bytes. */
export function imageBytes(
  image: { size: number; fill: string; chunks: { off: number; hex: string; repeat?: number }[] },
): Uint8Array {
  const bytes = new Uint8Array(image.size).fill(parseInt(image.fill, 16));
  for (const { off, hex, repeat } of image.chunks) {
    const piece = Uint8Array.from(hex.match(/../g) ?? [], (b) => parseInt(b, 16));
    for (let k = 0; k < (repeat ?? 1); k++) bytes.set(piece, off + k * piece.length);
  }
  return bytes;
}

/** The uid for a user pool in tests: the running user's, or `uid` when that is root. */
export function ownerUid(uid: number): number {
  return Deno.uid() === 0 ? uid : Deno.uid() ?? uid;
}
