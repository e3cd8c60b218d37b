// The shared-memory objects that the IRMd makes: whose share they count to, and that nothing of them stays.

import { assertEquals } from "@std/assert";
import { Objects } from "../../../irmd/objects.ts";
import { Share } from "../../../irmd/shares.ts";
import { Errno } from "../../../lib/errno.ts";
import type { Instance } from "../../../lib/instance.ts";
import { Logger, nullSink } from "../../../lib/log.ts";
import { FlowSetLayout, RbuffLayout } from "../../../lib/shm/layout.ts";
import { Rbuff } from "../../../lib/shm/rbuff.ts";
import { used } from "../../support/ipcp_memory.ts";
import { withShm } from "../../support/shm.ts";

/** Pids of nobody. */
const A = 4_100_001;
const B = 4_100_002;
const EDQUOT = 122;

function withObjects(
  memory: Share,
  use: (objects: Objects, names: () => string[], i: Instance) => void,
): void {
  withShm((i, defer) => {
    const objects = new Objects(i, new Logger(nullSink, "test"), undefined, memory);
    objects.createGspp();
    defer(() => objects.removeGspp());
    const base = `${i.shmBase.slice(1)}.`;
    const names = () =>
      [...Deno.readDirSync("/dev/shm")].map((e) => e.name)
        .filter((n) => n.startsWith(base) && !n.endsWith(".gspp")).map((n) => n.slice(base.length))
        .sort();
    use(objects, names, i);
  });
}

Deno.test("flow sets and rings count to their user, and come back with them, once", () => {
  const memory = new Share(1e9, 0);
  withObjects(memory, (objects, names) => {
    objects.createFlowSet(A, 0, 0, false);
    objects.createFlowSet(B, 0, 0, true);
    assertEquals(memory.used, 2 * FlowSetLayout.BYTES);
    {
      using rings = objects.makeRings(1, A, B, 0);
      assertEquals(rings.code, 0);
      rings.handOver();
    }
    assertEquals(memory.used, 2 * (FlowSetLayout.BYTES + RbuffLayout.BYTES));
    assertEquals(names(), [`rbuff.${A}.1`, `rbuff.${B}.1`, `set.${A}`, `set.${B}`]);
    for (let again = 0; again < 2; again++) {
      objects.removeRings(1, [A, B]);
      objects.removeFlowSet(A);
    }
    assertEquals([memory.used, names()], [FlowSetLayout.BYTES, [`set.${B}`]]);
    objects.removeFlowSet(B);
    assertEquals([memory.used, names()], [0, []]);
  });
});

Deno.test("rings that no flow takes over go again", () => {
  const memory = new Share(1e9, 0);
  withObjects(memory, (objects, names) => {
    {
      using rings = objects.makeRings(1, A, B, 0);
      assertEquals([rings.code, names().length], [0, 2]);
    }
    assertEquals([memory.used, names()], [0, []]);
  });
});

Deno.test("a flow for whose second ring the share has no room has none, and costs nothing", () => {
  const memory = new Share(Math.floor(1.5 * RbuffLayout.BYTES), 0);
  withObjects(memory, (objects, names) => {
    {
      using rings = objects.makeRings(1, A, B, 0);
      assertEquals(rings.code, -EDQUOT);
    }
    assertEquals([memory.used, names()], [0, []]);
  });
});

Deno.test("packets of privileged processes that wait in rings that are removed go back to the pool", () => {
  withObjects(new Share(1e9, 0), (objects, _names, i) => {
    const rings = objects.makeRings(1, A, B, 0);
    rings.handOver();
    const pool = objects.gspp!;
    const ring = Rbuff.open(i, A, 1);
    for (let k = 0; k < 3; k++) assertEquals(ring.write(pool.alloc(100)), 0);
    ring.close();
    assertEquals(used(pool), 3);
    assertEquals(objects.removeRings(1, [A, B]), undefined);
    assertEquals(used(pool), 0);
    assertEquals(objects.removeRings(1, [A, B]), undefined, "nothing is left to be taken down");
  });
});

Deno.test("a ring that is marked as down says so to who reads it; one that is gone is nobody's trouble", () => {
  withObjects(new Share(1e9, 0), (objects, _names, i) => {
    objects.makeRings(1, A, B, 0).handOver();
    using ring = Rbuff.open(i, A, 1);
    objects.markDown(1, A);
    assertEquals(ring.read(), -Errno.EFLOWDOWN);
    objects.markDown(2, A);
    assertEquals(objects.emptyRing(2, A), []);
    objects.removeRings(1, [A, B]);
  });
});
