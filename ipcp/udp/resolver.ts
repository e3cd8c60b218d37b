/**
 * Names over UDP: the hash of a name, as 32 lower-case hex digits, is a host name (spec 50 §13.1).
 *
 * Looked up, in this order: the file `hosts` in the node's configuration directory (our addition: a node of its
 * own needs no root to know its peers), the DNS server of the layer if there is one, else the system's resolver
 * (hosts file, DNS). IPv6 asks for AAAA. Registration at a DNS server goes through `nsupdate`.
 */

import { lookup } from "node:dns/promises";
import { fileCause } from "../../lib/cli/reason.ts";
import { HashAlgo } from "../../lib/codes.ts";
import { nameHash } from "../../lib/hash.ts";
import { parseInet4, parseInet6 } from "../../lib/inet.ts";
import type { Logger } from "../../lib/log.ts";

/** Life of a record at the DNS server, s. */
const TTL_S = 86400;

/** What a hosts file says of a name. */
export interface HostsAnswer {
  /** In order, of both families. */
  readonly addresses: readonly string[];
  /** The first line that says nothing, and why; it may be the one that was meant. */
  readonly wrong: string | undefined;
}

/**
 * Looks a name up in a hosts file. A host of it is the hash in hex or, easier for people, the name itself; as in all
 * hosts files hex may be in either case. Pure.
 * @param host the hash of the name, 32 lower-case hex digits
 */
export function parseHosts(text: string, host: string): HostsAnswer {
  const addresses: string[] = [];
  let wrong: string | undefined;
  for (const [i, line] of text.replace(/^\ufeff/, "").split(/\r\n|[\r\n]/).entries()) {
    const [address = "", ...hosts] = line.split("#", 1)[0]!.trim().split(/\s+/);
    if (address === "") continue;
    const isAddress = (parseInet4(address) ?? parseInet6(address.replace(/%.*/, ""))) !== undefined;
    if (!isAddress || hosts.length === 0) {
      const why = isAddress ? "has no name" : `begins with "${address.slice(0, 40)}", no address`;
      wrong ??= `line ${i + 1} ${why}`;
    } else if (hosts.some((word) => means(word, host))) addresses.push(address);
  }
  return { addresses, wrong };
}

function means(word: string, host: string): boolean {
  if (word.toLowerCase() === host) return true;
  const hash = nameHash(HashAlgo.MD5, word);
  return typeof hash !== "number" && hash.toHex() === host;
}

/** What nsupdate reads to add or delete a name. Pure. */
export function nsupdateScript(
  server: string,
  name: string,
  type: "A" | "AAAA",
  address: string | undefined,
): string {
  const update = address === undefined
    ? `update delete ${name} ${type}`
    : `update add ${name} ${TTL_S} ${type} ${address}`;
  return `server ${server}\n${update}\nsend\nquit\n`;
}

export class Resolver {
  readonly #family: 4 | 6;
  readonly #hostsFile: string;
  readonly #dns: string | undefined;
  readonly #log: Logger;

  /** @param dns address of the layer's DNS server, or undefined. */
  constructor(family: 4 | 6, configDir: string, dns: string | undefined, log: Logger) {
    this.#family = family;
    this.#hostsFile = `${configDir}/hosts`;
    this.#dns = dns;
    this.#log = log;
  }

  #parse(text: string): Uint8Array | undefined {
    return this.#family === 4 ? parseInet4(text) : parseInet6(text);
  }

  /** The address bytes of a hash, or in words where it was looked for in vain. */
  async resolve(hash: Uint8Array): Promise<Uint8Array | string> {
    const name = hash.toHex();
    const { addresses, wrong } = await this.#hosts(name);
    for (const text of addresses) {
      const address = this.#parse(text);
      if (address !== undefined) return address;
    }
    const file = `${this.#hostsFile}${wrong === undefined ? "" : ` (${wrong})`}`;
    const other = this.#dns === undefined ? "the system's resolver" : `the DNS server ${this.#dns}`;
    try {
      const address = this.#parse(await this.#ask(name) ?? "");
      if (address !== undefined) return address;
    } catch (e) {
      const hasNone = e instanceof Deno.errors.NotFound ||
        (e as { code?: unknown }).code === "ENOTFOUND";
      if (!hasNone) return `it is not in ${file}, and ${other} does not answer`;
    }
    return `neither ${file} nor ${other} knows it`;
  }

  async #hosts(host: string): Promise<HostsAnswer> {
    try {
      return parseHosts(await Deno.readTextFile(this.#hostsFile), host);
    } catch (e) {
      const wrong = e instanceof Deno.errors.NotFound ? undefined : fileCause(e);
      return { addresses: [], wrong };
    }
  }

  /** The address of a host by DNS, or by the system's resolver; undefined if there is none of our family. */
  async #ask(host: string): Promise<string | undefined> {
    if (this.#dns === undefined) return (await lookup(host, { family: this.#family })).address;
    const nameServer = { ipAddr: this.#dns, port: 53 };
    return (await Deno.resolveDns(host, this.#family === 4 ? "A" : "AAAA", { nameServer }))[0];
  }

  /** Tell the DNS server where a name is, or (without address) that it is nowhere; failing is logged. */
  async update(hash: Uint8Array, address: string | undefined): Promise<void> {
    if (this.#dns === undefined) return;
    const type = this.#family === 4 ? "A" : "AAAA";
    const script = nsupdateScript(this.#dns, hash.toHex(), type, address);
    const what = address === undefined ? "unregister" : "register";
    try {
      const child = new Deno.Command("nsupdate", {
        stdin: "piped",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(script));
      await writer.close(); // A tool that reads to the end would else wait for us while we wait for it.
      const { success } = await child.status;
      if (success) this.#log.dbg("Succesfully communicated with DNS server.");
      else this.#log.error(`Failed to ${what} with DNS server.`);
    } catch {
      this.#log.error(`Failed to ${what} with DNS server: nsupdate does not run.`);
    }
  }
}
