// deno-lint-ignore-file camelcase -- the vectors have these names
// vectors/irmd.json: its groups, and values of its messages in the shape of our types.

import { fromFileUrl } from "@std/path";
import { IpcpCode, IrmCode } from "../../../../lib/irm/messages.ts";

/** One case; what else it holds depends on its group. */
export interface IrmdVector {
  name: string;
  note?: string;
  // deno-lint-ignore no-explicit-any -- the shape differs per group and is checked by its walker
  input: any;
  hex?: string;
  [key: string]: unknown;
}

/** Who walks which group: a group that is not here fails a test. */
export const GROUPS: Record<string, string> = {
  msg: "tests/unit/lib/irm/messages_test.ts",
  client: "tests/unit/lib/irm/messages_test.ts",
  codec: "tests/unit/lib/irm/messages_test.ts",
  undecodable: "tests/unit/lib/irm/messages_test.ts",
  sequence: "tests/unit/lib/irm/messages_test.ts",
  script: "tests/e2e/irmd_script_test.ts",
  sim: "tests/e2e/irmd_sim_test.ts",
  config: "tests/unit/irmd/config/vectors_test.ts",
  cli: "tests/unit/irm",
  cli2: "tests/unit/irm",
};

const path = fromFileUrl(new URL("../../../vectors/irmd.json", import.meta.url));
let cases: IrmdVector[] | undefined;

/** All cases. */
export function allIrmdVectors(): IrmdVector[] {
  cases ??= JSON.parse(Deno.readTextFileSync(path)).cases as IrmdVector[];
  return cases;
}

/** The cases whose name starts with the group. */
export function irmdVectors(group: string): IrmdVector[] {
  return allIrmdVectors().filter((v) => v.name.startsWith(`${group}/`));
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const BYTES = new Set(["hash", "pk", "sym_key"]);
const WIDE = new Set(["bandwidth", "peer"]);
const KEYS: Record<string, string> = { qosspec: "qos", tv_sec: "sec", tv_nsec: "nsec" };

/** The fields of a vector's message as our types have them; `message` is `irm_msg` or `ipcp_msg`. */
export function valueOf(message: string, fields: Json): unknown {
  return convert(fields, "", message);
}

function convert(v: Json, key: string, context: string): unknown {
  if (Array.isArray(v)) return v.map((x) => convert(x, "", context));
  if (v !== null && typeof v === "object") {
    const inner = key === "" ? context : key;
    return Object.fromEntries(
      Object.entries(v).map(([k, x]) => [KEYS[k] ?? camel(k), convert(x, k, inner)]),
    );
  }
  if (BYTES.has(key) || (context === "udp6" && key.endsWith("_addr"))) {
    return Uint8Array.fromHex(v as string);
  }
  if (WIDE.has(key) || key === "tv_sec") return BigInt(v as string | number);
  if (key === "code" && typeof v === "string") {
    const codes: Record<string, number> = context === "ipcp_msg" ? IpcpCode : IrmCode;
    return codes[v];
  }
  return v;
}

function camel(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
}
