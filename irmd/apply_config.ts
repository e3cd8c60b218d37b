/** The configuration file: read, checked as a whole, then applied from inside the daemon (spec 21 part B). */

import { dirname } from "@std/path";
import { fileCause } from "../lib/cli/reason.ts";
import {
  BIND_AUTO,
  COMP_DATA_TRANSFER,
  COMP_MANAGEMENT,
  IpcpType,
  IrmCode,
  NOT_ENROLLED,
  POLICY_STAGE,
} from "../lib/irm/messages.ts";
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
import { userNamed } from "./binding_user.ts";
import { baseName, IpcpPlan, type PlannedConnection } from "./registry/mod.ts";

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

  constructor(
    readonly d: Daemon,
    readonly ipcps: Ipcps,
    readonly loaded: LoadedConfig | undefined,
  ) {}

  /** The first reading is done; what was asked for meanwhile begins. */
  ready(): void {
    this.d.configuring = false;
    if (this.#asked) this.ask();
  }

  /** Reads again, after a reading that is under way. */
  ask(): void {
    this.#asked = true;
    if (this.d.configuring) return;
    this.d.configuring = true;
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
    if (again && entry.kind === "ipcp" && ipcps.has(entry.name)) continue;
    const cause = entry.kind === "name"
      ? applyName(d, entry, again)
      : config.daemon.retry
      ? await keepIpcp(d, ipcps, entry)
      : await applyIpcp(d, ipcps, entry, config.daemon.retry === undefined);
    if (cause !== undefined) {
      // At the first reading the daemon ends, and with it what it has made.
      if (again && entry.kind === "ipcp") await takeAway(d, ipcps, entry.name);
      const line = `${cause} (line ${entry.line})`;
      d.log.child("irmd/configuration").error(line);
      return line;
    }
  }
  return undefined;
}

/** Takes away what could not be made whole, so that the next reading begins anew. */
async function takeAway(d: Daemon, ipcps: Ipcps, name: string): Promise<void> {
  const made = d.registry.ipcps.byName(name);
  if (made === undefined) return;
  await ipcps.destroy({ code: IrmCode.IRM_DESTROY_IPCP, pid: made.pid, name });
}

/** Why a request failed, or undefined when it did not. */
function causeOf(outcome: Outcome): string | undefined {
  const { result, error } = outcome?.msg ?? { result: -1, error: undefined };
  return result === 0 ? undefined : error?.cause ?? `error ${result}`;
}

function applyName(d: Daemon, entry: NameConfig, again: boolean): string | undefined {
  const { name, polLb, security } = entry;
  const owner = { uid: d.ownUid, gid: effectiveGid(), gids: [] };
  const maker = entry.by === undefined ? owner : userNamed(entry.by);
  if (maker === undefined) return `There is no user "${entry.by}" to create name ${name}.`;
  const asker = maker.uid === d.ownUid || maker.uid === 0 ? undefined : maker;
  const isNew = d.registry.createName({ name, polLb, ...security }, asker);
  if (isNew) d.log.info(`Created new name: ${name}.`);
  else d.log.info(`Name ${name} already exists.`);
  for (const { path, args, boundFor, by } of entry.programs) {
    if (again && d.registry.progs.get(baseName(path))?.names.has(name)) continue;
    const binder = by === undefined ? owner : userNamed(by);
    const cause = binder === undefined ? `there is no user "${by}"` : causeOf(
      bindProgram(d, binder, {
        code: IrmCode.IRM_BIND_PROGRAM,
        name,
        exec: [path, ...args ?? [], ""],
        opts: args === undefined ? 0 : BIND_AUTO,
        boundFor,
      }),
    );
    if (cause !== undefined) return `Failed to bind program ${path} to name ${name}: ${cause}.`;
  }
  return undefined;
}

/** @param waits whether what other members are needed for is tried until they are there */
async function applyIpcp(
  d: Daemon,
  ipcps: Ipcps,
  entry: IpcpEntryConfig,
  waits: boolean,
): Promise<string | undefined> {
  const { name, join } = entry;
  const started = await ipcps.start(entry.type, name);
  if (started.pid === undefined) {
    return `Failed to create IPCP ${name}: ${causeOf(started.answer)}.`;
  }
  const { pid } = started;
  if (join.kind === "none") return await bindAndRegister(d, ipcps, entry, pid);
  const joined = join.kind === "enrol"
    ? await ipcps.enroll({
      code: IrmCode.IRM_ENROLL_IPCP,
      pid,
      dst: join.dst,
      policies: [...join.policies],
    })
    : await ipcps.bootstrap({ code: IrmCode.IRM_BOOTSTRAP_IPCP, pid, conf: join.conf });
  const cause = causeOf(joined);
  if (cause !== undefined) {
    const why = `Failed to ${join.kind === "enrol" ? "enrol" : "bootstrap"} ${name}: ${cause}`;
    const isPolicy = joined?.msg.error?.stage === POLICY_STAGE;
    if (!waits || isPolicy || join.kind !== "enrol" || !mayCome(d, join.dst)) return `${why}.`;
    return goOn(d, ipcps, entry, why, cause);
  }
  const why = await bindAndRegister(d, ipcps, entry, pid);
  if (why !== undefined) return why;
  for (const { dst, comp, qos } of connectionsOf(entry)) {
    const msg = { code: IrmCode.IRM_CONNECT_IPCP, pid, dst, comp, qos };
    const cause = causeOf(await ipcps.connect(msg, true));
    const what = comp === COMP_MANAGEMENT ? "management" : "data transfer";
    if (cause === undefined) continue;
    const why = `Failed to connect ${name} to ${dst} (${what}): ${cause}`;
    return waits ? goOn(d, ipcps, entry, why, cause) : `${why}.`;
  }
  return undefined;
}

/** Whether a member can answer to a name later on: it is known here, or some IPCP reaches other hosts. */
function mayCome(d: Daemon, dst: string): boolean {
  return d.registry.names.has(dst) ||
    d.registry.ipcps.list().some((i) => i.layer !== NOT_ENROLLED && i.type !== IpcpType.LOCAL);
}

/** An IPCP that is there goes on trying what others were needed for, and the daemon goes on. */
function goOn(
  d: Daemon,
  ipcps: Ipcps,
  entry: IpcpEntryConfig,
  why: string,
  cause: string,
): undefined {
  d.log.child("irmd/configuration").warn(
    `${why} (line ${entry.line}); it is tried until that succeeds (irm ipcp list).`,
  );
  const plan = d.registry.ipcps.byName(entry.name)?.plan;
  if (plan === undefined) return; // It is gone, and that was noticed.
  const done = [...plan.connections];
  fill(d, plan, entry);
  ipcps.goOn(plan, cause, done);
}

async function bindAndRegister(
  d: Daemon,
  ipcps: Ipcps,
  entry: IpcpEntryConfig,
  pid: number,
): Promise<string | undefined> {
  const { name, autobind, bind } = entry;
  const layer = d.registry.ipcps.get(pid)?.layer ?? NOT_ENROLLED;
  const own = !autobind ? [] : layer === NOT_ENROLLED ? [name] : [name, layer];
  for (const n of new Set([...own, ...bind])) {
    if (d.registry.bindProcess(pid, n) < 0) return `Failed to bind ${pid} to ${n}.`;
    d.log.info(`Bound process ${pid} to name ${n}.`);
  }
  for (const n of new Set(entry.reg)) {
    registrable(d, n);
    const why = causeOf(
      await ipcps.register({ code: IrmCode.IRM_REG_NAME, name: n, pid }, true),
    );
    if (why !== undefined) return `Failed to register ${n} with ${name}: ${why}.`;
  }
  return undefined;
}

/** A name that is registered is there. */
function registrable(d: Daemon, name: string): void {
  d.registry.createName({ name, polLb: 1, skey: "", scrt: "", ckey: "", ccrt: "" });
}

/** All connections of a table: of `conn` each component, then those of `connect`. */
function connectionsOf({ join, connect }: IpcpEntryConfig): PlannedConnection[] {
  const ofJoin = join.kind !== "enrol"
    ? []
    : join.conn.flatMap((dst) => join.components.map((comp) => ({ dst, comp, qos: QOS.raw })));
  const own = connect.map(({ dst, component, qos }) => ({
    dst,
    comp: component === "mgmt" ? COMP_MANAGEMENT : COMP_DATA_TRANSFER,
    qos: QOS[qos],
  }));
  return [...ofJoin, ...own];
}

/** Makes an IPCP as far as that goes now; the rest is tried again until it is so (`retry`). */
async function keepIpcp(
  d: Daemon,
  ipcps: Ipcps,
  entry: IpcpEntryConfig,
): Promise<string | undefined> {
  const plan = new IpcpPlan(entry.type, entry.name);
  fill(d, plan, entry);
  const cause = await ipcps.keep(plan);
  return cause === undefined ? undefined : `Failed to make IPCP ${entry.name}: ${cause}.`;
}

/** Puts into a plan all that an entry says. */
function fill(d: Daemon, plan: IpcpPlan, entry: IpcpEntryConfig): void {
  const { join } = entry;
  if (join.kind === "bootstrap") plan.join = { kind: "bootstrap", conf: join.conf };
  if (join.kind === "enrol") {
    plan.join = { kind: "enroll", dst: join.dst, policies: join.policies };
  }
  plan.autobind = entry.autobind;
  plan.bound = entry.autobind ? [entry.name, ...entry.bind] : entry.bind;
  for (const c of connectionsOf(entry)) plan.connected(c);
  for (const name of entry.reg) {
    registrable(d, name);
    plan.registered.add(name);
  }
}
