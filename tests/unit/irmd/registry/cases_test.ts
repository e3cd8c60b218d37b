// The prototype's registry cases (spec 20 §17), in its order, and the orders that show outside (§5).

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { flowInfoOf, FlowState, IpcpState, NOT_ENROLLED } from "../../../../lib/irm/messages.ts";
import { QOS } from "../../../../lib/qos.ts";
import {
  ActiveQueue,
  compareBytes,
  FlowRecord,
  NameRecord,
} from "../../../../irmd/registry/mod.ts";
import {
  accept,
  directFlow,
  ipcp,
  must,
  name,
  pendingAlloc,
  proc,
  registry,
  REQUEST,
  reserve,
  RESPONSE,
  violations,
} from "../../../support/registry.ts";
import { anyText } from "../../../support/text.ts";

Deno.test("FlowRecord.of() takes a flow at its start only", () => {
  const good = flowInfoOf({ id: 1, nPid: 2 });
  const f = must(FlowRecord.of(good));
  assertEquals(f.info(2), good);
  assertEquals(FlowRecord.of({ ...good, id: 0 }), -22);
  assertEquals(FlowRecord.of({ ...good, id: 10240 }), -22);
  assertEquals(FlowRecord.of({ ...good, nPid: 0 }), -22);
  assertEquals(FlowRecord.of({ ...good, n1Pid: 3 }), -22);
  assertEquals(FlowRecord.of({ ...good, state: FlowState.ALLOC_PENDING }), -22);
  assertEquals(FlowRecord.of({ ...good, mpl: 100 }), -22);
});

Deno.test("FlowRecord.update() takes over the state and gives back what is stored", () => {
  const f = FlowRecord.of(flowInfoOf({ id: 1, nPid: 2 })) as FlowRecord;
  const info = flowInfoOf({ id: 1, nPid: 2, n1Pid: 9, state: FlowState.ALLOC_PENDING });
  assertEquals(f.update(info), info);
  assertEquals(f.update({ ...info, id: 2 }), -22);
  assertEquals(f.state, FlowState.ALLOC_PENDING);
});

Deno.test("alloc() gives the lowest free id; drop() frees it", () => {
  const r = registry();
  proc(r, 10);
  const f = r.alloc(10, QOS.raw) as FlowRecord;
  assertEquals([f.id, r.flows.count, r.flows.get(1)], [1, 1, f]);
  assertEquals((r.alloc(10, QOS.raw) as FlowRecord).id, 2);
  r.drop(f, -1);
  assertEquals([r.flows.has(1), r.flows.count, f.state], [false, 1, FlowState.DEALLOCATED]);
  assertEquals((r.alloc(10, QOS.raw) as FlowRecord).id, 1);
  assertEquals(violations(r), []);
});

Deno.test("accept that times out: -110, state DEALLOCATED, the record is gone", () => {
  const r = registry();
  proc(r, 10);
  const a = accept(r, 10);
  assertEquals(a.flow.state, FlowState.ACCEPT_PENDING);
  assert(r.acceptEnd(a.flow, -110));
  assertEquals(a.waiter.result, { kind: "failed", code: -110 });
  assertEquals(a.flow.state, FlowState.DEALLOCATED);
  assertEquals(r.flows.count, 0);
  assert(!r.acceptEnd(a.flow, -110));
  assertEquals(violations(r), []);
});

Deno.test("accept answered over an IPCP, then deallocated", () => {
  const r = registry();
  proc(r, 10);
  name(r, "n");
  r.bindProcess(10, "n");
  ipcp(r, 20);
  const a = accept(r, 10);
  const reservation = reserve(r, "n");
  const q = { ipcpPid: 20, mpl: 100, qos: QOS.data, request: REQUEST };
  const info = r.arrive(reservation, q);
  const want = flowInfoOf({ id: 1, nPid: 10, n1Pid: 20, mpl: 100, state: 3, qos: QOS.data });
  assertEquals(info, want);
  assertEquals(a.waiter.result, { kind: "request", request: REQUEST, name: "n", direct: false });
  assertEquals(a.flow.wait.kind, "nothing"); // handed over once
  assertEquals(r.dealloc(10, 1, 0, 0), { code: 0, ipcpPid: 20 });
  assertEquals(a.flow.state, FlowState.DEALLOC_PENDING);
  assertEquals(r.dealloc(10, 1, 0, 0), { code: 0, ipcpPid: 20 }); // asked again, sent again
  assertEquals(r.ipcpDealloc(20, 1), 0);
  assertEquals(a.flow.state, FlowState.DEALLOCATED);
  assertEquals(r.flows.count, 0);
  assertEquals(r.takeEffects(), [{ kind: "rings-destroy", flowId: 1, pids: [10, 20] }]);
  assertEquals(violations(r), []);
});

Deno.test("alloc answered with response 0: ALLOCATED with the IPCP's MPL, data handed over", () => {
  const r = registry();
  proc(r, 10);
  ipcp(r, 20);
  const { flow, waiter } = pendingAlloc(r, 10, 20);
  assertEquals(flow.state, FlowState.ALLOC_PENDING);
  assertEquals(r.allocReply(20, flow.id, { response: 0, mpl: 100, data: RESPONSE }), 0);
  assertEquals(waiter.result, { kind: "response", response: RESPONSE });
  assertEquals([flow.state, flow.mpl], [FlowState.ALLOCATED, 100]);
  assertEquals(r.allocReply(20, flow.id, { response: 0, mpl: 7, data: RESPONSE }), -9);
  assertEquals(flow.mpl, 100);
  assertEquals(violations(r), []);
});

Deno.test("what an IPCP says of its layer's limits stays with the flow, and only with that one", () => {
  const r = registry();
  for (const pid of [10, 11]) proc(r, pid);
  name(r, "n");
  r.bindProcess(10, "n");
  ipcp(r, 20);
  const { flow } = pendingAlloc(r, 11, 20);
  assertEquals(flow.info(11).sduBytesMax, undefined);
  const sdu = { sduBytesMax: 8976, sduBytesWhole: 1468 };
  assertEquals(r.allocReply(20, flow.id, { response: 0, mpl: 9, data: RESPONSE, sdu }), 0);
  assertEquals(flow.info(11), { ...flowInfoOf(flow.info(11)), ...sdu });
  const a = accept(r, 10);
  const q = { ipcpPid: 20, mpl: 100, qos: QOS.data, request: REQUEST };
  const info = must(
    r.arrive(reserve(r, "n"), { ...q, sdu: { ...flowInfoOf({}), sduBytesMax: 9 } }),
  );
  assertEquals([info.sduBytesMax, "sduBytesWhole" in info], [9, false]);
  assertEquals(a.flow.info(10), info);
  // An IPCP that says nothing: the flow is told as the prototype tells it.
  accept(r, 10);
  const silent = must(r.arrive(reserve(r, "n"), { ...q, sdu: flowInfoOf({}) }));
  assertEquals(["sduBytesMax" in silent, "sduBytesWhole" in silent], [false, false]);
  assertEquals(violations(r), []);
});

Deno.test("alloc answered with a negative response: the code, state DEALLOCATED", () => {
  const r = registry();
  proc(r, 10);
  ipcp(r, 20);
  for (const [response, code] of [[-1, -1], [-5, -5], [-1009, -1009], [5, -1008]] as const) {
    const { flow, waiter } = pendingAlloc(r, 10, 20);
    assertEquals(r.allocReply(20, flow.id, { response, mpl: 0, data: RESPONSE }), 0);
    assertEquals(waiter.result, { kind: "failed", code });
    assertEquals(flow.state, FlowState.DEALLOCATED);
  }
  assertEquals(r.flows.count, 0);
  assertEquals(violations(r), []);
});

Deno.test("direct flow: request to the acceptor, response to the client, both must dealloc", () => {
  const r = registry();
  proc(r, 10);
  proc(r, 11);
  name(r, "n");
  r.bindProcess(10, "n");
  const a = accept(r, 10);
  const reservation = reserve(r, "n", { pid: 11, uid: 0 });
  const q = { clientPid: 11, qos: QOS.data, request: REQUEST };
  const w = must(r.direct(reservation, q));
  assertEquals(a.waiter.result, { kind: "request", request: REQUEST, name: "n", direct: true });
  assertEquals(r.directRespond(a.flow, RESPONSE), 0);
  assertEquals(w.result, { kind: "response", response: RESPONSE });
  assertEquals(r.directRespond(a.flow, RESPONSE), -9);
  const server = flowInfoOf({ id: 1, nPid: 10, n1Pid: 11, mpl: 1, state: 3, qos: QOS.data });
  assertEquals(a.flow.info(10), server);
  assertEquals(a.flow.info(11), { ...server, nPid: 11, n1Pid: 10 });
  const gone = { code: 0, ipcpPid: undefined };
  assertEquals(r.dealloc(10, 1, 3, 0), gone);
  assertEquals(a.flow.state, FlowState.DEALLOC_PENDING);
  assertEquals(r.dealloc(10, 1, 0, 0), gone);
  assertEquals(a.flow.state, FlowState.DEALLOC_PENDING);
  assertEquals(r.takeEffects(), []);
  assertEquals(r.dealloc(11, 1, 0, 0), gone);
  assertEquals(a.flow.state, FlowState.DEALLOCATED);
  assertEquals(r.takeEffects(), [{ kind: "rings-destroy", flowId: 1, pids: [10, 11] }]);
  assertEquals(violations(r), []);
});

Deno.test("IPCPs: create, find, count, remove; listed by type, then pid", () => {
  const r = registry();
  assert(r.createIpcp(5, 1, "a"));
  assert(!r.createIpcp(5, 1, "b"));
  assert(r.ipcps.has(5));
  assertEquals(r.ipcps.count, 1);
  assertEquals(r.ipcps.get(5)!.layer, NOT_ENROLLED);
  r.processGone(5, 0);
  assertEquals([r.ipcps.has(5), r.ipcps.count, r.spawned.has(5)], [false, 0, false]);
  for (let i = 0; i < 10; i++) r.createIpcp(100 + i, 0, `l${i}`);
  assertEquals(r.ipcps.list().length, 10);
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(fc.nat(6), fc.nat(9999)), { selector: (x) => x[1], minLength: 100 }),
      (entries) => {
        const s = registry();
        for (const [type, pid] of entries) s.createIpcp(pid, type, "x");
        const sorted = [...entries].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        assertEquals(s.ipcps.list().map((i) => [i.type, i.pid]), sorted);
        assertEquals(violations(s), []);
      },
    ),
    { numRuns: 20 },
  );
});

Deno.test("setLayer() needs a booted IPCP and is read back", () => {
  const r = registry();
  assertEquals(r.setLayer(5, "l", 1, "bootstrapped"), -1003);
  r.createIpcp(5, 1, "a");
  assertEquals(r.setLayer(5, "l", 1, "bootstrapped"), -1004);
  r.ipcpReady(5, 1, "a", IpcpState.BOOT);
  assertEquals(r.setLayer(5, "l", 3, "bootstrapped"), 0);
  const i = r.ipcps.get(5)!;
  assertEquals([i.layer, i.hashAlgo, i.state], ["l", 3, IpcpState.BOOTSTRAPPED]);
  assertEquals(r.setLayer(5, "m", 1, "enrolled"), 0);
  assertEquals(r.ipcps.byLayer("m"), i);
  assertEquals(r.ipcps.byLayer(NOT_ENROLLED), undefined);
});

Deno.test("names, processes, programs, children: create, has, destroy", () => {
  const r = registry();
  for (let i = 0; i < 10; i++) name(r, `name.${i}`);
  assertEquals(r.names.list().length, 10);
  assert(r.names.has("name.3"));
  assertEquals(r.destroyName("name.3"), 0);
  assertEquals([r.names.has("name.3"), r.names.count], [false, 9]);
  assertEquals(r.destroyName("name.3"), -1);
  assertEquals(proc(r, 10), 0);
  assert(r.procs.has(10));
  assertEquals(proc(r, 10), -1);
  r.spawned.set(10, { pid: 10, kind: "program", what: "/bin/x" });
  r.processGone(10, 0);
  assertEquals([r.procs.has(10), r.spawned.has(10)], [false, false]);
  assertEquals(r.processGone(10, 0), undefined);
  assertEquals(r.bindProgram(["/usr/bin/p"], "name.1", { auto: false }), 0);
  assert(r.progs.has("p"));
  assertEquals(r.unbindProgram("p"), 0);
  assert(!r.progs.has("p"));
  assertEquals(violations(r), []);
});

Deno.test("NameRecord: command lines by path", () => {
  const n = new NameRecord("n", 0, registry().defaultPaths("n"));
  n.addProgram(["/bin/a", "-l"]);
  n.addProgram(["/bin/b"]);
  assertEquals(n.autostart.map((p) => p.argv), [["/bin/b"], ["/bin/a", "-l"]]);
  assert(n.hasProgram("/bin/a"));
  n.removePrograms((p) => p === "/bin/a");
  assert(!n.hasProgram("/bin/a"));
});

for (const [policy, polLb, first, second] of [["rr", 0, 0, 1], ["spill", 1, 2, 2]] as const) {
  Deno.test(`ActiveQueue with policy ${policy}`, () => {
    const P = 1000;
    const q = new ActiveQueue(polLb);
    assertEquals(q.head(), -1);
    q.add(P);
    assertEquals([q.head(), q.head()], [P, P]);
    q.add(P + 1);
    q.add(P + 1);
    q.add(P + 2);
    assertEquals(q.length, 4);
    assertEquals(q.head(), P + first);
    const head = q.head();
    assert(q.remove(head));
    q.add(head);
    assertEquals(q.head(), P + second);
    for (const pid of [P, P + 1, P + 2]) q.removeAll(pid);
    assertEquals([q.length, q.head(), q.pids()], [0, -1, []]);
    assert(!q.remove(P));
  });
}

Deno.test("ActiveQueue agrees with an array", () => {
  const op = fc.tuple(fc.constantFrom("add", "front", "remove", "all"), fc.nat(4));
  fc.assert(fc.property(fc.nat(1), fc.array(op, { maxLength: 60 }), (polLb, ops) => {
    const q = new ActiveQueue(polLb);
    let twin: number[] = [];
    for (const [what, pid] of ops) {
      if (what === "add" || what === "front") {
        q.add(pid, what === "front");
        if (polLb === 1 || what === "front") twin.unshift(pid);
        else twin.push(pid);
      } else if (what === "remove") {
        const at = twin.indexOf(pid);
        assertEquals(q.remove(pid), at >= 0);
        if (at >= 0) twin.splice(at, 1);
      } else {
        q.removeAll(pid);
        twin = twin.filter((p) => p !== pid);
      }
      assertEquals(q.pids(), twin);
      assertEquals([q.length, q.head()], [twin.length, twin[0] ?? -1]);
    }
  }));
});

Deno.test("bindProcess(): binds once, creates the name; unbind and destroy undo it", () => {
  const r = registry();
  assertEquals(r.bindProcess(10, "n"), -1);
  proc(r, 10);
  assertEquals(r.bindProcess(10, "n"), 0);
  assertEquals(r.names.get("n")!.polLb, 1);
  assertEquals(r.bindProcess(10, "n"), -1);
  assertEquals(r.unbindProcess(10, "n"), 0);
  assertEquals(r.unbindProcess(10, "n"), -1);
  assertEquals(r.unbindProcess(10, "x"), -1);
  assertEquals(r.unbindProcess(11, "n"), -1);
  r.bindProcess(10, "n");
  r.destroyName("n");
  assertEquals([...r.procs.get(10)!.names], []);
  assertEquals(violations(r), []);
});

Deno.test("bindProgram(): with auto the name has the command line, without it does not", () => {
  const r = registry();
  assertEquals(r.bindProgram(["/b/prog", "-l", "a b"], "n", { auto: true }), 0);
  assertEquals(r.names.get("n")!.autostart.map((p) => p.argv), [["/b/prog", "-l", "a b"]]);
  assertEquals([...r.progs.get("prog")!.names.keys()], ["n"]);
  assertEquals(r.bindProgram(["/b/prog"], "n", { auto: false }), -1); // bound already
  assertEquals(r.bindProgram(["/c/prog"], "n", { auto: false }), -1); // same base name
  assertEquals(r.unbindProgram("prog", "n"), 0);
  assertEquals(r.names.get("n")!.autostart, []);
  assertEquals(r.unbindProgram("prog", "n"), -1);
  assertEquals(r.bindProgram(["/b/prog"], "n", { auto: false }), 0);
  assert(!r.names.get("n")!.hasProgram("/b/prog"));
  assertEquals(r.bindProgram(["/b/prog"], "", { auto: false }), -22);
  assertEquals(r.bindProgram([], "n", { auto: false }), -22);
  assertEquals(r.bindProgram(["/b/"], "n", { auto: false }), -22);
  assertEquals(r.unbindProgram("other"), -1);
  assertEquals(violations(r), []);
});

Deno.test("unbindProgram() without name takes the command lines everywhere", () => {
  const r = registry();
  r.bindProgram(["/b/prog"], "n", { auto: true });
  r.bindProgram(["/b/prog"], "m", { auto: true });
  r.bindProgram(["/b/other"], "m", { auto: true });
  assertEquals(r.unbindProgram("prog"), 0);
  assertEquals(r.names.get("n")!.autostart, []);
  assertEquals(r.names.get("m")!.autostart.map((p) => p.argv), [["/b/other"]]);
});

Deno.test("a process of a bound program has the name without any bind, before or after", () => {
  const r = registry();
  proc(r, 9, "prog");
  r.bindProgram(["/b/prog"], "n", { auto: false });
  proc(r, 10, "prog");
  proc(r, 11, "else");
  assertEquals([...r.names.get("n")!.procs].sort(), [10, 9].sort());
  assertEquals([...r.procs.get(10)!.names], ["n"]);
  // Taking the program away leaves the processes what they have.
  r.unbindProgram("prog", "n");
  assertEquals(r.names.get("n")!.procs.size, 2);
  proc(r, 12, "prog");
  assertEquals(r.names.get("n")!.procs.size, 2);
  assertEquals(violations(r), []);
});

Deno.test("awaitAcceptor(): unknown name -1007, none -110 at the deadline, then its flow", () => {
  const r = registry();
  assertEquals(r.awaitAcceptor("n").result, { kind: "failed", code: -1007 });
  name(r, "n");
  proc(r, 10);
  r.bindProcess(10, "n");
  const w = r.awaitAcceptor("n");
  assert(!w.settled);
  r.endAcceptorWait("n", w);
  assertEquals(w.result, { kind: "failed", code: -110 });
  const v = r.awaitAcceptor("n");
  const a = accept(r, 10);
  assertEquals(v.result?.kind === "reserved" && v.result.reservation.flow, a.flow);
  assertEquals(a.flow.name, "n");
  assertEquals(violations(r), []);
});

Deno.test("awaitBoot(): -110 at the deadline, failure for state NULL, 0 for OPERATIONAL", () => {
  const r = registry();
  assertEquals(r.awaitBoot(5).result, -1003);
  assertEquals(r.ipcpReady(5, 0, "x", IpcpState.BOOT), -1003);
  r.createIpcp(5, 0, "x");
  const late = r.awaitBoot(5);
  r.endBoot(5);
  assertEquals(late.result, -110);
  const bad = r.awaitBoot(5);
  r.ipcpReady(5, 0, "x", IpcpState.NULL);
  assert(bad.result! < 0);
  const good = r.awaitBoot(5);
  assertEquals(r.ipcpReady(5, 2, "y", IpcpState.OPERATIONAL), 0);
  assertEquals(good.result, 0);
  const i = r.ipcps.get(5)!;
  assertEquals([i.state, i.type, i.name], [IpcpState.OPERATIONAL, 2, "y"]);
  const dead = r.awaitBoot(5);
  r.processGone(5, 0);
  assert(dead.result! < 0);
  assertEquals(violations(r), []);
});

Deno.test("awaitProcess(): -110 at the deadline, 0 when it announces itself", () => {
  const r = registry();
  const late = r.awaitProcess(10);
  const ok = r.awaitProcess(10);
  r.endProcessWait(10, late);
  assertEquals(late.result, -110);
  proc(r, 10);
  assertEquals(ok.result, 0);
  assertEquals(r.awaitProcess(10).result, 0);
});

Deno.test("names are listed behind the first greater one, or at the front", () => {
  const r = registry();
  for (const n of ["n1", "sec", "m", "a", "z"]) name(r, n);
  assertEquals(r.names.list().map((n) => n.name), ["z", "sec", "a", "m", "n1"]);
});

Deno.test("compareBytes() orders as the UTF-8 bytes do", () => {
  const encoder = new TextEncoder();
  const word = anyText(6);
  fc.assert(fc.property(word, word, (a, b) => {
    const [x, y] = [encoder.encode(a), encoder.encode(b)];
    let want = x.length - y.length;
    for (let i = 0; i < Math.min(x.length, y.length); i++) {
      if (x[i] !== y[i]) {
        want = x[i]! - y[i]!;
        break;
      }
    }
    assertEquals(Math.sign(compareBytes(a, b)), Math.sign(want));
  }));
});

Deno.test("byHash() finds names by every algorithm, and not after their end", () => {
  const r = registry();
  name(r, "a");
  const hash = (hex: string) => Uint8Array.fromHex(hex);
  const md5 = hash("0cc175b9c0f1b6a831c399e269772661");
  assertEquals(r.names.byHash(5, md5)?.name, "a");
  assertEquals(r.names.byHash(1, md5), undefined);
  assertEquals(r.names.byHash(99, md5), undefined);
  assertEquals(r.names.byHash(4, hash("e8b7be43"))?.name, "a");
  name(r, "b");
  assertEquals(r.names.byHash(5, hash("92eb5ffee6ae2fec3ad71c777531578f"))?.name, "b");
  r.destroyName("a");
  assertEquals(r.names.byHash(5, md5), undefined);
});

Deno.test("candidates() leaves out broadcast IPCPs and those without a layer", () => {
  const r = registry();
  ipcp(r, 30, 5);
  ipcp(r, 31, 0);
  ipcp(r, 32, 2);
  r.createIpcp(33, 1, "new");
  assertEquals(r.candidates().map((i) => i.pid), [31, 30]);
});

Deno.test("default paths of a name; given ones stay", () => {
  const r = registry();
  r.createName({ name: "n", polLb: 0, skey: "/k", scrt: "", ckey: "", ccrt: "", cenc: "/e" });
  const p = r.names.get("n")!.paths;
  const dir = "/etc/ouroboros/security";
  assertEquals(p, {
    senc: `${dir}/server/n/enc.conf`,
    scrt: `${dir}/server/n/crt.pem`,
    skey: "/k",
    cenc: "/e",
    ccrt: `${dir}/client/n/crt.pem`,
    ckey: `${dir}/client/n/key.pem`,
  });
});

Deno.test("flow ids run out at 10239 and come back", () => {
  const r = registry();
  proc(r, 10);
  const flows: FlowRecord[] = [];
  for (let i = 1; i < 10240; i++) {
    const f = must(r.alloc(10, QOS.raw));
    assertEquals(f.id, i);
    flows.push(f);
  }
  assertEquals(r.alloc(10, QOS.raw), -9);
  assertEquals(r.accept(10, QOS.raw), -9);
  for (const i of [5000, 77, 10238]) r.drop(flows[i]!, -1);
  const again = [1, 2, 3].map(() => (r.alloc(10, QOS.raw) as FlowRecord).id);
  assertEquals(again, [78, 5001, 10239]);
  r.processGone(10, 0);
  assertEquals(r.flows.count, 0);
});

Deno.test("directFlow() of the builders keeps the invariants", () => {
  const r = registry();
  proc(r, 10);
  proc(r, 11);
  name(r, "n");
  r.bindProcess(10, "n");
  assertEquals(directFlow(r, 10, 11, "n").state, FlowState.ALLOCATED);
  assertEquals(violations(r), []);
});

Deno.test("hasSeat(): a flood for a name that nobody serves has few seats, one that is served has more", () => {
  const r = registry();
  name(r, "n");
  const n = r.names.get("n")!;
  const fill = () => {
    let taken = 0;
    for (; n.hasSeat(5000); taken++) r.awaitAcceptor("n");
    return taken;
  };
  assertEquals(fill(), 16);
  // Processes of this host have shares of their own.
  r.awaitAcceptor("n", { pid: 1, uid: 1 });
  proc(r, 10);
  r.bindProcess(10, "n");
  r.accept(10, QOS.raw);
  assertEquals(n.hasSeat(5000), true, "one was served");
  assertEquals(fill(), 33);
  assertEquals(n.hasSeat(6500), false, "and none since");
});
