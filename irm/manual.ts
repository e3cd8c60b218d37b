/**
 * What `irm` says about itself: the usage texts, examples, what goes beyond the prototype, and its words
 * for the completion.
 */

import {
  DEVICE,
  FILE,
  type Grammar,
  IPCP,
  LAYER,
  type Manual,
  NAME,
  oneOf,
  oneOfOrFile,
  type Option,
  PROGRAM,
  TEXT,
  type Value,
} from "../lib/cli/manual.ts";
import { IPCP_TYPE_WORDS, POLICY_WORDS } from "../lib/irm/messages.ts";
import { QOS_WORDS } from "../lib/qos.ts";
import { matchWord } from "./grammar.ts";
import { HASH_ALGOS, LB_POLICIES } from "./types.ts";
import { USAGE, type UsageOf } from "./usage.ts";

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

Saving: the present state as a configuration file for the IRMd
  irm save [FILE]

Waiting, for scripts: until it is so, or the time is up (exit code 2)
  irm wait name NAME [timeout SECONDS]
  irm wait layer LAYER [members N] [timeout SECONDS]
  irm wait ipcp IPCP [timeout SECONDS]
  irm wait irmd [timeout SECONDS]

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
In the place of a policy of a unicast layer a file may be named (routing, congestion,
addr_auth, directory, and forwarding, which has no other words): TypeScript that only root
may write. See docs/policies.md.
  irm ipcp bootstrap name u1 type unicast layer office routing /etc/ouroboros/my_routing.ts
`,
  "ipcp enroll": `
connect makes names, bindings, registration below and connections, too; wait is how long
it may take. A layer with policies of its own needs the same files here:
  irm ipcp enroll name u2 layer office connect wait 30
  irm ipcp enroll name u2 layer office routing /etc/ouroboros/my_routing.ts
`,
  "ipcp list": `
The filters act with --json, which prints an array of objects with pid, name, type,
layer (null before it is in one), hash_algo and hash.
`,
  "bind program": `
A program is found by path or in PATH. A tool of this binary (oping, ocat, …) that is not
found there is the one in it.
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
  "save": `
IPCPs with their configuration, enrolments and connections, names with their policies,
programs bound to them, registrations, and the switches of the daemon. What cannot be
saved (bindings of processes that are no IPCPs) is told on standard error and in the file.
A node that is started with the file tries again what cannot be made at once.
  irm save /etc/ouroboros/irmd.conf
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
function help(words: readonly string[]): string | undefined {
  const [first, second] = words;
  if (first === undefined) return OVERVIEW;
  const object = matchWord(first, ["ipcp", "bind", "unbind", "name", "wait", "user", "save"]);
  if (object === undefined) return undefined;
  if (second === undefined) return USAGE[object];
  const verbs = (Object.keys(USAGE) as UsageOf[])
    .filter((of) => of.startsWith(`${object} `)).map((of) => of.slice(object.length + 1));
  if (object === "name") verbs.push("list");
  if (object === "save") return USAGE.save + MORE.save;
  if (object === "wait" || object === "user") return USAGE[object];
  const verb = matchWord(second, verbs);
  if (verb === undefined) return undefined;
  const of = `${object} ${verb}`;
  if (of === "name list") return NAME_LIST;
  return USAGE[of as UsageOf] + (MORE[of as UsageOf] ?? "");
}

function key(word: string, value?: Value): Option {
  return value === undefined ? { words: [word] } : { words: [word], value };
}

const BOOTSTRAP: readonly Option[] = [
  key("type", oneOf(IPCP_TYPE_WORDS)),
  key("layer", LAYER),
  key("name", IPCP),
  key("hash", oneOf(HASH_ALGOS)),
  key("ip", TEXT),
  key("dns", TEXT),
  key("device", DEVICE),
  key("ethertype", TEXT),
  ...["addr", "eid", "ttl", "port"].map((word) => key(word, TEXT)),
  key("autobind"),
  key("addr_auth", oneOfOrFile(["flat"])),
  key("directory", oneOfOrFile(["DHT"])),
  ...["dht_alpha", "dht_k", "dht_t_expire", "dht_t_refresh", "dht_t_replicate"]
    .map((word) => key(word, TEXT)),
  key("routing", oneOfOrFile(["link_state", "lfa", "ecmp"])),
  ...["ls_t_timeo", "ls_t_update", "ls_t_recalc"].map((word) => key(word, TEXT)),
  key("congestion", oneOfOrFile(["none", "mb-ecn"])),
  key("forwarding", FILE),
];
const COMPONENT = key("component", oneOf(["dt", "mgmt"]));
const JSON_FLAG = key("--json");
const TIMEOUT = key("timeout", TEXT);
const PATHS = ["sencpath", "scrtpath", "skeypath", "cencpath", "ccrtpath", "ckeypath"];
const WHERE = [key("ipcp", IPCP), key("layer", LAYER)];
const USERS = [key("user", TEXT), key("group", TEXT)];
const HELP: Grammar = {};

const GRAMMAR: Grammar = {
  verbs: {
    ipcp: {
      verbs: {
        create: { options: [key("name", TEXT), key("type", oneOf(IPCP_TYPE_WORDS))] },
        destroy: { options: [key("name", IPCP)] },
        bootstrap: { options: BOOTSTRAP },
        enroll: {
          options: [
            key("name", IPCP),
            key("layer", LAYER),
            key("dst", NAME),
            key("type", oneOf(["unicast", "broadcast"])),
            key("autobind"),
            key("connect"),
            key("wait", TEXT),
            ...POLICY_WORDS.map((word) => key(word, FILE)),
          ],
        },
        connect: {
          options: [key("name", IPCP), key("dst", NAME), COMPONENT, key("qos", oneOf(QOS_WORDS))],
        },
        disconnect: { options: [key("name", IPCP), key("dst", NAME), COMPONENT] },
        list: {
          options: [key("type", oneOf(IPCP_TYPE_WORDS)), key("name", IPCP), JSON_FLAG],
        },
        help: HELP,
      },
    },
    bind: {
      verbs: {
        program: {
          operands: [PROGRAM],
          options: [key("name", NAME), key("auto"), ...USERS, key("any"), key("--")],
          rest: true,
        },
        process: { operands: [TEXT], options: [key("name", NAME), ...USERS] },
        ipcp: { operands: [IPCP], options: [key("name", NAME)] },
        help: HELP,
      },
    },
    unbind: {
      verbs: {
        program: { operands: [PROGRAM], options: [key("name", NAME), key("--all")] },
        process: { operands: [TEXT], options: [key("name", NAME)] },
        ipcp: { operands: [IPCP], options: [key("name", NAME)] },
        help: HELP,
      },
    },
    name: {
      verbs: {
        create: {
          operands: [TEXT],
          options: [key("lb", oneOf(LB_POLICIES)), ...PATHS.map((word) => key(word, FILE))],
        },
        destroy: { operands: [NAME] },
        register: { operands: [NAME], options: WHERE },
        unregister: { operands: [NAME], options: WHERE },
        list: { options: [key("list", NAME), JSON_FLAG] },
        help: HELP,
      },
    },
    wait: {
      verbs: {
        name: { operands: [NAME], options: [TIMEOUT] },
        layer: { operands: [LAYER], options: [key("members", TEXT), TIMEOUT] },
        ipcp: { operands: [IPCP], options: [TIMEOUT] },
        irmd: { options: [TIMEOUT] },
        help: HELP,
      },
    },
    user: { verbs: { list: { options: [JSON_FLAG] }, help: HELP } },
    save: { operands: [FILE], options: [JSON_FLAG] },
    help: HELP,
  },
};

export const MANUAL: Manual = {
  help,
  grammar: GRAMMAR,
  exits: [
    ["0", "done"],
    ["1", "failed, refused, or nothing matched; the reason is on standard error"],
    ["2", "wait: not so within the time"],
    ["255", "irm without words"],
  ],
  seeAlso: ["irmd", "ouro"],
};
