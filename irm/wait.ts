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
import { lastValue, type Pair, parsePairs, whatIsMissing } from "./grammar.ts";

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

interface Wanted {
  readonly wanted: string;
  readonly timeoutS: number;
  readonly pairs: readonly Pair<string>[];
}

/** What is waited for, or the exit code after a line that says what is wrong with the words. */
function wanted(
  ctx: Context,
  args: readonly string[],
  noun: "name" | "layer" | "ipcp",
  placeholder: "NAME" | "LAYER",
  more: readonly string[] = [],
): Wanted | number {
  const parsed = parsePairs(args, { keys: [noun, ...more, "timeout"] });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, `wait ${noun}`, parsed.known);
  const { pairs } = parsed;
  const wanted = lastValue(pairs, noun);
  if (parsed.kind === "missing" || wanted === undefined) {
    return usage(ctx, "wait", whatIsMissing(parsed, [[noun, placeholder]]));
  }
  const timeout = lastValue(pairs, "timeout");
  const timeoutS = secondsOf(timeout);
  if (timeoutS === undefined) return usage(ctx, "wait", wrongSeconds("timeout", timeout));
  return { wanted, timeoutS, pairs };
}

/** `name NAME [timeout SECONDS]`: a flow can be asked for. */
export async function name(ctx: Context, args: readonly string[]): Promise<number> {
  const asked = wanted(ctx, args, "name", "NAME");
  if (typeof asked === "number") return asked;
  return await waitUntil(ctx, `find name "${asked.wanted}"`, asked.timeoutS, async () => {
    await ctx.admin.queryName(asked.wanted);
    return undefined;
  });
}

/** `layer LAYER [members N] [timeout SECONDS]`: so many members can be reached from here, 2 when nothing is said. */
export async function layer(ctx: Context, args: readonly string[]): Promise<number> {
  const asked = wanted(ctx, args, "layer", "LAYER", ["members"]);
  if (typeof asked === "number") return asked;
  const members = parseWhole(lastValue(asked.pairs, "members") ?? "2", 1, MEMBERS_MAX);
  if (members === undefined) {
    return usage(ctx, "wait", `members is a number from 1 to ${MEMBERS_MAX}`);
  }
  const what = `reach ${members} members of layer "${asked.wanted}"`;
  return await waitUntil(ctx, what, asked.timeoutS, async () => {
    const there = await ctx.admin.countMembers(asked.wanted);
    return there >= members ? undefined : `there are ${there}`;
  });
}

/** `ipcp NAME [timeout SECONDS]`: it is in a layer. */
export async function ipcp(ctx: Context, args: readonly string[]): Promise<number> {
  const asked = wanted(ctx, args, "ipcp", "NAME");
  if (typeof asked === "number") return asked;
  const what = `find IPCP "${asked.wanted}" in a layer`;
  return await waitUntil(ctx, what, asked.timeoutS, async () => {
    const found = (await ctx.admin.listIpcps()).filter((i) => i.name === asked.wanted);
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
