// The life of an IPCP where no IRMd is; the rest is with real processes in e2e/ipcp_process_test.ts.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { mock } from "node:test";
import { IpcpProcess } from "../../../ipcp/process.ts";
import type { IpcpType } from "../../../ipcp/type.ts";
import { instanceOf } from "../../../lib/instance.ts";
import { Logger, nullSink } from "../../../lib/log.ts";

Deno.test("an IPCP that finds no IRMd ends with status 1, and makes no socket", async () => {
  const prefix = await Deno.makeTempDir({ prefix: "ouro-test-" });
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  const mocked = [mock.method(console, "log", say), mock.method(console, "error", say)];
  try {
    const type = { type: "local" } as unknown as IpcpType;
    const log = new Logger(nullSink, "test");
    const ipcp = new IpcpProcess(instanceOf(prefix), "local", "i", 1, log, () => type);
    assertEquals(await ipcp.run("ipcpd-local"), 1);
    assertEquals(said[0], "FATAL: Could not announce to IRMd.");
    assertStringIncludes(said[1]!, "Failed to start: ");
    assertEquals(await Array.fromAsync(Deno.readDir(prefix)), []);
  } finally {
    for (const { mock } of mocked) mock.restore();
    await Deno.remove(prefix, { recursive: true });
  }
});
