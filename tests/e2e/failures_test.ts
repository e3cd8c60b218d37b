// What a person sees when a command fails: the text of the prototype, then one line with the cause, and no
// stack trace. One table a surrounding; the outcome of requests themselves is proved elsewhere.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { ouro, type RunResult, TestNode } from "./support/node.ts";
import { run } from "./support/process.ts";

/** One command line and what it must say. */
interface Failure {
  readonly words: string[];
  readonly code: number;
  /** The text on stdout, or the beginning of a usage. */
  readonly out?: string | RegExp;
  /** The line on stderr. */
  readonly err: RegExp | "";
}

/** Fails unless the cause is there, once, as a person would want it. */
function check(f: Failure, got: RunResult): void {
  const said = `ouro ${f.words.join(" ")}\n${got.out}${got.err}`;
  assertEquals(got.code, f.code, said);
  if (typeof f.out === "object") assertMatch(got.out, f.out, said);
  else assertEquals(got.out, f.out ?? "", said);
  if (f.err === "") assertEquals(got.err, "", said);
  else assertMatch(got.err, f.err, said);
  assert(!/\n +at |file:\/\/|os error|\[object /.test(got.out + got.err), said);
  const lines = got.err.split("\n").filter((line) => line !== "" && !line.startsWith("FATAL: "));
  assert(lines.length <= 1, `more than one line of reason: ${said}`);
}

async function checkAll(t: Deno.TestContext, node: TestNode, failures: Failure[]): Promise<void> {
  for (const f of failures) {
    const name = f.words.join(" ").slice(0, 80);
    await t.step(name, async () => check(f, await node.run(f.words)));
  }
}

/** Whether another user can run the program where it lies. */
async function mayRunAsOthers(): Promise<boolean> {
  if (Deno.uid() !== 0) return false;
  return (await run(ouro("--version"), { uid: 65534, gid: 65534 })).code === 0;
}

const UNREACHABLE = "Failed to communicate with the Ouroboros IPC Resource Manager daemon.\n";
const NOT_RUNNING =
  /^(FATAL: Could not announce to IRMd\.\n)?[^\n]*: -1002: IRMd is not running \(start it with `ouro irmd`\); nobody listens at \/[^\n]+\/run\/irm\.sock\n$/;

const WITHOUT_IRMD: Failure[] = [
  { words: ["irm", "name", "create", "x"], code: 1, out: UNREACHABLE, err: NOT_RUNNING },
  {
    words: ["irm", "name", "register", "x", "layer", "l"],
    code: 1,
    out: "Failed to list IPCPs.\n",
    err: NOT_RUNNING,
  },
  { words: ["irm", "ipcp", "list", "--json"], code: 1, err: NOT_RUNNING },
  { words: ["irm", "ipcp", "create", "name", "x", "type", "local"], code: 1, err: NOT_RUNNING },
  {
    words: ["irm", "bind", "program", "/bin/sh", "name", "x"],
    code: 1,
    out: UNREACHABLE,
    err: NOT_RUNNING,
  },
  { words: ["oping", "-n", "x"], code: 1, err: NOT_RUNNING },
  { words: ["oping", "-l"], code: 1, err: NOT_RUNNING },
  { words: ["operf", "-n", "x"], code: 1, err: NOT_RUNNING },
  { words: ["oecho"], code: 1, err: NOT_RUNNING },
  { words: ["obc", "-n", "x"], code: 1, err: NOT_RUNNING },
  { words: ["ocbr", "-n", "x"], code: 1, err: NOT_RUNNING },
  { words: ["ovpn", "-i", "10.0.0.1", "-m", "255.0.0.0"], code: 1, err: NOT_RUNNING },
  {
    words: ["ipcpd-local", "1", "n"],
    code: 1,
    out: "FATAL: Could not announce to IRMd.\n",
    err: NOT_RUNNING,
  },
];

const USAGE = /^Usage: /;

const COMMAND_LINES: Failure[] = [
  {
    words: ["irm", "ipcp", "create", "name"],
    code: 1,
    out: USAGE,
    err: /^irm ipcp create: no value after "name"\n$/,
  },
  {
    words: ["irm", "ipcp", "create", "name", "x"],
    code: 1,
    out: USAGE,
    err: /^irm ipcp create: no type given \(type TYPE\)\n$/,
  },
  {
    words: ["irm", "ipcp", "create"],
    code: 1,
    out: USAGE,
    err: /no name given \(name NAME\), no type given/,
  },
  {
    words: ["irm", "ipcp", "create", "name", "x", "type", "zz"],
    code: 1,
    out: /^IPCP type "zz" is unknown\.\nUsage: /,
    err: "",
  },
  { words: ["irm", "ipcp", "destroy"], code: 1, out: USAGE, err: /no name given/ },
  {
    words: ["irm", "ipcp", "bootstrap", "name", "x"],
    code: 1,
    out: USAGE,
    err: /no layer given \(layer LAYER\)/,
  },
  {
    words: ["irm", "ipcp", "bootstrap", "name", "x", "layer", "l", "hash"],
    code: 1,
    out: USAGE,
    err: /no value after "hash"/,
  },
  {
    words: ["irm", "ipcp", "bootstrap", "name", "x", "layer", "l", "type", "zz"],
    code: 1,
    out: USAGE,
    err: /IPCP type "zz" is unknown/,
  },
  {
    words: ["irm", "ipcp", "enroll", "name", "x"],
    code: 1,
    out: USAGE,
    err: /no destination given/,
  },
  {
    words: ["irm", "ipcp", "connect", "name", "x"],
    code: 1,
    out: USAGE,
    err: /no dst given \(dst DST\)/,
  },
  {
    words: ["irm", "ipcp", "list", "type", "zz"],
    code: 1,
    out: USAGE,
    err: /IPCP type "zz" is unknown/,
  },
  {
    words: ["irm", "name", "create"],
    code: 1,
    out: USAGE,
    err: /^irm name create: no name given\n$/,
  },
  { words: ["irm", "name", "create", "x", "lb"], code: 1, out: USAGE, err: /no value after "lb"/ },
  {
    words: ["irm", "name", "create", "x", "lb", "zz"],
    code: 1,
    out: USAGE,
    err: /"zz" is no load-balancing policy \(round-robin or spillover\)/,
  },
  {
    words: ["irm", "name", "register", "x"],
    code: 1,
    out: USAGE,
    err: /no layer and no IPCP given/,
  },
  {
    words: ["irm", "bind", "program", "/bin/sh"],
    code: 1,
    out: USAGE,
    err: /no name given \(name NAME\)/,
  },
  {
    words: ["irm", "bind", "process", "1"],
    code: 1,
    out: USAGE,
    err: /no name given \(name NAME\)/,
  },
  {
    words: ["irm", "unbind", "ipcp", "x"],
    code: 1,
    out: USAGE,
    err: /no name given \(name NAME\)/,
  },
  { words: ["oping", "-n", "x", "--zz"], code: 1, out: USAGE, err: /^Unknown option: --zz\n$/ },
  { words: ["oping", "-n"], code: 1, out: USAGE, err: /^Option -n needs a value\n$/ },
  {
    words: ["operf", "-n"],
    code: 1,
    out: "No server specified.\n",
    err: /^Option --server-name needs a value\n$/,
  },
  {
    words: ["ocbr", "-n"],
    code: 1,
    out: /^No server specified\.\nUsage/,
    err: /^Option --server-name needs a value\n$/,
  },
  {
    words: ["obc", "-n"],
    code: 1,
    out: /^Please specify a name\./,
    err: /^Option --name needs a value\n$/,
  },
  { words: ["irmd", "--zz"], code: 1, out: USAGE, err: /^irmd: unknown word "--zz"\n$/ },
  {
    words: ["irmd", "--ipcp-dir"],
    code: 1,
    out: USAGE,
    err: /^irmd: --ipcp-dir needs a directory\n$/,
  },
  {
    words: ["irmd", "--config", "/nonexistent.conf"],
    code: 1,
    err: /^irmd: Failed to check path for \/nonexistent\.conf: No such file or directory\.\n$/,
  },
  {
    words: ["pki", "show", "/nonexistent.pem"],
    code: 1,
    err: /^ouro pki: cannot read \/nonexistent\.pem: No such file or directory\n$/,
  },
  {
    words: ["pki", "init", "--security", "/proc/ouro"],
    code: 1,
    err: /^ouro pki: cannot make \/proc\/ouro\/\w+: [^\n(]+\n$/,
  },
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
  {
    words: ["irm", "name", "destroy", "zz"],
    code: 1,
    err: /^Failed to destroy name "zz": -1: name "zz" is not known\n$/,
  },
  {
    words: ["irm", "bind", "program", "/nonexistent", "name", "x"],
    code: 1,
    out: "/nonexistent does not exist.\n",
    err: /: -2: no such file\n$/,
  },
  {
    words: ["irm", "bind", "program", "/etc/passwd", "name", "x"],
    code: 1,
    out: "Cannot execute /etc/passwd, please check permissions.\n",
    err: /: -1: it is not executable\n$/,
  },
  {
    words: ["irm", "bind", "process", "1", "name", "x"],
    code: 1,
    err: /: -1: process 1 is no Ouroboros program of this node \(it has not announced itself\)\n$/,
  },
  {
    words: ["irm", "bind", "process", "999999999", "name", "x"],
    code: 1,
    out: '"999999999" is not a valid process id.\n',
    err: "",
  },
  {
    words: ["irm", "unbind", "process", "1", "name", "x"],
    code: 1,
    err: /: -1: process 1 is no Ouroboros program of this node\n$/,
  },
  {
    words: ["irm", "unbind", "process", "1", "name", "zz"],
    code: 1,
    err: /: -1: name "zz" is not known\n$/,
  },
  {
    words: ["irm", "unbind", "program", "sh", "name", "zz"],
    code: 1,
    err: /: -1: name "zz" is not known\n$/,
  },
  {
    words: ["irm", "unbind", "program", "sh", "name", "x"],
    code: 1,
    err: /: -1: program "sh" is not bound to name "x"\n$/,
  },
  {
    words: ["irm", "name", "register", "x", "layer", "l"],
    code: 1,
    out: "Failed to list IPCPs.\n",
    err: /: there is no IPCP \(irm ipcp create\)\n$/,
  },
  {
    words: ["irm", "ipcp", "bootstrap", "name", "zz", "layer", "l"],
    code: 1,
    out: "No IPCPs matching zz found.\n\n",
    err: "",
  },
  {
    words: ["oping", "-n", "zz"],
    code: 1,
    out: ALLOCATE(-1007),
    err: /^Failed to allocate flow: -1007: name "zz" is not known here \(irm name create zz\)\n$/,
  },
  {
    words: ["oping", "-n", "x"],
    code: 1,
    out: ALLOCATE(-1003),
    err:
      /: nothing is bound to "x" here \(irm bind program PROG name x\), and no IPCP is in a layer\n$/,
  },
  {
    words: ["operf", "-n", "zz"],
    code: 1,
    out: "Failed to allocate flow.\n",
    err: /: -1007: name "zz" is not known here/,
  },
  {
    words: ["ovpn", "-n", "zz", "-i", "10.0.0.1", "-m", "255.0.0.0"],
    code: 1,
    out: /Failed to allocate flow\.\n$/,
    err: /: -1007: name "zz" is not known here/,
  },
  {
    words: ["oecho"],
    code: 255,
    out: "Failed to allocate flow.\n",
    err: /: -1007: name "oecho" is not known here/,
  },
  {
    words: ["obc", "-n", "zz"],
    code: 255,
    out: "Failed to join broadcast.\n",
    err: /: -1003: no IPCP of this node is in layer "zz"\n$/,
  },
  {
    words: ["ocbr", "-n", "zz"],
    code: 255,
    out: /Failed to allocate flow\.\n$/,
    err: /: -1007: name "zz" is not known here/,
  },
  { words: ["irmd"], code: 1, err: /^irmd: IRMd already running \(\d+\), exiting\.\n$/ },
];

/** The same with a local layer `lay` of the IPCP `l1`, where `x` is registered; nobody accepts. */
const LAYER_NODE: Failure[] = [
  {
    words: ["irm", "ipcp", "bootstrap", "name", "l1", "layer", "more"],
    code: 1,
    err: /: -1: it is in layer "lay" already \(ipcpd-local l1, bootstrap\)\n$/,
  },
  {
    words: [
      "irm",
      "ipcp",
      "bootstrap",
      "name",
      "l1",
      "layer",
      "more",
      "type",
      "udp4",
      "ip",
      "127.0.0.1",
    ],
    code: 1,
    out: "Types do not match.\n\n",
    err: "",
  },
  {
    words: ["irm", "ipcp", "connect", "name", "l1", "dst", "x"],
    code: 1,
    err: /: -1003: only unicast and broadcast IPCPs have connections\n$/,
  },
  {
    words: [
      "irm",
      "ipcp",
      "bootstrap",
      "name",
      "d1",
      "type",
      "eth-dix",
      "layer",
      "e",
      "dev",
      "nonesuch0",
    ],
    code: 1,
    err: /: -1: Cannot use device nonesuch0: no such device \(ipcpd-eth-dix d1, bootstrap\)\n$/,
  },
  {
    words: [
      "irm",
      "ipcp",
      "bootstrap",
      "name",
      "u4",
      "type",
      "udp4",
      "layer",
      "u",
      "ip",
      "192.0.2.1",
    ],
    code: 1,
    err:
      /: -1: Couldn't bind to 192\.0\.2\.1:3435\. address not available \(ipcpd-udp4 u4, bootstrap\)\n$/,
  },
  {
    words: ["oping", "-n", "x"],
    code: 1,
    out: ALLOCATE(-1003),
    err: /: -1003: nobody accepts flows for "x" \(ipcpd-local l1, [^\n]+\)\n$/,
  },
  {
    words: ["oping", "-n", "fails"],
    code: 1,
    out: ALLOCATE(-1003),
    err:
      /: -1003: [^\n]*false was started and ended with status 1 before it accepted, and no IPCP of this node knows "fails"/,
  },
  {
    words: ["oping", "-n", "text"],
    code: 1,
    out: ALLOCATE(-1003),
    err:
      /: -1003: [^\n]*\/text cannot be started \([^\n]*not in an executable format\), and no IPCP/,
  },
  {
    words: ["obc", "-n", "lay"],
    code: 255,
    out: "Failed to join broadcast.\n",
    err: /: -1000: layer "lay" is no broadcast layer \(ipcpd-local l1, [^\n]+\)\n$/,
  },
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
        check({ words, code: 1, err, ...(out === undefined ? {} : { out }) }, got);
      });
    }
  },
});

Deno.test("irmd that logs to syslog tells a person at the terminal what is wrong with its file", async () => {
  await using node = await TestNode.start({ idle: true });
  const path = `${node.prefix}/bad.conf`;
  const cases: [string, RegExp][] = [
    ["[name.x]\nlb = 3 4\n", /^irmd: Failed to parse config file: line 2: [^\n]+\n$/],
    ["[local.l1]\nbootstrap = 7\n", /^irmd: [^\n]+bad\.conf:2\)\n$/],
    [
      '[udp4.u1]\nbootstrap = "l"\nip = "192.0.2.1"\n',
      /^irmd: [^\n]*192\.0\.2\.1[^\n]* \(line 1\)\n$/,
    ],
  ];
  for (const [text, line] of cases) {
    await Deno.writeTextFile(path, text);
    const got = await node.run(["irmd", "--config", path]);
    assertEquals([got.code, got.out], [1, ""], got.err);
    assertMatch(got.err, line);
  }
});
