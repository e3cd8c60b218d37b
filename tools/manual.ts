/**
 * What the tools say about themselves: the usage texts, which are the prototype's word for word, what
 * goes beyond them, and their words.
 */

import type { Manual, Option } from "../lib/cli/manual.ts";
import { optionsOf } from "../lib/cli/options.ts";
import { OBC_OPTIONS, OBC_USAGE } from "./obc.ts";
import { OCAT_OPERAND, OCAT_OPTIONS, OCAT_USAGE } from "./ocat/options.ts";
import { OCBR_OPTIONS, OCBR_USAGE } from "./ocbr/options.ts";
import { OECHO_OPTIONS, OECHO_USAGE } from "./oecho.ts";
import { OPERF_OPTIONS, OPERF_USAGE } from "./operf/options.ts";
import { OVPN_OPTIONS, OVPN_USAGE } from "./ovpn/options.ts";

const SERVER = `      --once                Server: end after the first flow
      --max-flows N         Server: refuse more flows than that
      --idle TIME           Server: drop a flow that is silent for so long
`;

const PEER = `      --keepalive TIME      Client: both ends notice a lost peer after so long (120s)
`;

const SENDER = `      --count N             Client: end after N packets
      --bytes N             Client: end after N bytes (k, M, G)
      --report TIME         Client: a line about each such interval (and at SIGUSR1)
`;

const COMMON = `  -q, --qos WORD            raw (default), best, video, voice, data
      --json                Print JSON instead of text, one document or one line an event
      --deadline TIME       Client: end after so long in any case
      --strict-exit         Client: exit 1 when nothing came back, 2 after an error
      --version             Print the version
      --prefix DIR          Use the node that lives below DIR (or OURO_PREFIX)
`;

type Exits = NonNullable<Manual["exits"]>;

const COMPLETED: Exits[number] = ["0", "completed, or ended by a signal or a deadline"];
/** Of tools whose failures have the code that the prototype's have. */
const FAILED: Exits[number] = ["255", "no flow, or it could not be used"];
const REFUSED: Exits[number] = ["1", "the command line was refused, or there is no IRMd"];

function manual(help: string, options: readonly Option[], exits: Exits): Manual {
  return {
    help: (words) => words.length === 0 ? help : undefined,
    grammar: { options },
    exits,
    seeAlso: ["irm", "ouro"],
  };
}

export const OPERF = manual(
  `${OPERF_USAGE}
Beyond the prototype, where short options may be joined (-fl, -s100):
  -t report                 Default: as uni, and an ouro server tells what it received
  -t reverse                The ouro server sends
${SENDER}      --timeout TIME        Client: what is missing for so long counts as lost (2s)
      --verbose             Server: a line for each packet of a uni test
${SERVER}${PEER}${COMMON}
A rate takes b, k, M, G, kbit, Mbit, Gbit; without a unit it counts thousands,
as in the prototype. Times take us, ms, s, m, h, d and decimals, ms by default.
Names: a server is reached by a name that it is bound to, for instance
  irm name create perf; irm bind program operf name perf; operf -l
`,
  optionsOf(OPERF_OPTIONS),
  [
    COMPLETED,
    ["1", "refused, no flow, cut short by an error, or nothing arrived"],
    ["2", "with --strict-exit: no flow, or cut short by an error"],
  ],
);

export const OECHO = manual(
  `${OECHO_USAGE}
Beyond the prototype:
      --timeout TIME        Client: how long to wait for the answer (10s)
${SERVER}${PEER}${COMMON}
The name is always oecho: irm name create oecho; irm bind program oecho name oecho
`,
  optionsOf(OECHO_OPTIONS),
  [["0", "the answer came; server: ended by a signal"], REFUSED, FAILED],
);

export const OCBR = manual(
  `${OCBR_USAGE}
Beyond the prototype:
${SENDER}${SERVER}${PEER}${COMMON}
A rate takes k, M, G.
`,
  optionsOf(OCBR_OPTIONS),
  [
    COMPLETED,
    ["1", "refused, cut short by an error, or nothing arrived"],
    ["2", "with --strict-exit: cut short by an error"],
    FAILED,
  ],
);

export const OBC = manual(
  `${OBC_USAGE}
Beyond the prototype:
  -m -                      Send what standard input says
${COMMON}
The name is that of the layer: irm ipcp bootstrap name b1 type broadcast layer LAYER
`,
  optionsOf(OBC_OPTIONS),
  [["0", "sent; listening: ended by a signal, a deadline or the end of the flow"], REFUSED, FAILED],
);

export const OVPN = manual(
  `${OVPN_USAGE}
Beyond the prototype:
  -q, --qos WORD            raw (default), best, video, voice, data
      --ip6 ADDRESS/BITS    IPv6 address of the TUN device, too
      --mtu BYTES           MTU of the TUN device (default 1500, or what the flow carries)
      --dev NAME            Name of the TUN device (default: the kernel's choice)
${PEER}      --reconnect           Client: allocate the flow again when it goes down
      --json                Print one JSON document at the end instead of text
      --version             Print the version

Needs root. The server takes one client after the other.
`,
  OVPN_OPTIONS,
  [["0", "ended by a signal"], ["1", "refused, no flow or no device, or the flow went down"]],
);

export const OCAT: Manual = {
  help: (words) => words.length === 0 ? OCAT_USAGE : undefined,
  grammar: { operands: [OCAT_OPERAND], options: optionsOf(OCAT_OPTIONS) },
  exits: [
    ["0", "both sides had said all"],
    ["1", "the flow could not be had, or it or the connection broke"],
    ["141", "nobody reads standard output"],
  ],
  seeAlso: ["irm", "ouro"],
};
