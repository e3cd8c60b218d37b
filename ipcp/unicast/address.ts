/** Addresses of a unicast layer: flat, random, 32 bits (spec 60 §4). Pure. */

export { dotted } from "../../lib/wire/dt_pci.ts";

/** Prototypes break on addresses below the number of nodes (spec 60 §12), so ours are above any such number. */
export const ADDRESS_MIN = 0x10000;

/** A random address; `random` gives uniform 32-bit numbers, `taken` says which others use. */
export function drawAddress(random: () => number, taken: (addr: number) => boolean): number {
  for (;;) {
    const addr = random() >>> 0;
    if (addr >= ADDRESS_MIN && !taken(addr)) return addr;
  }
}
