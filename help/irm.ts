/** `ouro help irm [OBJECT [VERB]]`: the usage texts, examples, and what goes beyond the prototype. */

import { matchWord } from "../irm/grammar.ts";
import { USAGE, type UsageOf } from "../irm/usage.ts";

const OVERVIEW = `Usage: irm [--prefix DIR] OBJECT VERB [ARGUMENT]...
Administers the node: its names, what is bound to them, and its IPCPs

Names
  irm name create NAME                      a name that flows can be allocated to
  irm name destroy NAME
  irm name register NAME layer LAYER        make it known in a layer (or ipcp IPCP)
  irm name unregister NAME layer LAYER
  irm name list [list PREFIX] [--json]

Bindings: who accepts flows for a name
  irm bind program PROGRAM name NAME [user USER|group GROUP|any] [auto -- ARGUMENT...]
  irm bind process PID name NAME [user USER|group GROUP]
  irm bind ipcp IPCP name NAME
  irm unbind program|process|ipcp WHAT name NAME

IPCPs: the members of layers on this node
  irm ipcp create name IPCP type TYPE
  irm ipcp bootstrap name IPCP layer LAYER [type TYPE] [OPTION]...
  irm ipcp enroll name IPCP layer LAYER [autobind] [connect]
  irm ipcp connect|disconnect name IPCP dst IPCP [component dt|mgmt]
  irm ipcp destroy name IPCP
  irm ipcp list [--json]

Shares: what each user holds of what users share
  irm user list [--json]

Waiting, for scripts: until it is so, or the time is up (exit code 2)
  irm wait name NAME [timeout SECONDS]
  irm wait layer LAYER [members N] [timeout SECONDS]
  irm wait ipcp IPCP [timeout SECONDS]

Words may be shortened as long as the first that fits is meant: irm b prog oping n oping.
In names of IPCPs and layers a * stands for anything. Why something failed is told on
standard error in one line; the exit code is 0 or 1.

More: ouro help irm OBJECT VERB, for instance ouro help irm ipcp bootstrap.
`;

/** What ours does beyond the usage texts, which are the prototype's. */
const MORE: Partial<Record<UsageOf, string>> = {
  "ipcp bootstrap": `
Numbers are checked. ip counts without type, too. Of several IPCPs that match, the
first is bootstrapped.
  irm ipcp bootstrap name n1 type udp4 layer internet ip 192.0.2.1
  irm ipcp bootstrap name u1 type unicast layer office autobind
`,
  "ipcp list": `
The filters act with --json, which prints an array of objects with pid, name, type,
layer (null before it is in one), hash_algo and hash.
`,
  "bind program": `
A program is found by path or in PATH. oping, operf, oecho, ocbr, obc and ovpn that are
not found there are those of this binary.
  irm bind program oping name oping auto -- --listen
The name is for processes of the user who binds; user U, group G or any say otherwise. A
program that is started runs as that user (with group and any, as the one who binds).
Only root names other users. Processes of users that root names may use the keys of the
name, as may whoever can read them.
  irm bind program oping name oping user alice auto -- --listen
`,
  "unbind program": `
  --all in place of the name unbinds all names.
`,
  "name create": `
All six paths are kept. Keys and certificates: see ouro help pki.
`,
};

/** `name list` has no usage text of its own in the prototype. */
const NAME_LIST = `Usage: irm name list
                [list <prefix>]
                [--json]
`;

/** The text for the words after `irm`; undefined for words that it does not know. */
export function irmHelp(words: readonly string[]): string | undefined {
  const [first, second] = words;
  if (first === undefined) return OVERVIEW;
  const object = matchWord(first, ["ipcp", "bind", "unbind", "name", "wait", "user"]);
  if (object === undefined) return undefined;
  if (second === undefined) return USAGE[object];
  const verbs = (Object.keys(USAGE) as UsageOf[])
    .filter((of) => of.startsWith(`${object} `)).map((of) => of.slice(object.length + 1));
  if (object === "name") verbs.push("list");
  if (object === "wait" || object === "user") return USAGE[object];
  const verb = matchWord(second, verbs);
  if (verb === undefined) return undefined;
  const of = `${object} ${verb}`;
  if (of === "name list") return NAME_LIST;
  return USAGE[of as UsageOf] + (MORE[of as UsageOf] ?? "");
}
