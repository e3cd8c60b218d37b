/**
 * What is proved here: a node whose CLOCK_REALTIME is set forward and back under it. Flows, time-outs and keepalives do
 * not notice, and flows can be allocated whatever the time was before (the replay cache holds times of the future then).
 * The clock is that of a preloaded library, so it needs a C compiler. A monotonic clock that jumps is in
 * tests/fuzz/frct_test.ts, the replay cache alone in tests/unit/security/oap/replay_cache_test.ts, a host that is
 * stopped in busy_owner_test.ts.
 */

import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { errnoName, type OuroError } from "../../lib/errno.ts";
import { Flow } from "../../lib/flow/flow.ts";
import { QOS } from "../../lib/qos.ts";
import { First, numbered } from "../support/fault_peer.ts";
import {
  Bystanders,
  exchange,
  faultServer,
  openFlow,
  ownProcess,
  SOON_MS,
  STACK_TRACE,
} from "../support/faults.ts";
import { within } from "../support/deadline.ts";
import { PATIENT, TestNode } from "../support/node.ts";
import { run } from "../support/process.ts";

const SOURCE = fromFileUrl(new URL("../support/jumping_clock.c", import.meta.url));
const HOUR = 3600;
const DAY = 24 * HOUR;

function hasCompiler(): boolean {
  try {
    return new Deno.Command("cc", { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

/** The clock of a node, as a directory with library and jump. */
class JumpingClock implements Disposable {
  private constructor(readonly dir: string) {
    this.set(0);
  }

  static async make(): Promise<JumpingClock> {
    const clock = new JumpingClock(await Deno.makeTempDir({ prefix: "ouro-clock-" }));
    const argv = ["cc", "-shared", "-fPIC", "-O1", "-o", clock.library, SOURCE];
    const { code, err } = await run(argv);
    if (code !== 0) throw new Error(err);
    return clock;
  }

  get library(): string {
    return `${this.dir}/clock.so`;
  }

  get env(): Record<string, string> {
    return { LD_PRELOAD: this.library, JUMP_FILE: `${this.dir}/jump` };
  }

  /** Sets the clock so many seconds before or after the host's. */
  set(seconds: number): void {
    using file = Deno.openSync(`${this.dir}/jump`, { write: true, create: true });
    file.writeSync(new Uint8Array(BigInt64Array.of(BigInt(seconds)).buffer));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

Deno.test({
  name: "a clock that jumps: flows, time-outs and keepalives go on, and new flows are had",
  ignore: !hasCompiler(),
  // The waiter thread of the library outlives its flow a little.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    using clock = await JumpingClock.make();
    await using node = await TestNode.start({ env: clock.env });
    await t.step("the library works", async () => {
      clock.set(-10 * 365 * DAY);
      const argv = [Deno.execPath(), "eval", "console.log(new Date().getFullYear())"];
      const { out } = await run(argv, { env: clock.env });
      assertEquals(Number(out), new Date(Date.now() - 10 * 365 * DAY * 1000).getFullYear());
      clock.set(0);
    });
    await node.bindProgram("oping", "op");
    const server = node.spawn(["oping", "-l", "-Q"]);
    await server.waitForLine(/started/);
    const others = await Bystanders.start(node, "others", "data");
    await faultServer(node, "echo");
    using process = ownProcess(node);
    // The least of the jumps would end it many times over, a loaded machine does not.
    const impatient = await openFlow(process, "echo", First.ECHO, { ...QOS.data, timeout: 60_000 });

    for (const seconds of [HOUR, -HOUR, DAY, -DAY, 400 * DAY, 0, -400 * DAY, 0]) {
      await t.step(`the clock is set to ${seconds / HOUR} hours from now`, async () => {
        const soon = Flow.accept(process, { timeoutMs: 700 }); // nobody comes
        const outcome = soon.then(() => "done", (e: OuroError) => errnoName(e.code));
        clock.set(seconds);
        await others.goOn();
        const { code, out, err } = await node.run([
          "oping",
          "-n",
          "op",
          "-c",
          "3",
          ...PATIENT,
          "-i",
          "5",
        ]);
        assertEquals([code, err], [0, ""]);
        assertMatch(out, /3 packets transmitted, 3 received/);
        assertEquals(await within("a time-out", outcome, SOON_MS), "ETIMEDOUT");
        await exchange(impatient, numbered(1, false));
        assert(!impatient.hasEnded());
      });
    }
    await impatient.dealloc();
    for (const p of [node.irmd!, server, others.client, others.server]) {
      assertEquals(p.ended, undefined);
      assertNotMatch(p.out + p.err, STACK_TRACE);
    }
  },
});
