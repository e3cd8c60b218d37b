/**
 * The commands of the one binary: names, what they do, and which of them a command line means.
 * Pure.
 *
 * A command is chosen by the name the binary is called by (a link) or else by the first word.
 */

/** One line for each command, in the order help shows them. */
export const COMMANDS: Readonly<Record<string, string>> = {
  irm: "administer names, bindings and IPCPs of the running IRMd",
  irmd: "run the IPC Resource Manager daemon",
  oping: "measure the round-trip time to a name, or answer such pings",
  operf: "measure the bandwidth to a name, or be the other side",
  oecho: "say hi to the name oecho and print the answer, or answer",
  ocbr: "send at a constant bit rate to a name, or measure what arrives",
  obc: "send a message to a broadcast layer, or print what is sent there",
  ovpn: "carry IP traffic over a flow, through a TUN device at each end",
  pki: "make and check certificates and keys for names",
  "ipcpd-local": "IPCP within this host (started by the IRMd)",
  "ipcpd-udp4": "IPCP over UDP/IPv4 (started by the IRMd)",
  "ipcpd-udp6": "IPCP over UDP/IPv6 (started by the IRMd)",
  "ipcpd-eth-dix": "IPCP over Ethernet II (started by the IRMd)",
  "ipcpd-eth-llc": "IPCP over Ethernet LLC (started by the IRMd)",
  "ipcpd-broadcast": "broadcast IPCP (started by the IRMd)",
  "ipcpd-unicast": "unicast IPCP (started by the IRMd)",
};

/** Words that the binary answers itself. */
export const OWN_WORDS: Readonly<Record<string, string>> = {
  help: "show the help of a command",
  completion: "print the completion script for bash, zsh or fish",
};

/** As first word: the next one is the command, whatever name the binary is called by. */
export const RUN_WORD = "--run";

/** What a command line asks for. */
export type Choice =
  | { readonly kind: "command"; readonly name: string; readonly args: readonly string[] }
  | { readonly kind: "help"; readonly words: readonly string[] }
  | { readonly kind: "version"; readonly verbose: boolean }
  | { readonly kind: "completion"; readonly shell: string | undefined }
  | { readonly kind: "nothing" }
  | { readonly kind: "unknown"; readonly word: string };

/** Chooses by the name called by, else by the first word. Pure. */
export function choose(callName: string, args: readonly string[]): Choice {
  if (args[0] === RUN_WORD) return choose("", args.slice(1));
  if (Object.hasOwn(COMMANDS, callName)) return { kind: "command", name: callName, args };
  const [word, ...rest] = args;
  if (word === undefined) return { kind: "nothing" };
  if (Object.hasOwn(COMMANDS, word)) return { kind: "command", name: word, args: rest };
  switch (word) {
    case "-h":
    case "--help":
    case "help":
      return { kind: "help", words: rest };
    case "-V":
    case "--version":
      return { kind: "version", verbose: rest.includes("-v") || rest.includes("--verbose") };
    case "completion":
      return { kind: "completion", shell: rest[0] };
  }
  return { kind: "unknown", word };
}

/** The text of `ouro --help`. */
export function overview(): string {
  const line = ([name, text]: [string, string]) => `  ${name.padEnd(17)}${text}`;
  return [
    "Usage: ouro COMMAND [ARGUMENT]...",
    "",
    "The Ouroboros recursive network in one binary.",
    "",
    "Commands:",
    ...Object.entries(COMMANDS).map(line),
    ...Object.entries(OWN_WORDS).map(line),
    "",
    "Options:",
    line(["--help", "show this text"]),
    line(["--version [-v]", "show the version, with -v what it runs on"]),
    line(["--prefix DIR", "with each command: use the node that lives below DIR (or OURO_PREFIX)"]),
    "",
    "A link to this binary with the name of a command behaves as that command.",
    "",
  ].join("\n");
}
