// Mappings of peers' flow sets: shared, kept for a while, and never those of a process that had the pid before.

import {
  assert,
  assertEquals,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { PeerSets } from "../../../../lib/flow/rings.ts";
import { FlowSetShm } from "../../../../lib/shm/flow_set.ts";
import { SysError } from "../../../../lib/sys/ffi.ts";
import { Mapping } from "../../../../lib/sys/mman.ts";
import { withShm } from "../../../support/shm.ts";

Deno.test("PeerSets keeps the set of a peer for its next flow, and few of them", () => {
  withShm((instance, defer) => {
    for (let pid = 1; pid <= 8; pid++) FlowSetShm.create(instance, pid).close();
    const before = Mapping.live;
    const sets = new PeerSets(instance);
    defer(() => sets.close());
    const first = sets.take(1);
    assertStrictEquals(sets.take(1), first);
    sets.give(1);
    sets.give(1);
    sets.give(1);
    assertStrictEquals(sets.take(1), first);
    for (let pid = 2; pid <= 8; pid++) {
      sets.take(pid);
      sets.give(pid);
    }
    assert(Mapping.live - before <= 5, "one in use and four that wait");
    assertStrictEquals(sets.take(1), first, "one in use is not let go");
    sets.give(1);
    sets.give(1);
    sets.close();
    assertEquals(Mapping.live, before);
  });
});

Deno.test("PeerSets opens the set of a process that got the pid", () => {
  withShm((instance, defer) => {
    FlowSetShm.create(instance, 1).close();
    const sets = new PeerSets(instance);
    defer(() => sets.close());
    const old = sets.take(1);
    sets.give(1);
    FlowSetShm.create(instance, 1).close();
    const next = sets.take(1);
    assertNotStrictEquals(next, old);
    assertEquals(next.add(3, 7), 0);
    using same = FlowSetShm.open(instance, 1);
    assert(same.has(3, 7));
    sets.give(1);
    FlowSetShm.unlink(instance, 1);
    assertThrows(() => sets.take(1), SysError);
    sets.give(1);
  });
});
