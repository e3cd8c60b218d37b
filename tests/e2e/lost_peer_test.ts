/**
 * What is proved here: a peer behind a layer that is lost without a word (its host loses its power, the cable is
 * pulled), with real hosts in network namespaces. Callers are told after the peer time-out and not later, closing
 * never looks like a hang, the tools end at once at Ctrl-C, and what is not lost for good goes on and loses nothing.
 * A peer killed on the same host is in flow_down_test.ts, full_ring_test.ts and frct_end_test.ts.
 */

import type { RunningProcess } from "../support/node.ts";
import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { errnoName, OuroError } from "../../lib/errno.ts";
import type { Flow } from "../../lib/flow/flow.ts";
import { QOS } from "../../lib/qos.ts";
import { First, numbered } from "../support/fault_peer.ts";
import {
  Bystanders,
  exchange,
  faultPeer,
  openFlow,
  ownProcess,
  SOON_MS,
  STACK_TRACE,
  TwoHosts,
} from "../support/faults.ts";
import { until, within } from "../support/deadline.ts";
import { canMakeNetns } from "../support/netns.ts";

const ignore = !canMakeNetns();
const TYPES = ["udp4", "eth-dix"] as const;
/** A flow whose peer counts as lost after so many ms of silence. */
const IMPATIENT = { ...QOS.data, ber: 1, timeout: 8000 };

function lostTest(name: string, fn: () => Promise<void>): void {
  // The waiter thread of the library outlives its flow a little.
  Deno.test({ name, ignore, fn, sanitizeOps: false, sanitizeResources: false });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => "done",
    (e) => e instanceof OuroError ? errnoName(e.code) : `${e}`,
  );
}

for (const type of TYPES) {
  lostTest(`${type}: a host that loses its power: callers and closing end in time`, async () => {
    await using hosts = await TwoHosts.start(type, ["far"]);
    const server = await hosts.serve("far");
    const others = await Bystanders.start(hosts.a, "near", "data");
    using process = ownProcess(hosts.a);
    const reading = await openFlow(process, "far", First.ECHO, IMPATIENT);
    const writing = await openFlow(process, "far", First.DEAF, IMPATIENT);
    const patient = [];
    for (let k = 0; k < 4; k++) patient.push(await openFlow(process, "far", First.ECHO, QOS.data));

    const read = codeOf(reading.read());
    const write = codeOf((async () => {
      for (;;) await writing.write(numbered(0, false));
    })());
    await hosts.killB(server);
    assertEquals(await within("read", read, SOON_MS), "EFLOWPEER");
    assertEquals(await within("write", write, SOON_MS), "EFLOWPEER");
    assertEquals(errnoName(reading.readSync(new Uint8Array(10))), "EFLOWPEER");
    await within("dealloc after the time-out", reading.dealloc(), SOON_MS);
    await within("dealloc with unread data", writing.dealloc(), SOON_MS);

    // These wait 120 s for their peer, unless they are told otherwise.
    const [one, two, three, four] = patient as [Flow, Flow, Flow, Flow];
    for (const flow of patient) assertEquals(await flow.write(numbered(1, false)), 64);
    let closed = false;
    const slow = one.dealloc().then(() => closed = true);
    await within("dealloc with lingerMs", two.dealloc({ lingerMs: 100 }), SOON_MS);
    await within(
      "dealloc with a signal",
      three.dealloc({ signal: AbortSignal.timeout(100) }),
      SOON_MS,
    );
    four.lingerMs = 100;
    assertEquals(four.deallocSync(), 0);
    await others.goOn(); // a lingering flow blocks nobody
    assert(!closed, "a reliable flow was closed before its data was given up");
    process.close();
    await within("end of the process", slow, SOON_MS);
    await others.goOn(3);
  });
}

lostTest("udp4: a process whose peer is lost ends at once, whichever way it ends", async () => {
  await using hosts = await TwoHosts.start("udp4", ["far"]);
  const server = await hosts.serve("far");
  const ways = ["exit", "end", "error"];
  const leaving = ways.map((how) => faultPeer(hosts.a, ["leave", "far", how]));
  for (const p of leaving) await p.waitForLine(/ready/);
  await hosts.killB(server);
  for (const p of leaving) p.kill("SIGUSR1");
  const ends = await Promise.all(leaving.map((p) => p.wait(SOON_MS)));
  assertEquals(ends.map(({ code }) => code), [0, 0, 1]);
  // Nothing of them is left on their own host.
  await until("no rings", () => !hosts.a.sharedMemory().some((name) => name.includes(".rbuff.")));
});

lostTest("udp4: Ctrl-C ends every tool whose server is lost", async () => {
  await using hosts = await TwoHosts.start("udp4", ["op", "perf", "cbr"]);
  const { a, b } = hosts;
  const servers = [];
  for (
    const [name, program, ...words] of [
      ["op", "oping"],
      ["perf", "operf", "--idle", "60s"],
      ["cbr", "ocbr", "--idle", "60s"], // without that a late client is refused
    ] as const
  ) {
    await b.bindProgram(program, name);
    await b.must("irm", "name", "register", name, "layer", "lay");
    const server = b.spawn([program, "-l", ...words]);
    await b.irmd!.waitForLine(new RegExp(`Process added: ${server.pid} `));
    servers.push(server);
  }
  const accepted = () => (b.irmd!.out.match(/Flow \d+ accepted/g) ?? []).length;
  const clients: RunningProcess[] = [];
  for (
    const words of [
      ["oping", "-n", "op", "-q", "data", "-i", "10", "-Q", "--timeout", "600000"],
      ["operf", "-n", "perf", "-q", "data", "-d", "600s", "-s", "100"],
      ["ocbr", "-n", "cbr", "-q", "data", "-d", "600", "-s", "100", "-r", "100000"],
    ]
  ) {
    const before = accepted();
    const client = a.spawn(words);
    await until(`a flow of ${words[0]}`, () => {
      if (client.ended) throw new Error(client.out + client.err + b.irmd!.out);
      return accepted() > before;
    });
    clients.push(client);
  }
  await hosts.killB(...servers);
  for (const client of clients) {
    client.kill("SIGINT");
    const { code, out, err } = await client.wait(SOON_MS);
    assertEquals(code, 0, out + err);
    assertNotMatch(out + err, STACK_TRACE);
  }
  assertMatch(clients[0]!.out, /op ping statistics/);
});

lostTest(
  "udp4: a cable pulled in mid-transfer: it waits, and loses nothing when it is put back",
  async () => {
    await using hosts = await TwoHosts.start("udp4", ["far"]);
    const server = await hosts.serve("far");
    const others = await Bystanders.start(hosts.a, "near");
    using process = ownProcess(hosts.a);
    const flow = await openFlow(process, "far", First.DEAF, QOS.data);
    server.kill("SIGUSR1"); // it reads at once
    let sent = 0;
    let enough = false;
    const sending = (async () => {
      for (; !enough; sent++) {
        await flow.write(numbered(sent, false));
        if (sent % 50 === 0) await new Promise((done) => setTimeout(done, 1));
      }
      await flow.write(numbered(sent++, true));
    })();
    await until("some of it", () => sent > 500);
    await hosts.cable("down");
    await until("a stall", async () => {
      const before = sent;
      await others.goOn(10);
      return before === sent;
    });
    await hosts.cable("up");
    const stalled = sent;
    await until("it goes on", () => sent > stalled + 500);
    enough = true;
    await within("the rest", sending, SOON_MS);
    const answer = new TextDecoder().decode(await flow.read({ timeoutMs: SOON_MS }));
    assertEquals(answer, `${sent} in order`);
    await within("dealloc", flow.dealloc(), SOON_MS);
  },
);

lostTest(
  "eth-dix: a cable that is pulled is told to blocked callers, and the flow goes on when it is back",
  async () => {
    await using hosts = await TwoHosts.start("eth-dix", ["far"]);
    await hosts.serve("far");
    using process = ownProcess(hosts.a);
    const flow = await openFlow(process, "far", First.PATIENT, QOS.data);
    const read = codeOf(flow.read());
    await hosts.cable("down");
    assertEquals(await within("read", read, SOON_MS), "EFLOWDOWN");
    const write = codeOf((async () => {
      for (;;) await flow.write(numbered(0, false));
    })());
    assertEquals(await within("write", write, SOON_MS), "EFLOWDOWN");
    await hosts.cable("up");
    await until("up again", () => flow.writeSync(numbered(7, false), { nonblock: true }) === 64);
    let got;
    do got = await flow.read({ timeoutMs: SOON_MS }); while (got[3] !== 7);
    await exchange(flow, numbered(8, false));
    await hosts.cable("down");
    await until("down", () => flow.hasEnded());
    await within("dealloc of a flow that is down", flow.dealloc(), SOON_MS);
  },
);
