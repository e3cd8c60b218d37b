/** Canaries: endpoints with one defect each, which the simulation must find. */
import type { FrctEndpoint } from "../../../lib/frct/mod.ts";
import { PciFlag } from "../../../lib/wire/frct_pci.ts";

/** The defects. */
export const BROKEN = [
  "acknowledges one packet too many",
  "never retransmits",
  "delivers twice",
  "forgets to acknowledge",
  "ignores the window",
  "sends bare packets without DRF first",
] as const;

/** `ep` with a defect. */
export function broken(kind: (typeof BROKEN)[number], ep: FrctEndpoint): FrctEndpoint {
  let again: Uint8Array | null = null;
  let reads = 0;
  const overrides: Record<string, (...args: never[]) => unknown> = {};
  const poll = (now: number, out: Uint8Array, at: number) => ep.poll(now, out, at);
  switch (kind) {
    case "acknowledges one packet too many":
      overrides.poll = (now: number, out: Uint8Array, at: number) => {
        const n = poll(now, out, at);
        if (n > 0 && (out[at]! & PciFlag.ACK) !== 0) out[at + 11]!++;
        return n;
      };
      break;
    case "never retransmits":
      overrides.poll = (now: number, out: Uint8Array, at: number) => {
        const n = poll(now, out, at);
        // What is left of a retransmission is its header, as an acknowledgement.
        if (n > 0 && (out[at]! & PciFlag.DATA) !== 0) out[at + 4]! ^= 0x40;
        return n;
      };
      break;
    case "delivers twice":
      overrides.pendingBytes = () => again?.length ?? ep.pendingBytes();
      overrides.read = (now: number, into: Uint8Array, at: number, max: number) => {
        if (again !== null) {
          into.set(again, at);
          again = null;
          return into.length;
        }
        const n = ep.read(now, into, at, max);
        if (++reads % 17 === 0 && n === max) return n;
        if (reads % 17 === 0) again = into.slice(at, at + n);
        return n;
      };
      break;
    case "forgets to acknowledge":
      overrides.poll = (now: number, out: Uint8Array, at: number) => {
        const n = poll(now, out, at);
        if (n > 0) out[at]! &= ~(PciFlag.ACK | PciFlag.FC);
        return n;
      };
      break;
    case "ignores the window":
      ep.setFlags(0);
      break;
    case "sends bare packets without DRF first":
      overrides.poll = (now: number, out: Uint8Array, at: number) => {
        const n = poll(now, out, at);
        if (n > 0 && (out[at]! & PciFlag.DATA) === 0) out[at]! &= ~PciFlag.DRF;
        return n;
      };
      break;
  }
  return new Proxy(ep, {
    get(target, name) {
      const own = overrides[name as string];
      if (own !== undefined) return own;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
