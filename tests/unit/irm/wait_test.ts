/** `irm wait`, and `irm ipcp enroll … connect`: what they ask for, in which order, and how they fail. */

import { assertEquals, assertMatch } from "@std/assert";
import { FakeAdmin } from "../../support/admin.ts";
import { irm } from "./console.ts";

Deno.test("wait name ends when the name is known, with 2 when it is not in time", async () => {
  const admin = new FakeAdmin();
  admin.reachable.set("x", "net");
  assertEquals(await irm(["wait", "name", "x"], admin), { code: 0, out: "", err: "" });
  const late = await irm(["wait", "name", "y", "timeout", "0"], admin);
  assertEquals(late.code, 2);
  assertMatch(late.err, /^Failed to find name "y" within 0 s: -1003: no IPCP of this node knows/);
});

Deno.test("wait layer counts members, 2 when nothing is said", async () => {
  const admin = new FakeAdmin();
  admin.members.set("net", 3);
  assertEquals((await irm(["wait", "layer", "net"], admin)).code, 0);
  assertEquals((await irm(["wait", "layer", "net", "members", "3"], admin)).code, 0);
  const late = await irm(["wait", "layer", "net", "members", "4", "timeout", "0"], admin);
  assertEquals(late.code, 2);
  assertMatch(late.err, /there are 3$/m);
});

Deno.test("wait ipcp ends when it is in a layer", async () => {
  const admin = new FakeAdmin();
  await irm(["ipcp", "create", "name", "b", "type", "unicast"], admin);
  const late = await irm(["wait", "ipcp", "b", "timeout", "0"], admin);
  assertMatch(late.err, /it is in no layer yet/);
  await irm(["ipcp", "bootstrap", "name", "a", "layer", "lay", "type", "local"], admin);
  assertEquals((await irm(["wait", "ipcp", "a"], admin)).code, 0);
});

Deno.test("wait irmd ends when the IRMd answers, with 2 when it does not in time", async () => {
  const admin = new FakeAdmin();
  assertEquals(await irm(["wait", "irmd"], admin), { code: 0, out: "", err: "" });
  admin.running = false;
  const late = await irm(["wait", "irmd", "timeout", "0"], admin);
  assertEquals(late.code, 2);
  assertMatch(late.err, /^Failed to reach the IRMd within 0 s: -1002: .*not running/);
  const waiting = irm(["wait", "irmd"], admin);
  admin.running = true;
  assertEquals((await waiting).code, 0);
  for (const words of [["x"], ["timeout"], ["timeout", "soon"]]) {
    assertEquals((await irm(["wait", "irmd", ...words], admin)).code, 1);
  }
});

Deno.test("wait refuses words that make no sense, and an absent IRMd at once", async () => {
  for (
    const words of [["name"], ["name", "x", "timeout", "soon"], ["layer", "l", "members", "0"]]
  ) {
    assertEquals((await irm(["wait", ...words])).code, 1);
  }
  for (const number of ["0x3", "1e1", " 3", "", "-1", "NaN", "Infinity", "1_0", "5x", "\u0663"]) {
    for (const key of ["timeout", "members"]) {
      const refused = await irm(["wait", "layer", "l", key, number], new FakeAdmin());
      assertEquals(refused.code, 1, `${key} ${number}`);
      assertMatch(refused.err, new RegExp(`${key} (takes seconds|is a number)`), refused.err);
    }
    const enroll = ["ipcp", "enroll", "name", "b", "layer", "l", "connect", "wait", number];
    assertMatch((await irm(enroll, new FakeAdmin())).err, /wait takes seconds/);
  }
  const short = await irm(["wait", "name", "y", "timeout", "5ms"], new FakeAdmin());
  assertMatch(short.err, /within 0.005 s/);
  const admin = new FakeAdmin();
  admin.running = false;
  const gone = await irm(["wait", "name", "x"], admin);
  assertEquals(gone.code, 1);
  assertMatch(gone.err, /IRMd is not running/);
});

Deno.test("enroll … connect goes the whole way and says each step", async () => {
  const admin = new FakeAdmin();
  const first = ["name", "net.a", "layer", "net", "type", "unicast", "autobind"];
  await irm(["ipcp", "bootstrap", ...first], admin);
  await irm(
    ["ipcp", "bootstrap", "name", "wire", "layer", "lan", "type", "eth-dix", "dev", "lo"],
    admin,
  );
  admin.reachable.set("net.a", "lan");
  admin.members.set("net", 2);
  const words = ["name", "net.b", "layer", "net", "dst", "net.a", "connect"];
  const got = await irm(["ipcp", "enroll", ...words], admin);
  assertEquals(got, {
    code: 0,
    out: [
      "Created name net.b.",
      "Found net.a in layer lan.",
      "Enrolled net.b in layer net with net.a.",
      "Registered net.b with wire in layer lan.",
      "Registered net with wire in layer lan.",
      "Connected Management of net.b to net.a.",
      "Connected Data Transfer of net.b to net.a.",
      "Layer net can be reached.",
      "",
    ].join("\n"),
    err: "",
  });
});

Deno.test("enroll … connect names the step that failed", async () => {
  const admin = new FakeAdmin();
  const words = ["name", "net.b", "dst", "net.a", "connect", "wait", "0"];
  const got = await irm(["ipcp", "enroll", ...words], admin);
  assertEquals(got.code, 1);
  assertMatch(got.err, /^Failed to find member "net\.a" in a layer below within 0 s: -1003/);
});
