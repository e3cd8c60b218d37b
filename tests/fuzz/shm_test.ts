// deno-lint-ignore-file no-console -- it prints what it finds
// Flows while another process writes anything anywhere into their pool, rings and sets: no exception, no
// endless call, no memory touched outside. The seed is printed; `OURO_FIRST_SEED` replays it.

import { assert } from "@std/assert";
import { instanceOf } from "../../lib/instance.ts";
import { partsOf } from "../../lib/flow/flow.ts";
import { partsOfProcess } from "../../lib/flow/process.ts";
import { type Flow, FlowSet, Packet, QOS, type QosSpec } from "../../lib/mod.ts";
import { GSPP, PoolHeader, RbuffLayout } from "../../lib/shm/layout.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";
import { reclaim } from "../../lib/shm/reclaim.ts";
import { transfer } from "../../lib/shm/transfer.ts";
import { Prng } from "../../sim/prng.ts";
import { FakeIrmd } from "../support/memory_irmd.ts";
import { removeShm } from "../support/shm.ts";
import { FIRST_SEED, fuzzRuns } from "../support/seed.ts";

const seed = FIRST_SEED;
const rounds = fuzzRuns(3000);

/** The same numbers for the same seed. */
function random(seed: number): (n: number) => number {
  const prng = new Prng(seed);
  return (n) => prng.u32() % n;
}

/** Values that break things more often than arbitrary ones. */
function value(r: (n: number) => number): number {
  const special = [0, 1, -1, 255, 256, 257, 484, 485, 512, 1023, 1024, 0x7fffffff, -0x80000000];
  return r(2) === 0 ? special[r(special.length)]! : (r(0x10000) << 16) ^ r(0x10000);
}

/** Words that may be anything: all but mutexes and conditions, whose forging only libc could survive. */
function spoil(r: (n: number) => number, pool: Pool, ring: Rbuff, set: Int32Array): void {
  switch (r(4)) {
    case 0: { // A block header, in use or free.
      const c = 1 + r(6);
      const g = pool.geometry;
      const off = g.start[c]! + g.objectSize[c]! * r(g.objectCount[c]!);
      pool.i32[(off >> 2) + r(7)] = value(r);
      break;
    }
    case 1: { // Head, count and free count of a shard.
      const at = pool.shardAt(1 + r(6), r(4));
      pool.i32[(at >> 2) + 22 + r(4)] = value(r);
      break;
    }
    case 2: { // Slots, head, tail, ACL.
      const word = r(3) === 0 ? r(2048) : (RbuffLayout.HEAD >> 2) + r(6);
      ring.i32[word] = value(r);
      break;
    }
    default: // Table and counts of the set.
      set[r(2) === 0 ? r(64) : (81920 >> 2) + r(64)] = value(r);
  }
}

function fuzz(name: string, qos: QosSpec, cipherNid: number): void {
  Deno.test({
    name: `${name}: flows survive a process that writes anything into shared memory`,
    sanitizeOps: false,
    sanitizeResources: false,
    fn() {
      console.log(`seed ${seed}`);
      const r = random(seed);
      const instance = instanceOf(`/tmp/ouro-fuzz-${crypto.randomUUID()}-${name}`);
      const irmd = new FakeIrmd(instance);
      irmd.cipherNid = cipherNid;
      try {
        const [a, b] = [irmd.open(), irmd.open()];
        const into = new Uint8Array(3000);
        const packet = new Packet();
        const set = new FlowSet(b);
        let pair: [Flow, Flow] | undefined;
        let ring: Rbuff | undefined;
        for (let round = 0; round < rounds; round++) {
          if (pair === undefined) {
            pair = irmd.pair(a, b, qos);
            set.add(pair[1]);
            ring = Rbuff.open(instance, b.pid, pair[0].id);
          }
          const [x, y] = pair;
          for (let k = r(4); k > 0; k--) spoil(r, irmd.pool, ring!, partsOfProcess(b).set.i32);
          const now = { nonblock: true };
          switch (r(8)) {
            case 0:
            case 1:
              assert(x.writeSync(into.subarray(0, 1 + r(2500)), now) < 3000);
              break;
            case 2:
            case 3:
              assert(y.readSync(into, now) <= into.length);
              break;
            case 4:
              if (y.receive(packet, now) > 0) assert(packet.bytes.length === packet.length);
              packet.release();
              break;
            case 5:
              set.wait(0);
              break;
            case 6: {
              const off = partsOf(y).inPlace.takeBlock();
              if (off > 0 && r(2) === 0) partsOf(x).inPlace.giveBlock(off);
              else if (off > 0) irmd.pool.remove(off);
              break;
            }
            default:
              if (r(20) > 0) break;
              // Without lingering: nobody else would serve the other end of a reliable flow here.
              x.abandon();
              y.abandon();
              ring!.close();
              pair = undefined;
              reclaim(irmd.pool, a.pid, new Set());
          }
        }
        set.close();
        ring?.close();
        a.close();
        b.close();
      } finally {
        irmd[Symbol.dispose]();
        removeShm(instance);
      }
    },
  });
}

fuzz("raw", { ...QOS.raw, timeout: 0 }, 0);
fuzz("crc", { ...QOS.raw, ber: 0, timeout: 0 }, 0);
fuzz("encrypted", { ...QOS.raw, timeout: 0 }, 901);
fuzz("reliable", { ...QOS.data, ber: 1, timeout: 0 }, 0);

Deno.test("a pool survives any words in its lists and headers", () => {
  const r = random(seed ^ 1);
  const instance = instanceOf(`/tmp/ouro-fuzz-${crypto.randomUUID()}-pool`);
  try {
    Pool.create(instance, 0).close();
    using pool = Pool.open(instance, 0);
    using other = Pool.open(instance, 0, true);
    const held: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const c = r(9);
      const at = (GSPP.dataBytes + PoolHeader.CLASSES + 448 * c) >> 2;
      pool.i32[at + 26 * r(4) + 22 + r(4)] = value(r);
      const off = pool.alloc(r(20000));
      if (off > 0) {
        assert(pool.classOf(off) >= 0);
        held.push(off);
      }
      const any = r(3) === 0 ? value(r) : held[r(held.length + 1)] ?? 0;
      if (r(2) === 0 && pool.inspect(any) >= 0) pool.copyOut(any, pool.at, 1, new Uint8Array(8));
      pool.headRelease(off > 0 ? off : 512, r(600));
      if (r(3) === 0) transfer(other, any, pool);
      pool.remove(any);
      if (round % 500 === 0) reclaim(pool, Deno.pid, new Set());
      pool.stats();
    }
  } finally {
    removeShm(instance);
  }
});
