/**
 * Whom a binding is for: whose processes serve the name, as whom its program runs, and whether they may use the keys of
 * the name. Without a word it is the user who makes it. Root, and the owner of the node, may name anybody; members of
 * group `ouroboros` name themselves or a group of theirs, and their word opens no keys that they cannot read anyway.
 */

import type { BoundFor } from "../lib/irm/messages.ts";
import { groupByName, userByName } from "../lib/sys/users.ts";
import type { Client } from "./client.ts";
import type { Daemon } from "./daemon.ts";
import { ANYBODY, type BoundTo, type User } from "./registry/mod.ts";
import { runAsUser } from "./run_as.ts";

/** See the file's comment. */
export interface BindingUser {
  readonly to: BoundTo;
  readonly trusted: boolean;
  /** Undefined: nobody whom the database knows. */
  readonly as: User | undefined;
}

/** Largest uid or gid; the one above means "none" to the kernel. */
const ID_MAX = 0xffff_fffe;

/** Who asks. */
export function userOf(client: Client): User {
  const { uid, gid } = client.cred;
  return { uid, gid, gids: client.gids };
}

/** Whom a binding that `by` makes is for, or why that cannot be. */
export function bindingOf(d: Daemon, by: User, said: BoundFor | undefined): BindingUser | string {
  const trusted = by.uid === 0 || by.uid === d.ownUid;
  const own: BindingUser = { to: { kind: "user", uid: by.uid }, trusted, as: by };
  const words = [said?.user, said?.group, said?.any || undefined].filter((w) => w !== undefined);
  if (words.length > 1) return "a binding is for one user, one group or any";
  if (said === undefined || words.length === 0) return own;
  if (said.any) return { ...own, to: ANYBODY };
  if (said.user !== undefined) {
    const uid = numberOf(said.user) ?? userByName(said.user)?.uid;
    if (uid === undefined) return `there is no user "${said.user}"`;
    if (uid === by.uid) return own;
    if (!trusted) return `uid ${by.uid} may bind for itself only (root may for others)`;
    return { to: { kind: "user", uid }, trusted, as: runAsUser(uid) };
  }
  const gid = numberOf(said.group!) ?? groupByName(said.group!)?.gid;
  if (gid === undefined) return `there is no group "${said.group}"`;
  if (!trusted && !by.gids.includes(gid)) {
    return `uid ${by.uid} may bind for its own groups only (root may for others)`;
  }
  return { ...own, to: { kind: "group", gid } };
}

/** A user by name or number, as the database says; undefined when it has none. */
export function userNamed(word: string): User | undefined {
  const uid = numberOf(word) ?? userByName(word)?.uid;
  return uid === undefined ? undefined : runAsUser(uid);
}

function numberOf(word: string): number | undefined {
  if (!/^[0-9]{1,10}$/.test(word)) return undefined;
  const n = Number(word);
  return n <= ID_MAX ? n : undefined;
}

/** For a person. */
export function whoseIs(to: BoundTo): string {
  switch (to.kind) {
    case "user":
      return `uid ${to.uid}`;
    case "group":
      return `gid ${to.gid}`;
    case "any":
      return "any user";
  }
}
