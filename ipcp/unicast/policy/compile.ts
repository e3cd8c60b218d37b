/**
 * From the text of a policy file to the policy: types are taken out, turns counted (`turns.ts`), the module is made and
 * looked at. The IPCP and the simulator load policies alike.
 *
 * The text itself becomes the module, as a `data:` URL, so what was checked is what runs.
 */

import nodeModule from "node:module";
import { POLICY_WORDS } from "../../../lib/codes.ts";
import { baseName, POLICY_EXPORTS, type UnicastPolicies } from "./mod.ts";
import { countTurns, TURNS_EXPORT } from "./turns.ts";

/** A policy that is ready to be made in any thread. */
export interface CompiledPolicy {
  readonly kind: number;
  /** For people. */
  readonly name: string;
  /** The module. */
  readonly url: string;
}

/** A policy that was made. */
export interface LoadedPolicy<K extends keyof UnicastPolicies = keyof UnicastPolicies> {
  readonly name: string;
  readonly policy: NonNullable<UnicastPolicies[K]>;
  /** Before each call of the policy: the turns that it may take. */
  readonly turns: (n: number) => void;
}

/** Why a file cannot be used, in a line. */
export interface BadPolicy {
  readonly bad: string;
}

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

/** Counts modules made, since a module is made once for each text. */
let made = 0;

/** Makes a policy in this thread. */
export async function makePolicy<K extends keyof UnicastPolicies>(
  { kind, name, url }: CompiledPolicy,
): Promise<LoadedPolicy<K> | BadPolicy> {
  const { name: exported, members } = POLICY_EXPORTS[kind]!;
  let module: Record<string, unknown>;
  try {
    module = await import(`${url}#${++made}`);
  } catch (e) {
    const cannotLoad = e instanceof TypeError && /data:/.test(e.message);
    return {
      bad: cannotLoad
        ? `${name}: this form of ouro cannot load code (${firstLine(e).slice(0, 100)})`
        : `${name}: ${describeError(e)}`,
    };
  }
  const turns = module[TURNS_EXPORT] as (n: number) => void;
  const policy = module[exported];
  const lacks = members.length === 0
    ? typeof policy !== "function"
    : members.some((m) =>
      typeof (policy as Record<string, unknown> | undefined)?.[m] !== "function"
    );
  if (lacks) {
    const what = members.length === 0 ? "a function" : `an object with ${members.join(" and ")}`;
    return { bad: `${name}: it does not export ${exported}, ${what}` };
  }
  return { name, turns, policy: policy as NonNullable<UnicastPolicies[K]> };
}

function firstLine(e: unknown): string {
  return (e instanceof Error ? e.message : String(e)).trim().split("\n")[0]!;
}

/** What a policy threw, in a line, with its own line where it is known. */
export function describeError(e: unknown): string {
  const what = e instanceof Error ? `${e.name}: ${firstLine(e)}` : firstLine(e);
  const line = e instanceof Error
    ? /data:text\/javascript[^\s]*?:(\d+):\d+/.exec(e.stack ?? "")?.[1]
    : undefined;
  return line === undefined ? what : `${what} (line ${line})`;
}
