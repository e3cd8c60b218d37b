/**
 * The configuration file of the IRMd (spec 21 part B): text in, a checked list of things to make out.
 *
 * Pure: nothing is looked up, nothing is made. The whole file is checked before anything of it is
 * applied, and every error says file and line. `applied in order` means: top-level tables in the order
 * in which they first appear, all subtables of one together, in file order.
 */

import { IPCP_TYPE_WORDS, type IpcpConfig, IpcpType, type PolicyRef } from "../lib/irm/messages.ts";
import { readIpcp } from "./config/ipcps.ts";
import { readName } from "./config/names.ts";
import { meantWord, Problems, TableReader } from "./config/table.ts";
import { parseToml, TomlError, type TomlTable, type TomlValue } from "./config/toml.ts";
import type {
  ConfigEntry,
  DaemonConfig,
  IpcpEntryConfig,
  IrmdConfig,
  JoinConfig,
  SecurityPaths,
} from "./config/types.ts";
import { ConfigError } from "./config/types.ts";
import { deviceTaken } from "./devices.ts";

export * from "./config/types.ts";

/** Bytes of a file beyond which it is not read: a larger one is not a configuration. */
export const CONFIG_BYTES_MAX = 1 << 20;

/** Reads a configuration. `file` is its name in messages. Errors come in the order of the file. */
export function parseConfig(text: string, file: string): IrmdConfig | ConfigError[] {
  const root = parseToml(text);
  if (root instanceof TomlError) {
    const sentence = `Failed to parse config file: line ${root.line}: ${root.reason}.`;
    return [new ConfigError(file, root.line, sentence)];
  }
  const problems = new Problems(file);
  const entries: ConfigEntry[] = [];
  let daemon: DaemonConfig = {
    direct: undefined,
    askLayers: undefined,
    retry: undefined,
    totals: {},
  };
  for (const [key, value] of root.entries) {
    const type = (IPCP_TYPE_WORDS as readonly string[]).indexOf(key);
    if (key !== "name" && key !== "irmd" && type < 0) {
      const meant = meantWord(key, ["name", "irmd", ...IPCP_TYPE_WORDS]);
      problems.add(value.line, `Unknown toplevel key: ${key}.${meant}`);
      continue;
    }
    if (value.kind !== "table") {
      problems.add(value.line, `${key} must be a table.`);
    } else if (key === "irmd") {
      daemon = readDaemon(value, problems);
    } else {
      for (const [name, table] of subtables(key, value, problems)) {
        entries.push(
          key === "name" ? readName(name, table, problems) : readIpcp(type, name, table, problems),
        );
      }
    }
  }
  checkTogether(entries, problems);
  if (problems.errors.length > 0) {
    return problems.errors.sort((a, b) => a.line - b.line);
  }
  return { daemon, entries, warnings: problems.warnings };
}

/** IPCPs that cannot be beside each other are refused before the first of them is made. */
function checkTogether(entries: readonly ConfigEntry[], problems: Problems): void {
  const ipcps = new Map<string, IpcpEntryConfig>();
  const configurations: [string, IpcpConfig][] = [];
  for (const entry of entries.toSorted((a, b) => a.line - b.line)) {
    if (entry.kind !== "ipcp") continue;
    const { name, line, join } = entry;
    const other = ipcps.get(name);
    if (other !== undefined) {
      problems.add(line, `There is an IPCP "${name}" already (line ${other.line}).`);
    }
    ipcps.set(name, entry);
    if (join.kind !== "bootstrap") continue;
    const taken = deviceTaken(join.conf, configurations);
    if (taken !== undefined) problems.add(line, `Failed to bootstrap ${name}: ${taken}.`);
    configurations.push([name, join.conf]);
  }
}

function subtables(
  key: string,
  parent: TomlTable,
  problems: Problems,
): [string, TomlTable][] {
  return [...parent.entries].flatMap(([name, value]: [string, TomlValue]) => {
    if (value.kind === "table") return [[name, value] as [string, TomlTable]];
    problems.add(value.line, `${key}.${name} must be a table.`);
    return [];
  });
}

function readDaemon(table: TomlTable, problems: Problems): DaemonConfig {
  const reader = new TableReader(table, "[irmd]", problems);
  const direct = reader.boolean("direct");
  const askLayers = reader.boolean("ask-layers");
  const retry = reader.boolean("retry");
  const total = (key: string, unit = 1): number | undefined => {
    const n = reader.integer(key);
    if (n === undefined || (n >= 16 && n <= 2 ** 32)) return n === undefined ? n : n * unit;
    problems.add(reader.lineOf(key), `${key} in [irmd] must be from 16 to ${2 ** 32}.`);
    return undefined;
  };
  const said = {
    connections: total("connections"),
    processes: total("processes"),
    memory: total("memory-mib", 2 ** 20),
    exchanges: total("exchanges"),
  };
  const totals = Object.fromEntries(Object.entries(said).filter(([, n]) => n !== undefined));
  reader.finish();
  return { direct, askLayers, retry, totals };
}

/** A path without links, or the sentence of the C library for what is wrong with it. */
export type ResolvePath = (path: string) => { readonly path: string } | { readonly error: string };

/** Files that take the place of policies. */
function policiesOf(join: JoinConfig): readonly PolicyRef[] {
  if (join.kind === "enrol") return join.policies;
  if (join.kind !== "bootstrap" || join.conf.ipcpType !== IpcpType.UNICAST) return [];
  return join.conf.unicast.policies ?? [];
}

/**
 * Resolves the security paths of all names, which must exist, as must the files of policies. Names without paths share
 * nothing: each keeps its own defaults.
 */
export function resolvePaths(
  config: IrmdConfig,
  file: string,
  resolve: ResolvePath,
): IrmdConfig | ConfigError[] {
  const errors: ConfigError[] = [];
  const entries = config.entries.map((entry) => {
    const resolved = (path: string): string => {
      if (path === "") return "";
      const real = resolve(path);
      if ("path" in real) return real.path;
      errors.push(
        new ConfigError(file, entry.line, `Failed to check path ${path}: ${real.error}.`),
      );
      return path;
    };
    if (entry.kind !== "name") {
      // Named as they are: who reads them looks at links, too.
      for (const { file } of policiesOf(entry.join)) resolved(file);
      return entry;
    }
    const { senc, scrt, skey, cenc, ccrt, ckey } = entry.security;
    const security: SecurityPaths = {
      senc: resolved(senc),
      scrt: resolved(scrt),
      skey: resolved(skey),
      cenc: resolved(cenc),
      ccrt: resolved(ccrt),
      ckey: resolved(ckey),
    };
    return { ...entry, security };
  });
  return errors.length > 0 ? errors : { ...config, entries };
}
