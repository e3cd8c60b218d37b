/**
 * FRCT, flow and retransmission control (spec 31): makes endpoints by header version. Pure.
 *
 * `endpoint.ts` says how a shell drives one.
 */
import type { FrctConfig, FrctEndpoint } from "./endpoint.ts";
import { Frct } from "./frct.ts";

export { BufferPool } from "./buffers.ts";
export {
  type FrctConfig,
  type FrctEndpoint,
  FrctEvent,
  FrctFlag,
  type FrctStats,
} from "./endpoint.ts";

/** Header versions this library speaks. */
export const FRCT_VERSIONS = [1] as const;

/** Makes the endpoint of a flow; version 1 is the header of prototype 0.23. */
export function createFrct(
  version: (typeof FRCT_VERSIONS)[number],
  config: FrctConfig,
): FrctEndpoint {
  switch (version) {
    case 1:
      return new Frct(config);
  }
}
