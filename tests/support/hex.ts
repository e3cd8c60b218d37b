/** Hex strings of the vector files. */

/** Text whose bytes are given in hex. */
export function textOf(hex: string): string {
  return new TextDecoder().decode(Uint8Array.fromHex(hex));
}
