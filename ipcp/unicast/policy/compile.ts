/**
 * From the text of a policy file to its module: types are taken out, turns counted (`turns.ts`). The IPCP and the
 * simulator load policies alike. Nodes without policy files do not load this.
 *
 * The text itself becomes the module, as a `data:` URL, so what was checked is what runs.
 */

import nodeModule from "node:module";
import { POLICY_WORDS } from "../../../lib/codes.ts";
import { type BadPolicy, type CompiledPolicy, firstLine } from "./make.ts";
import { baseName } from "./mod.ts";
import { countTurns } from "./turns.ts";

type Strip = (source: string, options: { mode: "strip" | "transform" }) => string;

/** The text of file `path` as a module, or why it is none. */
export function compilePolicy(
  kind: number,
  path: string,
  text: string,
): CompiledPolicy | BadPolicy {
  const script = path.endsWith(".ts") ? withoutTypes(text) : text;
  if (typeof script !== "string") return { bad: `${path}: ${script.bad}` };
  const counted = countTurns(script);
  if (typeof counted !== "string") return { bad: `${path}: ${counted.bad}` };
  const base64 = new TextEncoder().encode(counted).toBase64();
  return {
    kind,
    name: `${POLICY_WORDS[kind]} ${baseName(path)}`,
    url: `data:text/javascript;base64,${base64}`,
  };
}

/** JavaScript of TypeScript; lines stay where they are unless the text needs more than its types taken out. */
function withoutTypes(text: string): string | BadPolicy {
  const strip = (nodeModule as unknown as { stripTypeScriptTypes?: Strip }).stripTypeScriptTypes;
  if (strip === undefined) {
    return { bad: "this form of ouro cannot load TypeScript: name a .js file" };
  }
  try {
    return strip(text, { mode: "strip" });
  } catch {
    try {
      return strip(text, { mode: "transform" });
    } catch (e) {
      return { bad: firstLine(e) };
    }
  }
}
