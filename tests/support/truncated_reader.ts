// deno-lint-ignore-file no-console -- a program, which prints
/** A process that reads a mapping whose file is cut off under it, and shows what others see of it afterwards. */

import { ShmObject } from "../../lib/sys/mman.ts";

const [name] = Deno.args;
const BYTES = 3 * 4096;
using object = ShmObject.open(name!);
const mapping = object.map(BYTES);
const bytes = new Uint8Array(mapping.buffer);
const before = bytes[4097];
Deno.truncateSync(`/dev/shm${name}`, 0);
const after = bytes[4097];
bytes[8192] = 7; // A page that was never touched, written first.
const shared = new Uint8Array(1);
object.pread(shared, 1, 8192);
console.log(JSON.stringify([before, after, bytes[8192], object.stat().size, shared[0]]));
mapping.unmap();
