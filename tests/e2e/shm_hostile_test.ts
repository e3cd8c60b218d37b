/**
 * What is proved here: a process that writes hostile values into every word of the pool, the rings and the flow
 * sets of running programs, their locks included, stops nobody: programs end by themselves, the daemon serves on,
 * ends in order and leaves nothing. The same against one thread is in tests/fuzz/shm_test.ts.
 */

import { assert, assertEquals, assertNotMatch } from "@std/assert";
import { until } from "../support/deadline.ts";
import { TestNode } from "../support/node.ts";

const SEED = Number(Deno.env.get("OURO_TEST_SEED") ?? Date.now() % 1e6);
const ROUNDS = 400;
const HOSTILE = [0, 1, 0xffffffff, 0x7fffffff, 0x7ffffffe, 0x80000000, 0x40000000, 4096, 1 << 20];
const STACK = /^\s+at .*:\d+:\d+|panicked at|Assertion/m;

function random(seed: number): (n: number) => number {
  let x = seed | 1;
  return (n) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % n;
  };
}

/** Writes one word somewhere into each object of the node: often near its ends, where the control words are. */
function spoil(node: TestNode, r: (n: number) => number): void {
  for (const name of node.sharedMemory()) {
    if (name.endsWith(".lockfile")) continue;
    try {
      using file = Deno.openSync(`/dev/shm/${name}`, { read: true, write: true });
      const words = file.statSync().size >> 2;
      const near = Math.min(words, 4096);
      const at = [r(near), words - 1 - r(near), r(words)][r(3)]!;
      const word = new Uint32Array([r(5) < 3 ? HOSTILE[r(HOSTILE.length)]! : r(2 ** 32)]);
      file.seekSync(at * 4, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array(word.buffer));
    } catch (e) {
      if (!(e instanceof Deno.errors.NotFound)) throw e;
    }
  }
}

Deno.test(`hostile values in all memory of running programs stop nobody (seed ${SEED})`, async () => {
  const r = random(SEED);
  await using node = await TestNode.start();
  await node.must("irm", "name", "create", "op");
  await node.must("irm", "bind", "program", "oping", "name", "op");
  const server = node.spawn(["oping", "-l", "-Q"]);
  await server.waitForLine(/server started/);
  const clients = [
    node.spawn(["oping", "-n", "op", "-c", "200", "-i", "5"]),
    node.spawn(["oping", "-n", "op", "-d", "1s", "-f", "-Q"]),
  ];
  await clients[0]!.waitForLine(/seq=3 /);
  for (let round = 0; round < ROUNDS; round++) {
    spoil(node, r);
    await new Promise((done) => setTimeout(done, 1));
  }
  for (const client of clients) {
    const { out, err } = await client.wait();
    assertNotMatch(out + err, STACK);
  }
  await node.must("irm", "name", "create", "after");
  // Whatever the memory is like: an answer and an end.
  const late = await node.run(["oping", "-n", "op", "-c", "2", "-i", "5"]);
  assertNotMatch(late.out + late.err, STACK);
  server.kill("SIGKILL");
  await server.wait();
  await node.must("irm", "name", "list");
  const irmd = (await node.stopIrmd())!;
  assertEquals(irmd.code, 0);
  assertNotMatch(irmd.out + irmd.err, STACK);
  await until("nothing is left", () => node.sharedMemory().length === 0);
  assert(!irmd.out.includes("(EE)"), irmd.out);
});
