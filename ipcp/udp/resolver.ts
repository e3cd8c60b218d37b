/**
 * Names over UDP: the hash of a name, as 32 lower-case hex digits, is a host name (spec 50 §13.1).
 *
 * Looked up, in this order: the file `hosts` in the node's configuration directory (our addition: a node of its
 * own needs no root to know its peers), the DNS server of the layer if there is one, else the system's resolver
 * (hosts file, DNS). IPv6 asks for AAAA. Registration at a DNS server goes through `nsupdate`.
 */

import { lookup } from "node:dns/promises";
import { parseInet4, parseInet6 } from "../../lib/inet.ts";
import type { Logger } from "../../lib/log.ts";

/** Life of a record at the DNS server, s. */
const TTL_S = 86400;

/** The addresses a hosts file gives for a name, in order. Pure. */
export function parseHosts(text: string, name: string): string[] {
  const found: string[] = [];
  for (const line of text.split("\n")) {
    const [address, ...names] = line.split("#", 1)[0]!.trim().split(/\s+/);
    if (address !== undefined && names.includes(name)) found.push(address);
  }
  return found;
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

  /** The address bytes of a hash, or undefined. */
  async resolve(hash: Uint8Array): Promise<Uint8Array | undefined> {
    const name = hash.toHex();
    for (const text of parseHosts(await this.#hosts(), name)) {
      const address = this.#parse(text);
      if (address !== undefined) return address;
    }
    if (this.#dns !== undefined) {
      const nameServer = { ipAddr: this.#dns, port: 53 };
      const type = this.#family === 4 ? "A" : "AAAA";
      const found = await Deno.resolveDns(name, type, { nameServer });
      return found[0] === undefined ? undefined : this.#parse(found[0]);
    }
    const { address } = await lookup(name, { family: this.#family });
    return this.#parse(address);
  }

  async #hosts(): Promise<string> {
    try {
      return await Deno.readTextFile(this.#hostsFile);
    } catch {
      return "";
    }
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
