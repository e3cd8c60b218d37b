/**
 * syslog(3) as the sink of the daemons' log lines (`<syslog.h>`): facility daemon, with pid, no prefix
 * (spec 20 §16). Checked with glibc 2.36.
 *
 * Safety: openlog keeps the pointer it is given, so the name lives as long as the thread.
 */

import type { Level, Sink } from "../log.ts";
import { lazyLibc } from "./ffi.ts";

const TABLE = {
  // void openlog(const char *ident, int option, int facility);
  openlog: {
    parameters: ["buffer", /* ident */ "i32", /* option */ "i32" /* fac */],
    result: "void",
  },
  // void syslog(int priority, const char *format, ...);  always with the format "%s"
  syslog: {
    parameters: ["i32", /* priority */ "buffer", /* format */ "buffer" /* text */],
    result: "void",
  },
} as const;

const sys = lazyLibc(TABLE);
let name: Uint8Array<ArrayBuffer> | undefined;

// `<sys/syslog.h>`.
const LOG_PID = 1;
const LOG_DAEMON = 3 << 3;
const PRIORITY: Record<Level, number> = { EE: 3, WW: 4, II: 6, DB: 7, PP: 7 };

const encoder = new TextEncoder();
const FORMAT = encoder.encode("%s\0");

/** Where a system log takes records. */
const LOG_SOCKET = "/dev/log";

/** Why no system log takes records here, with the remedy; undefined: one does. syslog(3) itself says nothing. */
export function noSyslog(): string | undefined {
  try {
    Deno.statSync(LOG_SOCKET);
    return undefined;
  } catch {
    return `there is no system log (${LOG_SOCKET} is missing), log lines are lost: use --stdout`;
  }
}

/** A sink that writes to the system log under a program name. */
export function syslogSink(ident: string): Sink {
  name = encoder.encode(ident + "\0");
  sys().openlog(name, LOG_PID, LOG_DAEMON);
  return (level, _prefix, text) => {
    // A line break or a NUL would end or split the record.
    const clean = text.replaceAll(/[\0\n\r]/g, " ");
    sys().syslog(LOG_DAEMON | PRIORITY[level], FORMAT, encoder.encode(clean + "\0"));
  };
}
