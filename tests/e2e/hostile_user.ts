// deno-lint-ignore-file no-console -- a program, which prints
/**
 * A user who means harm, for ipcp_hostile_user_test.ts. `flood NAME`: allocates a flow and writes to it
 * without end. `spoil PREFIX-OF-OBJECTS SEED`: writes hostile values all over every object in /dev/shm
 * that this user may open, and behind its end, until killed; says the number of objects of the first
 * round. `cut PREFIX-OF-OBJECTS`: cuts them off.
 */

import { Flow, OuroProcess } from "../../lib/mod.ts";
import { FlowSetLayout } from "../../lib/shm/layout.ts";

const HOSTILE = [
  0,
  1,
  2,
  5,
  -1,
  0x7fffffff,
  0x7ffffffe,
  -0x80000000,
  0x40000000,
  Deno.pid,
  1 << 20,
];

/** What begins a flow set: no flow is in a queue, no queue has events. */
const DEAF_TABLE = new Uint8Array(FlowSetLayout.CONDS).fill(0xff, 0, FlowSetLayout.HEADS);

async function flood(name: string): Promise<void> {
  const process = OuroProcess.open({ prog: "flood" });
  const flow = await Flow.alloc(process, name);
  console.log("flooding");
  const packet = new Uint8Array(64);
  // Its memory is spoilt meanwhile: whatever a write says, it goes on.
  for (;;) flow.writeSync(packet, { timeoutMs: 1 });
}

/** The objects that open for writing. */
function objects(base: string): Deno.FsFile[] {
  const files = [];
  for (const { name } of Deno.readDirSync("/dev/shm")) {
    if (!name.startsWith(base)) continue;
    try {
      files.push(Deno.openSync(`/dev/shm/${name}`, { read: true, write: true }));
    } catch { /* Not ours to open, or gone. */ }
  }
  return files;
}

function spoil(base: string, seed: number): never {
  let x = seed | 1;
  const random = (n: number) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % n;
  };
  let files = objects(base);
  console.log(`spoiling ${files.length}`);
  for (let round = 1;; round++) {
    if (round % 2000 === 0) {
      files.forEach((f) => f.close());
      files = objects(base);
    }
    for (const file of files) {
      const words = file.statSync().size >> 2;
      if (words === 0) continue;
      if (words << 2 >= FlowSetLayout.BYTES && words < 100_000 && random(3) === 0) {
        // A set without members and events: nobody would be woken any more.
        file.seekSync(0, Deno.SeekMode.Start);
        file.writeSync(DEAF_TABLE);
        continue;
      }
      const near = Math.min(words, 4096);
      const at = [random(near), words - 1 - random(near), random(words)][random(3)]!;
      const value = random(4) === 0 ? random(2 ** 32) : HOSTILE[random(HOSTILE.length)]!;
      file.seekSync(at * 4, Deno.SeekMode.Start);
      // A run of words: whole locks and tables.
      file.writeSync(new Uint8Array(new Int32Array(1 + random(16)).fill(value).buffer));
    }
  }
}

if (Deno.args[0] === "flood") await flood(Deno.args[1]!);
else if (Deno.args[0] === "cut") objects(Deno.args[1]!).forEach((file) => file.truncateSync(0));
else spoil(Deno.args[1]!, Number(Deno.args[2]));
