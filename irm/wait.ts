/**
 * `irm wait name | layer | ipcp | irmd`: blocks until something can be used, so that scripts need no `sleep`. Ours.
 *
 * Exit code 0 when it is so, 2 when it was not within the time, 1 for words that make no sense or, unless
 * it is what is waited for, no IRMd.
 */

import { Errno, OuroError } from "../lib/errno.ts";
import { NOT_ENROLLED, POLICY_STAGE } from "../lib/irm/messages.ts";
import { parseSeconds, parseWhole } from "../lib/cli/numbers.ts";
import { reasonOf } from "../lib/cli/reason.ts";
import { type Context, printable, tell, unknownWord, usage } from "./context.ts";
import { lastValue, parsePairs, whatIsMissing } from "./grammar.ts";

/** Exit code when the time is over. */
export const LATE = 2;
/** How long to wait when nothing is said, s. */
const TIMEOUT_S = 20;
/** Members that a layer may be waited for to have: addresses have 32 bits. */
const MEMBERS_MAX = 0xffffffff;
/** Pauses between two looks, ms: the first, and the most. */
const PAUSE_FIRST_MS = 10;
const PAUSE_MAX_MS = 200;

/** What a look gives: done, or why not yet. */
type Look = () => Promise<string | undefined>;

/** Looks until it is done; the exit code. Only an IRMd that does not answer, and files that are not right, end it early. */
export async function waitUntil(
  ctx: Context,
  what: string,
  timeoutS: number,
  look: Look,
): Promise<number> {
  const endMs = performance.now() + timeoutS * 1000;
  for (let pauseMs = PAUSE_FIRST_MS;; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
    let why: string | undefined;
    try {
      why = await look();
    } catch (error) {
      if (!(error instanceof OuroError)) throw error;
      if (error.code === -Errno.EIRMD || error.detail?.stage === POLICY_STAGE) {
        tell(ctx, what, error);
        return 1;
      }
      why = reasonOf(error);
    }
    if (why === undefined) return 0;
    const leftMs = endMs - performance.now();
    if (leftMs <= 0) {
      ctx.complain(`Failed to ${printable(what)} within ${timeoutS} s: ${printable(why)}`);
      return LATE;
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, leftMs)));
  }
}

/** Seconds in words, with a unit or without; undefined for what is no such time. */
export function secondsOf(word: string | undefined): number | undefined {
  return word === undefined ? TIMEOUT_S : parseSeconds(word);
}

/** What {@linkcode secondsOf} takes, for a refusal. */
export function wrongSeconds(key: string, word: string | undefined): string {
  return `${key} takes seconds such as 30, or 500ms or 2m, not "${word}"`;
}

/** `name NAME [timeout SECONDS]`: a flow can be asked for. */
export async function name(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["name", "timeout"] });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "wait name", parsed.known);
  const wanted = lastValue(parsed.pairs, "name");
  const timeout = lastValue(parsed.pairs, "timeout");
  const timeoutS = secondsOf(timeout);
  if (parsed.kind === "missing" || wanted === undefined) {
    return usage(ctx, "wait", whatIsMissing(parsed, [["name", "NAME"]]));
  }
  if (timeoutS === undefined) return usage(ctx, "wait", wrongSeconds("timeout", timeout));
  return await waitUntil(ctx, `find name "${wanted}"`, timeoutS, async () => {
    await ctx.admin.queryName(wanted);
    return undefined;
  });
}

/** `layer LAYER [members N] [timeout SECONDS]`: so many members can be reached from here, 2 when nothing is said. */
export async function layer(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["layer", "members", "timeout"] });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "wait layer", parsed.known);
  const wanted = lastValue(parsed.pairs, "layer");
  const members = parseWhole(lastValue(parsed.pairs, "members") ?? "2", 1, MEMBERS_MAX);
  const timeout = lastValue(parsed.pairs, "timeout");
  const timeoutS = secondsOf(timeout);
  if (parsed.kind === "missing" || wanted === undefined) {
    return usage(ctx, "wait", whatIsMissing(parsed, [["layer", "LAYER"]]));
  }
  if (timeoutS === undefined) return usage(ctx, "wait", wrongSeconds("timeout", timeout));
  if (members === undefined) {
    return usage(ctx, "wait", `members is a number from 1 to ${MEMBERS_MAX}`);
  }
  const what = `reach ${members} members of layer "${wanted}"`;
  return await waitUntil(ctx, what, timeoutS, async () => {
    const there = await ctx.admin.countMembers(wanted);
    return there >= members ? undefined : `there are ${there}`;
  });
}

/** `ipcp NAME [timeout SECONDS]`: it is in a layer. */
export async function ipcp(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["ipcp", "timeout"] });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "wait ipcp", parsed.known);
  const wanted = lastValue(parsed.pairs, "ipcp");
  const timeout = lastValue(parsed.pairs, "timeout");
  const timeoutS = secondsOf(timeout);
  if (parsed.kind === "missing" || wanted === undefined) {
    return usage(ctx, "wait", whatIsMissing(parsed, [["ipcp", "NAME"]]));
  }
  if (timeoutS === undefined) return usage(ctx, "wait", wrongSeconds("timeout", timeout));
  return await waitUntil(ctx, `find IPCP "${wanted}" in a layer`, timeoutS, async () => {
    const found = (await ctx.admin.listIpcps()).filter((i) => i.name === wanted);
    if (found.length === 0) return "there is no IPCP of that name (irm ipcp list)";
    return found.some((i) => i.layer !== NOT_ENROLLED) ? undefined : "it is in no layer yet";
  });
}

/** `irmd [timeout SECONDS]`: the IRMd answers; for scripts that have just started it. */
export async function irmd(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args.slice(1), { keys: ["timeout"] });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "wait irmd", parsed.known);
  if (parsed.kind === "missing") return usage(ctx, "wait", whatIsMissing(parsed, []));
  const timeout = lastValue(parsed.pairs, "timeout");
  const timeoutS = secondsOf(timeout);
  if (timeoutS === undefined) return usage(ctx, "wait", wrongSeconds("timeout", timeout));
  return await waitUntil(ctx, "reach the IRMd", timeoutS, async () => {
    try {
      await ctx.admin.listNames();
      return undefined;
    } catch (error) {
      if (error instanceof OuroError && error.code === -Errno.EIRMD) return reasonOf(error);
      throw error;
    }
  });
}
