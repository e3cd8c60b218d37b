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
import { isQosWord, QOS_WORDS } from "../../lib/qos.ts";
import type { TomlTable, TomlValue } from "./toml.ts";
import {
  COMPONENT_WORDS,
  type ConnectConfig,
  type IpcpEntryConfig,
  type JoinConfig,
} from "./types.ts";

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
  const bind = reader.names("bind");
  const reg = reader.names("reg");
  const connect = reader.items("connect").flatMap((v) => readConnect(v, reader, problems));
  if (connect.length > 0 && type !== IpcpType.UNICAST && type !== IpcpType.BROADCAST) {
    problems.add(
      reader.lineOf("connect"),
      `IPCPs of type ${IPCP_TYPE_WORDS[type]} have no connections.`,
    );
  }
  reader.finish();
  return { kind: "ipcp", line: table.line, type, name, join, autobind, bind, connect, reg };
}

/** `{ dst = NAME, component = "mgmt" | "dt", qos = CUBE }`, our addition. */
function readConnect(value: TomlValue, of: TableReader, problems: Problems): ConnectConfig[] {
  if (value.kind !== "table") {
    problems.add(value.line, `element of connect in ${of.title} must be a table.`);
    return [];
  }
  const reader = new TableReader(value, `connect of ${of.title}`, problems);
  const dst = reader.name("dst");
  const component = reader.string("component") ?? "";
  const qos = reader.string("qos") ?? "raw";
  reader.finish();
  const known = COMPONENT_WORDS.find((word) => word === component);
  if (known === undefined) {
    problems.add(reader.lineOf("component"), `component in ${reader.title} is mgmt or dt.`);
  }
  if (!isQosWord(qos)) {
    problems.add(reader.lineOf("qos"), `qos in ${reader.title} is one of ${QOS_WORDS.join(", ")}.`);
  }
  if (dst === undefined && !reader.has("dst")) {
    problems.add(value.line, `dst in ${reader.title} is missing.`);
  }
  return dst !== undefined && known !== undefined && isQosWord(qos)
    ? [{ dst, component: known, qos }]
    : [];
}

/** What `conn` connects. A broadcast IPCP has no management component. */
export function componentsOf(type: number): readonly string[] {
  return type === IpcpType.BROADCAST ? [COMP_DATA_TRANSFER] : [COMP_MANAGEMENT, COMP_DATA_TRANSFER];
}

function readJoin(
  type: number,
  name: string,
  reader: TableReader,
  problems: Problems,
): JoinConfig {
  const layer = reader.name("bootstrap");
  const dst = reader.name("enrol");
  const conn = reader.names("conn");
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
    return { kind: "enrol", dst, conn, components: componentsOf(type), policies: options.policies };
  }
  if (conn.length > 0) problems.warnings.push(`Ignoring conn for IPCP ${name}: nothing to enrol.`);
  if (layer === undefined) return { kind: "none" };
  return { kind: "bootstrap", layer, conf: bootstrapConfig(type, layer, options)! };
}
