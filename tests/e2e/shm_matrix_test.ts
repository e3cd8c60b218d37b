// Which pool a packet lies in and who allocated it, by the uids of both ends (spec 10 §8.2), with real
// processes of several users, directly and through the local IPCP. Afterwards nothing is left.

import { assert, assertEquals } from "@std/assert";
import { Block } from "../../lib/shm/layout.ts";
import { Pool } from "../../lib/shm/pool.ts";
import { Rbuff } from "../../lib/shm/rbuff.ts";
import { until } from "../support/deadline.ts";
import { type RunningProcess, TestNode } from "../support/node.ts";
import { userProgram } from "../support/user_program.ts";

const ROOT = Deno.uid() === 0;
const PEER = new URL("./shm_matrix_peer.ts", import.meta.url);
const [U, V] = [4201, 4202];

interface Case {
  readonly client: number;
  readonly server: number;
  readonly direct: boolean;
  /** Uid of the pool the packet waits in, and who allocated its block. */
  readonly pool: number;
  readonly allocator: "client" | "ipcp";
}

const CASES: Case[] = [
  { client: 0, server: 0, direct: true, pool: 0, allocator: "client" },
  { client: U, server: U, direct: true, pool: U, allocator: "client" },
  { client: 0, server: 0, direct: false, pool: 0, allocator: "client" },
  // The prototype copies here, because it opens the pool once a flow (spec 10 §8.2).
  { client: U, server: U, direct: false, pool: U, allocator: "client" },
  { client: U, server: 0, direct: false, pool: 0, allocator: "ipcp" },
  { client: 0, server: U, direct: false, pool: U, allocator: "ipcp" },
  { client: U, server: V, direct: false, pool: V, allocator: "ipcp" },
];

function used(pool: Pool): number {
  return pool.stats().classes.reduce((n, c) => n + c.used, 0);
}

for (const direct of [true, false]) {
  Deno.test({
    name: `packets lie in the receiver's pool, ${direct ? "directly" : "through the local IPCP"}`,
    ignore: !ROOT,
    async fn() {
      await using node = await TestNode.start(direct ? {} : { args: ["--no-direct"] });
      await Deno.chmod(node.prefix, 0o755);
      const instance = node.instance;
      const argv = await userProgram(node.prefix, PEER);
      await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l", "layer", "lay");
      const peer = (uid: number, ...args: string[]): RunningProcess =>
        node.spawnArgv([...argv, ...args], {
          uid,
          gid: uid,
          env: { DENO_DIR: `${node.prefix}/cache.${uid}` },
        });
      using global = Pool.open(instance, 0);
      for (const c of CASES.filter((x) => x.direct === direct)) {
        const name = `n-${c.client}-${c.server}`;
        const server = peer(c.server, "accept");
        const serverPid = Number((await server.waitForLine(/ready (\d+)/))[1]);
        await node.must("irm", "name", "create", name);
        await node.must("irm", "name", "register", name, "layer", "lay");
        await node.must("irm", "bind", "process", String(serverPid), "name", name);
        const client = peer(c.client, "alloc", name);
        const clientPid = Number((await client.waitForLine(/sent \d+ (\d+)/))[1]);
        const flowId = Number((await server.waitForLine(/accepted (\d+)/))[1]);

        using ring = Rbuff.open(instance, serverPid, flowId);
        await until("a queued packet", () => ring.queued() === 1);
        const queued = new Set<number>();
        ring.collect(queued);
        const [off] = [...queued];
        using pool = Pool.open(instance, c.pool);
        assertEquals(pool.inspect(off!), 100, name);
        assertEquals(pool.u8[pool.at + 99], 0x5a);
        const by = pool.i32[(off! + Block.PID) >> 2]!;
        assertEquals(by === clientPid ? "client" : "ipcp", c.allocator, name);
        assert(used(pool) >= 1);

        for (const p of [client, server]) {
          p.kill("SIGTERM");
          assertEquals((await p.wait()).code, 0);
        }
        await until(`${name}: no block in use`, () => used(pool) === 0 && used(global) === 0);
      }
    },
  });
}
