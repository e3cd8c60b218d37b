/** What `ouro help` adds to the usage texts of the tools, which are the prototype's word for word. */

import { OBC_USAGE } from "../tools/obc.ts";
import { OCBR_USAGE } from "../tools/ocbr/options.ts";
import { OECHO_USAGE } from "../tools/oecho.ts";
import { OPERF_USAGE } from "../tools/operf/options.ts";
import { OVPN_USAGE } from "../tools/ovpn/options.ts";

const SERVER = `      --once                Server: end after the first flow
      --max-flows N         Server: refuse more flows than that
      --idle TIME           Server: drop a flow that is silent for so long
`;

const SENDER = `      --count N             Client: end after N packets
      --bytes N             Client: end after N bytes (k, M, G)
      --report TIME         Client: an interim line that often (and at SIGUSR1)
`;

const COMMON = `  -q, --qos WORD            raw (default), best, video, voice, data
      --json                Print JSON instead of text, one document or one line an event
      --deadline TIME       Client: end after so long in any case
      --strict-exit         Client: exit 1 when nothing came back, 2 after an error
      --version             Print the version
      --prefix DIR          Use the node that lives below DIR (or OURO_PREFIX)
`;

/** Help of each tool. */
export const TOOL_HELP: Readonly<Record<string, string>> = {
  operf: `${OPERF_USAGE}
Beyond the prototype, where short options may be joined (-fl, -s100):
  -t report                 As uni; an ouro server tells what it received
  -t reverse                The ouro server sends
${SENDER}      --timeout TIME        Client: what is missing for so long counts as lost (2s)
      --verbose             Server: a line for each packet of a uni test
${SERVER}${COMMON}
A rate takes b, k, M, G, kbit, Mbit, Gbit; without a unit it counts thousands,
as in the prototype. Times take us, ms, s, m, h, d and decimals, ms by default.
Names: a server is reached by a name that it is bound to, for instance
  irm name create perf; irm bind program operf name perf; operf -l
`,
  oecho: `${OECHO_USAGE}
Beyond the prototype:
      --timeout TIME        Client: how long to wait for the answer (10s)
${SERVER}${COMMON}
The name is always oecho: irm name create oecho; irm bind program oecho name oecho
`,
  ocbr: `${OCBR_USAGE}
Beyond the prototype:
${SENDER}${SERVER}${COMMON}
A rate takes k, M, G.
`,
  obc: `${OBC_USAGE}
Beyond the prototype:
  -m -                      Send what standard input says
${COMMON}
The name is that of the layer: irm ipcp bootstrap name b1 type broadcast layer LAYER
`,
  ovpn: `${OVPN_USAGE}
Beyond the prototype:
  -q, --qos WORD            raw (default), best, video, voice, data
      --ip6 ADDRESS/BITS    IPv6 address of the TUN device, too
      --mtu BYTES           MTU of the TUN device (default 1500, or what the flow carries)
      --dev NAME            Name of the TUN device (default: the kernel's choice)
      --reconnect           Client: allocate the flow again when it goes down
      --json                Print one JSON document at the end instead of text
      --version             Print the version

Needs root. The server takes one client after the other.
`,
};
