/**
 * The words of all commands, from which the completion scripts are made. The words of `irm` come from
 * its own tables, so the scripts cannot fall behind.
 */

import { NOUNS } from "../irm/commands.ts";
import { BOOTSTRAP_KEYS } from "../irm/ipcp_bootstrap.ts";
import { HASH_ALGOS, LB_POLICIES } from "../irm/types.ts";
import { IPCP_TYPE_WORDS } from "../lib/irm/messages.ts";
import { QOS_WORDS } from "../lib/qos.ts";

/** Objects of `irm` with their verbs. */
export const IRM_VERBS: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(
    Object.entries(NOUNS).map(([noun, { verbs }]) => [noun, [...Object.keys(verbs), "help"]]),
  ),
  help: [],
};

/** Keys of each `irm` command. */
export const IRM_KEYS: Readonly<Record<string, readonly string[]>> = {
  "ipcp create": ["name", "type"],
  "ipcp destroy": ["name"],
  "ipcp bootstrap": BOOTSTRAP_KEYS,
  "ipcp enroll": ["name", "layer", "dst", "type", "autobind", "connect", "wait"],
  "ipcp connect": ["name", "dst", "component", "qos"],
  "ipcp disconnect": ["name", "dst", "component"],
  "ipcp list": ["type", "name", "--json"],
  "bind program": ["name", "auto", "user", "group", "any", "--"],
  "bind process": ["name", "user", "group"],
  "bind ipcp": ["name"],
  "unbind program": ["name", "--all"],
  "unbind process": ["name"],
  "unbind ipcp": ["name"],
  "name create": ["lb", "sencpath", "scrtpath", "skeypath", "cencpath", "ccrtpath", "ckeypath"],
  "name destroy": [],
  "name register": ["ipcp", "layer"],
  "name unregister": ["ipcp", "layer"],
  "name list": ["list", "--json"],
  "user list": ["--json"],
  "wait name": ["timeout"],
  "wait layer": ["members", "timeout"],
  "wait ipcp": ["timeout"],
};

/** Values of keys that choose among a few. */
export const IRM_VALUES: Readonly<Record<string, readonly string[]>> = {
  type: IPCP_TYPE_WORDS,
  lb: LB_POLICIES,
  hash: HASH_ALGOS,
  routing: ["link_state", "lfa", "ecmp"],
  congestion: ["none", "mb-ecn"],
  directory: ["DHT"],
  addr_auth: ["flat"],
  component: ["dt", "mgmt"],
  qos: QOS_WORDS,
};

const COMMON = ["--qos", "--json", "--deadline", "--strict-exit", "--version", "--help"];
const SERVER = ["--once", "--max-flows", "--idle"];
const SENDER = ["--count", "--bytes", "--report"];

/** Options of the other commands. */
export const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  irmd: ["--stdout", "--config", "--version", "--no-direct", "--ipcp-dir", "--debug", "--help"],
  oping: [
    "--listen",
    "--poll",
    "--busy",
    "--count",
    "--duration",
    "--flood",
    "--flood-busy",
    "--interval",
    "--server-name",
    "--qos",
    "--size",
    "--quiet",
    "--timeofday",
    "--stats",
    "--percentiles",
    "--json",
    "--timeout",
    "--deadline",
    "--report",
    "--strict-exit",
    "--once",
    "--max-flows",
    "--idle",
    "--help",
  ],
  operf: [
    ..."--listen --test --server-name --duration --rate --size --flood --sleep --verbose".split(
      " ",
    ),
    ...SENDER,
    "--timeout",
    ...SERVER,
    ...COMMON,
  ],
  oecho: ["--listen", "--timeout", ...SERVER, ...COMMON],
  ocbr: [
    ..."--listen --interval --timeout --server_apn --duration --flood --size --rate".split(" "),
    ..."--sleep --spin".split(" "),
    ...SENDER,
    ...SERVER,
    ...COMMON,
  ],
  obc: ["--name", "--message", "--listen", ...COMMON],
  ovpn: [
    ..."--name --ip --mask --mtu --dev --ip6 --reconnect --qos --json --version --help".split(" "),
  ],
  pki: [
    ..."init server client request sign renew list revoke unrevoke kem show verify check".split(
      " ",
    ),
    ..."--security --key --days --org --as --alt --out --private --passphrase-file".split(" "),
    ..."--encrypt --kex --cipher --require-auth --force".split(" "),
    ..."--trust --untrusted --revoked --name --at".split(" "),
    ..."--json --help".split(" "),
  ],
};

/** The flag that every command takes. */
export const COMMON_FLAG = "--prefix";

/** The shells that scripts are made for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
