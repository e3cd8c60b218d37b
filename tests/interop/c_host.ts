/**
 * A host on which the C prototype can run: a mount namespace of its own over the places that the prototype has
 * fixed, a network namespace if named. Its IRMd, IPCPs and tools are the prototype's or ours, in any mixture. The
 * prototype is found through `OURO_PROTOTYPE`, its installation prefix.
 */

import { RunningProcess, type RunOptions, type RunResult } from "../support/process.ts";
import { ouro } from "../support/node.ts";
import { sayRetry } from "./retries.ts";

/** Prefix of the installed prototype, or undefined: then interop tests are ignored. */
export const PROTOTYPE: string | undefined = Deno.env.get("OURO_PROTOTYPE") || undefined;

/** Whether C hosts can be made here: a prototype, and root for the namespaces. */
export const canRunPrototype = PROTOTYPE !== undefined && Deno.uid() === 0;

/** What a host is made with. */
export interface CHostOptions {
  /** Network namespace to live in; absent: a new one with only a loopback. */
  ns?: string;
  /** Whose IRMd and tools: the prototype's (default) or ours. */
  node?: "c" | "ouro";
  /** Under the C IRMd: IPCP types for which our program is started in place of the prototype's. */
  ours?: string[];
  /** Under our IRMd: start the prototype's IPCPs. */
  cIpcps?: boolean;
  /** Further words for our IRMd. */
  args?: string[];
  /** Lines of /etc/hosts. */
  hosts?: string[];
  /** Directory that the prototype sees as its security directory. */
  security?: string;
  /** Command line of the IRMd to run in place of the prototype's. */
  irmd?: string[];
}

/** Starts of a program of the prototype that may die before it does anything. */
export const STARTS = 20;

/** Where the prototype is visible to every user of the host. */
const OPEN_PREFIX = "/mnt/ouro-prototype";

/**
 * The command line before other work of the machine: for programs that the prototype gives little time. Niceness would
 * not do, where the kernel shares the processor out by sessions (autogroup).
 */
export function promptly(argv: readonly string[]): string[] {
  return ["chrt", "--rr", "1", ...argv];
}

let warm: Promise<unknown> | undefined;
/** The first start of our program may unpack it, for which the C IRMd has no patience. */
function warmUp(): Promise<unknown> {
  const clearEnv = Deno.env.has("OURO_BINARY");
  return warm ??= new RunningProcess(ouro("--version"), { clearEnv }).wait();
}

export class CHost implements AsyncDisposable {
  readonly #holder: RunningProcess;
  readonly #dir: string;
  readonly #processes: RunningProcess[] = [];
  readonly #ours: boolean;
  /** Its IPCPs are ours: what goes wrong with them is our fault. */
  readonly #ourIpcps: boolean;
  /** IPCPs that the prototype's IRMd gave up, by pid. */
  readonly #late = new Set<string>();
  irmd!: RunningProcess;

  private constructor(holder: RunningProcess, dir: string, options: CHostOptions) {
    this.#holder = holder;
    this.#dir = dir;
    this.#ours = options.node === "ouro";
    this.#ourIpcps = this.#ours && options.cIpcps !== true;
  }

  /** Makes the namespaces and starts the C IRMd. */
  static async start(options: CHostOptions = {}): Promise<CHost> {
    const prototype = PROTOTYPE!;
    const dir = await Deno.makeTempDir({ prefix: "ouro-c-host-" });
    await Deno.chmod(dir, 0o755);
    await Deno.writeTextFile(
      `${dir}/hosts`,
      ["127.0.0.1 localhost", ...(options.hosts ?? []), ""].join("\n"),
    );
    const mounts = [
      "mount -t tmpfs none /dev/shm",
      "chmod 1777 /dev/shm",
      // Programs of other users mount their status directory through it.
      `mknod -m 666 ${dir}/fuse c 10 229 && mount --bind ${dir}/fuse /dev/fuse`,
      "mount -t tmpfs none /var/run",
      "mkdir -p /var/run/ouroboros /tmp/ouroboros",
      "mount -t tmpfs none /tmp/ouroboros",
      `mount --bind ${dir}/hosts /etc/hosts`,
    ];
    for (const type of options.ours ?? []) {
      const binary = Deno.env.get("OURO_BINARY");
      if (binary !== undefined) {
        // The built program by the prototype's name, started with an empty environment.
        mounts.push(`mount --bind ${Deno.realPathSync(binary)} ${prototype}/sbin/ipcpd-${type}`);
        continue;
      }
      const wrapper = `${dir}/ipcpd-${type}`;
      // The C IRMd starts IPCPs with an empty environment; deno from source wants to know its cache.
      const env = ["HOME", "DENO_DIR", "OURO_CACHE", "PATH", "OURO_DEBUG"].map((k) => {
        return `export ${k}='${Deno.env.get(k) ?? ""}'`;
      }).filter((line) => !line.endsWith("=''")).join("; ");
      const command = ouro(`ipcpd-${type}`).map((w) => `'${w}'`).join(" ");
      await Deno.writeTextFile(wrapper, `#!/bin/sh\n${env}\nexec ${command} "$@"\n`);
      await Deno.chmod(wrapper, 0o755);
      mounts.push(`mount --bind ${wrapper} ${prototype}/sbin/ipcpd-${type}`);
    }
    if (options.security !== undefined) {
      const place = `${prototype}/etc/ouroboros/security`;
      mounts.push(`mkdir -p ${place}`, `mount --bind ${options.security} ${place}`);
      // And where ours looks, on a copy of /etc that the other mounts then go over.
      mounts.unshift(
        `cp -a /etc ${dir}/etc`,
        `mount --bind ${dir}/etc /etc`,
        "mkdir -p /etc/ouroboros/security",
        `mount --bind ${options.security} /etc/ouroboros/security`,
      );
    }
    // Users other than root may not reach the installation where it is.
    mounts.push(
      "mount -t tmpfs none /mnt",
      `mkdir ${OPEN_PREFIX}`,
      `mount --rbind ${prototype} ${OPEN_PREFIX}`,
    );
    const script = [...mounts, "ip link set lo up", "echo ready", "exec sleep 100000"].join(" && ");
    const unshare = ["unshare", "-m", ...(options.ns === undefined ? ["-n"] : []), "sh", "-c"];
    const inside = options.ns === undefined ? [] : ["ip", "netns", "exec", options.ns];
    if (options.node === "ouro" || options.ours !== undefined) await warmUp();
    const host = new CHost(new RunningProcess([...inside, ...unshare, script]), dir, options);
    try {
      await host.#holder.waitForLine(/ready/);
      const ipcpDir = options.cIpcps ? ["--ipcp-dir", `${prototype}/sbin`] : [];
      const words = host.tool("irmd", "--stdout", ...ipcpDir, ...(options.args ?? []));
      // IPCPs inherit it: the prototype's IRMd gives them 500 ms to start, its members 1 s for a message.
      host.irmd = host.spawn(promptly(options.irmd ?? words));
      await host.irmd.waitForLine(/daemon started/);
      return host;
    } catch (e) {
      await host[Symbol.asyncDispose]();
      throw e;
    }
  }

  /** The command line that runs another one on this host. */
  inside(argv: readonly string[], uid?: number): string[] {
    // A program of the prototype mounts its status directory, for which a user needs fusermount or this.
    const mountCaps = ["--inh-caps=+sys_admin", "--ambient-caps=+sys_admin"];
    const user = uid === undefined
      ? []
      : ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", ...mountCaps];
    const path = `${OPEN_PREFIX}/sbin:${OPEN_PREFIX}/bin:${Deno.env.get("PATH")}`;
    const env = ["env", `LD_LIBRARY_PATH=${OPEN_PREFIX}/lib`, `PATH=${path}`];
    return ["nsenter", "-t", String(this.#holder.pid), "-m", "-n", ...user, ...env, ...argv];
  }

  /** One of the tools as this host has it: the prototype's or ours. */
  tool(...words: string[]): string[] {
    return this.#ours ? ouro(...words) : words;
  }

  /** Starts a program of the prototype (or any other) on this host. */
  spawn(argv: readonly string[], uid?: number, options: RunOptions = {}): RunningProcess {
    const process = new RunningProcess(this.inside(argv, uid), options);
    this.#processes.push(process);
    return process;
  }

  /** Runs it to its end; a program of the prototype that crashed before it said a word (see frct_client.ts) once more. */
  async run(argv: readonly string[], uid?: number): Promise<RunResult> {
    for (let starts = 1;; starts++) {
      const r = await this.spawn(argv, uid).wait(60_000);
      // Ours are run by their paths.
      const theirs = !argv[0]!.includes("/");
      if (!theirs || r.code !== 139 || r.out !== "" || starts === STARTS) return r;
      sayRetry(`the prototype's ${argv.join(" ")} crashed`);
    }
  }

  /** Runs it and fails, with everything the IRMd logged, unless it exits with 0. */
  async must(...words: string[]): Promise<string> {
    const argv = this.tool(...words);
    const r = await this.run(argv);
    if (r.code !== 0) {
      throw new Error(`${argv.join(" ")}: ${r.code}\n${r.out}${r.err}\n${this.irmd.out}`);
    }
    return r.out;
  }

  /**
   * Makes an IPCP (`irm ipcp bootstrap|enroll …`). The prototype's IRMd gives up on an IPCP that takes more than
   * 500 ms to start, which on a busy machine happens, and then waits until it has ended: so it is ended, and made
   * again, and the test says so.
   */
  async makeIpcp(...words: string[]): Promise<void> {
    const argv = this.tool("irm", "ipcp", ...words);
    for (let tries = 1;; tries++) {
      const logged = this.irmd.out.length;
      const making = this.spawn(argv);
      const [r] = await Promise.all([making.wait(60_000), this.#endLateIpcps(making)]);
      if (r.code === 0) return;
      const said = r.err + this.irmd.out.slice(logged);
      // A prototype's IPCP that our IRMd starts may die at its start as its other programs do (see frct_client.ts).
      const died = said.includes("ended with status 139 while it started");
      if (this.#ourIpcps || tries === STARTS || !(died || said.includes("failed to boot"))) {
        throw new Error(`${argv.join(" ")}: ${r.code}\n${r.out}${r.err}\n${this.irmd.out}`);
      }
      const why = died ? "IPCP died at its start" : "IRMd did not wait";
      sayRetry(`the prototype's ${why}: ${words.join(" ")}`);
    }
  }

  /** Until a command has ended, ends IPCPs that started too late for the prototype's IRMd. */
  async #endLateIpcps(command: RunningProcess): Promise<void> {
    for (; !command.ended; await new Promise((done) => setTimeout(done, 50))) {
      for (const [, pid] of this.irmd.out.matchAll(/IPCP (\d+) failed to boot/g)) {
        if (pid === undefined || this.#late.has(pid)) continue;
        this.#late.add(pid);
        try {
          // Its IRMd waits for it: the pid is still its own.
          Deno.kill(Number(pid), "SIGKILL");
        } catch {
          // It has ended by itself.
        }
      }
    }
  }

  /**
   * Creates a name whose security files are looked for at their places: the prototype's `irm name create` leaves the path
   * of `enc.conf` to what the memory held (spec 40 §13), a name that a binding makes has it.
   */
  async createSecureName(name: string): Promise<void> {
    for (const verb of ["bind", "unbind"]) {
      await this.must("irm", verb, "program", "operf", "name", name);
    }
  }

  /** Starts an oping server (the host's own, or `argv`) that serves `name`, registered in `layer`. */
  async serve(
    name: string,
    layer: string,
    uid?: number,
    argv = this.tool("oping", "-l"),
  ): Promise<RunningProcess> {
    await this.must("irm", "name", "create", name);
    const server = this.spawn(argv, uid);
    // nsenter, setpriv and env exec, so the pid is the server's.
    await bindProcess((...words) => this.run(this.tool(...words)), server.pid, name);
    await this.must("irm", "name", "register", name, "layer", layer);
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const others = this.#processes.filter((p) => p !== this.irmd && !p.ended);
    await Promise.all(others.map((p) => p.stop("SIGINT", 1000)));
    if (this.irmd !== undefined && !this.irmd.ended) await this.irmd.stop("SIGTERM", 8000);
    await this.#holder.stop("SIGKILL", 1000);
    await Deno.remove(this.#dir, { recursive: true }).catch(() => {});
  }
}

/** Binds a process to a name as soon as it has announced itself. */
export async function bindProcess(
  run: (...argv: string[]) => Promise<RunResult>,
  pid: number,
  name: string,
): Promise<void> {
  for (let tries = 0;; tries++) {
    const r = await run("irm", "bind", "process", String(pid), "name", name);
    if (r.code === 0) return;
    if (tries === 200) throw new Error(`bind process ${pid}: ${r.out}${r.err}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
