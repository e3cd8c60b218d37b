/** From the module of a policy (`compile.ts`) to the policy: it is made and looked at, in each thread that needs it. */

import { POLICY_EXPORTS, TURNS_EXPORT, type UnicastPolicies } from "./mod.ts";

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

/** What an error says, in a line. */
export function firstLine(e: unknown): string {
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
