/**
 * The command line of `ovpn` (spec 80 §7): as getopt_long reads it, with abbreviations, `--ip=…`,
 * bundled letters and words in between.
 */

import { parseInet4, parseInet6 } from "../../lib/inet.ts";
import { DEVICE, NAME, oneOf, type Option, TEXT, type Value } from "../../lib/cli/manual.ts";
import { didYouMean } from "../../lib/cli/nearest.ts";
import {
  KEEPALIVE_FORM,
  parseKeepaliveMs,
  parseWhole,
  unitWarning,
} from "../../lib/cli/numbers.ts";
import { qosRefusal } from "../../lib/cli/words.ts";
import { isQosWord, QOS_WORDS } from "../../lib/qos.ts";
import { versionText } from "../../lib/cli/version.ts";
import type { Exit } from "../common.ts";

/** A time without unit below this was probably meant in seconds, ms. */
const SHORT_MS = 100;

/** Smallest MTU of a device with IPv4. */
export const MTU_BYTES_MIN = 68;
const MTU_BYTES_MAX = 65535;

export const OVPN_USAGE = `Usage: ovpn [OPTION]...
Sends TCP/IP traffic over Ouroboros

  -n, --name                Run as client, name of ovpn server to connect to
  -i, --ip                  IP address to give to TUN device
  -m, --mask                Subnet mask to give to TUN device

      --help                Display this help text and exit
`;

/** A command line that makes sense. */
export interface OvpnOptions {
  /** Name of the server; undefined: be the server. */
  readonly name: string | undefined;
  readonly address: Uint8Array;
  readonly mask: Uint8Array;
  readonly ip6: { readonly address: Uint8Array; readonly prefixBits: number } | undefined;
  readonly mtuBytes: number | undefined;
  readonly device: string | undefined;
  /** Allocate again when the flow goes down. */
  readonly reconnect: boolean;
  readonly qos: string;
  /** Silence after which the peer counts as gone, ms; 0: never. */
  readonly keepaliveMs: number | undefined;
  /** Print one document at the end instead of text. */
  readonly json: boolean;
  /** What is odd, for stderr. */
  readonly warning: string | undefined;
}

/** Options, or what to print (stdout, stderr) and exit with. */
export type OvpnCommand =
  | { readonly kind: "run"; readonly options: OvpnOptions }
  | Exit;

/** Long options in the prototype's order, then ours; whether a value follows, and the letter. */
const LONG = [
  ["ip", true, "i"],
  ["mask", true, "m"],
  ["name", true, "n"],
  ["help", false, "h"],
  ["mtu", true, ""],
  ["dev", true, ""],
  ["ip6", true, ""],
  ["reconnect", false, ""],
  ["qos", true, "q"],
  ["keepalive", true, ""],
  ["json", false, ""],
  ["version", false, ""],
] as const;

type Long = typeof LONG[number][0];

const VALUES: Partial<Record<Long, Value>> = { name: NAME, dev: DEVICE, qos: oneOf(QOS_WORDS) };

/** Its options, as help and completion know them. */
export const OVPN_OPTIONS: readonly Option[] = LONG.map(([long, takesValue, letter]) => {
  const words = letter === "" ? [`--${long}`] : [`-${letter}`, `--${long}`];
  return takesValue ? { words, value: VALUES[long] ?? TEXT } : { words };
});

/** Reads a command line. Pure. */
export function parseOvpn(args: readonly string[]): OvpnCommand {
  const read = getopt(args);
  if ("kind" in read) return read;
  const { options, rest } = read;
  const last = (key: Long) => options.findLast(([k]) => k === key)?.[1];
  if (last("help") !== undefined) return { kind: "exit", code: 0, out: OVPN_USAGE };
  if (last("version") !== undefined) return { kind: "exit", code: 0, out: versionText("ovpn") };
  const refuse = (text: string): OvpnCommand => ({
    kind: "exit",
    code: 1,
    out: `${text}\n\n${OVPN_USAGE}`,
  });
  let address: Uint8Array | undefined;
  let mask: Uint8Array | undefined;
  for (const [key, value] of options) {
    if (key === "ip") {
      address = parseInet4(value);
      if (!address) return refuse(`Invalid IP address: ${value}.`);
    } else if (key === "mask") {
      mask = parseInet4(value);
      if (!mask || !contiguous(mask)) return refuse(`Invalid subnet mask: ${value}.`);
    }
  }
  if (rest.length > 0) {
    return refuse(`Unknown arguments specified: ${rest.map((word) => `${word} `).join("")}`);
  }
  if (!address || address.every((byte) => byte === 0)) {
    return refuse("Please specify an IP address.");
  }
  if (!mask) return refuse("Please specify a subnetmask.");
  const ip6 = inet6Of(last("ip6"));
  if (ip6 === "bad") return refuse(`Invalid IPv6 address: ${last("ip6")}.`);
  const mtu = last("mtu");
  const mtuBytes = mtu === undefined ? undefined : parseWhole(mtu, MTU_BYTES_MIN, MTU_BYTES_MAX);
  if (mtu !== undefined && mtuBytes === undefined) {
    return refuse(`Invalid MTU: ${mtu} (from ${MTU_BYTES_MIN} to ${MTU_BYTES_MAX}).`);
  }
  const qos = last("qos") ?? "raw";
  if (!isQosWord(qos)) return { kind: "exit", code: 1, out: "", err: qosRefusal(qos) };
  const keepalive = last("keepalive");
  const keepaliveMs = keepalive === undefined ? undefined : parseKeepaliveMs(keepalive);
  if (keepalive !== undefined && keepaliveMs === undefined) {
    return refuse(`--keepalive takes ${KEEPALIVE_FORM}, not "${keepalive}".`);
  }
  const device = last("dev");
  if (device !== undefined && !/^[!-.0-~]{1,15}$/.test(device)) {
    return refuse(`Invalid device name: ${device}.`);
  }
  return {
    kind: "run",
    options: {
      name: last("name"),
      address,
      mask,
      ip6,
      mtuBytes,
      device,
      reconnect: last("reconnect") !== undefined,
      qos,
      keepaliveMs,
      json: last("json") !== undefined,
      warning: keepalive === undefined
        ? undefined
        : unitWarning("--keepalive", keepalive, SHORT_MS),
    },
  };
}

function contiguous(mask: Uint8Array): boolean {
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return /^1*0*$/.test(bits);
}

function inet6Of(text: string | undefined): OvpnOptions["ip6"] | "bad" {
  if (text === undefined) return undefined;
  const [address, bits, more] = text.split("/");
  const bytes = parseInet6(address!);
  const prefixBits = bits === undefined ? 64 : parseWhole(bits, 0, 128);
  return !bytes || prefixBits === undefined || more !== undefined
    ? "bad"
    : { address: bytes, prefixBits };
}

/** What getopt_long would give: options in order and the words that are none. */
function getopt(
  args: readonly string[],
): { readonly options: [Long, string][]; readonly rest: string[] } | OvpnCommand {
  const options: [Long, string][] = [];
  const rest: string[] = [];
  const refuse = (err: string): OvpnCommand => ({
    kind: "exit",
    code: 1,
    out: "",
    err: `ovpn: ${err}`,
  });
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (word === "--") {
      rest.push(...args.slice(i + 1));
      break;
    }
    if (word.startsWith("--")) {
      const equals = word.indexOf("=");
      const typed = word.slice(2, equals < 0 ? undefined : equals);
      const matches = LONG.filter(([long]) => long.startsWith(typed));
      const found = matches.find(([long]) => long === typed) ?? matches[0];
      if (!found) {
        const meant = didYouMean(`--${typed}`, LONG.map(([long]) => `--${long}`));
        return refuse(`unrecognized option '${word}'${meant}`);
      }
      if (found[0] !== typed && matches.length > 1) return refuse(`option '${word}' is ambiguous`);
      const [long, takesValue] = found;
      if (!takesValue) {
        if (equals >= 0) return refuse(`option '--${long}' doesn't allow an argument`);
        options.push([long, ""]);
        continue;
      }
      const value = equals < 0 ? args[++i] : word.slice(equals + 1);
      if (value === undefined) return refuse(`option '--${long}' requires an argument`);
      options.push([long, value]);
    } else if (word.startsWith("-") && word.length > 1) {
      for (let at = 1; at < word.length; at++) {
        const letter = word[at]!;
        // The prototype's parser knows -C and leaves without a word.
        if (letter === "C") return { kind: "exit", code: 1, out: "" };
        const found = LONG.find(([, , short]) => short === letter);
        if (!found) return refuse(`invalid option -- '${letter}'`);
        const [long, takesValue] = found;
        if (!takesValue) {
          options.push([long, ""]);
          continue;
        }
        const value = at + 1 < word.length ? word.slice(at + 1) : args[++i];
        if (value === undefined) return refuse(`option requires an argument -- '${letter}'`);
        options.push([long, value]);
        break;
      }
    } else {
      rest.push(word);
    }
  }
  return { options, rest };
}
