/**
 * Writes records to the system log as the sinks of the daemons do: the first word is JSON, a list of
 * [priority, program, text]. A process has one name there, so each record is written by its own.
 */

import type { Level } from "../../lib/log.ts";
import { syslogSink } from "../../lib/sys/syslog.ts";

const LEVELS: Record<string, Level> = { 27: "EE", 28: "WW", 30: "II", 31: "DB" };

const [one, ...rest] = JSON.parse(Deno.args[0] ?? "[]") as [string, string, string][];
if (one !== undefined) {
  const level = LEVELS[one[0]];
  if (level === undefined) throw new Error(`no level has priority ${one[0]}`);
  syslogSink(one[1])(level, "prefix", one[2]);
  if (rest.length > 0) {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", import.meta.filename!, JSON.stringify(rest)],
    }).output();
    if (!success) Deno.exit(1);
  }
}
