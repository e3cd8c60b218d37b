/** What the daemon says about itself. */

import { DIRECTORY, FILE, type Manual, oneOf, TEXT } from "../lib/cli/manual.ts";

const HELP = `Usage: irmd [OPTION]...
Runs the IPC Resource Manager daemon of this node

      --stdout              Log to standard output instead of syslog
      --config PATH         Apply this configuration file (format: docs, irmd.conf)
      --prefix DIR          Run a node of its own below DIR (or OURO_PREFIX); without
                            it this is the system's node, which needs root
      --no-direct           Let flows between processes of this host go over an IPCP
      --ipcp-dir DIR        Take IPCP programs from there instead of this program
      --rib on|off          Show what the node knows as files below /tmp/ouroboros, or not
      --patience N          Wait N times as long for IPCPs and programs, 1 to 99 (or
                            OURO_PATIENCE): for hosts with much other work
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

export const MANUAL: Manual = {
  help: (words) => words.length === 0 ? HELP : undefined,
  grammar: {
    options: [
      { words: ["--stdout"] },
      { words: ["--config"], value: FILE },
      { words: ["--no-direct"] },
      { words: ["--ipcp-dir"], value: DIRECTORY },
      { words: ["--rib"], value: oneOf(["on", "off"]) },
      { words: ["--patience"], value: TEXT },
      { words: ["--debug"] },
      { words: ["--version"] },
      { words: ["--help"] },
    ],
  },
  seeAlso: ["irm", "ouro"],
};
