// Administration of IPCPs over the real registry: starting, joining, connecting, registering, and making them again;
// the configuration file and what `irm save` gives of it. IPCPs answer what the test says.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Outcome } from "../../../irmd/answer.ts";
import { applyConfig, loadConfig, Reread } from "../../../irmd/apply_config.ts";
import { parseConfig } from "../../../irmd/config.ts";
import { Ipcps } from "../../../irmd/ipcps.ts";
import { listIpcps, listNames } from "../../../irmd/names.ts";
import { RESTART_FIRST_MS } from "../../../irmd/registry/mod.ts";
import { saveState } from "../../../irmd/save.ts";
import { Exit } from "../../../lib/exit.ts";
import { Errno } from "../../../lib/errno.ts";
import { nameHash } from "../../../lib/hash.ts";
import { parseInet6 } from "../../../lib/inet.ts";
import { bootstrapConfig, defaultBootstrapOptions } from "../../../lib/irm/bootstrap_options.ts";
import {
  COMP_DATA_TRANSFER,
  COMP_MANAGEMENT,
  encodeIrmMsg,
  IpcpState,
  IpcpType,
  IrmCode,
  LIST_LONG,
  NOT_ENROLLED,
} from "../../../lib/irm/messages.ts";
import { MESSAGE_BYTES_MAX } from "../../../lib/limits.ts";
import { QOS } from "../../../lib/qos.ts";
import { MemoryDaemon, replied, turns, withFakeTime } from "../../support/memory_daemon.ts";
import { name, proc } from "../../support/registry.ts";

const LAYER = { name: "lay", dirHashAlgo: 1 };
const LOCAL = { ipcpType: IpcpType.LOCAL, layerInfo: LAYER };
const refusalOf = (o: Outcome) => [o?.msg.result, o?.msg.error?.cause ?? ""] as const;

/** A daemon whose IPCPs do as they are told, and its administration of them. */
class Node extends MemoryDaemon {
  readonly admin = new Ipcps(this.d);
  /** Whether IPCPs report once they are started. */
  boots = true;

  constructor() {
    super();
    this.answer = ({ call }) =>
      call === "bootstrap" || call === "enroll" ? replied(0, { layerInfo: LAYER }) : replied(0);
    const start = this.d.children.startIpcp;
    this.d.children.startIpcp = (type, name) => {
      const pid = start(type, name);
      if (typeof pid === "number" && this.boots) setImmediate(() => this.report(pid));
      return pid;
    };
  }

  /** The latest that was started. */
  get latest(): number {
    return [...this.ipcps.keys()].at(-1)!;
  }

  /** An IPCP announces itself and reports. */
  report(pid: number): Outcome {
    const [type, name] = this.ipcps.get(pid)!;
    proc(this.d.registry, pid, `ipcpd-${name}`);
    const ipcpInfo = { type, name, pid, state: IpcpState.BOOT };
    return this.admin.ready({ code: IrmCode.IPCP_CREATE_R, ipcpInfo });
  }

  /** A child ends, as `main.ts` tells of it. */
  ends(pid: number, code: number): void {
    const boundTo = [...this.d.registry.procs.get(pid)?.names ?? []];
    const gone = this.d.registry.processGone(pid, this.now);
    this.end(pid, code);
    if (gone?.ipcp !== undefined) this.admin.lost(gone.ipcp, boundTo, code);
    this.admin.onEnded(pid, code);
  }

  create(n: string, type: number = IpcpType.LOCAL): Promise<Outcome> {
    const ipcpInfo = { type, name: n, pid: 0, state: 0 };
    return this.admin.create({ code: IrmCode.IRM_CREATE_IPCP, ipcpInfo });
  }

  bootstrap(pid: number, conf: object = LOCAL): Promise<Outcome> {
    return this.admin.bootstrap({ code: IrmCode.IRM_BOOTSTRAP_IPCP, pid, conf: conf as never });
  }

  register(pid: number, n: string, on = true): Promise<Outcome> {
    return this.admin.register({ code: IrmCode.IRM_REG_NAME, name: n, pid }, on);
  }

  calls(): string[] {
    return this.asked.splice(0).map((a) => `${a.call} ${a.pid}`);
  }
}

Deno.test("an IPCP is created once it has reported; names of IPCPs are there once, and not empty", async () => {
  const m = new Node();
  assertEquals(refusalOf(await m.create("i")), [0, ""]);
  const pid = m.latest;
  assertEquals(m.d.registry.ipcps.get(pid)?.state, IpcpState.BOOT);
  const [code, cause] = refusalOf(await m.create("i"));
  assertEquals([code, cause], [-Errno.EPERM, `there is an IPCP "i" already (process ${pid})`]);
  assertEquals((await m.create(""))?.msg.result, -Errno.EINVAL);
  m.cannotStart = "unknown IPCP type 77";
  assertEquals(refusalOf(await m.create("j", 77)), [-Errno.EPERM, "unknown IPCP type 77"]);
  assertEquals([m.admin.has("i"), m.admin.has("j")], [true, false]);
  const stranger = { type: 0, name: "x", pid: 99, state: IpcpState.BOOT };
  const report = m.admin.ready({ code: IrmCode.IPCP_CREATE_R, ipcpInfo: stranger });
  assert(report!.msg.result! < 0);
});

Deno.test("an IPCP that ends before it reports, or never does, is none", () =>
  withFakeTime(async () => {
    const m = new Node();
    m.boots = false;
    for (
      const [status, why] of [
        [3, "it ended with status 3 while it started (see its log)"],
        [Exit.UNAVAILABLE, "this version has no IPCP of type local"],
      ] as const
    ) {
      const creating = m.create("i");
      await turns();
      m.ends(m.latest, status);
      assertEquals(refusalOf(await creating), [-Errno.EPERM, why]);
      assertEquals([m.admin.has("i"), m.admin.waiting().length], [false, 0]);
    }
    let done = false;
    const late = m.create("i").then((o) => {
      done = true;
      return o;
    });
    await m.pass(14_999);
    assertEquals(m.d.registry.ipcps.has(m.latest), true);
    await m.pass(1);
    assertEquals(done, false, "it is waited for until it has ended");
    m.ends(m.latest, 137);
    assertEquals(refusalOf(await late), [-Errno.EPERM, "no report within 15000 ms"]);
  }));

Deno.test("bootstrap: the type must be right, the layer is what the IPCP says, names wait for it", async () => {
  const m = new Node();
  await m.create("i");
  const pid = m.latest;
  assertEquals(refusalOf(await m.bootstrap(pid, { ...LOCAL, ipcpType: IpcpType.UDP4 })), [
    -Errno.EINVAL,
    "configuration of another IPCP type",
  ]);
  assertEquals((await m.bootstrap(1))?.msg.result, -Errno.EPERM);
  name(m.d.registry, "n");
  assertEquals((await m.register(pid, "no such"))?.msg.result, -Errno.ENAME);
  assertEquals((await m.register(1, "n"))?.msg.result, -Errno.EIPCP);
  assertEquals((await m.register(pid, "n", false))?.msg.result, -Errno.EPERM);
  assertEquals((await m.register(pid, "n"))?.msg.result, 0);
  assertEquals((await m.register(pid, "n", false))?.msg.result, 0);
  assertEquals((await m.register(pid, "n"))?.msg.result, 0);
  assertEquals(m.calls(), [], "it is in no layer yet");
  assertEquals((await m.bootstrap(pid))?.msg.result, 0);
  assertEquals(m.asked[1]!.msg.hash, nameHash(1, "n"));
  assertEquals(m.calls(), [`bootstrap ${pid}`, `reg ${pid}`]);
  assertEquals(m.d.registry.ipcps.get(pid)?.layer, "lay");
  // It says no: the answer is its own, or that it is in a layer already.
  m.answer = () => replied(-Errno.EIPCPSTATE);
  assertEquals(refusalOf(await m.bootstrap(pid)), [-Errno.EPERM, 'it is in layer "lay" already']);
  assertEquals(refusalOf(await m.register(pid, "n", false)), [
    -Errno.EPERM,
    "it is in no layer, or in one already",
  ]);
  m.answer = () => replied(0);
  const { registered } = m.d.registry.ipcps.get(pid)!.plan;
  assertEquals([...registered], ["n"]);
  assertEquals((await m.register(pid, "n", false))?.msg.result, 0);
  assertEquals([...registered], []);
  m.calls();
});

Deno.test("bootstrap of UDP asks for MD5 as C does; one device is for one IPCP, also while it is on its way", async () => {
  const m = new Node();
  await m.create("u", IpcpType.UDP4);
  await m.bootstrap(m.latest, {
    ipcpType: IpcpType.UDP4,
    layerInfo: LAYER,
    udp4: { ipAddr: new Uint8Array(4), dnsAddr: new Uint8Array(4), port: 1 },
  });
  assertEquals(m.asked[0]!.msg.conf?.layerInfo.dirHashAlgo, 5);
  const dix = { ipcpType: IpcpType.ETH_DIX, layerInfo: LAYER };
  const conf = { ...dix, eth: { dev: "va", ethertype: 0xa000 } };
  await m.create("a", IpcpType.ETH_DIX);
  const a = m.latest;
  await m.create("b", IpcpType.ETH_DIX);
  const b = m.latest;
  const { promise, resolve } = Promise.withResolvers<ReturnType<typeof replied>>();
  m.answer = ({ pid }) => pid === a ? promise : replied(0, { layerInfo: LAYER });
  const first = m.bootstrap(a, conf);
  const [code, cause] = refusalOf(await m.bootstrap(b, conf));
  assertEquals(code, -Errno.EEXIST);
  assertStringIncludes(cause, "IPCP a has ethertype 0xA000 of device va already");
  resolve(replied(-1));
  assertEquals((await first)?.msg.result, -Errno.EPERM);
  assertEquals((await m.bootstrap(b, conf))?.msg.result, 0, "a has let it go");
});

Deno.test("enroll and connections: what was asked is remembered, what is taken back is not", async () => {
  const m = new Node();
  await m.create("l");
  const local = m.latest;
  await m.create("u", IpcpType.UNICAST);
  const pid = m.latest;
  const enroll = { code: IrmCode.IRM_ENROLL_IPCP, pid };
  assertEquals((await m.admin.enroll(enroll))?.msg.result, -Errno.EPERM);
  assertEquals((await m.admin.enroll({ ...enroll, dst: "d", pid: 1 }))?.msg.result, -Errno.EPERM);
  assertEquals((await m.admin.enroll({ ...enroll, dst: "d" }))?.msg.result, 0);
  const { plan } = m.d.registry.ipcps.get(pid)!;
  assertEquals(plan.join, { kind: "enroll", dst: "d", policies: [] });
  const to = { code: IrmCode.IRM_CONNECT_IPCP, pid, dst: "d", comp: COMP_MANAGEMENT };
  assertEquals((await m.admin.connect({ ...to, pid: 1 }, true))?.msg.result, -Errno.EIPCP);
  assertEquals((await m.admin.connect({ ...to, pid: local }, true))?.msg.result, -Errno.EIPCP);
  for (let twice = 0; twice < 2; twice++) {
    assertEquals((await m.admin.connect(to, true))?.msg.result, 0);
  }
  assertEquals(plan.connections, [{ dst: "d", comp: COMP_MANAGEMENT, qos: QOS.raw }]);
  m.answer = () => replied(-Errno.EPERM);
  const dt = { ...to, comp: COMP_DATA_TRANSFER };
  assertEquals(refusalOf(await m.admin.connect(dt, true)), [
    -Errno.EPERM,
    "it refused and gave no reason",
  ]);
  assertEquals(plan.connections.length, 1);
  assertEquals((await m.admin.connect(to, false))?.msg.result, -Errno.EPERM);
  assertEquals(plan.connections, []);
  m.answer = () => replied(0);
  assertEquals((await m.admin.connect(to, false))?.msg.result, 0);
});

Deno.test("an IPCP that crashes is made again: joined, connected, bound and registered as before, with pauses", () =>
  withFakeTime(async () => {
    const m = new Node();
    await m.create("u", IpcpType.UNICAST);
    const first = m.latest;
    m.admin.status({
      code: IrmCode.IPCP_STATUS,
      ipcpInfo: { type: 0, name: "u", pid: first, state: 0 },
      error: { stage: "s", process: "p", cause: "the cable is out" },
    });
    const { plan } = m.d.registry.ipcps.get(first)!;
    assertEquals(plan.standing, "the cable is out");
    await m.admin.enroll({ code: IrmCode.IRM_ENROLL_IPCP, pid: first, dst: "d" });
    const to = { code: IrmCode.IRM_CONNECT_IPCP, pid: first, dst: "d", comp: COMP_MANAGEMENT };
    await m.admin.connect(to, true);
    name(m.d.registry, "n");
    await m.register(first, "n");
    m.d.registry.bindProcess(first, "other");
    m.calls();
    m.ends(first, 139);
    assertEquals([plan.note, plan.standing], ["killed by signal 11", ""]);
    assertEquals(m.admin.waiting(), [plan]);
    const listed = (opts: number) =>
      listIpcps(m.d, m.admin, { code: IrmCode.IRM_LIST_IPCPS, opts })!.msg.ipcps!
        .map(({ pid, name, layer, note }) => ({ pid, name, layer, note }));
    const note = "killed by signal 11";
    assertEquals(listed(LIST_LONG), [{ pid: 0, name: "u", layer: NOT_ENROLLED, note }]);
    assertEquals(listed(0), [], "a prototype would take it for one with a process");
    assertStringIncludes(refusalOf(await m.create("u"))[1], "it is being restarted");
    await m.pass(RESTART_FIRST_MS - 1);
    assertEquals(m.latest, first);
    await m.pass(1);
    await turns();
    const second = m.latest;
    assert(second !== first);
    assertEquals(m.calls(), [`enroll ${second}`, `reg ${second}`, `connect ${second}`]);
    assertEquals([plan.note, plan.restarts, m.admin.waiting()], ["", 1, []]);
    assertEquals([...m.d.registry.procs.get(second)!.names], ["other"]);
    // A step that fails is tried again after twice the pause; the process stays.
    m.answer = () => replied(-Errno.EPERM);
    m.ends(second, 1);
    assertEquals(plan.note, "ended with status 1");
    await m.pass(2 * RESTART_FIRST_MS);
    await turns();
    const third = m.latest;
    assertEquals([m.calls(), plan.note], [[`enroll ${third}`], "it refused and gave no reason"]);
    m.answer = ({ call }) => call === "enroll" ? replied(0, { layerInfo: LAYER }) : replied(0);
    await m.pass(4 * RESTART_FIRST_MS);
    await turns();
    assertEquals(m.calls(), [`enroll ${third}`, `reg ${third}`, `connect ${third}`]);
    assertEquals([plan.note, plan.restarts], ["", 2]);
  }));

Deno.test("an IPCP that was told to end, or ends well, is not made again; one that waits can be destroyed", () =>
  withFakeTime(async () => {
    const m = new Node();
    const destroy = (pid: number, n?: string) =>
      m.admin.destroy({
        code: IrmCode.IRM_DESTROY_IPCP,
        pid,
        ...(n === undefined ? {} : { name: n }),
      });
    await m.create("i");
    let pid = m.latest;
    const destroying = destroy(pid);
    assertEquals(m.stopped, [pid]);
    m.ends(pid, 9);
    assertEquals((await destroying)?.msg.result, 0);
    assertEquals(m.admin.waiting(), []);
    assertEquals((await destroy(pid))?.msg.result, -Errno.EPERM);
    await m.create("i");
    m.ends(m.latest, 0);
    assertEquals(m.admin.waiting(), []);
    await m.create("i");
    pid = m.latest;
    m.ends(pid, 1);
    assertEquals(m.admin.waiting().length, 1);
    assertEquals((await destroy(0, "i"))?.msg.result, 0);
    assertEquals(m.admin.waiting(), []);
    await m.pass(RESTART_FIRST_MS);
    assertEquals(m.latest, pid);
    await m.create("i");
    m.ends(m.latest, 1);
    const before = m.latest;
    m.admin.close();
    await m.pass(RESTART_FIRST_MS);
    assertEquals([m.latest, m.admin.waiting()], [before, []]);
  }));

/** Makes what a configuration says. */
async function apply(m: Node, text: string, again = false): Promise<string | undefined> {
  const parsed = parseConfig(text, "irmd.conf");
  if (Array.isArray(parsed)) throw new Error(parsed.map((e) => e.text).join());
  return await applyConfig(m.d, m.admin, parsed, again);
}

const CONFIG = `
[name.n]
prog = ["/bin/sh"]
args = ["-c true"]

[local.i]
bootstrap = "lay"
autobind = true
reg = ["n", "m"]
`;

Deno.test("applyConfig() makes names, bindings and IPCPs; read again, only what is new", async () => {
  const m = new Node();
  const r = m.d.registry;
  assertEquals(await apply(m, CONFIG), undefined);
  const pid = m.latest;
  assertEquals(r.names.get("n")?.autostart.map((p) => p.argv), [["/bin/sh", "-c", "true"]]);
  assertEquals(r.ipcps.get(pid)?.layer, "lay");
  assertEquals([...r.procs.get(pid)!.names], ["i", "lay"]);
  assertEquals(m.calls(), [`bootstrap ${pid}`, `reg ${pid}`, `reg ${pid}`]);
  assertEquals(r.names.has("m"), true);
  // Again as the first time, what is there is in the way; on SIGHUP it is left.
  assertStringIncludes((await apply(m, CONFIG))!, "is bound to");
  assertEquals(await apply(m, CONFIG + "\n[name.x]\n", true), undefined);
  assertEquals([m.latest, m.calls(), r.names.has("x")], [pid, [], true]);
});

Deno.test("applyConfig() stops at the first failure and says where; with `retry` it is tried again", () =>
  withFakeTime(async () => {
    const m = new Node();
    m.answer = ({ call }) => call === "bootstrap" ? replied(-Errno.EPERM) : replied(0);
    const cause = (await apply(m, CONFIG + "\n[local.j]\n"))!;
    assertEquals(cause, "Failed to bootstrap i: it refused and gave no reason. (line 6)");
    assertEquals(m.admin.has("j"), false);
    const kept = new Node();
    kept.answer = m.answer;
    const retry = "[irmd]\nretry = true\n" + CONFIG + "\n[local.j]\n";
    assertEquals(await apply(kept, retry), undefined);
    assertEquals([kept.admin.has("i"), kept.admin.has("j")], [true, true]);
    const i = [...kept.ipcps].find(([, [, n]]) => n === "i")![0];
    kept.calls();
    kept.answer = ({ call }) =>
      call === "bootstrap" ? replied(0, { layerInfo: LAYER }) : replied(0);
    await kept.pass(RESTART_FIRST_MS);
    await turns();
    assertEquals(kept.calls(), [`bootstrap ${i}`, `reg ${i}`, `reg ${i}`]);
    assertEquals([...kept.d.registry.procs.get(i)!.names].sort(), ["i", "lay"]);
  }));

Deno.test("an IPCP of a file that is read again is taken away when it cannot be made whole, and the next reading makes it", async () => {
  const m = new Node();
  m.answer = ({ call }) => call === "bootstrap" ? replied(-Errno.EPERM) : replied(0);
  const reading = apply(m, CONFIG, true);
  await turns();
  assertEquals(m.stopped, [m.latest]);
  m.ends(m.latest, 0);
  assertStringIncludes((await reading)!, "Failed to bootstrap i");
  assertEquals([m.admin.has("i"), m.admin.waiting()], [false, []]);
  m.answer = () => replied(0, { layerInfo: LAYER });
  assertEquals(await apply(m, CONFIG, true), undefined);
  assertEquals(m.d.registry.ipcps.get(m.latest)?.layer, "lay");
});

Deno.test("saveState() gives a file that makes the same node, and names what it cannot hold", async () => {
  const m = new Node();
  await apply(m, CONFIG);
  proc(m.d.registry, 77, "cli");
  m.d.registry.bindProcess(77, "free");
  const saved = saveState(m.d, m.admin)!.msg;
  assertEquals(saved.result, 0);
  assertEquals(saved.unsaved!.length, 1);
  assertStringIncludes(saved.unsaved![0]!, 'process 77 (cli) is bound to name "free"');
  // Nor is there half a file while one is being read.
  m.d.configuring = true;
  assertEquals(saveState(m.d, m.admin)!.msg.result, -Errno.EBUSY);
  m.d.configuring = false;
  const other = new Node();
  assertEquals(await apply(other, saved.config!), undefined);
  const pid = other.latest;
  assertEquals([...other.d.registry.procs.get(pid)!.names].sort(), ["i", "lay"]);
  assertEquals(other.d.registry.ipcps.get(pid)?.layer, "lay");
  const again = saveState(other.d, other.admin)!.msg;
  const text = (t: string) => t.split("\n").filter((l) => !l.startsWith("#")).join("\n");
  assertEquals(text(again.config!), text(saved.config!));
  // An IPCP that waits to be made again is in the file.
  m.ends([...m.ipcps.keys()][0]!, 1);
  const third = new Node();
  assertEquals(await apply(third, saveState(m.d, m.admin)!.msg.config!), undefined);
  assertEquals([...third.d.registry.procs.get(third.latest)!.names].sort(), ["i", "lay"]);
  m.admin.close();
  assertEquals(m.d.registry.ipcps.byName("i")?.layer ?? NOT_ENROLLED, NOT_ENROLLED);
});

Deno.test("a UDP IPCP that says where it has moved to is made again and saved with that address", async () => {
  const m = new Node();
  for (
    const [type, ip, text] of [
      [IpcpType.UDP4, Uint8Array.of(10, 0, 0, 9), "10.0.0.9"],
      [IpcpType.UDP6, parseInet6("fd00::9")!, "fd00::9"],
    ] as const
  ) {
    await m.create(text, type);
    const pid = m.latest;
    const { plan } = m.d.registry.ipcps.get(pid)!;
    const info = { type, name: text, pid, state: 0 };
    const move = (hash: Uint8Array) =>
      m.admin.moved({ code: IrmCode.IPCP_MOVED, ipcpInfo: info, hash });
    assertEquals(refusalOf(move(ip))[0], -Errno.EINVAL);
    const options = { ...defaultBootstrapOptions(), ip: ip.map((byte) => byte ^ 1) };
    plan.join = { kind: "bootstrap", conf: bootstrapConfig(type, "l", options)! };
    assertEquals(refusalOf(move(ip.slice(1)))[0], -Errno.EINVAL);
    assertEquals(refusalOf(move(ip)), [0, ""]);
    const conf = bootstrapConfig(type, "l", { ...options, ip });
    assertEquals(plan.join, { kind: "bootstrap", conf: conf! });
  }
});

Deno.test("reading the configuration again waits for the first reading, and makes what is new in the file", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ouro-test-" });
  try {
    const path = `${dir}/irmd.conf`;
    await Deno.writeTextFile(path, "[name.one]\n", { mode: 0o600 });
    const m = new Node();
    const loaded = loadConfig(path, m.d.log);
    if (loaded.kind === "failed") throw new Error(loaded.cause);
    m.d.configuring = true;
    const again = new Reread(m.d, m.admin, loaded);
    await Deno.writeTextFile(path, "[irmd]\ndirect = false\n[name.two]\n");
    again.ask();
    await turns();
    assertEquals(m.d.registry.names.has("two"), false, "the first reading is under way");
    again.ready();
    for (let i = 0; i < 1000 && !m.d.registry.names.has("two"); i++) await turns();
    assertEquals([m.d.registry.names.has("two"), m.d.options.direct], [true, false]);
    await Deno.writeTextFile(path, "[name.three]\n[bad\n");
    again.ask();
    await turns();
    assertEquals(m.d.registry.names.has("three"), false, "a wrong file changes nothing");
    new Reread(m.d, m.admin, undefined).ready();
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("lists have as many entries as the client can read, and no fewer", () => {
  const m = new Node();
  for (let i = 0; i < 2000; i++) name(m.d.registry, `name-${i}-${"x".repeat(40)}`);
  const size = (opts: number) => {
    const msg = listNames(m.d, { code: IrmCode.IRM_LIST_NAMES, opts })!.msg;
    return [msg.names!.length, encodeIrmMsg(msg).length] as const;
  };
  const [count, bytes] = size(0);
  assert(bytes <= MESSAGE_BYTES_MAX && bytes > MESSAGE_BYTES_MAX - 100, `${count}: ${bytes} bytes`);
  assertEquals(size(LIST_LONG)[0], 2000);
});
