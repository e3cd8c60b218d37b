/** The part of the RIB that every IPCP has: `info` (spec 80 §8.4). Pure. */

import { fixedComponent, type RibComponent, type RibObject } from "../lib/rib/tree.ts";
import type { StateName, TypeName } from "./state.ts";

/** What an IPCP is. */
export interface IpcpInfo {
  readonly type: TypeName;
  readonly state: StateName;
  /** Name of its layer; undefined before it is in one. */
  readonly layer: string | undefined;
}

/** States that the file names; the prototype knows no word for others. */
const STATES: ReadonlySet<StateName> = new Set(["null", "init", "operational", "shutdown"]);

/** The component `info`. */
export function infoComponent(info: () => IpcpInfo): RibComponent {
  const object = (name: string, value: string, text = value): RibObject => ({
    values: { [name]: value },
    text: `${text}\n`,
  });
  return fixedComponent("info", {
    _layer: () => object("layer", info().layer ?? "", info().layer ?? "(null)"),
    _state: () => {
      const { state } = info();
      return object("state", state, STATES.has(state) ? state : "bug");
    },
    _type: () => object("type", info().type),
  });
}
