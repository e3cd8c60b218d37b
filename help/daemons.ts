/** `ouro help` for the programs that run in the background. */

import { COMMANDS } from "../lib/commands.ts";

const IRMD = `Usage: irmd [OPTION]...
Runs the IPC Resource Manager daemon of this node

      --stdout              Log to standard output instead of syslog
      --config PATH         Apply this configuration file (format: docs, irmd.conf)
      --prefix DIR          Run a node of its own below DIR (or OURO_PREFIX); without
                            it this is the system's node, which needs root
      --no-direct           Let flows between processes of this host go over an IPCP
      --ipcp-dir DIR        Take IPCP programs from there instead of this program
      --debug               Log more
      --version             Print the version of the prototype it stands for

The configuration file is TOML: tables [name.NAME] for names and [TYPE.NAME] for
IPCPs, TYPE one of local, eth-llc, eth-dix, udp4, udp6, broadcast, unicast.
  [name.web]                prog, args, lb, server_key_file, ...
  [udp4.n1]                 bootstrap="layer", ip="192.0.2.1", reg=["web"]
  [unicast.u1]              bootstrap="layer" or enrol="name", conn=["u0"], autobind=true
  [irmd]                    direct=false is --no-direct
Mistakes are told with their line before anything is made.
`;

function ipcpd(name: string): string {
  return `Usage: ${name} PID NAME [log]
${COMMANDS[name] ?? ""}

IPCPs are not started by hand: "irm ipcp create name NAME type ${name.slice("ipcpd-".length)}"
asks the IRMd to. See "ouro help irm ipcp bootstrap" for what can be set.
`;
}

/** Help of a daemon, or undefined if it is none. */
export function daemonHelp(command: string): string | undefined {
  if (command === "irmd") return IRMD;
  return command.startsWith("ipcpd-") && Object.hasOwn(COMMANDS, command)
    ? ipcpd(command)
    : undefined;
}
