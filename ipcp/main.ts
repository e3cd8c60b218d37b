/**
 * `ouro ipcp <type> <irmd pid> <ipcp name> [1]`: an IPC process, started by an IRMd (spec 50 §2).
 *
 * Wrong arguments end it with exit code 1, as the prototype's. A fourth argument sends the log to syslog.
 */

import { Exit } from "../lib/exit.ts";
import { currentInstance } from "../lib/instance.ts";
import { stdout } from "../lib/cli/outlet.ts";
import { hurryUp } from "../lib/hurry.ts";
import { countingSink, Logger, stdoutSink } from "../lib/log.ts";
import { takePrefix } from "../lib/prefix.ts";
import { syslogSink } from "../lib/sys/syslog.ts";
import { IpcpProcess } from "./process.ts";
import type { TypeName } from "./state.ts";
import type { IpcpContext, IpcpType } from "./type.ts";

/** Log prefixes by type (spec 50 §2). */
const PREFIX: Record<TypeName, string> = {
  local: "ipcpd-local",
  unicast: "ipcpd-unicast",
  broadcast: "ipcpd-broadcast",
  udp4: "ipcpd/udp4",
  udp6: "ipcpd/udp6",
  "eth-llc": "ipcpd/eth-llc",
  "eth-dix": "ipcpd/eth-dix",
};

/** What makes the IPCP of a type: only that type is loaded. */
async function makerOf(type: TypeName): Promise<(context: IpcpContext) => IpcpType> {
  switch (type) {
    case "local": {
      const { LocalIpcp } = await import("./local/ipcp.ts");
      return (context) => new LocalIpcp(context);
    }
    case "unicast": {
      const { UnicastIpcp } = await import("./unicast/ipcp.ts");
      return (context) => new UnicastIpcp(context);
    }
    case "broadcast": {
      const { BroadcastIpcp } = await import("./broadcast/ipcp.ts");
      return (context) => new BroadcastIpcp(context);
    }
    case "udp4":
    case "udp6": {
      const { UdpIpcp } = await import("./udp/ipcp.ts");
      return (context) => new UdpIpcp(type, context);
    }
    case "eth-dix":
    case "eth-llc": {
      const { EthIpcp } = await import("./eth/ipcp.ts");
      return (context) => new EthIpcp(type, context);
    }
  }
}

/** Run an IPCP until its IRMd ends it; the exit code. */
export async function main(args: string[]): Promise<number> {
  const words = takePrefix(args);
  if (words?.includes("--help")) {
    const { MANUAL } = await import("./manual.ts");
    const text = MANUAL.help(words.filter((word) => word !== "--help")) ?? MANUAL.help([])!;
    stdout.writeSync(new TextEncoder().encode(text));
    return 0;
  }
  const [type = "TYPE", pidText, name, syslog] = words ?? [];
  const irmdPid = Number.parseInt(pidText ?? "", 10);
  if (!(irmdPid > 0) || name === undefined || words!.length > 4) {
    // deno-lint-ignore no-console -- the process ends, and has no log yet
    console.error(`ipcpd-${type}: only an IRMd starts it (irm ipcp create name NAME type ${type})`);
    return Exit.FAILURE;
  }
  if (!Object.hasOwn(PREFIX, type)) {
    // deno-lint-ignore no-console -- the process ends, and has no log yet
    console.error(`ipcpd-${type}: this version has no IPCP of type ${type}`);
    return Exit.UNAVAILABLE;
  }
  const typeName = type as TypeName;
  const sink = countingSink(
    syslog === undefined ? stdoutSink((line) => stdout.offer(line)) : syslogSink(`ipcpd-${type}`),
  );
  const debug = Deno.env.get("OURO_DEBUG") === "1";
  const log = new Logger(sink, PREFIX[typeName], debug);
  const make = await makerOf(typeName);
  const process = new IpcpProcess(currentInstance(), typeName, name, irmdPid, log, make);
  const code = await process.run(`ipcpd-${type}`);
  hurryUp();
  return code;
}
