/**
 * `[<type>.<ipcp name>]` of the configuration (spec 21 B3): what an IPCP joins and registers.
 * Pure.
 */

import { bootstrapConfig } from "../../lib/irm/bootstrap_options.ts";
import {
  COMP_DATA_TRANSFER,
  COMP_MANAGEMENT,
  IPCP_TYPE_WORDS,
  IpcpType,
} from "../../lib/irm/messages.ts";
import { nameValid } from "./names.ts";
import { readOptions } from "./options.ts";
import { type Problems, TableReader } from "./table.ts";
import type { TomlTable } from "./toml.ts";
import type { IpcpEntryConfig, JoinConfig } from "./types.ts";

/** Reads one table. The result counts only if nothing was added to the problems. */
export function readIpcp(
  type: number,
  name: string,
  table: TomlTable,
  problems: Problems,
): IpcpEntryConfig {
  nameValid(name, table.line, problems);
  const reader = new TableReader(table, `[${IPCP_TYPE_WORDS[type]}.${name}]`, problems);
  const join = readJoin(type, name, reader, problems);
  const autobind = reader.boolean("autobind") ?? false;
  const reg = reader.strings("reg").map(({ value }) => value);
  reader.finish();
  return { kind: "ipcp", line: table.line, type, name, join, autobind, reg };
}

function readJoin(
  type: number,
  name: string,
  reader: TableReader,
  problems: Problems,
): JoinConfig {
  const layer = reader.string("bootstrap");
  const dst = reader.string("enrol");
  const conn = reader.strings("conn").map(({ value }) => value);
  const bootstrapping = layer !== undefined && dst === undefined;
  const options = readOptions(type, reader, bootstrapping, problems);
  if (dst !== undefined) {
    if (layer !== undefined) problems.warnings.push(`Ignoring bootstrap for IPCP ${name}.`);
    if (type !== IpcpType.UNICAST && type !== IpcpType.BROADCAST) {
      problems.add(
        reader.lineOf("enrol"),
        `IPCPs of type ${IPCP_TYPE_WORDS[type]} cannot be enrolled.`,
        `Failed to enrol ${name}.`,
      );
    }
    const components = type === IpcpType.BROADCAST
      ? [COMP_DATA_TRANSFER] // A broadcast IPCP has no management component.
      : [COMP_MANAGEMENT, COMP_DATA_TRANSFER];
    return { kind: "enrol", dst, conn, components };
  }
  if (conn.length > 0) problems.warnings.push(`Ignoring conn for IPCP ${name}: nothing to enrol.`);
  if (layer === undefined) return { kind: "none" };
  return { kind: "bootstrap", layer, conf: bootstrapConfig(type, layer, options)! };
}
