/** What IPCPs say about themselves. */

import type { Grammar, Manual } from "../lib/cli/manual.ts";
import { IPCP_TYPE_WORDS } from "../lib/irm/messages.ts";

const TYPES: readonly string[] = IPCP_TYPE_WORDS;

function help(type: string | undefined): string {
  return `Usage: ouro ipcp ${type ?? "TYPE"} PID NAME [log]
An IPC process, a member of a layer on this node. The IRMd of process id PID starts it.

IPCPs are not started by hand: "irm ipcp create name NAME type ${type ?? "TYPE"}"
asks the IRMd to. See "ouro help irm ipcp bootstrap" for what can be set.
A link called ipcpd-${type ?? "TYPE"} is the same program, for IRMds that look for one.
${type === undefined ? `\nTypes: ${IPCP_TYPE_WORDS.join(" ")}\n` : ""}`;
}

const NOTHING: Grammar = {};

export const MANUAL: Manual = {
  help: ([type, ...more]) =>
    more.length === 0 && (type === undefined || TYPES.includes(type)) ? help(type) : undefined,
  grammar: { verbs: Object.fromEntries(IPCP_TYPE_WORDS.map((type) => [type, NOTHING])) },
  exits: [["69", "this version has no IPCP of that type"]],
  seeAlso: ["irm", "irmd"],
};
