/**
 * `ouro irmd`: the command line, the start and the end of the daemon (spec 20 §14, §15).
 */

import { didYouMean } from "../lib/cli/nearest.ts";
import { fileCause, printable } from "../lib/cli/reason.ts";
import { Errno } from "../lib/errno.ts";
import { keepHeapSmall } from "../lib/heap.ts";
import { currentInstance, type Instance, irmSocketPath } from "../lib/instance.ts";
import { stdout } from "../lib/cli/outlet.ts";
import { hurryUp } from "../lib/hurry.ts";
import { countingSink, Logger, stdoutSink } from "../lib/log.ts";
import { takePrefix } from "../lib/prefix.ts";
import { Lockfile } from "../lib/shm/lockfile.ts";
import { GSPP } from "../lib/shm/layout.ts";
import { EventSource } from "../lib/sys/epoll.ts";
import { SysError } from "../lib/sys/ffi.ts";
import type { ShmObject } from "../lib/sys/mman.ts";
import { raiseDescriptorLimit } from "../lib/sys/process.ts";
import { onSignals, Signal } from "../lib/sys/signals.ts";
import { noSyslog, syslogSink } from "../lib/sys/syslog.ts";
import { effectiveGid, effectiveUid, groupGid } from "../lib/sys/users.ts";
import { OapService } from "../security/oap/mod.ts";
import { servedFileIn } from "../security/replay_journal.ts";
import { applyConfig, loadConfig, type LoadedConfig, Reread } from "./apply_config.ts";
import { Children } from "./children.ts";
import { Costly } from "./costly.ts";
import type { Daemon, DaemonOptions } from "./daemon.ts";
import { dispatch } from "./dispatch.ts";
import { applyEffects, reclaimLater } from "./effects.ts";
import { IpcpClient } from "./ipcp_client.ts";
import { Ipcps } from "./ipcps.ts";
import { type Shares, sharesOf } from "./limits.ts";
import { FILE_LIMIT, Objects } from "./objects.ts";
import { Registry } from "./registry/mod.ts";
import { RibDir } from "./rib_dir.ts";
import { statfsSync } from "node:fs";
import { RUN_AS_WORD, runAsMain } from "./run_as.ts";
import { Server } from "./server.ts";
import { shutDown } from "./shutdown.ts";
import { StartError, takeLock } from "./stale.ts";
import { Upkeep, UPKEEP_WORD, upkeepMain } from "./upkeep.ts";

/** The release of the prototype that this daemon takes the place of. */
const VERSION = "Ouroboros version 0.23.0";

const USAGE = `Usage: irmd
     [--config <path> (Path to configuration file)]
     [--stdout (Print to stdout instead of logs)]
     [--version (Print version number and exit)]
     [--prefix <dir> (Run a node of its own below this directory)]
     [--no-direct (Let flows between processes of this host go over an IPCP)]
     [--ipcp-dir <dir> (Take IPCP programs from there instead of this program)]
     [--rib <on|off> (Show what the node knows below /tmp/ouroboros, or not)]
     [--patience <n> (Wait n times as long for IPCPs and programs)]
     [--debug (Log more)]
`;

/** Its words, for those that are none. */
const WORDS = [
  "--config",
  "--stdout",
  "--version",
  "--prefix",
  "--no-direct",
  "--ipcp-dir",
  "--rib",
  "--patience",
  "--debug",
  "--help",
];

/** Period of the sanitizer, ms (spec 20 §1). */
const SANITIZER_MS = 1000;
/** What the system's node knows over a reboot. */
const STATE_DIR = "/var/lib/ouroboros";

interface Arguments {
  readonly toStdout: boolean;
  readonly debug: boolean;
  readonly direct: boolean | undefined;
  readonly config: string | undefined;
  readonly ipcpDir: string | undefined;
  readonly patience: number;
}

/** A number of `--patience` or `OURO_PATIENCE`; undefined if it is none. */
function patienceOf(word: string | undefined): number | undefined {
  return word !== undefined && /^[1-9]\d?$/.test(word) ? Number(word) : undefined;
}

/** Looks a variable up. */
type Environment = (name: string) => string | undefined;

/** The process's own; looked up here and handed on. */
const environment: Environment = (name) => Deno.env.get(name);

/**
 * Runs the daemon until it is told to end; gives the exit code.
 * @param ownPrograms names of the programs that are in this binary
 */
export async function main(args: string[], ownPrograms: readonly string[]): Promise<number> {
  const words = takePrefix(args);
  if (words === undefined) return 1;
  const instance = currentInstance();
  if (words[0] === UPKEEP_WORD) return await upkeepMain(instance);
  if (words[0] === RUN_AS_WORD) return runAsMain(words.slice(1), Deno.env.toObject());
  const parsed = parse(words, environment);
  if (typeof parsed === "number") return parsed;
  keepHeapSmall();
  // What is made here has the modes that are asked for, whoever starts the daemon.
  Deno.umask(0o022);
  const ownUid = effectiveUid();
  if (ownUid !== 0 && instance.prefix === "") {
    print("IPC Resource Manager must be run as root.\n");
    return 1;
  }
  const sink = countingSink(
    parsed.toStdout ? stdoutSink((line) => stdout.offer(line)) : syslogSink("irmd"),
  );
  const log = new Logger(sink, "irmd", parsed.debug);
  let lock: ShmObject;
  try {
    lock = await takeLock(instance, log);
  } catch (e) {
    return cannotStart(log, parsed, e);
  }
  try {
    return await run(instance, ownUid, parsed, log, ownPrograms);
  } catch (e) {
    return cannotStart(log, parsed, e);
  } finally {
    hurryUp();
    Lockfile.unlink(instance);
    lock.close();
  }
}

function print(text: string): void {
  stdout.writeSync(new TextEncoder().encode(text));
}

/** One line for a person at a terminal, on stderr. */
function complain(text: string): void {
  // deno-lint-ignore no-console -- the process ends, and has no log yet
  console.error(`irmd: ${printable(text)}`);
}

/** What the words ask for, or the exit code when that is all. */
function parse(words: readonly string[], variable: Environment): Arguments | number {
  let toStdout = false;
  let debug = variable("OURO_DEBUG") === "1";
  let direct: boolean | undefined;
  let config: string | undefined;
  let ipcpDir = variable("OURO_IPCP_DIR") || undefined;
  let patience = patienceOf(variable("OURO_PATIENCE")) ?? 1;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "--stdout") toStdout = true;
    else if (word === "--debug") {
      debug = true;
      // Children are told by the variable.
      Deno.env.set("OURO_DEBUG", "1");
    } else if (word === "--no-direct") direct = false;
    // As the last word it names no file (spec 21 part B).
    else if (word === "--config") config = words[++i];
    else if (word === "--ipcp-dir" && i + 1 < words.length) ipcpDir = words[++i];
    // Children are told by the variable.
    else if (word === "--rib" && /^(on|off)$/.test(words[i + 1] ?? "")) {
      Deno.env.set("OURO_RIB", words[++i]!);
    } else if (word === "--patience" && patienceOf(words[i + 1]) !== undefined) {
      patience = patienceOf(words[++i])!;
    } else if (word === "--version") {
      print(`${VERSION}\n`);
      return 0;
    } else {
      print(USAGE);
      if (word === "--help" || word === "-h") return 0;
      const what = word === "--ipcp-dir"
        ? "--ipcp-dir needs a directory"
        : word === "--rib"
        ? "--rib is on or off"
        : word === "--patience"
        ? "--patience is a number from 1 to 99"
        : `unknown word "${word}"${didYouMean(word, WORDS)}`;
      complain(what);
      return 1;
    }
  }
  return { toStdout, debug, direct, config, ipcpDir, patience };
}

/** The one line for a start that failed; in syslog mode a person at a terminal sees it too. */
function cannotStart(log: Logger, args: Arguments, e: unknown): number {
  let text: string;
  if (e instanceof StartError) text = e.message;
  else if (e instanceof SysError) text = `Cannot start: ${e.message}.`;
  else text = `Cannot start: ${fileCause(e)}.`;
  if (text.startsWith("IRMd already running")) log.warn(text);
  else log.error(text);
  if (!args.toStdout) complain(text);
  return 1;
}

async function run(
  instance: Instance,
  ownUid: number,
  args: Arguments,
  log: Logger,
  ownPrograms: readonly string[],
): Promise<number> {
  const descriptors = raiseDescriptorLimit();
  const loaded = args.config === undefined ? undefined : loadConfig(args.config, log);
  if (loaded?.kind === "failed") {
    if (!args.toStdout) complain(loaded.cause);
    return 1;
  }
  const options: DaemonOptions = {
    toStdout: args.toStdout,
    direct: args.direct ?? loaded?.config.daemon.direct ?? true,
    askLayers: loaded?.config.daemon.askLayers ?? true,
    totals: loaded?.config.daemon.totals ?? {},
    ipcpDir: args.ipcpDir,
    patience: args.patience,
    ownPrograms,
  };
  makeDirectories(instance);
  const gid = groupGid();
  if (gid === undefined) log.warn(`ouroboros group not found, using gid ${effectiveGid()}.`);
  const shared = ownUid === 0 ? { uid: 0, gid: gid ?? effectiveGid() } : undefined;
  const shares = sharesOf(options.totals, descriptors, shmBytes());
  const objects = new Objects(instance, log, shared, shares.memory);
  createGspp(objects, log);
  try {
    const served = `${instance.socketDir}.served`;
    using oap = new OapService({
      securityDir: instance.securityDir,
      servedFile: instance.prefix === "" ? servedFileIn(STATE_DIR, served) : served,
      log: log.child("irmd/oap"),
    });
    const refused = await oap.start();
    if (refused !== undefined) throw new StartError(refused.reason);
    return await serve(instance, ownUid, options, loaded, log, objects, shares, oap);
  } finally {
    objects.removeGspp();
  }
}

/** What there is in /dev/shm besides the global pool; a file system that does not say counts as large. */
function shmBytes(): number {
  try {
    const { bsize, blocks } = statfsSync("/dev/shm");
    return Math.max(bsize * blocks - GSPP.fileBytes, 0);
  } catch {
    return 2 ** 40;
  }
}

function makeDirectories(instance: Instance): void {
  try {
    if (isDirectory(instance.socketDir)) return;
    Deno.mkdirSync(instance.socketDir, { recursive: true });
    // Whatever the umask is: clients of all users must get to the socket.
    Deno.chmodSync(instance.socketDir, 0o755);
  } catch (e) {
    throw new StartError(`Failed to create ${instance.socketDir}: ${fileCause(e)}.`);
  }
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

function createGspp(objects: Objects, log: Logger): void {
  try {
    objects.createGspp();
  } catch (e) {
    if (!(e instanceof SysError)) throw e;
    log.error("Failed to create GSPP.");
    const mib = Math.ceil(GSPP.fileBytes / (1 << 20));
    throw new StartError(
      e.errno === Errno.ENOSPC
        ? `/dev/shm is too small: the packet pool needs ${mib} MiB (mount -o remount,size=${
          2 * mib
        }m /dev/shm).`
        : e.errno === Errno.EFBIG
        ? `The packet pool needs ${mib} MiB: ${FILE_LIMIT}.`
        : e.errno === Errno.EEXIST || e.errno === Errno.EACCES
        ? `${e.message}; remove /dev/shm${e.object} and start again.`
        : `${e.message}.`,
    );
  }
}

async function serve(
  instance: Instance,
  ownUid: number,
  options: DaemonOptions,
  loaded: LoadedConfig | undefined,
  log: Logger,
  objects: Objects,
  shares: Shares,
  oap: OapService,
): Promise<number> {
  // A defect in one callback must not take everybody's flows down.
  EventSource.onError = (e) => log.error(`Event failed: ${e instanceof Error ? e.message : e}.`);
  const life = { ending: false };
  const { d, ipcps } = assemble(instance, ownUid, options, log, objects, shares, oap, life);

  // From here on a signal ends the daemon in order; further ones are ignored (spec 20 §19.20).
  const { promise: stopped, resolve: stop } = Promise.withResolvers<undefined>();
  const reread = new Reread(d, ipcps, loaded);
  using _signals = onSignals(
    [Signal.HUP, Signal.INT, Signal.QUIT, Signal.TERM],
    ({ signal }) => {
      if (life.ending) return;
      if (signal === Signal.HUP) return reread.ask();
      life.ending = true;
      log.info("IRMd shutting down...");
      stop(undefined);
    },
  );

  using _orphans = Deno.pid === 1 ? d.children.reapOrphans() : undefined;
  const server = new Server(
    instance,
    ownUid === 0 ? 0o666 : 0o600,
    log,
    (client, packet) => dispatch(d, ipcps, client, packet),
    shares.connections,
    (uid) => uid === ownUid ? 0 : uid,
  );
  const sanitizer = setInterval(() => {
    d.registry.expire(d.nowMs());
    d.costly.sweep();
  }, SANITIZER_MS);
  let code = 0;
  try {
    d.rib.show(d.registry);
    const mute = options.toStdout ? undefined : noSyslog();
    if (mute !== undefined) complain(mute);
    log.info("Ouroboros IPC Resource Manager daemon started...");
    if (loaded !== undefined) {
      const cause = await Promise.race([applyConfig(d, ipcps, loaded.config), stopped]);
      if (cause !== undefined) {
        if (!options.toStdout) complain(cause);
        const configLog = log.child("irmd/configuration");
        configLog.error("Failed to load configuration.");
        configLog.error("Failed to load config file.");
        code = 1;
        life.ending = true;
        stop(undefined);
      }
    }
    reread.ready();
    await stopped;
    ipcps.close();
    await shutDown(d, ipcps);
  } finally {
    clearInterval(sanitizer);
    server.close();
    d.upkeep.close();
    d.costly[Symbol.dispose]();
    d.children.close();
    removeObjects(d);
    await d.rib.close();
    try {
      await Deno.remove(irmSocketPath(instance));
    } catch {
      // Somebody has removed it already.
    }
  }
  log.info("Ouroboros IPC Resource Manager daemon exited. Bye.");
  return code;
}

/** The parts of the daemon, and what happens when a process ends. */
function assemble(
  instance: Instance,
  ownUid: number,
  options: DaemonOptions,
  log: Logger,
  objects: Objects,
  shares: Shares,
  oap: OapService,
  life: { readonly ending: boolean },
): { d: Daemon; ipcps: Ipcps } {
  const startMs = performance.now();
  const rib = new RibDir(instance, log);
  const registry: Registry = new Registry(
    { securityDir: instance.securityDir },
    (effects) => applyEffects(d, effects),
  );
  const children = new Children(instance, log, !options.toStdout, options.ipcpDir, environment, {
    started: (pid, path) => registry.spawned.set(pid, { pid, kind: "program", what: path }),
    ended: (pid, code) => ended(pid, code),
  }, options.ownPrograms);
  const ipcpLog = log.child("irmd/ipcp");
  const d: Daemon = {
    instance,
    options,
    ownUid,
    configuring: true,
    leaving: new Set(),
    log,
    ipcpLog,
    ipcpClient: new IpcpClient(instance, ipcpLog, options.patience),
    registry,
    objects,
    shares,
    oap,
    costly: new Costly(shares.exchanges),
    children,
    upkeep: new Upkeep(children),
    rib,
    nowMs: () => performance.now() - startMs,
  };
  const ipcps = new Ipcps(d);
  const ended = (pid: number, code: number) => {
    const boundTo = [...registry.procs.get(pid)?.names ?? []];
    const gone = registry.processGone(pid, d.nowMs());
    if (gone?.proc !== undefined) log.info(`Process ${pid} died.`);
    if (gone?.ipcp !== undefined && !life.ending) {
      log.warn(`IPCP ${pid} (${gone.ipcp.name}) ended${code > 0 ? ` with status ${code}` : ""}.`);
      ipcps.lost(gone.ipcp, boundTo, code);
    }
    ipcps.onEnded(pid, code);
    rib.forget(pid, gone?.ipcp?.name);
    if (gone?.proc !== undefined) reclaimLater(d, gone.proc);
    else if (d.leaving.has(pid)) reclaimLater(d, { pid, flowUid: 0, hadFlow: true });
    d.leaving.delete(pid);
  };
  return { d, ipcps };
}

/** Unlinks what processes that are still there use: their flows go down (spec 20 §15.4). */
function removeObjects(d: Daemon): void {
  for (const flow of d.registry.flows.all()) {
    if (!flow.rings) continue;
    for (const pid of [flow.nPid, flow.n1Pid]) {
      if (flow.uid === 0) d.objects.flowDown(flow.id, pid, 0);
      else d.objects.markDown(flow.id, pid);
    }
    d.objects.removeRings(flow.id, [flow.nPid, flow.n1Pid]);
  }
  for (const pid of d.registry.procs.keys()) {
    d.objects.removeFlowSet(pid);
    d.rib.programs?.gone(pid);
  }
  for (const pool of d.registry.pools.all()) d.objects.removePup(pool.uid);
}
