/** What `ouro help` adds to the usage texts of the tools, which are the prototype's word for word. */

import { OBC_USAGE } from "../tools/obc.ts";
import { OCBR_USAGE } from "../tools/ocbr/options.ts";
import { OECHO_USAGE } from "../tools/oecho.ts";
import { OPERF_USAGE } from "../tools/operf/options.ts";
import { OVPN_USAGE } from "../tools/ovpn/options.ts";

const SERVER = `      --once                Server: end after the first flow
      --max-flows N         Server: refuse more flows than that
`;

const QOS = `  -q, --qos WORD            raw (default), best, video, voice, data
`;

/** Help of each tool. */
export const TOOL_HELP: Readonly<Record<string, string>> = {
  operf: `${OPERF_USAGE}
Beyond the prototype:
${QOS}  -t report                 As uni; an ouro server tells what it received
  -t reverse                The ouro server sends
      --count N             End after N packets
      --json                Print one JSON document instead of text
      --verbose             Server: a line for each packet of a uni test
${SERVER}
A rate takes b, k, M, G, kbit, Mbit, Gbit; without a unit it counts thousands,
as in the prototype. Times take us, ms, s, m, h, d and decimals, ms by default.
Names: a server is reached by a name that it is bound to, for instance
  irm name create perf; irm bind program operf name perf; operf -l
`,
  oecho: `${OECHO_USAGE}
Beyond the prototype:
${QOS}      --once                Server: end after the first flow

The name is always oecho: irm name create oecho; irm bind program oecho name oecho
`,
  ocbr: `${OCBR_USAGE}
Beyond the prototype:
${QOS}      --count N             Client: end after N packets
      --json                Print JSON, the server one line a report
${SERVER}
A rate takes k, M, G.
`,
  obc: `${OBC_USAGE}
Beyond the prototype:
${QOS}  -m -                      Send what standard input says

The name is that of the layer: irm ipcp bootstrap name b1 type broadcast layer LAYER
`,
  ovpn: `${OVPN_USAGE}
Beyond the prototype:
${QOS}      --ip6 ADDRESS/BITS    IPv6 address of the TUN device, too
      --mtu BYTES           MTU of the TUN device (default 1500)
      --dev NAME            Name of the TUN device (default: the kernel's choice)
      --reconnect           Client: allocate the flow again when it goes down

Needs root. The server takes one client after the other.
`,
};
