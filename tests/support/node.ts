/**
 * A node of its own for a test: an IRMd instance below a temporary prefix, and the program run
 * against it. Uses the built binary when `OURO_BINARY` names it, the source otherwise.
 */

import { fromFileUrl } from "@std/path";
import { type Instance, instanceOf } from "../../lib/instance.ts";
import { AdminClient } from "../../lib/irm/admin.ts";
import { DEADLINE_MS, until } from "./deadline.ts";
import { RunningProcess, type RunOptions, type RunResult } from "./process.ts";

export { RunningProcess, type RunOptions, type RunResult } from "./process.ts";

/** How long programs may take to end with their node, ms; what they leave then is removed. */
const LEAVE_MS = 5000;
const MAIN = fromFileUrl(new URL("../../main.ts", import.meta.url));

/** The command line of the program with the given words. */
export function ouro(...words: string[]): string[] {
  const binary = Deno.env.get("OURO_BINARY");
  return binary
    ? [binary, ...words]
    : [Deno.execPath(), "run", "-A", "--no-prompt", "--quiet", MAIN, ...words];
}

/** What a node is started with. */
export interface NodeOptions {
  /** Further words for the IRMd. */
  args?: string[];
  /** Further environment of the IRMd and of what runs against it. */
  env?: Record<string, string>;
  /** Content of an `irmd.conf` that is given with `--config`. */
  config?: string;
  /** Do not start the IRMd (it can be started later with `startIrmd`). */
  idle?: boolean;
  uid?: number;
  gid?: number;
  /** Words for `irmd --patience` instead of {@linkcode PATIENCE}. */
  patience?: number;
}

/**
 * How many times as long the IRMds of tests wait for IPCPs and programs: what a loaded machine is too slow for is not
 * what tests are about.
 */
export const PATIENCE = 5;

/** Words of an `oping` that is not to give up on a reply that a loaded machine keeps waiting. */
export const PATIENT: readonly string[] = ["--timeout", "60s"];

/** One node under test. */
export class TestNode implements AsyncDisposable {
  readonly prefix: string;
  readonly instance: Instance;
  irmd: RunningProcess | undefined;
  readonly #options: NodeOptions;
  readonly #processes: RunningProcess[] = [];

  private constructor(prefix: string, options: NodeOptions) {
    this.prefix = prefix;
    this.instance = instanceOf(prefix);
    this.#options = options;
  }

  /** Makes the prefix, starts the IRMd and waits until it serves. */
  static async start(options: NodeOptions = {}): Promise<TestNode> {
    const prefix = await Deno.makeTempDir({ prefix: "ouro-test-" });
    const node = new TestNode(prefix, options);
    try {
      if (options.uid !== undefined) {
        await Deno.chown(prefix, options.uid, options.gid ?? options.uid);
      }
      if (!options.idle) await node.startIrmd();
    } catch (error) {
      await node[Symbol.asyncDispose]();
      throw error;
    }
    return node;
  }

  /** Starts the IRMd (again) and waits until it serves. */
  async startIrmd(...more: string[]): Promise<RunningProcess> {
    const args = ["irmd", "--stdout", ...(this.#options.args ?? []), ...more];
    if (this.#options.config !== undefined) {
      const path = `${this.prefix}/test-irmd.conf`;
      await Deno.writeTextFile(path, this.#options.config);
      args.push("--config", path);
    }
    this.irmd = this.spawn(args);
    await this.irmd.waitForLine(/daemon started/);
    return this.irmd;
  }

  /** Environment of everything that runs on this node. */
  get env(): Record<string, string> {
    const patience = String(this.#options.patience ?? PATIENCE);
    return { OURO_PATIENCE: patience, ...(this.#options.env ?? {}), OURO_PREFIX: this.prefix };
  }

  #runOptions(options: RunOptions): RunOptions {
    const { uid, gid } = this.#options;
    return {
      ...(uid !== undefined ? { uid, gid: gid ?? uid } : {}),
      ...options,
      env: { ...this.env, ...(options.env ?? {}) },
    };
  }

  /** Runs `ouro <args>` to its end. */
  async run(args: string[], options: RunOptions = {}): Promise<RunResult> {
    return await this.spawn(args, options).wait(options.deadlineMs);
  }

  /** Starts `ouro <args>`; it is stopped with the node. */
  spawn(args: string[], options: RunOptions = {}): RunningProcess {
    return this.spawnArgv(ouro(...args), options);
  }

  /** Starts any command line with the environment of this node. */
  spawnArgv(argv: string[], options: RunOptions = {}): RunningProcess {
    const process = new RunningProcess(argv, this.#runOptions(options));
    this.#processes.push(process);
    return process;
  }

  /** Runs `ouro <args>` and fails unless it exits with 0; returns its stdout. */
  async must(...args: string[]): Promise<string> {
    const result = await this.run(args);
    if (result.code !== 0) {
      throw new Error(`ouro ${args.join(" ")}: exit ${result.code}\n${result.out}${result.err}`);
    }
    return result.out;
  }

  /** What `irm` does, without its process. */
  admin(timeoutMs = DEADLINE_MS): AdminClient {
    return new AdminClient(this.instance, { timeoutMs });
  }

  /** Creates a name and binds the running process or the program to it. */
  async bindProgram(program: string, name: string): Promise<void> {
    await this.must("irm", "name", "create", name);
    await this.must("irm", "bind", "program", program, "name", name);
  }

  /** Shared-memory objects of this node that exist now, by name. */
  sharedMemory(): string[] {
    const base = this.instance.shmBase.slice(1);
    return [...Deno.readDirSync("/dev/shm")]
      .map((entry) => entry.name)
      .filter((name) => name.startsWith(`${base}.`));
  }

  /** Stops the IRMd with SIGTERM and waits for its end. */
  async stopIrmd(): Promise<RunResult | undefined> {
    return await this.irmd?.stop();
  }

  /** Stops everything, the IRMd last, and removes what is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    const others = this.#processes.filter((p) => p !== this.irmd && !p.ended);
    await Promise.all(others.map((p) => p.stop("SIGTERM", LEAVE_MS)));
    if (this.irmd && !this.irmd.ended) await this.stopIrmd();
    for (const name of this.sharedMemory()) {
      try {
        Deno.removeSync(`/dev/shm/${name}`);
      } catch {
        // Removed by its owner meanwhile.
      }
    }
    await Deno.remove(this.prefix, { recursive: true }).catch(() => {});
  }
}

/** Waits until a file exists. */
export async function fileExists(path: string): Promise<void> {
  await until(`file ${path}`, () => {
    try {
      Deno.lstatSync(path);
      return true;
    } catch {
      return false;
    }
  });
}
