/**
 * Network namespaces for tests, with veth links between them. Names contain our pid and a mark of this
 * thread (test files that run at once share the process); everything made is undone in reverse order,
 * also after a failure. Needs root and iproute2.
 */

import { run, type RunResult } from "./process.ts";

/** Tells the threads of this process apart. */
const THREAD = crypto.getRandomValues(new Uint8Array(3)).toHex();
let serial = 0;

/** Whether this machine lets us make network namespaces; tests are ignored otherwise. */
export function canMakeNetns(): boolean {
  if (Deno.uid() !== 0) return false;
  const name = `ouro${Deno.pid}x${THREAD}probe`;
  try {
    const made = new Deno.Command("ip", { args: ["netns", "add", name], stderr: "null" });
    if (!made.outputSync().success) return false;
    return new Deno.Command("ip", { args: ["netns", "del", name], stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

/** A set of namespaces and links that vanish together. */
export class NetLab implements AsyncDisposable {
  readonly #undo: string[][] = [];
  readonly #tag = `ouro${Deno.pid}x${THREAD}${serial++}`;

  async #ip(...args: string[]): Promise<void> {
    const result = await run(["ip", ...args]);
    if (result.code !== 0) throw new Error(`ip ${args.join(" ")}: ${result.err}`);
  }

  /** Makes a namespace with its loopback up; returns its full name. */
  async namespace(name: string): Promise<string> {
    const full = `${this.#tag}${name}`;
    await this.#ip("netns", "add", full);
    this.#undo.push(["netns", "del", full]);
    await this.#ip("-n", full, "link", "set", "lo", "up");
    return full;
  }

  /**
   * Joins two namespaces by a veth pair; each end gets its device name, and an address with prefix
   * length if given. Both ends are up afterwards.
   */
  async link(
    a: { ns: string; dev: string; addr?: string | string[] },
    b: { ns: string; dev: string; addr?: string | string[] },
  ): Promise<void> {
    await this.#ip(
      ...["link", "add", a.dev, "netns", a.ns, "type", "veth"],
      ...["peer", "name", b.dev, "netns", b.ns],
    );
    for (const end of [a, b]) {
      for (const addr of end.addr === undefined ? [] : [end.addr].flat()) {
        const noDad = addr.includes(":") ? ["nodad"] : [];
        await this.#ip("-n", end.ns, "addr", "add", addr, "dev", end.dev, ...noDad);
      }
      await this.#ip("-n", end.ns, "link", "set", end.dev, "up");
    }
  }

  /** The command line that runs another one inside a namespace. */
  inside(ns: string, argv: readonly string[]): string[] {
    return ["ip", "netns", "exec", ns, ...argv];
  }

  /** Runs a command inside a namespace to its end. */
  async exec(ns: string, argv: readonly string[]): Promise<RunResult> {
    return await run(this.inside(ns, argv));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const args of this.#undo.reverse()) await run(["ip", ...args]);
    this.#undo.length = 0;
  }
}
