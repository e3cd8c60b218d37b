/**
 * A host that runs our IRMd in a network namespace, as the other end of a `CHost`: a node below a
 * prefix of its own.
 */

import { ouro } from "../support/node.ts";
import { RunningProcess, type RunResult } from "../support/process.ts";
import { promptly } from "./c_host.ts";

export class OurHost implements AsyncDisposable {
  readonly #processes: RunningProcess[] = [];
  irmd!: RunningProcess;

  private constructor(readonly ns: string, readonly prefix: string) {}

  /** Starts the IRMd in a network namespace, with the security files of `prepare`. */
  static async start(ns: string, prepare?: (securityDir: string) => void): Promise<OurHost> {
    const host = new OurHost(ns, await Deno.makeTempDir({ prefix: "ouro-our-host-" }));
    try {
      Deno.mkdirSync(host.securityDir, { recursive: true });
      prepare?.(host.securityDir);
      host.irmd = host.spawn(promptly(ouro("irmd", "--stdout")));
      await host.irmd.waitForLine(/daemon started/);
      return host;
    } catch (e) {
      await host[Symbol.asyncDispose]();
      throw e;
    }
  }

  get securityDir(): string {
    return `${this.prefix}/etc/security`;
  }

  /** Starts any program on this host. */
  spawn(argv: readonly string[]): RunningProcess {
    const p = new RunningProcess(["ip", "netns", "exec", this.ns, ...argv], {
      env: { OURO_PREFIX: this.prefix },
    });
    this.#processes.push(p);
    return p;
  }

  async run(argv: readonly string[]): Promise<RunResult> {
    return await this.spawn(argv).wait(60_000);
  }

  /** Runs `ouro <words>` and fails, with what the IRMd logged, unless it exits with 0. */
  async must(...words: string[]): Promise<string> {
    const r = await this.run(ouro(...words));
    if (r.code !== 0) {
      throw new Error(`${words.join(" ")}: ${r.code}\n${r.out}${r.err}\n${this.irmd.out}`);
    }
    return r.out;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const others = this.#processes.filter((p) => p !== this.irmd && !p.ended);
    await Promise.all(others.map((p) => p.stop("SIGTERM", 2000)));
    if (this.irmd !== undefined && !this.irmd.ended) await this.irmd.stop("SIGTERM", 8000);
    await Deno.remove(this.prefix, { recursive: true }).catch(() => {});
  }
}
