/** Policies from files: what is taken, what is refused, and that nothing they do gets further than their guard. */

import nodeModule from "node:module";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { PolicyKind } from "../../../../lib/codes.ts";
import { emptyDtPci } from "../../../../lib/wire/dt_pci.ts";
import { decodeEnrollResp, encodeEnrollResp } from "../../../../lib/wire/enroll_msg.ts";
import { isWireError } from "../../../../lib/wire/mod.ts";
import { bootstrapConfig, defaultBootstrapOptions } from "../../../../lib/irm/bootstrap_options.ts";
import { type Congestion, NO_CONGESTION } from "../../../../ipcp/unicast/congestion.ts";
import type { Directory, DirectoryEffect } from "../../../../ipcp/unicast/directory.ts";
import { BEST_HOP } from "../../../../ipcp/unicast/forwarding.ts";
import { LinkStateRouting } from "../../../../ipcp/unicast/link_state.ts";
import { compilePolicy } from "../../../../ipcp/unicast/policy/compile.ts";
import {
  describeError,
  type LoadedPolicy,
  makePolicy,
} from "../../../../ipcp/unicast/policy/make.ts";
import {
  GuardedCongestion,
  GuardedForwarding,
} from "../../../../ipcp/unicast/policy/congestion.ts";
import { GuardedDirectory } from "../../../../ipcp/unicast/policy/directory.ts";
import { Guard } from "../../../../ipcp/unicast/policy/guard.ts";
import { badPolicies, policyMismatch } from "../../../../ipcp/unicast/policy/mod.ts";
import { GuardedRouting } from "../../../../ipcp/unicast/policy/routing.ts";
import { countTurns } from "../../../../ipcp/unicast/policy/turns.ts";
import type { Routing, RoutingEffect } from "../../../../ipcp/unicast/routing.ts";
import { defaultSettings } from "../../../../sim/layer.ts";

/** A policy as a file would give it; throws what is wrong with it. */
async function load(kind: number, text: string, file = "/p/x.ts"): Promise<LoadedPolicy> {
  const compiled = compilePolicy(kind, file, text);
  if ("bad" in compiled) throw new Error(compiled.bad);
  const made = await makePolicy(compiled);
  if ("bad" in made) throw new Error(made.bad);
  return made;
}

async function refusal(kind: number, text: string, file?: string): Promise<string> {
  try {
    await load(kind, text, file);
  } catch (e) {
    return (e as Error).message;
  }
  throw new Error(`taken: ${text}`);
}

function guardOf(made: LoadedPolicy, said: string[]): Guard {
  return new Guard(made.name, made.turns, "the shipped one", (l) => said.push(l), describeError);
}

Deno.test("files that are no policies are refused in a line that says where", async () => {
  const { ROUTING, CONGESTION } = PolicyKind;
  assertMatch(await refusal(ROUTING, "export const x = 1;"), /x\.ts: .*export routing, a function/);
  assertMatch(
    await refusal(CONGESTION, "export const congestion = { flow: () => 0 };"),
    /export congestion, an object with flow and mark/,
  );
  assertMatch(await refusal(ROUTING, "const a = ;"), /^\/p\/x\.ts: /);
  assertMatch(await refusal(ROUTING, "\n\nconst a = ;", "/p/x.js"), /\(3:10\)/);
  assertMatch(
    await refusal(ROUTING, 'import { x } from "./other.ts";\nexport const routing = x;'),
    /one file: no import but of types \(line 1\)/,
  );
  for (
    const word of ['export * from "./o.ts";', 'export { a } from "./o.ts";', 'import("./o.ts");']
  ) {
    assertMatch(
      await refusal(ROUTING, `${word}\nexport const routing = () => 0;`),
      /one file/,
      word,
    );
  }
  assertMatch(await refusal(ROUTING, "export const routing = async () => {};"), /no async/);
  assertMatch(await refusal(ROUTING, "throw new Error('no\\nway');"), /Error: no( \(line 1\))?$/);
  assertMatch(
    await refusal(ROUTING, "while (true) {}\nexport const routing = () => 0;"),
    /does not come to an end/,
  );
  // What a policy has no business with is not there.
  for (
    const word of ["Deno.exit(1)", "setTimeout(() => 0, 1)", "Promise.reject(1)", "fetch('x')"]
  ) {
    assertMatch(await refusal(ROUTING, `${word};`), /TypeError/, word);
  }
});

Deno.test("a form of the binary that cannot load TypeScript, or code at all, says so", async () => {
  const text = "export const address = () => 1;";
  const runtime = nodeModule as unknown as { stripTypeScriptTypes: unknown };
  const strip = runtime.stripTypeScriptTypes;
  runtime.stripTypeScriptTypes = undefined;
  try {
    assertEquals(
      await refusal(PolicyKind.ADDRESS, text),
      "/p/x.ts: this form of ouro cannot load TypeScript: name a .js file",
    );
    await load(PolicyKind.ADDRESS, text, "/p/x.js");
  } finally {
    runtime.stripTypeScriptTypes = strip;
  }
  // A runtime that finds no such module.
  const made = await makePolicy({ kind: 0, name: "addr_auth x.ts", url: "blob:data:x" });
  const said = "bad" in made ? made.bad : "";
  assertMatch(said, /^addr_auth x\.ts: this form of ouro cannot load code \(.+\)$/);
});

Deno.test("lists of files: each kind once, known kinds, the same bytes at both ends", () => {
  const sha = (n: number) => new Uint8Array(32).fill(n);
  assertEquals(badPolicies([{ kind: 1, file: "a" }, { kind: 3, file: "b" }]), undefined);
  assertMatch(
    badPolicies([{ kind: 1, file: "a" }, { kind: 1, file: "b" }])!,
    /two files for routing/,
  );
  assertMatch(badPolicies([{ kind: 9, file: "a" }])!, /kind 9/);
  const there = [{ kind: 1, file: "dv.ts", sha256: sha(1) }];
  assertEquals(
    policyMismatch(there, [{ kind: 1, file: "/x/other.ts", sha256: sha(1) }]),
    undefined,
  );
  assertMatch(
    policyMismatch(there, [])!,
    /routing dv\.ts \(sha256 0101.*name the same file here \(routing FILE\)/,
  );
  assertMatch(
    policyMismatch(there, [{ kind: 1, file: "/x/dv.ts", sha256: sha(2) }])!,
    /is not: name the same/,
  );
  assertMatch(
    policyMismatch([{ kind: 1, file: "dv.ts" }], [{ kind: 1, file: "dv.ts" }])!,
    /name the same/,
  );
  assertMatch(
    policyMismatch([], [{ kind: 3, file: "/x/c.ts", sha256: sha(2) }])!,
    /shipped policy for congestion/,
  );
});

Deno.test("an enrollment carries names and digests of policies, which those who do not know them skip", () => {
  const conf = bootstrapConfig(1, "net", {
    ...defaultBootstrapOptions(),
    policies: [{ kind: 1, file: "dv.ts", sha256: new Uint8Array(32).fill(7) }],
  })!;
  const m = { id: new Uint8Array(8), tSec: 1n, tNsec: 2, response: 0, conf };
  const back = decodeEnrollResp(encodeEnrollResp(m));
  if (isWireError(back) || back.conf?.ipcpType !== 1) throw new Error("no configuration");
  assertEquals(back.conf.unicast.policies, conf.ipcpType === 1 ? conf.unicast.policies : []);
  // Without files the message is the prototype's.
  const plain = bootstrapConfig(1, "net", defaultBootstrapOptions())!;
  assert(plain.ipcpType === 1 && !("policies" in plain.unicast));
});

Deno.test("counting turns changes nothing for code that ends, and stops what does not", async () => {
  const good = `
    export const address = () => {
      let n = 0;
      for (let i = 0; i < 10; i++) for (const x of [1, 2]) n += x;
      for (const k in { a: 1, b: 2 }) if (k === "a") n++; else n += 2;
      do n++; while (n < 40)
      const f = x => y => ({ z: x + y });
      class A { #v = 1; constructor() { this.w = () => this.#v } get v() { return this.w() } static s() { return 3 } }
      class B extends A { constructor() { super(); } *g() { yield* [1, 2] } }
      let out = () => 1
      outer: for (;;) { while (true) { if (n++ > 60) break outer; else continue outer } }
      switch (n) { default: for (;;) break }
      return n + f(1)(2).z + new B().v + A.s() + [...new B().g()].length + [1, 2].map(x => x * 2)[1] + out();
    };`;
  const made = await load(PolicyKind.ADDRESS, good, "/p/x.js");
  assertEquals((made.policy as unknown as () => number)(), 61 + 1 + 3 + 1 + 3 + 2 + 4 + 1);
  const endless = [
    "for (;;) ;",
    "while (true) {}",
    "do {} while (true)",
    "for (const x of (function* () { for (;;) yield 1 })()) ;",
    "const f = () => f(); f()",
    "const f = n => n < 2 ? n : f(n - 1) + f(n - 2); f(100)",
    "while (true) { try { for (;;) ; } catch { } }",
    "try { for (;;) ; } finally { for (;;) ; }",
    "const a = [1]; a.forEach(() => a.push(1)); for (const x of a) a.push(x)",
    "const m = new Map([[0, 0]]); for (const [k] of m) { m.delete(k); m.set(k + 1, 0) }",
  ];
  for (const body of endless) {
    const made = await load(
      PolicyKind.ADDRESS,
      `export const address = () => {\n${body}\n};`,
      "/p/x.js",
    );
    const said: string[] = [];
    const guard = guardOf(made, said);
    guard.call("address", () => (made.policy as unknown as () => number)());
    assert(guard.isBroken, body);
    assertEquals(said.length, 1);
  }
});

Deno.test("property: texts that are not JavaScript, and pieces of a policy, never throw", async () => {
  const whole = await Deno.readTextFile(
    new URL("../../../../examples/policies/one_bit.ts", import.meta.url),
  );
  fc.assert(
    fc.property(fc.nat(whole.length), fc.nat(whole.length), (a, b) => {
      const compiled = compilePolicy(PolicyKind.CONGESTION, "/p/x.ts", whole.slice(a, b));
      assert("bad" in compiled ? !compiled.bad.includes("\n") : compiled.url.startsWith("data:"));
    }),
    { numRuns: 60 },
  );
  fc.assert(fc.property(fc.string(), (text) => void countTurns(text)));
});

const settings = defaultSettings();

/** Link state in the place of a routing policy, guarded. */
function guarded(make: () => Routing, said: string[]): GuardedRouting {
  const guard = new Guard("routing x.ts", () => {}, "link state", (l) => said.push(l), String);
  return new GuardedRouting(
    make,
    guard,
    (nowUs) => new LinkStateRouting(1, "simple", settings, nowUs),
    0,
  );
}

const STILL: Routing = {
  poll: () => undefined,
  onTimer: () => {},
  deadlineUs: () => Infinity,
  managementUp: () => {},
  managementDown: () => {},
  transferUp: () => {},
  transferGone: () => {},
  transferState: () => {},
  onPacket: () => {},
};

/** The routes after all that a machine wants now and soon. */
function routesOf(r: Routing): Map<number, readonly number[]> | undefined {
  let routes: Map<number, readonly number[]> | undefined;
  let nowUs = 0;
  for (let i = 0; i < 50; i++) {
    for (let e = r.poll(); e !== undefined; e = r.poll()) {
      if (e.kind === "routes") routes = new Map(e.routes);
    }
    const us = r.deadlineUs();
    if (us > 1e6) break;
    nowUs = Math.max(us, nowUs);
    r.onTimer(nowUs);
  }
  return routes;
}

Deno.test("routing: whatever method fails, link state goes on with the neighbours and the last ways", () => {
  const boom = () => {
    throw new Error("boom");
  };
  for (const method of Object.keys(STILL) as (keyof Routing)[]) {
    const said: string[] = [];
    const ways: RoutingEffect[] = [
      { kind: "routes", routes: new Map([[2, [20]], [9, [20, 30]], [8, [77]]]) },
    ];
    let fails = false;
    const own = { ...STILL, poll: () => ways.shift() } as Record<string, unknown>;
    const good = own[method] as (...args: unknown[]) => unknown;
    own[method] = (...args: unknown[]) => fails ? boom() : good(...args);
    const r = guarded(() => own as unknown as Routing, said);
    r.managementUp(0, 2, 10);
    r.transferUp(0, 2, 20);
    r.managementUp(0, 3, 11);
    r.transferUp(0, 3, 30);
    assertEquals(r.poll()?.kind, "routes");
    assertEquals(r.poll(), undefined);
    fails = true;
    r.managementDown(3, 11);
    r.managementUp(0, 3, 12);
    r.transferState(0, 3, 30, false);
    r.transferGone(0, 5, 50);
    r.transferUp(0, 4, 40);
    r.onPacket(0, 10, new Uint8Array(3));
    r.onTimer(0);
    const routes = routesOf(r);
    assertEquals(said.length, 1, method);
    assertMatch(said[0]!, new RegExp(`is left: threw in ${method}: Error: boom; link state takes`));
    const { instead } = r;
    if (!(instead instanceof LinkStateRouting)) throw new Error(`${method}: no link state`);
    const neighbours = instead.neighbours().toSorted((a, b) => a.addr - b.addr);
    assertEquals(neighbours.map((n) => [n.addr, n.mgmt, n.dt, n.up]), [
      [2, 10, 20, true],
      [3, 12, 30, false],
      [4, -1, 40, true],
    ], method);
    // 9 was reached by the policy over flow 20, which is up; 30 is down, and 77 is no flow.
    assertEquals(routes?.get(9), [20], method);
    assertEquals(routes?.get(8), undefined);
    r.transferGone(0, 2, 20);
    assertEquals(routesOf(r)?.get(9), undefined, method);
  }
});

Deno.test("routing: nonsense is seen, a spinning timer slowed down, a machine that cannot be made replaced", () => {
  // deno-lint-ignore no-explicit-any -- what a policy says may be anything
  const nonsense: any[] = [
    1,
    null,
    {},
    { kind: "x" },
    { kind: "routes" },
    { kind: "routes", routes: new Map([["a", [1]]]) },
    { kind: "routes", routes: new Map([[-1, [1]]]) },
    { kind: "routes", routes: new Map([[2, 1]]) },
    { kind: "routes", routes: new Map([[2, [1.5]]]) },
    { kind: "send_mgmt", fd: "1", bytes: new Uint8Array(1) },
    { kind: "send_mgmt", fd: 1, bytes: [1] },
    { kind: "send_mgmt", fd: 1, bytes: new Uint8Array(2049) },
    { kind: "conflict", dst: NaN },
    { kind: "neighbour", addr: "me" },
  ];
  for (const e of nonsense) {
    const said: string[] = [];
    const effects = [e];
    const r = guarded(() => ({ ...STILL, poll: () => effects.shift() }), said);
    assertEquals(r.poll()?.kind, "routes"); // Of link state: none.
    assertEquals(said.length, 1, JSON.stringify(e));
  }
  const said: string[] = [];
  const endless = guarded(() => ({ ...STILL, poll: () => ({ kind: "conflict", dst: 7 }) }), said);
  let n = 0;
  while (endless.poll() !== undefined) assert(++n < 20_000);
  assertMatch(said[0]!, /more than 10000 things/);
  const spins = guarded(() => ({ ...STILL, deadlineUs: () => 0 }), said);
  spins.onTimer(5e6);
  assert(spins.deadlineUs() >= 5e6 + 1000);
  assertEquals(said.length, 1);
  guarded(() => ({ ...STILL, deadlineUs: () => NaN }), said).deadlineUs();
  assertMatch(said[1]!, /NaN is no time/);
  assert(guarded(() => ({}) as Routing, said).instead !== undefined);
  assertMatch(said[2]!, /routing without poll/);
});

const STILL_DIRECTORY: Directory = {
  poll: () => undefined,
  onTimer: () => {},
  deadlineUs: () => Infinity,
  register: () => {},
  unregister: () => false,
  query: () => {},
  onMessage: () => {},
  onMembers: () => {},
  onUnanswered: () => {},
  onDenied: () => {},
};

Deno.test("directory: the DHT in its place knows the names, and answers what waits", () => {
  for (const method of ["poll", "onTimer", "query", "onMembers", "register", "onMessage"]) {
    const calls: string[] = [];
    const said: string[] = [];
    const shipped: Directory = {
      ...STILL_DIRECTORY,
      register: (_, hash) => void calls.push(`register ${hash[0]}`),
      unregister: (_, hash) => calls.push(`unregister ${hash[0]}`) > 0,
      query: (_, hash, token) => void calls.push(`query ${hash[0]} ${token}`),
      onMembers: (_, addrs) => void calls.push(`members ${addrs}`),
    };
    let fails = false;
    const own = { ...STILL_DIRECTORY } as unknown as Record<string, () => unknown>;
    own[method] = () => {
      if (fails) throw new Error("boom");
    };
    const guard = new Guard("directory x.ts", () => {}, "the DHT", (l) => said.push(l), String);
    const d = new GuardedDirectory(() => own as unknown as Directory, guard, () => shipped, 0);
    d.register(0, Uint8Array.of(1));
    d.register(0, Uint8Array.of(2));
    assertEquals(d.unregister(0, Uint8Array.of(2)), true);
    d.query(0, Uint8Array.of(3), 30);
    fails = true;
    d.onMembers(0, [5, 6]);
    d.onMessage(0, new Uint8Array(1));
    d.onTimer(0);
    d.poll();
    d.register(0, Uint8Array.of(4));
    d.query(0, Uint8Array.of(5), 50);
    assertEquals(said.length, 1, method);
    const once = (c: string) =>
      assertEquals(calls.filter((x) => x === c).length, 1, `${method}: ${c}`);
    for (const c of ["register 1", "register 4", "query 3 30", "query 5 50", "members 5,6"]) {
      once(c);
    }
    assert(!calls.includes("register 2"));
  }
  const bad = [{ kind: "found", token: 1, addrs: ["a"] }, { kind: "send", dst: 0, bytes: 1 }, 5];
  for (const e of bad) {
    const said: string[] = [];
    const guard = new Guard("d", () => {}, "the DHT", (l) => said.push(l), String);
    const own = { ...STILL_DIRECTORY, poll: () => e as unknown as DirectoryEffect };
    const d = new GuardedDirectory(() => own, guard, () => STILL_DIRECTORY, 0);
    assertEquals(d.poll(), undefined);
    assertEquals(said.length, 1);
  }
});

Deno.test("congestion: a flow whose policy fails goes on with the shipped one; marks and waits stay in range", async () => {
  const texts: Record<string, string> = {
    "onSend: NaN": "onSend: () => NaN",
    "onSend: undefined": "onSend: () => {}",
    "onSend: -1": "onSend: () => -1",
    "threw in onSend: TypeError": "onSend: () => null.x",
    "does not come to an end": "onSend: () => { for (;;); }",
    "onReceive: 70000": "onReceive: () => 70000",
    "onReceive: 0.5": "onReceive: () => 0.5",
    "threw in onUpdate: Error: no": "onUpdate: () => { throw new Error('no'); }",
    "flow without onSend": "onSend: 1",
    "mark: 256": "mark: () => 256",
    "threw in report": "report: () => { throw 1; }",
  };
  const shipped: Congestion = {
    flow: () => ({ onSend: () => 11, onReceive: () => 12, onUpdate: () => {} }),
    mark: () => 13,
  };
  for (const [why, what] of Object.entries(texts)) {
    const isMark = what.startsWith("mark");
    const made = await load(
      PolicyKind.CONGESTION,
      `export const congestion = {
        flow: () => ({ onSend: () => 1, onReceive: () => 2, onUpdate() {}, report(into, at) { into[at - 1] = 5; into[at] = 6 },
          ${isMark ? "" : what} }),
        mark: () => 3, ${isMark ? what : ""} };`,
    );
    const said: string[] = [];
    const c = new GuardedCongestion(made.policy as Congestion, guardOf(made, said), shipped);
    const flow = c.flow(0);
    const others = new Float64Array(20);
    for (let i = 0; i < 3; i++) {
      flow.onSend(i, 100);
      flow.onReceive(100, 1);
      flow.onUpdate(3);
      flow.report?.(others, 8);
      c.mark(5);
    }
    assertEquals(said.length, 1, why);
    assertStringIncludes(said[0]!, why);
    assertEquals([flow.onSend(9, 1), flow.onReceive(1, 0), c.mark(1)], [11, 12, 13]);
    assertEquals(others[7], 0);
  }
  assertEquals(NO_CONGESTION.mark(1), 0);
});

Deno.test("forwarding: a choice out of range, or one that changes the packet, is left", async () => {
  for (const body of ["2", "-1", "0.5", "undefined", "(p.dst = 7, 0)", "null.x"]) {
    const made = await load(
      PolicyKind.FORWARDING,
      `export const forwarding = { choose: (h, n, p) => ${body} };`,
    );
    const said: string[] = [];
    const f = new GuardedForwarding(
      made.policy as unknown as typeof BEST_HOP,
      guardOf(made, said),
      BEST_HOP,
    );
    assertEquals(f.choose(Int32Array.of(4, 5), 2, emptyDtPci()), 0);
    assertEquals(said.length, 1, body);
  }
  const made = await load(
    PolicyKind.FORWARDING,
    "export const forwarding = { choose: (h, n) => n - 1 };",
  );
  const f = new GuardedForwarding(
    made.policy as unknown as typeof BEST_HOP,
    guardOf(made, []),
    BEST_HOP,
  );
  assertEquals(f.choose(Int32Array.of(4, 5), 2, emptyDtPci()), 1);
});
