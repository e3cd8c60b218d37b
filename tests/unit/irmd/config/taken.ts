/** Files that the prototype refuses and that we take (spec 21 "Where to do better"), by what stands in them. */

const BETTER: readonly RegExp[] = [
  // Words of the command line, which the prototype's file does not know.
  /^\s*congestion\s*=\s*"mb-ecn"/m,
  /^\s*routing\s*=\s*"link_state"/m,
  // A broadcast IPCP connects for data alone; the prototype asks for management as well.
  /^\s*\[broadcast\.[^\]]*\][^[]*^\s*conn\s*=/m,
];

/** Causes that such a file is refused for by the prototype. */
const CAUSES =
  /Invalid congestion avoidance algorithm|Invalid routing option|Could not connect IPCP .* to /;

/** Whether ours takes a file that the prototype refuses. */
export function isTaken(
  { input, result, errors }: {
    readonly input: { readonly config: string };
    readonly result: string;
    readonly errors?: readonly string[];
  },
): boolean {
  return result === "exits" && BETTER.some((pattern) => pattern.test(input.config)) &&
    CAUSES.test(errors?.[0] ?? "");
}
