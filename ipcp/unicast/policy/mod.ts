/**
 * Policies of a unicast node and the files that may take their place: what a file exports, by kind. Pure.
 *
 * | kind       | export       | interface           | shipped                  |
 * | ---------- | ------------ | ------------------- | ------------------------ |
 * | addr_auth  | `address`    | `../address.ts`     | random                   |
 * | routing    | `routing`    | `../routing.ts`     | link state               |
 * | forwarding | `forwarding` | `../forwarding.ts`  | best hop, hop by flow    |
 * | congestion | `congestion` | `../congestion.ts`  | mb-ecn, none             |
 * | directory  | `directory`  | `../directory.ts`   | DHT                      |
 */

import { POLICY_WORDS, PolicyKind } from "../../../lib/codes.ts";
import type { PolicyRef } from "../../../lib/wire/ipcp_config.ts";
import type { AddressPolicy } from "../address.ts";
import type { Congestion } from "../congestion.ts";
import type { DirectoryPolicyMaker } from "../directory.ts";
import type { Forwarding } from "../forwarding.ts";
import type { RoutingPolicyMaker } from "../routing.ts";
import type { Settings } from "../settings.ts";

/** What a module exports beside its policy: how many turns there are until the next call. */
export const TURNS_EXPORT = "ouroTurns$";

/** Policies in the place of the shipped ones. */
export interface UnicastPolicies {
  readonly address?: AddressPolicy;
  readonly routing?: RoutingPolicyMaker;
  readonly forwarding?: Forwarding;
  readonly congestion?: Congestion;
  readonly directory?: DirectoryPolicyMaker;
}

/** What a file of each kind exports, and which members it must have; a function when there are none. */
export const POLICY_EXPORTS = [
  { name: "address", members: [] },
  { name: "routing", members: [] },
  { name: "forwarding", members: ["choose"] },
  { name: "congestion", members: ["flow", "mark"] },
  { name: "directory", members: [] },
] as const satisfies readonly { name: keyof UnicastPolicies; members: readonly string[] }[];

/** The shipped policy that takes the place of a file that fails, for people. */
export function shippedPolicy(kind: number, settings: Settings): string {
  switch (kind) {
    case PolicyKind.ADDRESS:
      return "a random address";
    case PolicyKind.ROUTING:
      return `link state (${settings.routing})`;
    case PolicyKind.FORWARDING:
      return settings.routing === "ecmp" ? "the choice by flow" : "the best hop";
    case PolicyKind.CONGESTION:
      return settings.congestion;
    default:
      return "the DHT";
  }
}

/** Bytes of a digest that people see. */
const SHOWN_BYTES = 6;

/** A policy in a line: kind, file and the beginning of the digest. */
export function describePolicy({ kind, file, sha256 }: PolicyRef): string {
  const digest = sha256 === undefined
    ? ""
    : ` (sha256 ${sha256.subarray(0, SHOWN_BYTES).toHex()}…)`;
  return `${POLICY_WORDS[kind] ?? kind} ${baseName(file)}${digest}`;
}

/** Several of them. */
export function describePolicies(refs: readonly PolicyRef[]): string {
  return refs.map(describePolicy).join(", ");
}

/** The last part of a path. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What is wrong with a list of policies that somebody sent; undefined: nothing. */
export function badPolicies(refs: readonly PolicyRef[]): string | undefined {
  const kinds = new Set<number>();
  for (const { kind, file } of refs) {
    if (POLICY_WORDS[kind] === undefined) {
      return `a policy of kind ${kind}, which is not known here`;
    }
    if (kinds.has(kind)) return `two files for ${POLICY_WORDS[kind]}`;
    if (file === "") return `no file for ${POLICY_WORDS[kind]}`;
    kinds.add(kind);
  }
  return undefined;
}

/**
 * Why a node with the files `own` cannot be a member of a layer with the policies `layer`, in a line that says what to
 * do; undefined: it can. Files are the same when their bytes are, whatever they are called.
 */
export function policyMismatch(
  layer: readonly PolicyRef[],
  own: readonly PolicyRef[],
): string | undefined {
  for (const there of layer) {
    const here = own.find(({ kind }) => kind === there.kind);
    const word = POLICY_WORDS[there.kind]!;
    if (here === undefined) {
      return `the layer has ${
        describePolicy(there)
      } of its own: name the same file here (${word} FILE)`;
    }
    if (there.sha256 === undefined || here.sha256?.toHex() !== there.sha256.toHex()) {
      return `the layer has ${describePolicy(there)}, which ${describePolicy(here)} is not: ` +
        `name the same file here (${word} FILE)`;
    }
  }
  const more = own.find(({ kind }) => !layer.some((there) => there.kind === kind));
  return more === undefined
    ? undefined
    : `the layer has the shipped policy for ${POLICY_WORDS[more.kind]}, not ${
      describePolicy(more)
    }: name no file`;
}

/** As members of other hosts learn of them. */
export function withoutPaths(refs: readonly PolicyRef[]): PolicyRef[] {
  return refs.map(({ kind, file, sha256 }) => ({ kind, file: baseName(file), sha256 }));
}
