// deno-lint-ignore-file camelcase -- the vectors have these names
/** The cases of vectors/tools.json that are about oping, by kind. */

import { QOS_WORDS } from "../../../lib/qos.ts";
import vectors from "../../vectors/tools.json" with { type: "json" };

/** One item of a scripted run: a reply, a failing call, a signal. */
export interface ScriptItem {
  readonly reply?: {
    readonly id: number;
    readonly rtt_us: number;
    readonly type: number;
    readonly len: number;
  };
  readonly read?: "timeout" | "error";
  readonly errno?: number;
  readonly write_fails_at?: number;
  readonly signal?: string;
}

/** A case; which fields there are depends on its kind. */
export interface OpingCase {
  readonly name: string;
  readonly note: string;
  readonly hex: string;
  readonly stderr_hex?: string;
  readonly server_stdout_hex?: string;
  readonly exit_code?: number;
  readonly length?: number;
  readonly first_packets_hex?: readonly string[];
  readonly input: {
    readonly argv?: readonly string[];
    readonly irmd?: boolean;
    readonly part?: string;
    readonly name?: string;
    readonly sent?: number;
    readonly out_of_order?: number;
    readonly rtt_samples?: readonly { readonly rtt_us: number; readonly times: number }[];
    readonly script?: readonly ScriptItem[];
    readonly flow_fd?: number;
    readonly elapsed_us?: number;
    readonly read_timeout_s?: number;
    readonly qosspec_passed_to_flow_alloc?: Record<string, number>;
    readonly packet?: number;
    readonly qos?: string;
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

const KINDS = ["cli", "live", "oping", "pkt", "srv"] as const;
export type Kind = typeof KINDS[number];

/** Numbers that the prototype takes and ours refuses: signs, and what only begins as a number. */
export function takesNonsense(argv: readonly string[]): boolean {
  return argv.some((word, i) => {
    const option = argv[i - 1] ?? "";
    if (/^(-[di]|--duration|--interval)$/.test(option)) {
      return /^-/.test(word) || word === "" || parseFloat(word) >= 2 ** 31;
    }
    if (/^(-[cs]|--count|--size)$/.test(option)) {
      return !/^[0-9]+$/.test(word) || Number(word) >= 2 ** 31;
    }
    return /^(-q|--qos)$/.test(option) && !(QOS_WORDS as readonly string[]).includes(word);
  });
}

/** What ours prints where the prototype's figures mislead: one time does not deviate. */
export function mended(text: string): string {
  return text.replace(/NaN (?=\(?(ms|µs))/, "0.000 ")
    .replace(/(\\?\()2147483647 packets/, "$1until interrupted");
}

/** Kinds that other rooms prove. */
const ELSEWHERE = new Set(["operf", "ocbr", "frame", "rib", "log"]);

/** All cases about oping; throws on a kind that nobody knows. */
export function opingCases(): Map<Kind, OpingCase[]> {
  const cases = new Map<Kind, OpingCase[]>(KINDS.map((kind) => [kind, []]));
  for (const one of vectors.cases as unknown as OpingCase[]) {
    const kind = one.name.split(".", 1)[0]!;
    if (ELSEWHERE.has(kind)) continue;
    const list = cases.get(kind as Kind);
    if (!list) throw new Error(`${one.name}: unknown kind of case`);
    const words = [
      kind === "live" ? "" : one.name,
      one.input.argv?.[0] ?? "",
      ...(one.input.processes ?? []).map(({ argv }) => argv[0] ?? ""),
    ];
    if (words.some((word) => word.includes("oping"))) list.push(one);
  }
  return cases;
}
