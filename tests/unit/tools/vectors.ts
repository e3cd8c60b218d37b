// deno-lint-ignore-file camelcase -- the vectors have these names
/** The cases of vectors/tools.json that are about operf, oecho, ocbr, obc and ovpn. */

import vectors from "../../vectors/tools.json" with { type: "json" };

/** A case; which fields there are depends on its kind. */
export interface ToolCase {
  readonly name: string;
  readonly hex: string;
  readonly stderr_hex?: string;
  readonly server_stdout_hex?: string;
  readonly exit_code?: number;
  readonly config_packet_hex?: readonly string[];
  readonly match?: string;
  readonly input: {
    readonly argv?: readonly string[];
    readonly server_argv?: readonly string[];
    readonly irmd?: boolean;
    readonly sent?: number;
    readonly received?: number;
    readonly elapsed_us?: number;
    readonly write_cost_ns?: number;
    readonly write_fails_after?: number | null;
    readonly tool?: string;
    readonly fd?: number;
    readonly interval_s?: number;
    readonly timeout_s?: number;
    readonly reads?: readonly { readonly after_us: number; readonly result: number }[];
    readonly sent_hex?: string;
    readonly exchanges?: readonly {
      readonly sent_hex: string;
      readonly reply_hex: string | null;
    }[];
    readonly processes?: readonly {
      readonly argv: readonly string[];
      readonly exit_code: number;
      readonly stdout_regex: string;
    }[];
  };
}

/** The tools of this room. */
const TOOLS = /(^|[._])(operf|oecho|ocbr|obc|ovpn)([._]|$)/;

/** Kinds of case that other rooms prove: Ethernet frames, RIB files, log lines. */
const ELSEWHERE = new Set(["frame", "rib", "log", "oping"]);

/** Cases by kind, all of them; throws on a kind that nobody knows. */
export function toolCases(): Map<"cli" | "live" | "operf" | "ocbr" | "pkt" | "srv", ToolCase[]> {
  const kinds = ["cli", "live", "operf", "ocbr", "pkt", "srv"] as const;
  const cases = new Map<typeof kinds[number], ToolCase[]>(kinds.map((kind) => [kind, []]));
  for (const one of vectors.cases as unknown as ToolCase[]) {
    const kind = one.name.split(".", 1)[0]!;
    if (ELSEWHERE.has(kind)) continue;
    const list = cases.get(kind as typeof kinds[number]);
    if (!list) throw new Error(`${one.name}: unknown kind of case`);
    const about = [one.name, ...(one.input.processes ?? []).flatMap(({ argv }) => argv[0] ?? "")];
    if (about.some((word) => TOOLS.test(word))) list.push(one);
  }
  return cases;
}
