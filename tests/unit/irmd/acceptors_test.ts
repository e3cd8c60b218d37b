// Waiting for an acceptor: who is waited for and how long, what is started, what is said when nobody comes.

import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  type Acceptor,
  ACCEPTOR_MS,
  findAcceptor,
  NEVER_ACCEPTED_MS,
  STARTED_MS,
} from "../../../irmd/acceptors.ts";
import { Errno } from "../../../lib/errno.ts";
import { MemoryDaemon, turns, WaitingClient, withFakeTime } from "../../support/memory_daemon.ts";
import { accept, name, proc } from "../../support/registry.ts";

const SERVER = 10;
const NEVER = Infinity;

/** A wait under way, and what became of it. */
function waiting(m: MemoryDaemon, endMs = NEVER, client = new WaitingClient()) {
  const it: { found: Acceptor | undefined; client: WaitingClient } = { found: undefined, client };
  void findAcceptor(m.d, "n", client.client, endMs).then((found) => it.found = found);
  return it;
}

const failure = (found: Acceptor | undefined) => found?.kind === "failed" ? found : undefined;

/** A node with the name `n`, for which /bin/srv is started. */
function autostarted(): MemoryDaemon {
  const m = new MemoryDaemon();
  m.d.registry.bindProgram(["/bin/srv", "-l"], "n", { auto: true });
  return m;
}

/** The latest program that was started comes up: it announces itself and accepts. */
function comesUp(m: MemoryDaemon): number {
  const pid = [...m.started.keys()].at(-1)!;
  proc(m.d.registry, pid, "srv");
  accept(m.d.registry, pid);
  return pid;
}

Deno.test("findAcceptor() waits for nobody where there is nobody: no name, or nothing bound to it", () =>
  withFakeTime(async () => {
    const m = new MemoryDaemon();
    const none = waiting(m);
    await turns();
    assertEquals(failure(none.found)?.code, -Errno.ENAME);
    name(m.d.registry, "n");
    const unbound = waiting(m);
    await turns();
    assertEquals(failure(unbound.found)?.code, -Errno.ETIMEDOUT);
    assertEquals(unbound.client.watchers, 0);
  }));

Deno.test("findAcceptor() gives an accept that is there, and one that comes just in time", () =>
  withFakeTime(async () => {
    for (const patience of [1, 3]) {
      const m = new MemoryDaemon({ patience });
      proc(m.d.registry, SERVER);
      m.d.registry.bindProcess(SERVER, "n");
      accept(m.d.registry, SERVER);
      const now = waiting(m);
      await turns();
      assertEquals(now.found?.kind, "reserved");
      const later = waiting(m);
      await m.pass(ACCEPTOR_MS * patience - 1);
      assertEquals(later.found, undefined);
      accept(m.d.registry, SERVER);
      await turns();
      assertEquals(later.found?.kind, "reserved");
      assertEquals(later.client.watchers, 0);
      const never = waiting(m);
      await m.pass(ACCEPTOR_MS * patience);
      assertEquals(failure(never.found), { kind: "failed", code: -Errno.ETIMEDOUT });
    }
  }));

Deno.test("findAcceptor() ends at the asker's deadline, and when the asker hangs up", () =>
  withFakeTime(async () => {
    const m = new MemoryDaemon();
    proc(m.d.registry, SERVER);
    m.d.registry.bindProcess(SERVER, "n");
    const late = waiting(m, m.now + 300);
    await m.pass(299);
    assertEquals(late.found, undefined);
    await m.pass(1);
    assertEquals(failure(late.found)?.code, -Errno.ETIMEDOUT);
    const gone = waiting(m);
    await turns();
    gone.client.hangUp();
    await turns();
    assertEquals(gone.found, { kind: "hang-up" });
  }));

Deno.test("findAcceptor() goes on while a server that accepts one after the other serves others", () =>
  withFakeTime(async () => {
    const m = new MemoryDaemon();
    proc(m.d.registry, SERVER);
    m.d.registry.bindProcess(SERVER, "n");
    const first = waiting(m);
    const second = waiting(m);
    await m.pass(ACCEPTOR_MS - 1);
    accept(m.d.registry, SERVER);
    await m.pass(1);
    assertEquals([first.found?.kind, second.found], ["reserved", undefined]);
    await m.pass(ACCEPTOR_MS);
    assertEquals(failure(second.found)?.code, -Errno.ETIMEDOUT, "nobody was served meanwhile");
  }));

Deno.test("findAcceptor() starts the program at once, once for all who wait, and gives it its time", () =>
  withFakeTime(async () => {
    const m = autostarted();
    const both = [waiting(m), waiting(m)];
    await turns();
    assertEquals([...m.started.values()], [["/bin/srv", "-l"]]);
    await m.pass(STARTED_MS - 1);
    assertEquals(both.map((w) => w.found), [undefined, undefined]);
    const pid = comesUp(m);
    await turns();
    assertEquals(both[0]!.found?.kind, "reserved");
    accept(m.d.registry, pid);
    await turns();
    assertEquals(both[1]!.found?.kind, "reserved");
    await m.pass(NEVER_ACCEPTED_MS);
    assertEquals(m.stopped, [], "one that accepted is left alone");
  }));

Deno.test("findAcceptor() starts the program where a bound process does not accept", () =>
  withFakeTime(async () => {
    const m = autostarted();
    proc(m.d.registry, SERVER);
    m.d.registry.bindProcess(SERVER, "n");
    const w = waiting(m);
    await m.pass(ACCEPTOR_MS - 1);
    assertEquals(m.started.size, 0);
    await m.pass(1);
    assertEquals(m.started.size, 1);
    comesUp(m);
    await turns();
    assertEquals(w.found?.kind, "reserved");
  }));

Deno.test("a program that never accepts is ended, and the asker hears of it before", () =>
  withFakeTime(async () => {
    const m = autostarted();
    const w = waiting(m);
    await m.pass(STARTED_MS);
    assertStringIncludes(failure(w.found)!.why!, "does not accept in time");
    const next = waiting(m);
    await turns();
    assertStringIncludes(failure(next.found)!.why!, "was started and does not accept");
    await m.pass(NEVER_ACCEPTED_MS - STARTED_MS - 1);
    assertEquals(m.stopped, []);
    await m.pass(1);
    assertEquals(m.stopped, [...m.started.keys()]);
  }));

Deno.test("a program that ends badly fails who waits, and rests longer after each failure in a row", () =>
  withFakeTime(async () => {
    const m = autostarted();
    for (const pauseMs of [250, 500, 1000]) {
      const w = waiting(m);
      await turns();
      m.end([...m.started.keys()].at(-1)!, 3);
      await turns();
      assertStringIncludes(failure(w.found)!.why!, "ended with status 3 before it accepted");
      const count = m.started.size;
      await m.pass(pauseMs - 1);
      const tooSoon = waiting(m);
      await turns();
      assertEquals(failure(tooSoon.found)?.code, -Errno.EPERM);
      assertStringIncludes(failure(tooSoon.found)!.why!, "it is tried again in 1 s");
      assertEquals(m.started.size, count);
      await m.pass(1);
    }
    // One that accepts makes up for those before it.
    const w = waiting(m);
    await turns();
    const pid = comesUp(m);
    await turns();
    assertEquals(w.found?.kind, "reserved");
    m.d.registry.processGone(pid, m.now);
    m.end(pid, 3);
    const again = waiting(m);
    await turns();
    assertEquals(again.found, undefined, "started at once");
    again.client.hangUp();
  }));

Deno.test("a program that puts itself into the background ends well, and is waited for", () =>
  withFakeTime(async () => {
    const m = autostarted();
    const w = waiting(m);
    await turns();
    m.end([...m.started.keys()][0]!, 0);
    await turns();
    assertEquals(w.found, undefined);
    proc(m.d.registry, SERVER, "srv");
    accept(m.d.registry, SERVER);
    await turns();
    assertEquals(w.found?.kind, "reserved");
  }));

Deno.test("a program that cannot be started is said so at once", () =>
  withFakeTime(async () => {
    const m = autostarted();
    m.cannotStart = "/bin/srv cannot be started (no such file)";
    const w = waiting(m);
    await turns();
    assertEquals(failure(w.found), {
      kind: "failed",
      code: -Errno.EPERM,
      why: m.cannotStart,
    });
  }));

Deno.test("a direct asker hears that the acceptor is another user's, or itself", () =>
  withFakeTime(async () => {
    const m = new MemoryDaemon();
    proc(m.d.registry, SERVER, "srv", 7);
    m.d.registry.bindProcess(SERVER, "n");
    accept(m.d.registry, SERVER);
    for (
      const [pid, uid, kind] of [[11, 8, "foreign"], [SERVER, 7, "foreign"], [11, 7, "reserved"]]
    ) {
      const direct = { pid: pid as number, uid: uid as number };
      const found = await findAcceptor(m.d, "n", undefined, NEVER, direct);
      assertEquals(found.kind, kind);
    }
  }));

Deno.test("no more wait for a server that takes nobody than have a seat; the next is told", () =>
  withFakeTime(async () => {
    const m = new MemoryDaemon();
    proc(m.d.registry, SERVER);
    m.d.registry.bindProcess(SERVER, "n");
    let refused: Acceptor | undefined;
    const clients: WaitingClient[] = [];
    while (refused === undefined && clients.length < 10_000) {
      const w = waiting(m, NEVER);
      clients.push(w.client);
      await Promise.resolve();
      await Promise.resolve();
      refused = w.found;
    }
    assertEquals(failure(refused)?.code, -Errno.EBUSY);
    assertStringIncludes(failure(refused)!.why!, "too many requests");
    for (const c of clients) c.hangUp();
    await turns();
  }));
