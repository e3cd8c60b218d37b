// deno-lint-ignore-file no-console -- a program, which prints
/**
 * A process that hammers shared memory until it is killed: argument `writer` or `reader`, prefix,
 * flow id. Prints `ready` when it works. No IRMd: the test made the objects.
 */

import { instanceOf } from "../../lib/instance.ts";
import { FlowSetShm } from "../../lib/shm/flow_set.ts";
import { FlowEvent } from "../../lib/shm/layout.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";
import { RingReader } from "../../lib/shm/ring_reader.ts";
import { monotonicNs } from "../../lib/sys/clock.ts";

const [role, prefix] = Deno.args as [string, string];
const instance = instanceOf(prefix);
const pool = Pool.open(instance, 0);
const ring = Rbuff.open(instance, 1, 1);
const set = FlowSetShm.open(instance, 1);
const lengths = [1, 100, 300, 1400, 9000];
const events = new Int32Array(2048);
const reader = new RingReader(ring, pool);

console.log("ready");
for (let k = 0;; k++) {
  if (role === "writer") {
    const off = pool.alloc(lengths[k % lengths.length]!);
    if (off < 0) continue;
    const result = k % 7 === 0 ? ring.writeBlocking(off, monotonicNs() + 1e5) : ring.write(off);
    if (result < 0) pool.remove(off);
    else set.notify(1, FlowEvent.PKT);
  } else {
    if (k % 50 === 0) set.wait(3, events, 0);
    if (k % 97 === 0) {
      set.del(3, 1);
      set.add(3, 1);
    }
    if (k % 40 < 35) {
      const off = reader.read();
      if (off >= 0) reader.done(off, pool.inspect(off) >= 0);
    } else {
      reader.flush();
      const off = ring.readBlocking(monotonicNs() + 1e5);
      if (off > 0 && pool.inspect(off) >= 0) pool.remove(off);
    }
  }
}
