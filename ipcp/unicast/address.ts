/** Addresses of a unicast layer: an interface, and flat random ones of 32 bits (spec 60 §4). Pure. */

export { dotted } from "../../lib/wire/dt_pci.ts";

/** Prototypes break on addresses below the number of nodes (spec 60 §12), so ours are above any such number. */
export const ADDRESS_MIN = 0x10000;

/**
 * A way to choose the address of a node: a whole number from {@linkcode ADDRESS_MIN} to 2^32 - 1 that no other node of
 * the layer has. `random` gives uniform 32-bit numbers; `name` is that of the IPCP, `layer` that of the layer.
 */
export type AddressPolicy = (
  of: { readonly random: () => number; readonly name: string; readonly layer: string },
) => number;

/** A random address; `random` gives uniform 32-bit numbers, `taken` says which others use. */
export function drawAddress(random: () => number, taken: (addr: number) => boolean): number {
  for (;;) {
    const addr = random() >>> 0;
    if (addr >= ADDRESS_MIN && !taken(addr)) return addr;
  }
}
