/** Unicast layers over eth-dix on a chain of hosts, each the prototype's or ours. */

import { NetLab } from "./netns.ts";
import { until } from "./deadline.ts";
import type { RunResult } from "./process.ts";
import { CHost, type CHostOptions } from "../interop/c_host.ts";
import { sayRetry } from "../interop/retries.ts";

/** Whose IRMd, IPCPs and tools a host has; or one's IRMd and tools with unicast IPCPs of the other. */
export type Kind = "c" | "ouro" | "c irmd, our ipcps" | "our irmd, c ipcps";

const OPTIONS: Record<Kind, CHostOptions> = {
  "c": { node: "c" },
  "ouro": { node: "ouro" },
  "c irmd, our ipcps": { node: "c", ours: ["unicast", "eth-dix"] },
  "our irmd, c ipcps": { node: "ouro", cIpcps: true },
};

/** How hosts are joined: `ring`, the last is a neighbour of the first, too; `star`, all are neighbours of the first. */
export interface ChainOptions {
  ring?: boolean;
  star?: boolean;
}

/** A prototype's program failed by itself, in a way that is known. */
export class PrototypesFault extends Error {}

/** How often a layer is made before it is said that prototypes die of it. */
const TRIES = 4;

/**
 * Runs `body` on hosts joined so. A prototype's IPCP may die of itself: its Ethernet IPCP at a packet in its ring whose
 * block is gone (SIGSEGV in `ssm_pk_buff_len`; who took it is not known), on a busy machine often. Then all is made anew and
 * that is said, once it is seen that our nodes stayed well.
 */
export async function onChain(
  kinds: readonly Kind[],
  options: ChainOptions,
  body: (chain: Chain) => Promise<void>,
): Promise<void> {
  for (let tries = 1;; tries++) {
    await using chain = await Chain.make(kinds, options);
    try {
      return await body(chain);
    } catch (e) {
      const faults = (await chain.died()).map((ipcp) => `${ipcp} died`);
      if (e instanceof PrototypesFault) faults.push(e.message);
      if (faults.length === 0 || tries === TRIES) throw e;
      await chain.oursAreWell();
      sayRetry(`the prototype's ${faults.join(", ")}`);
    }
  }
}

/** Whether a process runs; one that nobody waited for does not. */
async function runs(pid: string): Promise<boolean> {
  try {
    return !/\) Z /.test(await Deno.readTextFile(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

/** Hosts in a line, ring or star; between two neighbours a veth with an eth-dix IPCP at both ends. */
export class Chain implements AsyncDisposable {
  readonly hosts: CHost[] = [];
  readonly namespaces: string[] = [];
  readonly #net = new NetLab();
  readonly #served = new Set<string>();

  /** IPCPs that the test killed, by pid. */
  readonly #killed = new Set<string>();

  private constructor(readonly kinds: readonly Kind[], readonly options: ChainOptions) {}

  static async make(kinds: readonly Kind[], options: ChainOptions = {}): Promise<Chain> {
    const chain = new Chain(kinds, options);
    try {
      await chain.#build();
      return chain;
    } catch (e) {
      await chain[Symbol.asyncDispose]();
      throw e;
    }
  }

  async #build(): Promise<void> {
    for (let i = 0; i < this.kinds.length; i++) {
      this.namespaces.push(await this.#net.namespace(`u${i}`));
    }
    const end = (at: number, dev: string) => ({ ns: this.namespaces[at]!, dev, addr: [] });
    const { ring, star } = this.options;
    const n = this.kinds.length;
    if (star) {
      for (let i = 1; i < n; i++) await this.#net.link(end(0, `p${i}`), end(i, `l${i}`));
    } else {
      for (let i = 0; i < (ring ? n : n - 1); i++) {
        const to = (i + 1) % n;
        await this.#net.link(end(i, `r${i}`), end(to, `l${to}`));
      }
    }
    await Promise.all(this.kinds.map(async (kind, i) => {
      const host = await CHost.start({ ns: this.namespaces[i]!, ...OPTIONS[kind] });
      this.hosts[i] = host;
      for (const [dev, layer] of this.links(i)) {
        const words = ["type", "eth-dix", "name", dev, "layer", layer];
        await host.makeIpcp("bootstrap", ...words, "dev", dev);
      }
    }));
  }

  /** The ends of links at host i, each with the layer of its link. */
  links(i: number): [string, string][] {
    const { ring, star } = this.options;
    const n = this.kinds.length;
    if (star && i > 0) return [[`l${i}`, `lan${i}`]];
    if (star) return Array.from({ length: n - 1 }, (_, k) => [`p${k + 1}`, `lan${k + 1}`]);
    const links: [string, string][] = [];
    if (ring || i > 0) links.push([`l${i}`, `lan${(i - 1 + n) % n}`]);
    if (ring || i < n - 1) links.push([`r${i}`, `lan${i}`]);
    return links;
  }

  /** The first host connects to the last, which closes the ring. */
  async connectRing(): Promise<void> {
    await this.connect(0, this.kinds.length - 1);
  }

  /** The member of host i can be found by its neighbours. */
  async #announce(i: number): Promise<void> {
    for (const [dev] of this.links(i)) {
      await this.hosts[i]!.must("irm", "name", "reg", `net.${i}`, "ipcp", dev);
    }
  }

  /** Host i is the first of layer `net`. */
  async first(i: number, words: readonly string[] = []): Promise<void> {
    const what = ["type", "unicast", "name", `net.${i}`, "layer", "net", "autobind", ...words];
    await this.hosts[i]!.makeIpcp("bootstrap", ...what);
    await this.#announce(i);
  }

  /** Host i enrols with its neighbour. */
  async enroll(i: number, at: number): Promise<void> {
    const host = this.hosts[i]!;
    for (const name of [`net.${at}`, `net.${i}`, "net"]) {
      await host.run(host.tool("irm", "name", "create", name));
    }
    const what = ["type", "unicast", "name", `net.${i}`, "layer", "net", "dst", `net.${at}`];
    await this.#despiteRace(
      [i, at],
      `net.${i} enrols with net.${at}`,
      () => host.makeIpcp("enroll", ...what, "autobind"),
    );
    await this.#announce(i);
  }

  /**
   * Does something between two neighbours, of which one at least may have the prototype's IPCPs: a race in its Ethernet
   * IPCP loses what comes first on a flow (spec 60 §19 W7), so there it is tried again.
   */
  async #despiteRace(
    between: readonly number[],
    what: string,
    once: () => Promise<unknown>,
  ): Promise<void> {
    const may = between.some((i) => ["c", "our irmd, c ipcps"].includes(this.kinds[i]!));
    for (let tries = 1;; tries++) {
      try {
        return void await once();
      } catch (e) {
        if (!may || tries === 5) throw e;
        sayRetry(`${what}, between ${between.map((i) => this.kinds[i]).join(" and ")}`);
      }
    }
  }

  /** Does something until it succeeds or a prototype has died, and says how often it had failed before. */
  async #despiteFailures(what: string, once: () => Promise<boolean>): Promise<void> {
    let failures = -1;
    await until(what, async () => {
      failures++;
      if (failures > 0 && (await this.died()).length > 0) throw new Error(`${what}: one died`);
      return await once();
    });
    if (failures > 0) sayRetry(what, failures);
  }

  /** The IPCPs of host i, by name, as its IRMd lists them. */
  async #ipcps(i: number): Promise<Map<string, string>> {
    const host = this.hosts[i]!;
    const { out } = await host.run(host.tool("irm", "ipcp", "list"));
    return new Map([...out.matchAll(/^\| *(\d+) \| *(\S+) \|/gm)].map((m) => [m[2]!, m[1]!]));
  }

  /** The prototype's IPCPs that died of themselves: an IRMd of theirs goes on listing them, ours says so. */
  async died(): Promise<string[]> {
    const dead: string[] = [];
    for (const [i, kind] of this.kinds.entries()) {
      if (kind === "our irmd, c ipcps" && /killed by signal 11/.test(this.hosts[i]!.irmd.out)) {
        dead.push(`IPCP of host ${i}`);
      }
      if (kind !== "c") continue;
      for (const [name, pid] of await this.#ipcps(i)) {
        if (!this.#killed.has(pid) && !await runs(pid)) dead.push(`${name} of host ${i}`);
      }
    }
    return dead;
  }

  /** Fails unless every IPCP of our own nodes runs. */
  async oursAreWell(): Promise<void> {
    for (const i of this.kinds.keys().filter((i) => this.kinds[i] === "ouro")) {
      const ipcps = await this.#ipcps(i);
      if (ipcps.size === 0) throw new Error(`host ${i} lists no IPCP`);
      for (const [name, pid] of ipcps) {
        if (!await runs(pid)) throw new Error(`our ${name} of host ${i} died as well`);
      }
    }
  }

  /** Host i connects to its neighbour. */
  async connect(i: number, to: number): Promise<void> {
    const host = this.hosts[i]!;
    await host.run(host.tool("irm", "name", "create", `net.${to}`));
    const words = ["ipcp", "connect", "name", `net.${i}`, "dst", `net.${to}`];
    if (this.kinds[i] === "ouro") {
      const connect = () => host.must("irm", ...words);
      return void await this.#despiteRace([i, to], `net.${i} connects to net.${to}`, connect);
    }
    // A prototype's IRMd asks the layer that is being connected for the name, and may give up meanwhile.
    await this.#despiteFailures(
      `net.${i} connects to net.${to}`,
      async () => (await host.run(host.tool("irm", ...words))).code === 0,
    );
  }

  async disconnect(i: number, from: number): Promise<void> {
    await this.hosts[i]!.must(
      "irm",
      "ipcp",
      "disconnect",
      "name",
      `net.${i}`,
      "dst",
      `net.${from}`,
    );
  }

  /** A second unicast layer `high` over `net` between the first host and the last, with a server `high.0`. */
  async above(): Promise<void> {
    const [a, b] = [this.hosts[0]!, this.hosts.at(-1)!];
    const what = ["type", "unicast", "name", "up.0", "layer", "high", "autobind"];
    await a.must("irm", "ipcp", "bootstrap", ...what);
    await a.must("irm", "name", "reg", "up.0", "layer", "net");
    for (const name of ["up.0", "up.1"]) await b.run(b.tool("irm", "name", "create", name));
    await b.must("irm", "ipcp", "enroll", "type", "unicast", "name", "up.1", "dst", "up.0");
    await b.must("irm", "ipcp", "connect", "name", "up.1", "dst", "up.0");
    await a.serve("high.0", "high");
    await b.run(b.tool("irm", "name", "create", "high.0"));
    await until("the layer above is whole", async () => {
      return (await b.run(b.tool("oping", "-n", "high.0", "-c", "1"))).out.includes("1 received");
    });
  }

  /**
   * Kills the unicast IPCP of host i and lets it join again through `at`: our IRMd does that by itself; the
   * prototype's keeps listing the IPCP that died, and it is made anew by hand.
   */
  async killAndRejoin(i: number, at: number): Promise<void> {
    const host = this.hosts[i]!;
    const before = (await this.#ipcps(i)).get(`net.${i}`);
    if (before === undefined) throw new Error(`host ${i} lists no net.${i}`);
    this.#killed.add(before);
    await host.run(["kill", "-9", before]);
    if (this.kinds[i] !== "c") {
      const again = new RegExp(`IPCP net\\.${i} runs again`);
      return void await until("the IPCP is back", () => again.test(host.irmd.out));
    }
    await host.run(["irm", "ipcp", "destroy", "name", `net.${i}`]);
    await until("the IPCP is gone", async () => (await this.#ipcps(i)).get(`net.${i}`) !== before);
    await this.enroll(i, at);
    await this.connect(i, at);
  }

  /**
   * Reads every file of host i's RIB, which must not stop anything. Of a prototype's unicast member only what it
   * survives: listing `dt.*` or `flow-allocator` kills it (spec 80 §8.5).
   */
  async readRib(i: number): Promise<string> {
    const host = this.hosts[i]!;
    const dir = "/tmp/ouroboros";
    const places = this.kinds[i] === "c"
      ? `${dir}/*/info ${dir}/net.${i}/lsdb ${dir}/net.${i}/dht`
      : dir;
    const words = ["sh", "-c", `ls -R ${places} && find ${places} -type f -print0 | xargs -0r cat`];
    const r = await host.run(words);
    if (r.code !== 0) throw new Error(`RIB of host ${i}: ${r.code}\n${r.out}${r.err}`);
    const links = r.out.split("\n").filter((line) => /^[0-9a-f.]+--[0-9a-f.]+$/.test(line));
    // Every link is announced by both ends.
    if (links.length < 2 * (this.kinds.length - 1)) {
      throw new Error(`RIB of host ${i} shows ${links.length} links\n${r.out}`);
    }
    return r.out;
  }

  /** Sets an interface of host i up or down. */
  async setLink(i: number, dev: string, up: boolean): Promise<void> {
    const words = ["ip", "link", "set", dev, up ? "up" : "down"];
    await this.#net.exec(this.namespaces[i]!, words);
  }

  /** A layer of all hosts: the first bootstraps, each enrols with the one before it. */
  async layer(words: readonly string[] = []): Promise<void> {
    await this.first(0, words);
    for (let i = 1; i < this.kinds.length; i++) {
      await this.enroll(i, i - 1);
      await this.connect(i, i - 1);
    }
  }

  /** Pings a server at host `to` from host `from` until all of three are answered. */
  async ping(from: number, to: number, words: readonly string[] = []): Promise<RunResult> {
    const name = `ping.${to}`;
    if (!this.#served.has(name)) {
      this.#served.add(name);
      await this.hosts[to]!.serve(name, "net");
    }
    const host = this.hosts[from]!;
    await host.run(host.tool("irm", "name", "create", name));
    let last: RunResult | undefined;
    await this.#despiteFailures(`host ${from} pings host ${to}`, async () => {
      last = await host.run(host.tool("oping", "-n", name, "-c", "3", "-i", "5", ...words));
      return last.code === 0 && /3 packets transmitted, 3 received/.test(last.out);
    }).catch((e) => {
      const logs = this.hosts.map((h, i) => `--- host ${i}\n${h.irmd.out}`).join("\n");
      throw new Error(`${e}\n${last?.out}${last?.err}\n${logs}`);
    });
    return last!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.hosts.map((h) => h?.[Symbol.asyncDispose]()));
    await this.#net[Symbol.asyncDispose]();
  }
}
