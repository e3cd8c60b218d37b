/** What is proved here: a host that gives too little is told in one line with the remedy, and by an exit code. */

import { assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { until } from "../support/deadline.ts";
import { ouro, TestNode } from "../support/node.ts";

/** Whether the program is the portable form, which sees to limits before the runtime starts. */
function isPortable(): boolean {
  const binary = Deno.env.get("OURO_BINARY");
  if (binary === undefined) return false;
  using file = Deno.openSync(binary);
  const head = new Uint8Array(2);
  file.readSync(head);
  return new TextDecoder().decode(head) === "#!";
}

const quoted = (words: readonly string[]) => words.map((w) => `'${w}'`).join(" ");

Deno.test({
  name: "ulimit -n 20, -s 128 and -v are one line with the remedy, for every program",
  ignore: !isPortable(),
  fn: async () => {
    await using node = await TestNode.start({ idle: true });
    for (const words of [["irmd", "--stdout"], ["irm", "name", "list"], ["oping", "x"]]) {
      for (const limit of ["-n 20", "-s 128", "-v 500000", "-v 10000000"]) {
        const script = `ulimit ${limit} && exec ${quoted(ouro(...words))}`;
        const { code, out, err } = await node.spawnArgv(["sh", "-c", script]).wait();
        assertEquals(code, 1, `${limit}: ${out}${err}`);
        assertMatch(err, /^ouro: too (few|little) [^\n]*: ulimit -[nsv] \w+\n$/);
      }
    }
    const script = `ulimit -S -n 20 && exec ${quoted(ouro("--version"))}`;
    assertEquals((await node.spawnArgv(["sh", "-c", script]).wait()).code, 0);
  },
});

Deno.test({
  name: "ulimit -f is said with the remedy, by an irmd that ends in order",
  ignore: !isPortable(),
  fn: async () => {
    await using node = await TestNode.start({ idle: true });
    for (const blocks of [0, 100]) {
      const script = `ulimit -f ${blocks} && exec ${quoted(ouro("irmd", "--stdout"))}`;
      const { code, out } = await node.spawnArgv(["sh", "-c", script]).wait();
      assertEquals(code, 1, out);
      assertMatch(out, /files may not be so long here \(ulimit -f unlimited\)\.\n$/);
    }
  },
});

for (
  const [what, mount, said] of [
    ["a read-only directory", "-o ro x PREFIX", /Failed to create \S+: Read-only file system\.\n$/],
    ["a read-only /dev/shm", "-o ro x /dev/shm", /\/dev\/shm is read-only \(mount -o remount,rw/],
    ["a small /dev/shm", "-o size=1m x /dev/shm", /too small: .* \(mount -o remount,size=\d+m /],
    ["a full /dev/shm", "-o size=4k x /dev/shm", /\/dev\/shm is (full|too small)/],
  ] as const
) {
  Deno.test({
    name: `irmd on ${what} ends with the reason and the remedy`,
    ignore: Deno.uid() !== 0,
    fn: async () => {
      await using node = await TestNode.start({ idle: true });
      const fill = mount.includes("4k") ? "head -c 4096 /dev/zero > /dev/shm/full; " : "";
      const script = `mount -t tmpfs ${mount.replace("PREFIX", node.prefix)} && ${fill}` +
        `exec ${quoted(ouro("irmd", "--stdout"))}`;
      const result = await node.spawnArgv(["unshare", "-m", "sh", "-c", script]).wait();
      assertEquals(result.code, 1, result.out + result.err);
      assertMatch(result.out, said);
      assertNotMatch(result.out + result.err, /error \d+|E\d+|os error|panic|\n\s+at /);
    },
  });
}

/** A private /dev without a log; the words are run there. */
const NO_LOG = `
dev=$1/dev; mkdir "$dev" && mount -t tmpfs none "$dev" || exit 99
for n in null zero random urandom; do touch "$dev/$n"; mount --bind "/dev/$n" "$dev/$n" || exit 99; done
mkdir "$dev/shm" && mount --bind /dev/shm "$dev/shm" && mount --rbind "$dev" /dev || exit 99
shift; exec "$@"
`;

Deno.test({
  name: "irmd without /dev/log serves, and says once that its log goes nowhere",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using node = await TestNode.start({ idle: true });
    const argv = ["unshare", "-m", "sh", "-c", NO_LOG, "sh", node.prefix, ...ouro("irmd")];
    const irmd = node.spawnArgv(argv);
    await irmd.waitForText("(/dev/log is missing), log lines are lost: use --stdout\n");
    await until("it serves", async () => (await node.run(["irm", "name", "list"])).code === 0);
    const { code, err } = await irmd.stop();
    assertEquals(code, 0, err);
    assertEquals(err.split("\n").length, 2, err);
  },
});

Deno.test("a full disk behind standard output is said by every program, and is a failure", async () => {
  await using node = await TestNode.start();
  await node.must("irm", "name", "create", "x");
  for (
    const words of [
      ["oping", "--help"],
      ["operf", "--help"],
      ["irm", "name", "list"],
      ["irm", "save"],
      ["irmd", "--help"],
      ["pki", "--help"],
      ["ipcp", "--help"],
      ["help", "irm"],
      ["man", "oping"],
      ["completion", "bash"],
      ["--version"],
    ]
  ) {
    const script = `${quoted(ouro(...words))} > /dev/full`;
    const { code, err } = await node.spawnArgv(["sh", "-c", script]).wait();
    assertEquals(
      [code, err],
      [1, "ouro: cannot write to standard output: No space left on device\n"],
      words.join(" "),
    );
  }
});
