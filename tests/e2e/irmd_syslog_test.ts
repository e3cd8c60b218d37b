/** What is proved here: without `--stdout` the daemon's lines go to the system log (spec 20 §16). */

import { assertEquals, assertMatch } from "@std/assert";
import { decodeHex } from "@std/encoding";
import { fromFileUrl } from "@std/path";
import { until } from "../support/deadline.ts";
import { ouro, TestNode } from "../support/node.ts";
import vectors from "../vectors/tools.json" with { type: "json" };

/** A private /dev whose `log` is the socket named by the first word; the rest is run there. */
const SCRIPT = `
dev=$1/dev; mkdir "$dev" && mount -t tmpfs none "$dev" || exit 99
for n in null zero random urandom; do touch "$dev/$n"; mount --bind "/dev/$n" "$dev/$n" || exit 99; done
mkdir "$dev/shm" && mount --bind /dev/shm "$dev/shm" || exit 99
touch "$dev/log" && mount --bind "$1/log" "$dev/log" && mount --rbind "$dev" /dev || exit 99
shift; exec "$@"
`;

Deno.test({
  name: "irmd writes to syslog: facility daemon, level, name and pid, no prefix, no colour",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using node = await TestNode.start({ idle: true });
    // syslog(3) turns to a stream when there is no datagram socket; records end with a NUL then.
    const log = Deno.listen({ transport: "unix", path: `${node.prefix}/log` });
    let text = "";
    const reading = (async () => {
      using connection = await log.accept();
      for await (const part of connection.readable.pipeThrough(new TextDecoderStream())) {
        text += part;
      }
    })();
    const lines = () => text.split("\0");
    try {
      const argv = ["unshare", "-m", "sh", "-c", SCRIPT, "sh", node.prefix, ...ouro("irmd")];
      const irmd = node.spawnArgv(argv);
      await until("line of the start", () => lines().some((l) => l.includes("daemon started")));
      await node.must("irm", "name", "create", "n1");
      assertEquals((await irmd.stop()).code, 0);
      // <facility * 8 + level>; daemon is 3, info 6, warning 4.
      const head = `^<30>.* irmd\\[${irmd.pid}\\]: `;
      await reading;
      for (const line of ["Created new name: n1\\.", ".* daemon exited\\. Bye\\."]) {
        assertMatch(lines().join("\n"), new RegExp(head + line, "m"));
      }
      assertEquals([irmd.out, irmd.err], ["", ""]);
    } finally {
      log.close();
    }
  },
});

/** A record as vectors have it: `<priority>Mmm dd hh:mm:ss program[pid]: text`. */
const RECORD = /^<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d ([^[]+)\[\d+\]: (.*)$/;

Deno.test({
  name: "log.syslog.*: the records of the prototype, but for time and pid",
  ignore: Deno.uid() !== 0,
  async fn() {
    const wanted = vectors.cases.filter((c) => c.name.startsWith("log.syslog."))
      .map(({ name, hex }) => {
        const fields = RECORD.exec(new TextDecoder().decode(decodeHex(hex)));
        if (fields === null) throw new Error(`${name}: not a record of syslog`);
        return fields.slice(1);
      });
    const dir = await Deno.makeTempDir({ prefix: "ouro-syslog-" });
    const log = Deno.listen({ transport: "unix", path: `${dir}/log` });
    try {
      const peer = fromFileUrl(new URL("./syslog_peer.ts", import.meta.url));
      const { success, stderr } = await new Deno.Command("unshare", {
        args: ["-m", "sh", "-c", SCRIPT, "sh", dir, Deno.execPath(), "run", "-A", "--no-check"]
          .concat(peer, JSON.stringify(wanted)),
        stderr: "piped",
        stdout: "null",
      }).output();
      assertEquals(success, true, new TextDecoder().decode(stderr));
      const got: string[][] = [];
      // The peer has written all and ended: each of its processes is a connection that waits here.
      while (got.length < wanted.length) {
        using connection = await log.accept();
        const text = await new Response(connection.readable).text();
        for (const record of text.split("\0").filter((r) => r !== "")) {
          got.push(RECORD.exec(record)?.slice(1) ?? [record]);
        }
      }
      assertEquals(got, wanted);
    } finally {
      log.close();
      await Deno.remove(dir, { recursive: true });
    }
  },
});
