/**
 * Policy files of a live IPCP: read once, if nobody but root and the user who runs ouro may write them and the
 * directories above them; what was read is what runs.
 */

import { dirname } from "@std/path";
import { POLICY_STAGE } from "../../../lib/codes.ts";
import { Errno } from "../../../lib/errno.ts";
import type { Failure } from "../../../lib/failure.ts";
import { fileCause } from "../../../lib/cli/reason.ts";
import type { PolicyRef } from "../../../lib/wire/ipcp_config.ts";
import { othersMayWrite, othersMayWriteDirs } from "../../../security/writable.ts";
import type { CompiledPolicy } from "./make.ts";
import { badPolicies } from "./mod.ts";

/** Longest file, bytes. */
const FILE_BYTES_MAX = 1 << 20;

/** Policies that were read: which they are, and their modules. */
export interface ReadPolicies {
  readonly refs: readonly PolicyRef[];
  readonly compiled: readonly CompiledPolicy[];
}

/** No files: all policies are the shipped ones. */
export const NO_POLICIES: ReadPolicies = { refs: [], compiled: [] };

/** Reads the files that a command names, or says why they are not taken. */
export async function readPolicies(named: readonly PolicyRef[]): Promise<ReadPolicies | Failure> {
  if (named.length === 0) return NO_POLICIES;
  const bad = badPolicies(named);
  if (bad !== undefined) return refused(bad);
  const refs: PolicyRef[] = [];
  const compiled: CompiledPolicy[] = [];
  const { compilePolicy } = await import("./compile.ts");
  for (const { kind, file } of named) {
    const bytes = readOwn(file);
    if (typeof bytes === "string") return refused(bytes);
    let text: string;
    try {
      text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      return refused(`${file}: not UTF-8`);
    }
    const policy = compilePolicy(kind, file, text);
    if ("bad" in policy) return refused(policy.bad);
    const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    refs.push({ kind, file, sha256 });
    compiled.push(policy);
  }
  return { refs, compiled };
}

function refused(cause: string): Failure {
  return { code: -Errno.EINVAL, stage: POLICY_STAGE, cause };
}

/** The bytes of a file that only those may write who may; or why not. */
function readOwn(path: string): Uint8Array<ArrayBuffer> | string {
  if (!path.startsWith("/")) return `${path}: not a full path`;
  try {
    // Of the path as it is, not of links on the way, which others may turn.
    const real = Deno.realPathSync(path);
    const open = othersMayWriteDirs(dirname(real), "/") ?? othersMayWriteDirs(dirname(path), "/");
    if (open !== undefined) return open;
    using file = Deno.openSync(real, { read: true });
    const stat = file.statSync();
    if (!stat.isFile) return `${path}: not a file`;
    const others = othersMayWrite(real, stat);
    if (others !== undefined) return others;
    if (stat.size > FILE_BYTES_MAX) return `${path}: longer than ${FILE_BYTES_MAX} bytes`;
    const bytes = new Uint8Array(stat.size);
    let n = 0;
    for (let got: number | null = 0; n < bytes.length; n += got) {
      got = file.readSync(bytes.subarray(n));
      if (got === null) break;
    }
    return bytes.subarray(0, n);
  } catch (e) {
    return `${path}: ${fileCause(e)}`;
  }
}
