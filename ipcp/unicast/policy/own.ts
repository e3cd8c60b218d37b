/**
 * The policies of the control machine of a node: the shipped ones, or those from files with the shipped ones behind them.
 * Only the modules are made asynchronously; what comes of it decides nothing but where calls go.
 */

import { PolicyKind } from "../../../lib/codes.ts";
import { ADDRESS_MIN, type AddressPolicy, drawAddress } from "../address.ts";
import { Dht } from "../dht/dht.ts";
import type { Directory, DirectoryPolicyMaker } from "../directory.ts";
import { LinkStateRouting } from "../link_state.ts";
import type { Routing, RoutingPolicyMaker } from "../routing.ts";
import type { Settings } from "../settings.ts";
import {
  type BadPolicy,
  type CompiledPolicy,
  describeError,
  type LoadedPolicy,
  makePolicy,
} from "./make.ts";
import { GuardedDirectory } from "./directory.ts";
import { BROKEN, Guard, shown } from "./guard.ts";
import { shippedPolicy } from "./mod.ts";
import { GuardedRouting } from "./routing.ts";

/** How a node makes its parts. */
export interface OwnPolicies {
  /** An address that is not `taken`. */
  address(of: Parameters<AddressPolicy>[0], taken: number): number;
  routing(self: number, shipped: (nowUs: number) => LinkStateRouting, nowUs: number): Routing;
  directory(
    self: number,
    random: () => number,
    shipped: (nowUs: number) => Dht,
    nowUs: number,
  ): Directory;
}

/** Makes all files once, also those of the data worker, so that what is wrong with one is said at the command. */
export async function ownPolicies(
  files: readonly CompiledPolicy[],
  settings: Settings,
  say: (line: string) => void,
): Promise<OwnPolicies | BadPolicy> {
  const loaded = new Map<number, LoadedPolicy>();
  for (const file of files) {
    const made = await makePolicy(file);
    if ("bad" in made) return made;
    loaded.set(file.kind, made);
  }
  const guarded = (kind: number) => {
    const made = loaded.get(kind);
    if (made === undefined) return undefined;
    const { name, turns, policy } = made;
    return {
      policy,
      guard: new Guard(name, turns, shippedPolicy(kind, settings), say, describeError),
    };
  };
  return {
    address: (of, taken) => {
      const own = guarded(PolicyKind.ADDRESS);
      if (own !== undefined) {
        const addr = own.guard.call("address", () => (own.policy as AddressPolicy)(of));
        if (
          Number.isInteger(addr) && addr as number >= ADDRESS_MIN && addr as number <= 0xffffffff
        ) {
          return addr as number;
        }
        if (addr !== BROKEN) {
          own.guard.nonsense("address", `${shown(addr)} is not ${ADDRESS_MIN} to ${0xffffffff}`);
        }
      }
      return drawAddress(of.random, (addr) => addr === taken);
    },
    routing: (self, shipped, nowUs) => {
      const own = guarded(PolicyKind.ROUTING);
      if (own === undefined) return shipped(nowUs);
      const make = own.policy as RoutingPolicyMaker;
      return new GuardedRouting(() => make(self, settings, nowUs), own.guard, shipped, nowUs);
    },
    directory: (self, random, shipped, nowUs) => {
      const own = guarded(PolicyKind.DIRECTORY);
      if (own === undefined) return shipped(nowUs);
      const make = own.policy as DirectoryPolicyMaker;
      return new GuardedDirectory(
        () => make(self, settings, nowUs, random),
        own.guard,
        shipped,
        nowUs,
      );
    },
  };
}

/** Link state where it runs, also in the place of a policy that failed. */
export function linkStateOf(routing: Routing): LinkStateRouting | undefined {
  const found = routing instanceof GuardedRouting ? routing.instead : routing;
  return found instanceof LinkStateRouting ? found : undefined;
}

/** The DHT where it runs, also in the place of a policy that failed. */
export function dhtOf(directory: Directory): Dht | undefined {
  const found = directory instanceof GuardedDirectory ? directory.instead : directory;
  return found instanceof Dht ? found : undefined;
}
