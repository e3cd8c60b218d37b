/**
 * The RIB of the IRMd: how many there are of everything, and one object for each IPCP, name and flow (spec 80 §8). Pure.
 *
 * Names that could not be files are left out of `name`; nothing secret is here, as any user reads it.
 */

import { FlowState, IPCP_TYPE_WORDS, IpcpState } from "../lib/codes.ts";
import {
  fixedComponent,
  line,
  type RibComponent,
  type RibObject,
  type RibValue,
} from "../lib/rib/tree.ts";
import type { Registry } from "./registry/mod.ts";

const LABEL = 24;
const VALUE = 24;

function object(values: Readonly<Record<string, RibValue>>): RibObject {
  const text = Object.entries(values).map(([k, v]) => line(`${k}:`, v, LABEL, VALUE)).join("");
  return { values, text };
}

/** The word for a number, or the number. */
function word(words: Readonly<Record<string, number>>, number: number): string {
  const found = Object.entries(words).find(([, n]) => n === number)?.[0];
  return found?.toLowerCase() ?? `${number}`;
}

/** What the daemon knows, as it is now. */
export function irmdComponents(registry: Registry): RibComponent[] {
  const { ipcps, names, flows, procs, pools } = registry;
  return [
    fixedComponent("info", {
      _type: () => ({ values: { type: "irmd" }, text: "irmd\n" }),
      stats: () =>
        object({
          "IPCPs": ipcps.count,
          "Names": names.count,
          "Processes": procs.size,
          "Flows": flows.count,
          "Pools": pools.count,
        }),
    }),
    {
      name: "ipcp",
      list: () => ipcps.list().map((i) => `${i.pid}`),
      read: (name) => {
        const ipcp = ipcps.list().find((i) => `${i.pid}` === name);
        if (ipcp === undefined) return undefined;
        const { type, state, layer } = ipcp;
        return object({
          "Name": ipcp.name,
          "Type": IPCP_TYPE_WORDS[type] ?? `${type}`,
          "State": word(IpcpState, state),
          "Layer": layer,
        });
      },
    },
    {
      name: "name",
      list: () => names.list().map((n) => n.name).filter((name) => !/^\.{0,2}$|[/\0]/.test(name)),
      read: (name) => {
        const record = names.get(name);
        if (record === undefined) return undefined;
        return object({
          "Bound processes": record.procs.size,
          "Programs to start": record.autostart.length,
          "Waiting requests": record.waits.length,
          "Requests served": record.served,
        });
      },
    },
    {
      name: "flow",
      list: () => [...flows.all()].map((f) => `${f.id}`),
      read: (name) => {
        const flow = [...flows.all()].find((f) => `${f.id}` === name);
        if (flow === undefined) return undefined;
        return object({
          "Process": flow.nPid,
          "Served by": flow.n1Pid,
          "Name": flow.name,
          "State": word(FlowState, flow.state),
          "MPL (ms)": flow.mpl,
        });
      },
    },
  ];
}
