/** What `irm` does beyond the prototype: reasons on stderr, JSON, filters, enc paths, applets. */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { FakeAdmin } from "../../support/admin.ts";
import { fakeSystem, irm } from "./console.ts";

async function withIpcps(): Promise<FakeAdmin> {
  const admin = new FakeAdmin();
  await irm(["ipcp", "bootstrap", "name", "a", "layer", "lay", "type", "local"], admin);
  await irm(["ipcp", "create", "name", "b", "type", "unicast"], admin);
  return admin;
}

Deno.test("a failure says number and cause in one line", async () => {
  const got = await irm(["name", "destroy", "x"]);
  assertEquals(got, {
    code: 1,
    out: "",
    err: 'Failed to destroy name "x": -1: name "x" is not known here\n',
  });
});

Deno.test("a failure names the process that refused unless it is the IRMd", async () => {
  const got = await irm(["ipcp", "enroll", "name", "c", "dst", "nowhere"]);
  assertEquals(got.code, 1);
  assertEquals(got.out, "Failed to enroll IPCP.\n");
  assertMatch(got.err, /^Failed to enroll .*: -1: name "nowhere" is not known here \(ipcpd-uni/);
});

Deno.test("an absent IRMd is told with the remedy", async () => {
  const admin = new FakeAdmin();
  admin.running = false;
  const got = await irm(["name", "create", "x"], admin);
  assertEquals(got.code, 1);
  assertStringIncludes(got.err, "-1002: IRMd is not running (start it with `ouro irmd`)");
});

Deno.test("a cause with control characters cannot steer the terminal", async () => {
  const got = await irm(["name", "destroy", "x\u001b[31m\n"]);
  assertEquals(got.err.split("\n").length, 2);
  assertStringIncludes(got.err, "\\x1b[31m\\x0a");
});

Deno.test("ipcp list --json is one document and its filters work", async () => {
  const admin = await withIpcps();
  const all = JSON.parse((await irm(["ipcp", "list", "--json"], admin)).out);
  assertEquals(all, [
    { pid: 4001, name: "a", type: "local", layer: "lay", hash_algo: 1, hash: "SHA3_256" },
    { pid: 4002, name: "b", type: "unicast", layer: null, hash_algo: 0, hash: "SHA3_224" },
  ]);
  const some = await irm(["--json", "ipcp", "list", "type", "unicast", "name", "*"], admin);
  assertEquals(JSON.parse(some.out).length, 1);
  const layer = await irm(["--json", "ipcp", "list", "layer", "l*"], admin);
  assertEquals(JSON.parse(layer.out)[0].name, "a");
});

Deno.test("name list --json is an empty document without names", async () => {
  assertEquals(JSON.parse((await irm(["name", "list", "--json"])).out), []);
});

Deno.test("--json keeps stdout empty when the IRMd is absent", async () => {
  const admin = new FakeAdmin();
  admin.running = false;
  for (const noun of ["ipcp", "name"]) {
    const got = await irm([noun, "list", "--json"], admin);
    assertEquals([got.code, got.out], [1, ""]);
  }
});

Deno.test("name list shows names that begin with the filter, and those it begins with", async () => {
  const admin = new FakeAdmin();
  for (const name of ["web", "web.api", "db"]) await irm(["name", "create", name], admin);
  const got = JSON.parse((await irm(["name", "list", "list", "web", "--json"], admin)).out);
  assertEquals(got.map((n: { name: string }) => n.name).sort(), ["web", "web.api"]);
});

Deno.test("a list whose filter matches nothing says so and exits 1, one without filter does not", async () => {
  const admin = await withIpcps();
  for (
    const words of [
      ["name", "list", "list", "x"],
      ["name", "list", "list", "x", "--json"],
      ["ipcp", "list", "--json", "name", "x*"],
      ["ipcp", "list", "--json", "type", "udp4"],
    ]
  ) {
    const got = await irm(words, admin);
    assertEquals(got.code, 1, words.join(" "));
    assertMatch(got.err, /^Failed to list (names|IPCPs): [^\n]+\n$/);
    if (words.includes("--json")) assertEquals(JSON.parse(got.out), []);
  }
  for (const words of [["name", "list"], ["ipcp", "list"]]) {
    for (const json of [[], ["--json"]]) {
      assertEquals((await irm([...words, ...json], new FakeAdmin())).code, 0);
    }
  }
});

Deno.test("name create carries all six paths", async () => {
  const admin = new FakeAdmin();
  const paths = ["senc", "scrt", "skey", "cenc", "ccrt", "ckey"];
  const system = fakeSystem(Object.fromEntries(paths.map((p) => [`/k/${p}`, false])));
  const words = paths.flatMap((p) => [`${p}path`, `/k/${p}`]);
  assertEquals((await irm(["name", "create", "n", ...words], admin, system)).code, 0);
  const { senc, scrt, skey, cenc, ccrt, ckey } = admin.names[0]!.info;
  assertEquals([senc, scrt, skey, cenc, ccrt, ckey], paths.map((p) => `/k/${p}`));
});

Deno.test("name create tells other path errors in the words of the C library", async () => {
  const got = await irm(["name", "create", "n", "scrtpath", "/loop"]);
  assertStringIncludes(got.out, "Failed to check path /loop: Too many levels of symbolic links\n.");
});

Deno.test("name register registers once with an IPCP that matches twice", async () => {
  const admin = await withIpcps();
  admin.log.length = 0;
  await irm(["name", "register", "n", "ipcp", "a", "layer", "lay", "layer", "*"], admin);
  const registered = admin.log.filter((line) => line.startsWith("register"));
  assertEquals(registered, ["register n 4001", "register n 4002"]);
});

Deno.test("name register takes 128 layers and no more", async () => {
  const admin = await withIpcps();
  const words = Array.from({ length: 128 }, (_, i) => ["layer", `l${i}`]).flat();
  const none = await irm(["name", "register", "n", ...words], admin);
  assertMatch(none.err, /no IPCP matches/);
  const more = await irm(["name", "register", "n", ...words, "layer", "x"], admin);
  assertEquals([more.code, more.out], [1, "Too many layers specified.\n"]);
});

Deno.test("bootstrap takes only the first of several IPCPs that match", async () => {
  const admin = new FakeAdmin();
  for (const name of ["n1", "n2"]) {
    await irm(["ipcp", "create", "name", name, "type", "local"], admin);
  }
  assertEquals((await irm(["ipcp", "bootstrap", "name", "n*", "layer", "l"], admin)).code, 0);
  assertEquals(admin.ipcps.map(({ layer }) => layer), ["l", "Not enrolled."]);
});

Deno.test("bootstrap takes back its bindings when it fails", async () => {
  const admin = await withIpcps();
  await irm(["ipcp", "bootstrap", "name", "b", "layer", "uni"], admin);
  const got = await irm(["ipcp", "bootstrap", "name", "b", "layer", "uni", "autobind"], admin);
  assertEquals(got.code, 1);
  assertEquals(admin.bindings.size, 0);
});

Deno.test("an IPCP made for a bootstrap or an enrollment that is refused is destroyed again, and only that", async () => {
  const admin = new FakeAdmin();
  const commands: [string, string[]][] = [
    ["bootstrap", ["ipcp", "bootstrap", "name", "a", "layer", "refused", "type", "unicast"]],
    ["bootstrap", [
      "ipcp",
      "bootstrap",
      "name",
      "a",
      "layer",
      "refused",
      "type",
      "unicast",
      "autobind",
    ]],
    ["enroll", ["ipcp", "enroll", "name", "a", "dst", "nowhere"]],
    ["enroll", ["ipcp", "enroll", "name", "a", "dst", "nowhere", "type", "broadcast"]],
    ["find", ["ipcp", "enroll", "name", "a", "dst", "nowhere", "connect", "wait", "0.01"]],
  ];
  admin.refusedLayer = "refused";
  for (const [verb, words] of commands) {
    const got = await irm(words, admin);
    assertEquals([got.code, admin.ipcps.length, admin.bindings.size], [1, 0, 0], words.join(" "));
    assertMatch(got.err, new RegExp(`^Failed to ${verb} .*\n`));
    assertEquals(got.err.split("\n").length, 2, "one line");
  }
  await irm(["ipcp", "create", "name", "a", "type", "unicast"], admin);
  for (const [, words] of commands.filter(([, words]) => !words.includes("broadcast"))) {
    const got = await irm(words, admin);
    assertEquals([got.code, admin.ipcps.length], [1, 1], words.join(" "));
  }
});

Deno.test("a failed command whose IPCP is in a layer leaves it there", async () => {
  const admin = await withIpcps();
  await irm(["ipcp", "bootstrap", "name", "b", "layer", "uni", "autobind"], admin);
  const got = await irm(["ipcp", "enroll", "name", "c", "layer", "other", "dst", "uni"], admin);
  assertEquals([got.code, admin.ipcps.length], [1, 3]);
});

Deno.test("a daemon that ends in the middle of a bootstrap is told, with what could not be taken away", async () => {
  const admin = new FakeAdmin();
  admin.endsAt = "bootstrap";
  const words = ["ipcp", "bootstrap", "name", "a", "layer", "l", "type", "local"];
  const got = await irm(words, admin);
  assertEquals(got.code, 1);
  assertMatch(
    got.err,
    /^Failed to bootstrap IPCP "a": -1002: .*\nFailed to destroy IPCP "a": -1002: /,
  );
});

Deno.test("bootstrap checks numbers", async () => {
  for (const words of [["dht_alpha", "11"], ["ttl", "0"], ["port", "70000"], ["ls_t_u", "abc"]]) {
    const got = await irm(["ipcp", "bootstrap", "name", "b", "layer", "u", ...words]);
    assertEquals([got.code, got.out], [1, `Invalid value for ${words[0]}: "${words[1]}".\n`]);
    assertMatch(got.err, /is a number from \d+ to \d+\n$/);
  }
  for (const word of ["0x05FF", "0xFFFF", "10000", "x"]) {
    const got = await irm(["ipcp", "bootstrap", "name", "b", "layer", "u", "ethertype", word]);
    assertEquals(got.code, 1, word);
    assertMatch(got.err, /ethertype is a hexadecimal number from 0x0600 to 0xFFFE\n$/);
  }
});

Deno.test("bootstrap looks at ip without type too", async () => {
  const admin = new FakeAdmin();
  await irm(["ipcp", "create", "name", "u", "type", "udp4"], admin);
  const got = await irm(["ipcp", "bootstrap", "name", "u", "layer", "l", "ip", "x"], admin);
  assertEquals(got.code, 1);
  assertStringIncludes(got.out, 'Invalid IPv4 address: "x".\n');
});

Deno.test("bind program carries arguments, also words that look like flags", async () => {
  const admin = new FakeAdmin();
  const system = fakeSystem({ "/p/srv": true });
  const got = await irm(
    ["b", "prog", "/p/srv", "n", "s", "auto", "--", "--json", "-x", "--"],
    admin,
    system,
  );
  assertEquals(got, { code: 0, out: "", err: "" });
  assertEquals(admin.log, ["bind program /p/srv --json -x -- to s auto"]);
});

Deno.test("bind program finds an applet of ours that is not in PATH", async () => {
  const admin = new FakeAdmin();
  for (const tool of ["oping", "ocat"]) {
    await irm(["bind", "program", tool, "name", "n"], admin, fakeSystem());
  }
  // What nobody binds is no tool.
  assertEquals((await irm(["bind", "program", "irmd", "name", "n"], admin, fakeSystem())).code, 1);
  const linked = fakeSystem({ "/opt/o/operf": true }, { binaryDir: "/opt/o" });
  await irm(["bind", "program", "operf", "name", "n"], admin, linked);
  assertEquals(admin.log, [
    "bind program oping to n",
    "bind program ocat to n",
    "bind program /opt/o/operf to n",
  ]);
});

Deno.test("bind program looks past a directory of the same name to PATH", async () => {
  const admin = new FakeAdmin();
  const system = fakeSystem({ oping: "directory", "/usr/bin/oping": true });
  await irm(["bind", "program", "oping", "name", "n"], admin, system);
  assertEquals(admin.log, ["bind program /usr/bin/oping to n"]);
});

Deno.test("bind program keeps the name of a link to our binary, and resolves any other", async () => {
  const admin = new FakeAdmin();
  const links: Record<string, string> = {
    "bin/oping": "/opt/ouro",
    "bin/": "/usr/local/bin",
    "bin/server": "/opt/server-1.2",
  };
  const files = { "/usr/local/bin/oping": true, "/opt/server-1.2": true } as const;
  const system = fakeSystem(files, {
    realPath: (path) => links[path] ? { path: links[path] } : { errno: "ENOENT" },
  });
  await irm(["bind", "program", "bin/oping", "name", "n"], admin, system);
  await irm(["bind", "program", "bin/server", "name", "n"], admin, system);
  assertEquals(admin.log, [
    "bind program /usr/local/bin/oping to n",
    "bind program /opt/server-1.2 to n",
  ]);
});

Deno.test("bind program says what is wrong with a file", async () => {
  const system = fakeSystem({ "/p": "directory", "/p/data": false, "/usr/bin/plain": false });
  const directory = await irm(["bind", "program", "/p", "name", "n"], new FakeAdmin(), system);
  assertEquals(directory.out, "Cannot execute /p, please check permissions.\n");
  assertStringIncludes(directory.err, "directory");
  const data = await irm(["bind", "program", "/p/data", "name", "n"], new FakeAdmin(), system);
  assertStringIncludes(data.err, "not executable");
  const plain = await irm(["bind", "program", "plain", "name", "n"], new FakeAdmin(), system);
  assertStringIncludes(plain.err, "/usr/bin/plain is not executable");
  const relative = fakeSystem({}, { path: "bin:/usr/bin" });
  const got = await irm(["bind", "program", "x", "name", "n"], new FakeAdmin(), relative);
  assertEquals([got.code, got.out], [1, ""]);
  assertStringIncludes(got.err, "-22: PATH has");
});

Deno.test("unbind program --all drops every binding", async () => {
  const admin = new FakeAdmin();
  await irm(["bind", "program", "oping", "name", "n"], admin);
  assertEquals((await irm(["unbind", "program", "oping", "--all"], admin)).code, 0);
  assertEquals(admin.programs.size, 0);
});

Deno.test("name create with settings refuses a name that is there and would stay as it is", async () => {
  const admin = new FakeAdmin();
  const system = fakeSystem({ "/k": false });
  assertEquals((await irm(["name", "create", "a b", "lb", "spillover"], admin)).code, 0);
  for (const words of [[], ["lb", "spillover"]]) {
    assertEquals((await irm(["name", "create", "a b", ...words], admin)).code, 0);
  }
  for (const words of [["lb", "round-robin"], ["skeypath", "/k"]]) {
    const got = await irm(["name", "create", "a b", ...words], admin, system);
    assertEquals([got.code, got.out], [1, ""]);
    assertStringIncludes(got.err, "-17: it exists and stays as it is (irm name destroy 'a b')");
  }
});

Deno.test("disconnect says that there was no connection, unless one of the components had one", async () => {
  const admin = await withIpcps();
  await irm(["name", "create", "x"], admin);
  const u = "b"; // The unicast one.
  const none = await irm(["ipcp", "disconnect", "name", u, "dst", "x"], admin);
  assertEquals(none.code, 1);
  assertStringIncludes(none.err, `disconnect IPCP "${u}" from "x": -2: it is not connected to "x"`);
  await irm(["ipcp", "connect", "name", u, "dst", "x", "comp", "dt"], admin);
  assertEquals((await irm(["ipcp", "disconnect", "name", u, "dst", "x"], admin)).code, 0);
  const odd = await irm(["ipcp", "connect", "name", u, "dst", "x", "qos", "vidoe"], admin);
  assertStringIncludes(odd.err, 'did you mean "video"?');
});

Deno.test("bootstrap makes nothing for a layer without a name, and says of which type an IPCP is", async () => {
  const admin = new FakeAdmin();
  const words = ["ipcp", "bootstrap", "name", "a", "type", "local", "layer"];
  const empty = await irm([...words, ""], admin);
  assertEquals([empty.code, admin.ipcps.length], [1, 0]);
  assertStringIncludes(empty.err, "the layer name is empty");
  await irm([...words, "l"], admin);
  const other = await irm(
    ["ipcp", "bootstrap", "name", "a", "type", "unicast", "layer", "l"],
    admin,
  );
  assertEquals([other.code, other.out], [1, "Types do not match.\n\n"]);
  assertStringIncludes(other.err, 'there is an IPCP "a" of type local');
});

Deno.test("commands that do nothing say so", async () => {
  const admin = await withIpcps();
  for (
    const words of [
      ["bind", "ipcp", "zz", "name", "n"],
      ["unbind", "ipcp", "zz", "name", "n"],
      ["ipcp", "destroy", "name", "zz"],
      ["name", "register", "n", "ipcp", "zz"],
      ["name", "unregister", "n", "ipcp", "zz"],
      ["ipcp", "connect", "name", "b", "dst", "x", "component", "zz"],
      ["ipcp", "disconnect", "name", "b", "dst", "x", "component", "zz"],
    ]
  ) {
    const got = await irm(words, admin);
    assertEquals([got.code, got.out], [1, ""], words.join(" "));
    assertMatch(got.err, /^Failed to .*\n$/, words.join(" "));
  }
});

Deno.test("ipcp list says of each IPCP what is wrong with it, also of one that is being made again", async () => {
  const admin = await withIpcps();
  Object.assign(admin.ipcps[1]!, { note: "device e\u001b0 is down", policies: "routing x.ts" });
  const waits = { pid: 0, type: 1, name: "c", layer: "Not enrolled.", hashAlgo: 0 };
  admin.ipcps.push({ ...waits, note: "killed by signal 9", restarts: 3 });
  const { code, out, err } = await irm(["ipcp", "list"], admin);
  assertEquals(code, 0);
  assertEquals(out.split("\n").filter((line) => /^\| +[0-9]/.test(line)).length, 3);
  assertEquals(err.split("\n").sort(), [
    "",
    "b: device e\\x1b0 is down",
    "b: policies routing x.ts",
    "c: is being restarted: killed by signal 9",
  ]);
  const all = JSON.parse((await irm(["ipcp", "list", "--json"], admin)).out);
  assertEquals([all[2].note, all[2].restarts], ["killed by signal 9", 3]);
});

Deno.test("tables keep their frame with a long name and escape what is not printable", async () => {
  const admin = new FakeAdmin();
  await irm(["name", "create", "é".repeat(60)], admin);
  await irm(["name", "create", "tab\there"], admin);
  const lines = (await irm(["name", "list"], admin)).out.split("\n");
  assertEquals(lines.length, 7);
  assertStringIncludes(lines.join(), "tab\\x09here");
});

Deno.test("user list: a line a user and what there is, as a table and as JSON", async () => {
  const admin = new FakeAdmin();
  const lines = (await irm(["user", "list"], admin)).out.split("\n");
  assertMatch(lines[4]!, /^\| +1000 \| +1 \| +2 \| +3 \| +4 \| +5 \|$/);
  assertMatch(lines[5]!, /^\| +other hosts \| +1 \| +2 \| +3 \| +4 \| +5 \|$/);
  assertMatch(lines[6]!, /^\| +there are \| +16 \| +32 \| +64 \| +128 \| +256 \|$/);
  const { users, totals } = JSON.parse((await irm(["user", "list", "--json"], admin)).out);
  const use = { connections: 1, processes: 2, flows: 3, "memory_kib": 4, exchanges: 5 };
  assertEquals(users.slice(1), [{ uid: 1000, ...use }, { uid: null, ...use }]);
  assertEquals(totals, {
    connections: 16,
    processes: 32,
    flows: 64,
    "memory_kib": 128,
    exchanges: 256,
  });
});
