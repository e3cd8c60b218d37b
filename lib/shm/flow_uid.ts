/**
 * Which pool a user's packets live in (spec 10 §2.4): the "flow uid" is 0 for privileged users, who
 * share the global pool, and the uid itself for everybody else.
 */

import type { Instance } from "../instance.ts";
import { isPrivileged } from "../sys/users.ts";

/** Uid that runs the node: root for the system's own, the owner of its directory with a prefix. */
export function nodeOwner(instance: Instance): number {
  if (instance.prefix === "") return 0;
  try {
    return Deno.statSync(instance.socketDir).uid ?? 0;
  } catch {
    return 0; // No such node yet: the announce will say so.
  }
}

/** Flow uid of a process with this real uid. */
export function flowUid(instance: Instance, uid: number): number {
  return isPrivileged(uid, nodeOwner(instance)) ? 0 : uid;
}
