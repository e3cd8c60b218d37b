/**
 * What is proved here: a /dev/shm that fills up while the node runs, in a mount namespace with a small one. Who needs a new
 * object gets one line and an exit code, the flows that are there go on, nothing half-made is left, and all is well when
 * there is room again. One too small for the pool from the beginning is in irmd_lifecycle_test.ts.
 */

import { assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { FlowSetLayout, RbuffLayout } from "../../lib/shm/layout.ts";
import { STACK_TRACE } from "../support/faults.ts";
import { until } from "../support/deadline.ts";
import { ouro, PATIENT, type RunningProcess, TestNode } from "../support/node.ts";

/** The pool takes 33 MiB of it. */
const SIZE = "36m";

function canUnshare(): boolean {
  if (Deno.uid() !== 0) return false;
  try {
    const args = ["-m", "mount", "-t", "tmpfs", "none", "/dev/shm"];
    return new Deno.Command("unshare", { args, stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
}

Deno.test({
  name: "a /dev/shm that fills up: one line for who needs room, and the flows that are there go on",
  ignore: !canUnshare(),
  async fn(t) {
    await using node = await TestNode.start({ idle: true });
    const script = `mount -t tmpfs -o size=${SIZE} none /dev/shm && exec "$@"`;
    const argv = ["unshare", "-m", "sh", "-c", script, "sh", ...ouro("irmd", "--stdout")];
    const irmd = node.irmd = node.spawnArgv(argv);
    await irmd.waitForLine(/daemon started/);
    const inside = (...words: string[]): RunningProcess =>
      node.spawnArgv(["nsenter", "-t", String(irmd.pid), "-m", "--", ...words]);
    const objects = async () => (await inside("ls", "/dev/shm").wait()).out.split("\n");
    await node.bindProgram("oping", "op");
    const server = inside(...ouro("oping", "-l", "-Q"));
    await server.waitForLine(/started/);
    const others = inside(...ouro("oping", "-n", "op", "-c", "100000", "-i", "10"));
    const goOn = async () => {
      const seq = Number(others.out.match(/seq=(\d+) [^\n]*\n$/)?.[1] ?? 0);
      await others.waitForLine(new RegExp(`seq=${seq + 20} `));
    };
    await goOn();
    const before = await objects();

    // Room for nothing, for the flow set of a client, for one of the two rings of its flow, for all.
    const pages = (bytes: number) => Math.ceil(bytes / 4096) * 4;
    const set = pages(FlowSetLayout.BYTES);
    const ring = pages(RbuffLayout.BYTES);
    for (const leftKib of [0, 64, set, set + ring, set + 3 * ring]) {
      await t.step(`${leftKib} KiB left`, async () => {
        const fill = `dd if=/dev/zero of=/dev/shm/fill bs=4k 2>/dev/null;
          size=$(stat -c %s /dev/shm/fill); truncate -s $((size - ${leftKib} * 1024)) /dev/shm/fill`;
        await inside("sh", "-c", fill).wait();
        const { code, out, err } = await inside(
          ...ouro("oping", "-n", "op", "-c", "1", ...PATIENT, "-i", "1ms"),
        )
          .wait();
        assertNotMatch(out + err, STACK_TRACE);
        if (code === 0) assertMatch(out, /1 packets transmitted, 1 received/);
        // The prototype's own line may come first.
        else {assertMatch(
            err,
            /^(FATAL: [^\n]*\n)?[^\n]*(no space|is full)[^\n]*\n$/,
            out + err,
          );}
        assertEquals(code, leftKib < set + 2 * ring ? 1 : 0, out + err);
        await node.must("irm", "name", "list");
        await goOn();
        await inside("rm", "/dev/shm/fill").wait();
        await until("nothing half-made is left", async () => {
          return (await objects()).join() === before.join();
        });
      });
    }
    const again = await inside(...ouro("oping", "-n", "op", "-c", "3", ...PATIENT, "-i", "1ms"))
      .wait();
    assertMatch(again.out, /3 packets transmitted, 3 received/);
    for (const p of [irmd, server, others]) {
      assertEquals(p.ended, undefined);
      assertNotMatch(p.out + p.err, STACK_TRACE);
    }
    await irmd.waitForText("(EE)"); // the daemon has told
  },
});
