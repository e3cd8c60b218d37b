/** The configuration file: read, checked as a whole, then applied from inside the daemon (spec 21 part B). */

import { dirname } from "@std/path";
import { fileCause } from "../lib/cli/reason.ts";
import { BIND_AUTO, COMP_MANAGEMENT, IrmCode } from "../lib/irm/messages.ts";
import type { Logger } from "../lib/log.ts";
import { QOS } from "../lib/qos.ts";
import { effectiveGid } from "../lib/sys/users.ts";
import type { Outcome } from "./answer.ts";
import {
  CONFIG_BYTES_MAX,
  type ConfigError,
  type IpcpEntryConfig,
  type IrmdConfig,
  type NameConfig,
  parseConfig,
  resolvePaths,
} from "./config.ts";
import { othersMayWrite, othersMayWriteDirs } from "../security/writable.ts";
import type { Daemon } from "./daemon.ts";
import type { Ipcps } from "./ipcps.ts";
import { bindProgram } from "./names.ts";
import { baseName } from "./registry/mod.ts";

/** A file that was read and is right. */
export interface LoadedConfig {
  readonly kind: "loaded";
  /** Where it is. */
  readonly path: string;
  readonly config: IrmdConfig;
}

/** One that cannot be used. */
export interface FailedConfig {
  readonly kind: "failed";
  /** The first thing that is wrong with it, a sentence. */
  readonly cause: string;
}

/** Reads and checks a file; what is wrong with it goes to the log. */
export function loadConfig(path: string, parent: Logger): LoadedConfig | FailedConfig {
  const log = parent.child("irmd/configuration");
  const fail = (...lines: string[]): FailedConfig => {
    for (const line of lines) log.error(line);
    log.error("Failed to load configuration.");
    log.error("Failed to load config file.");
    return { kind: "failed", cause: lines[0]! };
  };
  let text: string;
  let real: string;
  try {
    real = Deno.realPathSync(path);
  } catch (e) {
    return fail(`Failed to check path for ${path}: ${sentence(e)}.`);
  }
  log.info(`Reading configuration from file ${real}`);
  try {
    const stat = Deno.statSync(real);
    if (stat.size > CONFIG_BYTES_MAX) return fail("Config file too large.");
    const open = othersMayWrite(real, stat) ?? othersMayWriteDirs(dirname(real), dirname(real));
    if (open !== undefined) return fail(`Failed to open config file: ${open}.`);
    text = new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(real));
  } catch (e) {
    return fail(`Failed to open config file: ${sentence(e)}.`);
  }
  const errors = (list: ConfigError[]) => fail(...list.flatMap((e) => e.lines()));
  const parsed = parseConfig(text, real);
  if (Array.isArray(parsed)) return errors(parsed);
  const config = resolvePaths(parsed, real, (p) => {
    try {
      return { path: Deno.realPathSync(p) };
    } catch (e) {
      return { error: sentence(e) };
    }
  });
  if (Array.isArray(config)) return errors(config);
  for (const warning of config.warnings) log.warn(warning);
  return { kind: "loaded", path, config };
}

function sentence(e: unknown): string {
  if (e instanceof Deno.errors.NotFound) return "No such file or directory";
  if (e instanceof Deno.errors.PermissionDenied) return "Permission denied";
  if (e instanceof Deno.errors.IsADirectory) return "Is a directory";
  if (e instanceof TypeError) return "not UTF-8";
  return fileCause(e);
}

/**
 * Reading the configuration again, on SIGHUP: what is new in it is made, what is there stays as it is. A file that is
 * wrong, or cannot be made, is told to the log and changes nothing that was there.
 */
export class Reread {
  #asked = false;
  #busy = true;

  constructor(
    readonly d: Daemon,
    readonly ipcps: Ipcps,
    readonly loaded: LoadedConfig | undefined,
  ) {}

  /** The first reading is done; what was asked for meanwhile begins. */
  ready(): void {
    this.#busy = false;
    if (this.#asked) this.ask();
  }

  /** Reads again, after a reading that is under way. */
  ask(): void {
    this.#asked = true;
    if (this.#busy) return;
    this.#busy = true;
    this.#asked = false;
    this.#read()
      .catch((e) => this.d.log.error(`Failed to read the configuration again: ${e}.`))
      .finally(() => this.ready());
  }

  async #read(): Promise<void> {
    const { d, loaded } = this;
    if (loaded === undefined) return d.log.warn("There is no configuration file to read again.");
    const again = loadConfig(loaded.path, d.log);
    if (again.kind === "failed") return;
    d.options.direct = again.config.daemon.direct ?? d.options.direct;
    d.options.askLayers = again.config.daemon.askLayers ?? d.options.askLayers;
    const cause = await applyConfig(d, this.ipcps, again.config, true);
    if (cause === undefined) d.log.info("Configuration read again.");
  }
}

/**
 * Makes everything of a file; the cause, which the log has too, at the first failure.
 * @param again whether what is there already is left alone
 */
export async function applyConfig(
  d: Daemon,
  ipcps: Ipcps,
  config: IrmdConfig,
  again = false,
): Promise<string | undefined> {
  for (const entry of config.entries) {
    if (again && entry.kind === "ipcp" && d.registry.ipcps.byName(entry.name)) continue;
    const cause = entry.kind === "name"
      ? applyName(d, entry, again)
      : await applyIpcp(d, ipcps, entry);
    if (cause !== undefined) {
      const line = `${cause} (line ${entry.line})`;
      d.log.child("irmd/configuration").error(line);
      return line;
    }
  }
  return undefined;
}

/** Why a request failed, or undefined when it did not. */
function causeOf(outcome: Outcome): string | undefined {
  const { result, error } = outcome?.msg ?? { result: -1, error: undefined };
  return result === 0 ? undefined : error?.cause ?? `error ${result}`;
}

function applyName(d: Daemon, entry: NameConfig, again: boolean): string | undefined {
  const { name, polLb, security } = entry;
  if (d.registry.createName({ name, polLb, ...security })) d.log.info(`Created new name: ${name}.`);
  else d.log.info(`Name ${name} already exists.`);
  for (const { path, args } of entry.programs) {
    if (again && d.registry.progs.get(baseName(path))?.names.has(name)) continue;
    const by = { uid: d.ownUid, gid: effectiveGid(), gids: [] };
    const cause = causeOf(bindProgram(d, by, {
      code: IrmCode.IRM_BIND_PROGRAM,
      name,
      exec: [path, ...args ?? [], ""],
      opts: args === undefined ? 0 : BIND_AUTO,
      boundFor: entry.boundFor,
    }));
    if (cause !== undefined) return `Failed to bind program ${path} to name ${name}: ${cause}.`;
  }
  return undefined;
}

async function applyIpcp(
  d: Daemon,
  ipcps: Ipcps,
  entry: IpcpEntryConfig,
): Promise<string | undefined> {
  const { name, join } = entry;
  const started = await ipcps.start(entry.type, name);
  if (started.pid === undefined) {
    return `Failed to create IPCP ${name}: ${causeOf(started.answer)}.`;
  }
  const { pid } = started;
  if (join.kind === "none") return undefined;
  const joined = join.kind === "enrol"
    ? await ipcps.enroll({ code: IrmCode.IRM_ENROLL_IPCP, pid, dst: join.dst })
    : await ipcps.bootstrap({ code: IrmCode.IRM_BOOTSTRAP_IPCP, pid, conf: join.conf });
  const cause = causeOf(joined);
  if (cause !== undefined) {
    return `Failed to ${join.kind === "enrol" ? "enrol" : "bootstrap"} ${name}: ${cause}.`;
  }
  if (entry.autobind) {
    const layer = d.registry.ipcps.get(pid)?.layer;
    for (const n of layer === undefined ? [name] : [name, layer]) {
      if (d.registry.bindProcess(pid, n) < 0) return `Failed to bind ${pid} to ${n}.`;
      d.log.info(`Bound process ${pid} to name ${n}.`);
    }
  }
  for (const n of entry.reg) {
    d.registry.createName({ name: n, polLb: 1, skey: "", scrt: "", ckey: "", ccrt: "" });
    const why = causeOf(
      await ipcps.register({ code: IrmCode.IRM_REG_NAME, name: n, pid }, true),
    );
    if (why !== undefined) return `Failed to register ${n} with ${name}: ${why}.`;
  }
  return join.kind === "enrol" ? await connectAll(ipcps, pid, name, join) : undefined;
}

async function connectAll(
  ipcps: Ipcps,
  pid: number,
  name: string,
  join: { readonly conn: readonly string[]; readonly components: readonly string[] },
): Promise<string | undefined> {
  for (const dst of join.conn) {
    for (const comp of join.components) {
      const msg = { code: IrmCode.IRM_CONNECT_IPCP, pid, dst, comp, qos: QOS.raw };
      const cause = causeOf(await ipcps.connect(msg, true));
      const what = comp === COMP_MANAGEMENT ? "management" : "data transfer";
      if (cause !== undefined) return `Failed to connect ${name} to ${dst} (${what}): ${cause}.`;
    }
  }
  return undefined;
}
