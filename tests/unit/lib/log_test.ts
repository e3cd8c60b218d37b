/** What is proved here: what a log line may hold. What daemons write is proved by the end-to-end tests. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { decodeHex } from "@std/encoding";
import { formatLine, type Level, Logger } from "../../../lib/log.ts";
import vectors from "../../vectors/tools.json" with { type: "json" };

Deno.test("Logger: what others have named neither forges a line nor talks to the terminal", () => {
  const lines: string[] = [];
  const log = new Logger(
    (level: Level, prefix, text) => lines.push(`${prefix}(${level}): ${text}`),
    "x",
    true,
  );
  const hostile = "a\n==1== irmd(EE): b\x1b[31m\x9b\0";
  const good = "a\\x0a==1== irmd(EE): b\\x1b[31m\\x9b\\x00";
  log.error(hostile);
  log.warn(hostile);
  log.info(hostile);
  log.dbg(hostile);
  log.proto(hostile);
  assertEquals(lines, ["EE", "WW", "II", "DB", "PP"].map((l) => `x(${l}): ${good}`));
});

for (const { name, hex, input } of vectors.cases.filter((c) => c.name.startsWith("log."))) {
  // What goes to the system log is proved in tests/e2e/irmd_syslog_test.ts.
  if (name.startsWith("log.syslog.")) continue;
  Deno.test(`${name}: the line of the prototype`, () => {
    assert(name.startsWith("log.stdout."), `${name}: unknown kind of case`);
    const { component, level, pid } = input as { component: string; level: Level; pid: number };
    const line = new TextDecoder().decode(decodeHex(hex));
    const at = line.indexOf("): ") + 3;
    // deno-lint-ignore no-control-regex -- they are what is looked for
    const text = line.slice(at).replace(/\x1b\[0m$/, "");
    assertEquals(formatLine(pid, level, component, text, true), line);
    assertEquals(
      formatLine(pid, level, component, text, false),
      // deno-lint-ignore no-control-regex -- they are what is looked for
      line.replaceAll(/\x1b\[\d+m/g, ""),
    );
  });
}

Deno.test("lines in a file have the time before them, those of the journal and of a terminal have not", async () => {
  const log = new URL("../../../lib/log.ts", import.meta.url).href;
  const code = `import { Logger, stdoutSink } from ${JSON.stringify(log)};
    new Logger(stdoutSink((line) => Deno.stdout.writeSync(line), 7), "x").info("hello");`;
  const run = async (env: Record<string, string>) => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", code],
      env: { JOURNAL_STREAM: "", ...env },
    }).output();
    return new TextDecoder().decode(stdout);
  };
  assertMatch(await run({}), /^\d{4}-\d\d-\d\dT[\d:.]+Z ==00007== x\(II\): hello\n$/);
  assertEquals(await run({ JOURNAL_STREAM: "8:1" }), "==00007== x(II): hello\n");
});
