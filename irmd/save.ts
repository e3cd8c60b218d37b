/** IRM_SAVE, ours: the state of the node as a configuration file that makes it again, and what that cannot hold. */

import { Errno } from "../lib/errno.ts";
import {
  COMP_DATA_TRANSFER,
  COMP_MANAGEMENT,
  CONFIG_TEXT_BYTES_MAX,
  IPCP_TYPE_WORDS,
  NOT_ENROLLED,
  PolLb,
} from "../lib/irm/messages.ts";
import { printable } from "../lib/printable.ts";
import { QOS, QOS_WORDS, type QosSpec, type QosWord, sameQos } from "../lib/qos.ts";
import { failed, ok, type Outcome } from "./answer.ts";
import { parseConfig } from "./config.ts";
import { componentsOf } from "./config/ipcps.ts";
import { renderDaemon, renderEntry, savedForm } from "./config/render.ts";
import type {
  ConfigEntry,
  ConnectConfig,
  IpcpEntryConfig,
  JoinConfig,
  NameConfig,
  ProgramConfig,
  SecurityPaths,
} from "./config/types.ts";
import type { Daemon } from "./daemon.ts";
import type { Ipcps } from "./ipcps.ts";
import {
  baseName,
  type BoundTo,
  compareBytes,
  type IpcpPlan,
  type NameRecord,
  type PlannedConnection,
} from "./registry/mod.ts";

/** How much of what is not saved is named. */
const UNSAVED_MAX = 100;
const HEAD =
  "# The state of a node, as irm save gives it. Flows and bindings of processes are not in it.\n";

/** See the file's comment. */
export function saveState(d: Daemon, ipcps: Ipcps): Outcome {
  if (d.configuring) {
    // What is to come would not be in it, and the file that is read may be the one that is written.
    const cause = "what the configuration file says is still being made (irm ipcp list); try again";
    return failed(-Errno.EBUSY, "save", cause);
  }
  const unsaved: string[] = [];
  const entries = [
    ...d.registry.names.list().toSorted((a, b) => compareBytes(a.name, b.name))
      .flatMap((record) => nameEntry(d, record, unsaved)),
    ...byType(plansOf(d, ipcps)).map((plan) => ipcpEntry(d, plan, unsaved)),
  ];
  processesUnsaved(d, unsaved);
  const { direct, askLayers, totals } = d.options;
  const daemon = renderDaemon({
    direct: direct ? undefined : false,
    askLayers: askLayers ? undefined : false,
    retry: true,
    totals,
  });
  const tables = entries.map((entry) => checked(entry, unsaved));
  if (unsaved.length > UNSAVED_MAX) {
    const more = unsaved.length - UNSAVED_MAX;
    unsaved.splice(UNSAVED_MAX, more, `${more} more`);
  }
  const comments = unsaved.map((what) => `# Not saved: ${printable(what)}.\n`).join("");
  const config = [HEAD + comments, daemon, ...tables].filter((t) => t !== "").join("\n");
  if (new TextEncoder().encode(config).length > CONFIG_TEXT_BYTES_MAX) {
    return failed(
      -Errno.EMSGSIZE,
      "save",
      `the state takes more than ${CONFIG_TEXT_BYTES_MAX} bytes`,
    );
  }
  return ok({ config, unsaved });
}

/** IPCPs that run or are to be made again. */
function plansOf(d: Daemon, ipcps: Ipcps): IpcpPlan[] {
  return [...d.registry.ipcps.list().map(({ plan }) => plan), ...ipcps.waiting()];
}

/**
 * In the order in which a file makes them: those that were first told to get into a layer first, but all of one type
 * together.
 */
function byType(plans: readonly IpcpPlan[]): IpcpPlan[] {
  const order = (p: IpcpPlan) => p.order === 0 ? Infinity : p.order;
  const first = new Map<number, number>();
  for (const p of plans) first.set(p.type, Math.min(first.get(p.type) ?? Infinity, order(p)));
  return plans.toSorted((a, b) =>
    compare(first.get(a.type)!, first.get(b.type)!) || a.type - b.type ||
    compare(order(a), order(b)) || compareBytes(a.name, b.name)
  );
}

/** Infinity is equal to itself. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a - b;
}

function nameEntry(d: Daemon, record: NameRecord, unsaved: string[]): NameConfig[] {
  const { name, polLb, asker } = record;
  if (polLb !== PolLb.ROUND_ROBIN && polLb !== PolLb.SPILLOVER) {
    unsaved.push(`name "${name}", whose load-balancing policy ${polLb} is unknown`);
    return [];
  }
  const defaults = d.registry.defaultPaths(name);
  const security: SecurityPaths = Object.fromEntries(
    Object.entries(record.paths).map(([k, p]) => [k, p === defaults[k as never] ? "" : p]),
  ) as unknown as SecurityPaths;
  const by = asker === undefined ? undefined : String(asker.uid);
  return [{
    kind: "name",
    line: 0,
    name,
    polLb,
    security,
    by,
    programs: programsOf(d, record),
  }];
}

/** Those that are started last, so that the one that is started now is again. */
function programsOf(d: Daemon, record: NameRecord): ProgramConfig[] {
  const auto = record.autostart.toReversed();
  const program = (prog: string, path: string, args: readonly string[] | undefined) => {
    const binding = d.registry.progs.get(prog)?.names.get(record.name);
    if (binding === undefined) return [];
    const by = binding.by ?? d.ownUid;
    return [{
      line: 0,
      path,
      args,
      boundFor: wordsFor(binding.to, by),
      by: by === d.ownUid ? undefined : String(by),
    }];
  };
  const started = new Set(auto.map(({ argv }) => baseName(argv[0]!)));
  const other = [...d.registry.progs.keys()].filter((prog) => !started.has(prog)).toSorted();
  return [
    ...other.flatMap((prog) => program(prog, prog, undefined)),
    ...auto.flatMap(({ argv: [path, ...args] }) => program(baseName(path!), path!, args)),
  ];
}

function wordsFor(to: BoundTo, by: number): ProgramConfig["boundFor"] {
  switch (to.kind) {
    case "user":
      return to.uid === by ? undefined : { user: String(to.uid), group: undefined, any: undefined };
    case "group":
      return { user: undefined, group: String(to.gid), any: undefined };
    case "any":
      return { user: undefined, group: undefined, any: 1 };
  }
}

function ipcpEntry(d: Daemon, plan: IpcpPlan, unsaved: string[]): IpcpEntryConfig {
  const { type, name } = plan;
  const ipcp = d.registry.ipcps.byName(name);
  const layer = ipcp === undefined || ipcp.layer === NOT_ENROLLED ? undefined : ipcp.layer;
  const bound = new Set(
    ipcp === undefined ? plan.bound : d.registry.procs.get(ipcp.pid)?.names ?? [],
  );
  // Those that it has as a process of its program come with the program's binding.
  for (const n of d.registry.progs.get(`ipcpd-${IPCP_TYPE_WORDS[type]}`)?.names.keys() ?? []) {
    bound.delete(n);
  }
  const autobind = bound.has(name) && (layer === undefined ? plan.autobind : bound.has(layer));
  if (autobind) {
    bound.delete(name);
    if (layer !== undefined) bound.delete(layer);
  }
  const names = d.registry.names;
  return {
    kind: "ipcp",
    line: 0,
    type,
    name,
    join: joinOf(plan),
    autobind,
    bind: [...bound].toSorted(),
    reg: [...plan.registered].filter((n) => names.has(n)).toSorted(),
    connect: plan.connections.flatMap((c) => connectOf(plan, c, unsaved)),
  };
}

function joinOf({ type, join }: IpcpPlan): JoinConfig {
  switch (join.kind) {
    case "none":
      return join;
    case "enroll":
      return {
        kind: "enrol",
        dst: join.dst,
        conn: [],
        components: componentsOf(type),
        policies: join.policies,
      };
    case "bootstrap": {
      const conf = savedForm(join.conf);
      return { kind: "bootstrap", layer: conf.layerInfo.name, conf };
    }
  }
}

function connectOf(plan: IpcpPlan, c: PlannedConnection, unsaved: string[]): ConnectConfig[] {
  const qos = wordOfQos(c.qos);
  const { dst, comp } = c;
  const component = comp === COMP_MANAGEMENT
    ? "mgmt" as const
    : comp === COMP_DATA_TRANSFER
    ? "dt" as const
    : undefined;
  if (qos !== undefined && component !== undefined) return [{ dst, component, qos }];
  const why = qos === undefined ? "its QoS is no cube" : `"${comp}" is no component`;
  unsaved.push(`connection of IPCP "${plan.name}" to "${dst}": ${why}`);
  return [];
}

function wordOfQos(qos: QosSpec): QosWord | undefined {
  return QOS_WORDS.find((word) => sameQos(QOS[word], qos));
}

/** Bindings of processes end with them; what they have from their programs is saved there. */
function processesUnsaved(d: Daemon, unsaved: string[]): void {
  for (const proc of d.registry.procs.values()) {
    if (d.registry.ipcps.has(proc.pid)) continue;
    const inherited = d.registry.progs.get(proc.prog)?.names;
    for (const name of proc.names) {
      if (inherited?.has(name)) continue;
      unsaved.push(
        `process ${proc.pid} (${proc.prog}) is bound to name "${name}" as long as it runs ` +
          `(saved is: irm bind program PROGRAM name NAME)`,
      );
    }
  }
}

/** The text of one table, provided that it says what the state is; otherwise it is named. */
function checked(entry: ConfigEntry, unsaved: string[]): string {
  const text = renderEntry(entry);
  const parsed = parseConfig(text, "save");
  const same = !Array.isArray(parsed) &&
    canonical({ ...parsed.entries[0], line: 0 }) === canonical(entry);
  if (same) return text;
  const why = Array.isArray(parsed) ? parsed[0]!.text : "it has values that a file cannot say.";
  const what = entry.kind === "name" ? "name" : `IPCP of type ${IPCP_TYPE_WORDS[entry.type]}`;
  unsaved.push(`${what} "${entry.name}": ${why.replace(/\.$/, "")}`);
  return "";
}

/** Equal for equal values, whatever the order of their keys; lines of a file do not count. */
function canonical(v: unknown): string {
  return JSON.stringify(v, (k, x) => {
    if (k === "line") return undefined;
    if (typeof x === "bigint") return String(x);
    if (x instanceof Uint8Array) return [...x];
    if (typeof x !== "object" || x === null || Array.isArray(x)) return x;
    const entries = Object.entries(x).filter(([, y]) => y !== undefined);
    return Object.fromEntries(entries.toSorted(([a], [b]) => a < b ? -1 : 1));
  });
}
