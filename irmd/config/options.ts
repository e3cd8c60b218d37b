// deno-lint-ignore-file camelcase -- users write these words
/**
 * The bootstrap options of an IPCP in the configuration (spec 21 B4), checked in the prototype's order:
 * directory, data transfer, address authority, congestion. Pure.
 */

import { parseInet4, parseInet6 } from "../../lib/inet.ts";
import {
  BOOTSTRAP_RANGES,
  type BootstrapOptions,
  defaultBootstrapOptions,
  ETHERTYPE_RANGE,
  ethertypeValid,
  LINK_SECONDS_MAX,
  namesPolicyFile,
  type NumericOption,
  policyKindOf,
  withPolicy,
} from "../../lib/irm/bootstrap_options.ts";
import { CongAvoid, HashAlgo, IpcpType, LsPol } from "../../lib/irm/messages.ts";
import { DEVICE_NAME_BYTES_MAX } from "../../lib/limits.ts";
import { byteLength, noneOf, type Problems, type TableReader } from "./table.ts";

const HASHES: Readonly<Record<string, number>> = {
  SHA3_224: HashAlgo.SHA3_224,
  SHA3_256: HashAlgo.SHA3_256,
  SHA3_384: HashAlgo.SHA3_384,
  SHA3_512: HashAlgo.SHA3_512,
};

const ROUTING: Readonly<Record<string, number>> = {
  "link-state": LsPol.SIMPLE,
  link_state: LsPol.SIMPLE,
  lfa: LsPol.LFA,
  ecmp: LsPol.ECMP,
};

/** `lfa` is the prototype's word for mb-ecn here. */
const CONGESTION: Readonly<Record<string, number>> = {
  none: CongAvoid.NONE,
  "mb-ecn": CongAvoid.MB_ECN,
  lfa: CongAvoid.MB_ECN,
};

/** Reads the keys that the type has; those a bootstrap cannot do without only when there is one. */
export function readOptions(
  type: number,
  reader: TableReader,
  bootstrapping: boolean,
  problems: Problems,
): BootstrapOptions {
  const reading = new OptionsReading(reader, problems);
  switch (type) {
    case IpcpType.LOCAL:
      reading.hash();
      break;
    case IpcpType.ETH_LLC:
    case IpcpType.ETH_DIX:
      reading.hash();
      reading.ethernet(type === IpcpType.ETH_DIX, bootstrapping);
      break;
    case IpcpType.UDP4:
    case IpcpType.UDP6:
      reading.udp(type === IpcpType.UDP4, bootstrapping);
      break;
    case IpcpType.UNICAST:
      reading.hash();
      reading.unicast();
  }
  return reading.options;
}

class OptionsReading {
  readonly options: BootstrapOptions = defaultBootstrapOptions();

  constructor(readonly reader: TableReader, readonly problems: Problems) {}

  hash(): void {
    this.#choice("hash", HASHES, (word) => [`Unknown hash algorithm: ${word}.`], (value) => {
      this.options.hashAlgo = value;
    });
  }

  ethernet(dix: boolean, deviceNeeded: boolean): void {
    const device = this.reader.string("dev");
    if ((device ?? "") === "" && deviceNeeded) {
      this.problems.add(this.reader.lineOf("dev"), "Missing device.");
    }
    this.options.device = device ?? "";
    if (byteLength(this.options.device) > DEVICE_NAME_BYTES_MAX) {
      const range = `at most ${DEVICE_NAME_BYTES_MAX} bytes are possible`;
      this.problems.add(this.reader.lineOf("dev"), `dev is "${device}": ${range}.`);
    }
    if (!dix) return;
    const ethertype = this.reader.integer("ethertype") ?? this.options.ethertype;
    if (!ethertypeValid(ethertype)) {
      const range = `${ethertype} is not from ${ETHERTYPE_RANGE}.`;
      this.problems.add(this.reader.lineOf("ethertype"), `Ethertype not in valid range. ${range}`);
    }
    this.options.ethertype = ethertype;
  }

  udp(four: boolean, addressNeeded: boolean): void {
    const family = four ? "IPv4" : "IPv6";
    const read = four ? parseInet4 : parseInet6;
    const ip = this.reader.string("ip");
    if (ip === undefined) {
      if (addressNeeded) {
        this.problems.add(this.reader.lineOf("ip"), "No IP address specified!");
      }
    } else {
      this.options.ip = read(ip);
      if (!this.options.ip) {
        this.problems.add(this.reader.lineOf("ip"), `Failed to parse ${family} address ${ip}.`);
      }
    }
    const dns = this.reader.string("dns");
    if (dns !== undefined) {
      this.options.dns = read(dns);
      if (!this.options.dns) {
        this.problems.add(
          this.reader.lineOf("dns"),
          `Failed to parse DNS ${family} address ${dns}.`,
        );
      }
    }
    this.#number("port", "port", "port number");
  }

  unicast(): void {
    const directory = "Invalid directory configuration.";
    this.#choice(
      "directory",
      { DHT: 0, dht: 0 },
      (word) => [`Unknown directory type: ${word}`, directory],
      () => {},
    );
    this.#number("dht_alpha", "dhtAlpha", "alpha value", directory);
    this.#number("dht_k", "dhtK", "replication factor", directory);
    // The example file of the prototype has dht_t_expiry, its code reads dht_t_expire.
    this.#number("dht_t_expiry", "dhtTExpire", "expire time", directory);
    this.#number("dht_t_expire", "dhtTExpire", "expire time", directory);
    this.#number("dht_t_refresh", "dhtTRefresh", "refresh time", directory);
    this.#number("dht_t_replicate", "dhtTReplicate", "replication time", directory);

    const transfer = "Invalid DT configuration.";
    this.#number("addr_size", "addrSize", "addr_size value", transfer);
    this.#number("eid_size", "eidSize", "eid_size value", transfer);
    this.#number("max_ttl", "maxTtl", "max_ttl value", transfer);
    const routing = "Invalid routing option.";
    this.#choice("routing", ROUTING, () => [routing, transfer], (value) => {
      this.options.lsPol = value;
    });
    this.#number("ls_t_recalc", "lsTRecalc", "ls_t_recalc value", routing, transfer);
    this.#number("ls_t_update", "lsTUpdate", "ls_t_update value", routing, transfer);
    this.#number("ls_t_timeo", "lsTTimeo", "ls_t_timeo value", routing, transfer);
    this.#together();

    this.#choice("forwarding", {}, (word) => [`Invalid forwarding option: ${word}.`], () => {});
    const authority = ["Invalid address authority"] as const;
    this.#choice("addr-auth", { flat: 0 }, () => authority, () => {});
    this.#choice("addr_auth", { flat: 0 }, () => authority, () => {});
    this.#choice(
      "congestion",
      CONGESTION,
      () => ["Invalid congestion avoidance algorithm."],
      (value) => {
        this.options.congAvoid = value;
      },
    );
  }

  /** What the IPCP would refuse, but only once others had been made. */
  #together(): void {
    const { addrSize, lsTRecalc, lsTUpdate, lsTTimeo } = this.options;
    if (addrSize !== 4) {
      this.problems.add(this.reader.lineOf("addr_size"), `addr_size is ${addrSize}, not 4.`);
    }
    const times = { ls_t_recalc: lsTRecalc, ls_t_update: lsTUpdate, ls_t_timeo: lsTTimeo };
    for (const [key, seconds] of Object.entries(times)) {
      if (seconds <= LINK_SECONDS_MAX) continue;
      const range = `not 1 to ${LINK_SECONDS_MAX}`;
      this.problems.add(this.reader.lineOf(key), `${key} is ${seconds}, ${range}.`);
    }
    if (lsTTimeo > lsTUpdate) return;
    const key = this.reader.has("ls_t_timeo") ? "ls_t_timeo" : "ls_t_update";
    this.problems.add(
      this.reader.lineOf(key),
      `ls_t_timeo is ${lsTTimeo}, not above ls_t_update (${lsTUpdate}).`,
    );
  }

  /** A word out of a few; `complaint` gives the error and what follows it. */
  #choice(
    key: string,
    words: Readonly<Record<string, number>>,
    complaint: (word: string) => readonly [string, ...string[]],
    set: (value: number) => void,
  ): void {
    const word = this.reader.string(key);
    if (word === undefined) return;
    const kind = policyKindOf(key.replace("-", "_"));
    if (kind !== undefined && namesPolicyFile(word)) {
      if (word.startsWith("/")) {
        this.options.policies = withPolicy(this.options.policies, kind, word);
      } else this.problems.add(this.reader.lineOf(key), `${key} is ${word}, not a full path.`);
      return;
    }
    if (Object.hasOwn(words, word)) set(words[word]!);
    else {
      const [first, ...follow] = complaint(word);
      // Of two spellings the first is ours.
      const known = Object.keys(words).filter((w, i, all) =>
        all.findIndex((other) => words[other] === words[w]) === i
      );
      const more = known.length === 0 ? "" : noneOf(word, known);
      this.problems.add(this.reader.lineOf(key), `${first}${more}`, ...follow);
    }
  }

  /** A number within its range. */
  #number(key: string, option: NumericOption, what: string, ...follow: string[]): void {
    const value = this.reader.integer(key);
    if (value === undefined) return;
    const [least, most] = BOOTSTRAP_RANGES[option];
    if (value >= least && value <= most) this.options[option] = value;
    else {
      const range = ` (from ${least} to ${most})`;
      this.problems.add(this.reader.lineOf(key), `Invalid ${what}: ${value}${range}`, ...follow);
    }
  }
}
