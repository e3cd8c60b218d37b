// What a person sees when a command fails: the text of the prototype, then one line with the cause, and no
// stack trace. One table a surrounding; the outcome of requests themselves is proved elsewhere.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ouro, type RunResult, TestNode } from "../support/node.ts";
import { run } from "../support/process.ts";

/** A command line, its exit code, the text on stdout, and the line on stderr. */
type Failure = readonly [words: string, code: number, out: string | RegExp, err: RegExp | ""];

/** Fails unless the cause is there, once, as a person would want it. */
function check([words, code, out, err]: Failure, got: RunResult): void {
  const said = `ouro ${words}\n${got.out}${got.err}`;
  assertEquals(got.code, code, said);
  if (typeof out === "object") assertMatch(got.out, out, said);
  else assertEquals(got.out, out, said);
  if (err === "") assertEquals(got.err, "", said);
  else assertMatch(got.err, err, said);
  assert(!/\n +at |file:\/\/|os error|\[object /.test(got.out + got.err), said);
  const lines = got.err.split("\n").filter((line) => line !== "" && !line.startsWith("FATAL: "));
  assert(lines.length <= 1, `more than one line of reason: ${said}`);
}

async function checkAll(
  t: Deno.TestContext,
  node: TestNode,
  failures: readonly Failure[],
): Promise<void> {
  for (const f of failures) {
    await t.step(f[0].slice(0, 80), async () => check(f, await node.run(f[0].split(" "))));
  }
}

/** Whether another user can run the program where it lies. */
async function mayRunAsOthers(): Promise<boolean> {
  if (Deno.uid() !== 0) return false;
  // From source the runtime may lie where they cannot get at it.
  const tried = await run(ouro("--version"), { uid: 65534, gid: 65534 }).catch(() => undefined);
  return tried?.code === 0;
}

const UNREACHABLE = "Failed to communicate with the Ouroboros IPC Resource Manager daemon.\n";
const NOT_RUNNING =
  /^(FATAL: Could not announce to IRMd\.\n)?[^\n]*: -1002: IRMd is not running \(start it with `ouro irmd`\); nobody listens at \/[^\n]+\/run\/irm\.sock\n$/;

const WITHOUT_IRMD: Failure[] = [
  ["irm name create x", 1, UNREACHABLE, NOT_RUNNING],
  ["irm name register x layer l", 1, "Failed to list IPCPs.\n", NOT_RUNNING],
  ["irm ipcp list --json", 1, "", NOT_RUNNING],
  ["irm ipcp create name x type local", 1, "", NOT_RUNNING],
  ["irm bind program /bin/sh name x", 1, UNREACHABLE, NOT_RUNNING],
  ["oping -n x", 1, "", NOT_RUNNING],
  ["oping -l", 1, "", NOT_RUNNING],
  ["operf -n x", 1, "", NOT_RUNNING],
  ["oecho", 1, "", NOT_RUNNING],
  ["obc -n x", 1, "", NOT_RUNNING],
  ["ocbr -n x", 1, "", NOT_RUNNING],
  ["ovpn -i 10.0.0.1 -m 255.0.0.0", 1, "", NOT_RUNNING],
  ["ipcpd-local 1 n", 1, "FATAL: Could not announce to IRMd.\n", NOT_RUNNING],
];

const USAGE = /^Usage: /;

const COMMAND_LINES: Failure[] = [
  ["irm ipcp create name", 1, USAGE, /^irm ipcp create: no value after "name"\n$/],
  ["irm ipcp create name x", 1, USAGE, /^irm ipcp create: no type given \(type TYPE\)\n$/],
  ["irm ipcp create", 1, USAGE, /no name given \(name NAME\), no type given/],
  ["irm ipcp create name x type zz", 1, /^IPCP type "zz" is unknown\.\nUsage: /, ""],
  ["irm ipcp destroy", 1, USAGE, /no name given/],
  ["irm ipcp bootstrap name x", 1, USAGE, /no layer given \(layer LAYER\)/],
  ["irm ipcp bootstrap name x layer l hash", 1, USAGE, /no value after "hash"/],
  ["irm ipcp bootstrap name x layer l type zz", 1, USAGE, /IPCP type "zz" is unknown/],
  ["irm ipcp enroll name x", 1, USAGE, /no destination given/],
  ["irm ipcp connect name x", 1, USAGE, /no dst given \(dst DST\)/],
  ["irm ipcp list type zz", 1, USAGE, /IPCP type "zz" is unknown/],
  ["irm name create", 1, USAGE, /^irm name create: no name given\n$/],
  ["irm name create x lb", 1, USAGE, /no value after "lb"/],
  [
    "irm name create x lb zz",
    1,
    USAGE,
    /"zz" is no load-balancing policy \(round-robin or spillover\)/,
  ],
  ["irm name register x", 1, USAGE, /no layer and no IPCP given/],
  ["irm bind program /bin/sh", 1, USAGE, /no name given \(name NAME\)/],
  ["irm bind process 1", 1, USAGE, /no name given \(name NAME\)/],
  ["irm unbind ipcp x", 1, USAGE, /no name given \(name NAME\)/],
  ["oping -n x --zz", 1, USAGE, /^Unknown option: --zz\n$/],
  ["oping -n", 1, USAGE, /^Option -n needs a value\n$/],
  ["operf -n", 1, "No server specified.\n", /^Option -n needs a value\n$/],
  ["ocbr -n", 1, /^No server specified\.\nUsage/, /^Option -n needs a value\n$/],
  ["obc -n", 1, /^Please specify a name\./, /^Option -n needs a value\n$/],
  ["irmd --zz", 1, USAGE, /^irmd: unknown word "--zz"\n$/],
  ["irmd --ipcp-dir", 1, USAGE, /^irmd: --ipcp-dir needs a directory\n$/],
  [
    "irmd --config /nonexistent.conf",
    1,
    "",
    /^irmd: Failed to check path for \/nonexistent\.conf: No such file or directory\.\n$/,
  ],
  [
    "pki show /nonexistent.pem",
    1,
    "",
    /^ouro pki: cannot read \/nonexistent\.pem: No such file or directory\n$/,
  ],
  ["pki init --security /proc/ouro", 1, "", /^ouro pki: cannot make \/proc\/ouro\/\w+: [^\n(]+\n$/],
];

Deno.test("without an IRMd every command says so, and where it looked", async (t) => {
  await using node = await TestNode.start({ idle: true });
  await checkAll(t, node, WITHOUT_IRMD);
});

Deno.test("a command line that makes no sense: the usage of the prototype, then what is wrong", async (t) => {
  await using node = await TestNode.start({ idle: true });
  await checkAll(t, node, COMMAND_LINES);
});

const ALLOCATE = (code: number) => `Failed to allocate flow: ${code}.\n`;

/** One IRMd, nothing in it but the name `x`. */
const BARE_NODE: Failure[] = [
  ["irm name destroy zz", 1, "", /^Failed to destroy name "zz": -1: name "zz" is not known\n$/],
  [
    "irm bind program /nonexistent name x",
    1,
    "/nonexistent does not exist.\n",
    /: -2: no such file\n$/,
  ],
  [
    "irm bind program /etc/passwd name x",
    1,
    "Cannot execute /etc/passwd, please check permissions.\n",
    /: -1: it is not executable\n$/,
  ],
  [
    "irm bind process 1 name x",
    1,
    "",
    /: -1: process 1 is no Ouroboros program of this node \(it has not announced itself\)\n$/,
  ],
  ["irm bind process 999999999 name x", 1, '"999999999" is not a valid process id.\n', ""],
  ["irm unbind process 1 name x", 1, "", /: -1: process 1 is no Ouroboros program of this node\n$/],
  ["irm unbind process 1 name zz", 1, "", /: -1: name "zz" is not known\n$/],
  ["irm unbind program sh name zz", 1, "", /: -1: name "zz" is not known\n$/],
  ["irm unbind program sh name x", 1, "", /: -1: program "sh" is not bound to name "x"\n$/],
  [
    "irm name register x layer l",
    1,
    "Failed to list IPCPs.\n",
    /: there is no IPCP \(irm ipcp bootstrap name IPCP layer LAYER type TYPE\)\n$/,
  ],
  ["irm ipcp bootstrap name zz layer l", 1, "No IPCPs matching zz found.\n\n", ""],
  [
    "oping -n zz",
    1,
    ALLOCATE(-1007),
    /^Failed to allocate flow: -1007: name "zz" is not known here \(irm name create zz\)\n$/,
  ],
  [
    "oping -n x",
    1,
    ALLOCATE(-1003),
    /: nothing is bound to "x" here \(irm bind program PROG name x\), and no IPCP is in a layer\n$/,
  ],
  ["operf -n zz", 1, "Failed to allocate flow.\n", /: -1007: name "zz" is not known here/],
  [
    "ovpn -n zz -i 10.0.0.1 -m 255.0.0.0",
    1,
    /Failed to allocate flow\.\n$/,
    /: -1007: name "zz" is not known here/,
  ],
  ["oecho", 255, "Failed to allocate flow.\n", /: -1007: name "oecho" is not known here/],
  [
    "obc -n zz",
    255,
    "Failed to join broadcast.\n",
    /: -1003: no IPCP of this node is in layer "zz"\n$/,
  ],
  ["ocbr -n zz", 255, /Failed to allocate flow\.\n$/, /: -1007: name "zz" is not known here/],
  ["irmd", 1, "", /^irmd: IRMd already running \(\d+\), exiting\.\n$/],
];

/** The same with a local layer `lay` of the IPCP `l1`, where `x` is registered; nobody accepts. */
const LAYER_NODE: Failure[] = [
  [
    "irm ipcp bootstrap name l1 layer more",
    1,
    "",
    /: -1: it is in layer "lay" already \(ipcpd-local l1, bootstrap\)\n$/,
  ],
  [
    "irm ipcp bootstrap name l1 layer more type udp4 ip 127.0.0.1",
    1,
    "Types do not match.\n\n",
    /: -22: there is an IPCP "l1" of type local \(irm ipcp list\)\n$/,
  ],
  [
    "irm ipcp connect name l1 dst x",
    1,
    "",
    /: -1003: only unicast and broadcast IPCPs have connections\n$/,
  ],
  [
    "irm ipcp bootstrap name d1 type eth-dix layer e dev nonesuch0",
    1,
    "",
    /: -1: Cannot use device nonesuch0: no such device \(ipcpd-eth-dix d1, bootstrap\)\n$/,
  ],
  [
    "irm ipcp bootstrap name u4 type udp4 layer u ip 192.0.2.1",
    1,
    "",
    /: -1: Couldn't bind to 192\.0\.2\.1:3435\. address not available \(ipcpd-udp4 u4, bootstrap\)\n$/,
  ],
  [
    "oping -n x",
    1,
    ALLOCATE(-1003),
    /: -1003: nobody accepts flows for "x" \(ipcpd-local l1, [^\n]+\)\n$/,
  ],
  [
    "oping -n fails",
    1,
    ALLOCATE(-1003),
    /: -1003: [^\n]*false was started and ended with status 1 before it accepted, and no IPCP of this node knows "fails"/,
  ],
  [
    "oping -n text",
    1,
    ALLOCATE(-1003),
    /: -1003: [^\n]*\/text cannot be started \([^\n]*not in an executable format\), and no IPCP/,
  ],
  [
    "obc -n lay",
    255,
    "Failed to join broadcast.\n",
    /: -1000: layer "lay" is no broadcast layer \(ipcpd-local l1, [^\n]+\)\n$/,
  ],
];

Deno.test("what a node with a name only cannot do, and why", async (t) => {
  await using node = await TestNode.start();
  await node.must("irm", "name", "create", "x");
  await checkAll(t, node, BARE_NODE);
});

Deno.test("what a node with a layer cannot do, and who says so", async (t) => {
  await using node = await TestNode.start();
  const text = `${node.prefix}/text`;
  await Deno.writeTextFile(text, "echo hello\n", { mode: 0o755 });
  for (const name of ["x", "fails", "text"]) await node.must("irm", "name", "create", name);
  await node.must("irm", "bind", "program", "false", "name", "fails", "auto");
  await node.must("irm", "bind", "program", text, "name", "text", "auto");
  await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "lay");
  await node.must("irm", "name", "register", "x", "ipcp", "l1");
  await checkAll(t, node, LAYER_NODE);
});

Deno.test({
  name: "a user who may not: the same line for every administrative request",
  ignore: !await mayRunAsOthers(),
  fn: async (t) => {
    await using node = await TestNode.start();
    await Deno.chmod(node.prefix, 0o755);
    await node.must("irm", "name", "create", "x");
    await node.must("irm", "ipcp", "bootstrap", "type", "local", "name", "l1", "layer", "lay");
    const requests: [string[], string?][] = [
      [["irm", "name", "create", "y"]],
      [["irm", "name", "destroy", "x"]],
      [["irm", "name", "register", "x", "ipcp", "l1"], "Failed to register with l1"],
      [["irm", "name", "unregister", "x", "ipcp", "l1"]],
      [["irm", "ipcp", "create", "name", "l2", "type", "local"]],
      [["irm", "ipcp", "destroy", "name", "l1"]],
      [["irm", "ipcp", "bootstrap", "name", "l1", "layer", "l"]],
      [["irm", "ipcp", "connect", "name", "l1", "dst", "x"]],
      [
        ["irm", "bind", "program", "/bin/sh", "name", "x"],
        "Cannot execute /bin/sh, please check permissions.\n",
      ],
      [["irm", "bind", "ipcp", "l1", "name", "x"]],
      [["irm", "unbind", "program", "sh", "name", "x"]],
      [["irm", "unbind", "ipcp", "l1", "name", "x"]],
    ];
    const err = /: -1: uid 65534 may not administer this node \(root or group ouroboros may\)\n$/;
    for (const [words, out] of requests) {
      await t.step(words.join(" "), async () => {
        const got = await node.run(words, { uid: 65534, gid: 65534 });
        check([words.join(" "), 1, out ?? "", err], got);
      });
    }
    await t.step("irmd", async () => {
      const line = /^irmd: Lockfile error: this node belongs to uid 0 \([^\n]+\)\.\n$/;
      check(["irmd", 1, "", line], await node.run(["irmd"], { uid: 65534, gid: 65534 }));
    });
  },
});

Deno.test("--json: one document when there is a result, also a failed one; a list that fails prints none", async (t) => {
  await using node = await TestNode.start();
  const clients: [string[], number, string, string][] = [
    [["oping", "-n", "zz"], 1, "error", "Failed to allocate flow: -1007: "],
    [["operf", "-n", "zz"], 1, "failure", "Failed to allocate flow: -1007: "],
    [["ocbr", "-n", "zz"], 255, "failure", "Failed to allocate flow: -1007: "],
    [["oecho"], 255, "failure", "Failed to allocate flow: -1007: "],
  ];
  const lists = [["irm", "name", "list"], ["irm", "ipcp", "list"]];
  const failed = async (words: string[], code: number, key: string, start: string) => {
    const got = await node.run([...words, "--json"]);
    assertEquals(got.code, code, got.err);
    const document = JSON.parse(got.out);
    assertEquals(document.tool, words[0]);
    assertEquals(document[key].slice(0, start.length), start);
    assertEquals(got.err.split("\n").at(-2), document[key]);
  };
  for (const [words, code, key, start] of clients) {
    await t.step(words.join(" "), () => failed(words, code, key, start));
  }
  await node.must("irm", "name", "create", "n1", "lb", "spillover");
  await node.must("irm", "ipcp", "create", "name", "l1", "type", "local");
  const [names, ipcps] = await Promise.all(lists.map((w) => node.must(...w, "--json")));
  assertEquals(JSON.parse(names!), [{ name: "n1", lb: "spillover" }]);
  const [{ pid, ...ipcp }] = JSON.parse(ipcps!);
  assertEquals(Number.isInteger(pid), true);
  assertEquals(Object.keys(ipcp), ["name", "type", "layer", "hash_algo", "hash"]);
  assertEquals([ipcp.name, ipcp.type, ipcp.layer], ["l1", "local", null]);
  await node.stopIrmd();
  for (const words of lists) {
    const got = await node.run([...words, "--json"]);
    assertEquals([got.code, got.out], [1, ""]);
    assertMatch(got.err, NOT_RUNNING);
  }
  for (const [words, , key] of clients) {
    await t.step(
      `${words.join(" ")} without IRMd`,
      () => failed(words, 1, key, "Failed to start: -1002: "),
    );
  }
});

Deno.test("a key that cannot be used: a client of the same host hears which file it is, and why", async () => {
  await using node = await TestNode.start();
  const key = `${node.prefix}/etc`;
  await Deno.mkdir(key, { recursive: true });
  await node.must("irm", "name", "create", "x", "skeypath", key, "scrtpath", key);
  await node.must("irm", "bind", "program", "oping", "name", "x");
  const server = node.spawn(["oping", "-l", "--once"]);
  await server.waitForLine(/server started/);
  const got = await node.run(["oping", "-n", "x"]);
  const why = new RegExp(`: -1008: the server refused: ${key}: is not a regular file\n$`);
  check(["oping -n x", 1, ALLOCATE(-1008), why], got);
});

Deno.test("irmd that logs to syslog tells a person at the terminal what is wrong with its file", async () => {
  await using node = await TestNode.start({ idle: true });
  const path = `${node.prefix}/bad.conf`;
  const cases: [string, RegExp][] = [
    ["[name.x]\nlb = 3 4\n", /^irmd: Failed to parse config file: line 2: [^\n]+\n$/],
    ["[local.l1]\nbootstrap = 7\n", /^irmd: [^\n]+bad\.conf:2\)\n$/],
    [
      '[udp4.u1]\nbootstrap = "l"\nip = "192.0.2.1"\n',
      /^(?:irmd: there is no system log [^\n]+\n)?irmd: [^\n]*192\.0\.2\.1[^\n]* \(line 1\)\n$/,
    ],
  ];
  for (const [text, line] of cases) {
    await Deno.writeTextFile(path, text);
    const got = await node.run(["irmd", "--config", path]);
    assertEquals([got.code, got.out], [1, ""], got.err);
    assertMatch(got.err, line);
  }
});
