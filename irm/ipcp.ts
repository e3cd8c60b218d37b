/** `irm ipcp create | destroy | list` (spec 21 A2.1, A2.2, A2.7). */

import { NAME_BYTES_MAX } from "../lib/limits.ts";
import {
  attempt,
  attemptList,
  type Context,
  printable,
  unknownWord,
  unreachable,
  usage,
} from "./context.ts";
import { byteLength, lastValue, parsePairs, whatIsMissing, wildcardMatch } from "./grammar.ts";
import { table } from "./table.ts";
import { didYouMean } from "../lib/cli/nearest.ts";
import { IPCP_TYPE_WORDS, NOT_ENROLLED } from "../lib/irm/messages.ts";
import { hashWord, ipcpTypeNumber, ipcpTypeWord } from "./types.ts";

/** `create name NAME type TYPE`. */
export async function create(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["type", "name"] });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "ipcp create", parsed.known);
  const name = lastValue(parsed.pairs, "name");
  const word = lastValue(parsed.pairs, "type");
  if (parsed.kind === "missing" || name === undefined || word === undefined) {
    const why = whatIsMissing(parsed, [["name", "NAME"], ["type", "TYPE"]]);
    return usage(ctx, "ipcp create", why);
  }
  const type = ipcpTypeNumber(word);
  if (type === undefined) {
    ctx.print(`IPCP type "${word}" is unknown.\n`);
    const meant = didYouMean(word, IPCP_TYPE_WORDS);
    return usage(ctx, "ipcp create", meant && `"${word}" is no type${meant}`);
  }
  if (nameTooLong(ctx, name)) return 1;
  return await attempt(ctx, `create IPCP "${name}"`, ctx.admin.createIpcp(name, type)) ? 1 : 0;
}

/** Says on stderr that an IPCP name is too long. */
export function nameTooLong(ctx: Context, name: string): boolean {
  const bytes = byteLength(name);
  if (bytes <= NAME_BYTES_MAX) return false;
  ctx.complain(
    `Failed to create IPCP: -22: name of ${bytes} bytes, at most ${NAME_BYTES_MAX} are allowed`,
  );
  return true;
}

/** `destroy name NAME`: the first IPCP of exactly that name. */
export async function destroy(ctx: Context, args: readonly string[]): Promise<number> {
  const parsed = parsePairs(args, { keys: ["name"] });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "ipcp destroy", parsed.known);
  const name = lastValue(parsed.pairs, "name");
  if (parsed.kind === "missing" || name === undefined) {
    return usage(ctx, "ipcp destroy", whatIsMissing(parsed, [["name", "NAME"]]));
  }
  const action = `destroy IPCP "${name}"`;
  const ipcps = await attemptList(ctx, action, ctx.admin.listIpcps());
  if (ipcps === undefined) return 1;
  const found = ipcps.find((ipcp) => ipcp.name === name);
  if (!found) {
    ctx.complain(`Failed to ${printable(action)}: there is no IPCP of that name (irm ipcp list)`);
    return 1;
  }
  return await attempt(ctx, action, ctx.admin.destroyIpcp(found.pid, found.name)) ? 1 : 0;
}

/**
 * `list [type TYPE] [name NAME]`. The filters act on the JSON form alone: in the table, which
 * scripts read, they never had an effect.
 */
export async function list(ctx: Context, args: readonly string[]): Promise<number> {
  const keys = ctx.json ? ["type", "name", "layer"] as const : ["type", "name"] as const;
  const parsed = parsePairs<"type" | "name" | "layer">(args, { keys });
  if (parsed.kind === "unknown") return unknownWord(ctx, parsed.word, "ipcp list", parsed.known);
  const typeWord = lastValue(parsed.pairs, "type");
  const type = typeWord === undefined ? undefined : ipcpTypeNumber(typeWord);
  if (typeWord !== undefined && type === undefined) {
    const meant = didYouMean(typeWord, IPCP_TYPE_WORDS);
    return usage(ctx, "ipcp list", `IPCP type "${typeWord}" is unknown${meant}`);
  }
  const text = ctx.json ? undefined : unreachable;
  const ipcps = await attemptList(ctx, "list IPCPs", ctx.admin.listIpcps(), text);
  if (ipcps === undefined) return 1;
  if (ctx.json) {
    const name = lastValue(parsed.pairs, "name");
    const layer = lastValue(parsed.pairs, "layer");
    const wanted = ipcps.filter((ipcp) =>
      (type === undefined || ipcp.type === type) &&
      (name === undefined || wildcardMatch(name, ipcp.name)) &&
      (layer === undefined || wildcardMatch(layer, ipcp.layer))
    ).map((ipcp) => ({
      pid: ipcp.pid,
      name: ipcp.name,
      type: ipcpTypeWord(ipcp.type),
      layer: ipcp.layer === NOT_ENROLLED ? null : ipcp.layer,
      hash_algo: ipcp.hashAlgo,
      hash: hashWord(ipcp.hashAlgo),
      ...(ipcp.restarts === undefined ? {} : { restarts: ipcp.restarts }),
      ...(ipcp.policies === undefined ? {} : { policies: ipcp.policies }),
      ...(ipcp.note === undefined ? {} : { note: ipcp.note }),
    }));
    ctx.print(JSON.stringify(wanted, null, 2) + "\n");
    if (wanted.length > 0 || parsed.pairs.length === 0) return 0;
    ctx.complain("Failed to list IPCPs: none matches");
    return 1;
  }
  if (ipcps.length === 0) {
    ctx.print("No IPCPs in system.\n\n");
    return 0;
  }
  ctx.print(
    table(
      [
        { head: "pid", width: 7 },
        { head: "name", width: 20 },
        { head: "type", width: 10 },
        { head: "layer", width: 20 },
      ],
      ipcps.map((ipcp) => [String(ipcp.pid), ipcp.name, ipcpTypeWord(ipcp.type), ipcp.layer]),
    ) + "\n",
  );
  for (const { name, note, pid, policies } of ipcps) {
    if (policies !== undefined) ctx.complain(`${printable(name)}: policies ${printable(policies)}`);
    if (note === undefined) continue;
    ctx.complain(
      `${printable(name)}: ${pid === 0 ? "is being restarted: " : ""}${printable(note)}`,
    );
  }
  return 0;
}
