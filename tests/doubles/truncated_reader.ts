/** A process that reads a mapping whose file is cut off under it. */

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
console.log(JSON.stringify([before, after, bytes[8192]]));
mapping.unmap();
