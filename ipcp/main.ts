/**
 * `ouro ipcp <type> <irmd pid> <ipcp name> [1]`: an IPC process, started by an IRMd (spec 50 §2).
 *
 * Wrong arguments end it with exit code 1, as the prototype's. A fourth argument sends the log to syslog.
 */

import { Exit } from "../lib/exit.ts";
import { currentInstance } from "../lib/instance.ts";
import { countingSink, Logger, stdoutSink } from "../lib/log.ts";
import { takePrefix } from "../lib/prefix.ts";
import { syslogSink } from "../lib/sys/syslog.ts";
import { LocalIpcp } from "./local/ipcp.ts";
import { IpcpProcess } from "./process.ts";
import { EthIpcp } from "./eth/ipcp.ts";
import { BroadcastIpcp } from "./broadcast/ipcp.ts";
import { UdpIpcp } from "./udp/ipcp.ts";
import { UnicastIpcp } from "./unicast/ipcp.ts";
import { Type, type TypeName } from "./state.ts";
import type { IpcpContext, IpcpType } from "./type.ts";

/** Log prefixes by type (spec 50 §2). */
const PREFIX: Partial<Record<TypeName, string>> = {
  local: "ipcpd-local",
  unicast: "ipcpd-unicast",
  broadcast: "ipcpd-broadcast",
  udp4: "ipcpd/udp4",
  udp6: "ipcpd/udp6",
  "eth-llc": "ipcpd/eth-llc",
  "eth-dix": "ipcpd/eth-dix",
};

function make(type: TypeName, context: IpcpContext): IpcpType | undefined {
  switch (type) {
    case "local":
      return new LocalIpcp(context);
    case "unicast":
      return new UnicastIpcp(context);
    case "broadcast":
      return new BroadcastIpcp(context);
    case "udp4":
    case "udp6":
      return new UdpIpcp(type, context);
    case "eth-dix":
    case "eth-llc":
      return new EthIpcp(type, context);
    default:
      return undefined;
  }
}

/** Run an IPCP until its IRMd ends it; the exit code. */
export async function main(args: string[]): Promise<number> {
  const words = takePrefix(args);
  const [type = "TYPE", pidText, name, syslog] = words ?? [];
  const irmdPid = Number.parseInt(pidText ?? "", 10);
  if (!(irmdPid > 0) || name === undefined || words!.length > 4) {
    // deno-lint-ignore no-console -- the process ends, and has no log yet
    console.error(`ipcpd-${type}: only an IRMd starts it (irm ipcp create name NAME type ${type})`);
    return Exit.FAILURE;
  }
  if (!(type in Type) || PREFIX[type as TypeName] === undefined) {
    // deno-lint-ignore no-console -- the process ends, and has no log yet
    console.error(`ipcpd-${type}: this version has no IPCP of type ${type}`);
    return Exit.UNAVAILABLE;
  }
  const typeName = type as TypeName;
  const sink = countingSink(syslog === undefined ? stdoutSink() : syslogSink(`ipcpd-${type}`));
  const debug = Deno.env.get("OURO_DEBUG") === "1";
  const log = new Logger(sink, PREFIX[typeName]!, debug);
  const process = new IpcpProcess(currentInstance(), typeName, name, irmdPid, log, (context) => {
    return make(typeName, context)!;
  });
  return await process.run(`ipcpd-${type}`);
}
