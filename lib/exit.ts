/** Exit codes by which our processes tell each other what an IPCP program could not do. */

export const Exit = {
  FAILURE: 1,
  /** The program has no IPCP of the type it was asked for (`EX_UNAVAILABLE` of sysexits.h). */
  UNAVAILABLE: 69,
} as const;
