/**
 * Textual IPv4 and IPv6 addresses to bytes in network order and back (the forms of inet_pton:
 * four decimal numbers without leading zeros; RFC 4291 §2.2 text). Pure.
 */

/** Four bytes of a dotted address, or undefined if it is none. */
export function parseInet4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [i, part] of parts.entries()) {
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return undefined;
    const value = Number(part);
    if (value > 255) return undefined;
    bytes[i] = value;
  }
  return bytes;
}

/** Dotted text of four bytes. */
export function formatInet4(bytes: Uint8Array): string {
  return bytes.slice(0, 4).join(".");
}

/** Sixteen bytes of an IPv6 address (no zone), or undefined if it is none. */
export function parseInet6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groupsOf = (half: string, last: boolean): number[] | undefined => {
    if (half === "") return [];
    const groups: number[] = [];
    const words = half.split(":");
    for (const [i, word] of words.entries()) {
      if (last && i === words.length - 1 && word.includes(".")) {
        const four = parseInet4(word);
        if (!four) return undefined;
        groups.push(four[0]! * 256 + four[1]!, four[2]! * 256 + four[3]!);
      } else if (/^[0-9a-fA-F]{1,4}$/.test(word)) {
        groups.push(parseInt(word, 16));
      } else {
        return undefined;
      }
    }
    return groups;
  };
  const compressed = halves.length === 2;
  const head = groupsOf(halves[0]!, !compressed);
  const tail = compressed ? groupsOf(halves[1]!, true) : [];
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  if (compressed ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const bytes = new Uint8Array(16);
  for (const [i, group] of groups.entries()) {
    bytes[2 * i] = group >> 8;
    bytes[2 * i + 1] = group & 0xff;
  }
  return bytes;
}

/** Text of sixteen bytes, the longest run of zero groups shortened (RFC 5952). */
export function formatInet6(bytes: Uint8Array): string {
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((bytes[i]! * 256 + bytes[i + 1]!).toString(16));
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === "0") length++;
    if (length > best.length) best = { at, length };
  }
  if (best.at < 0) return groups.join(":");
  const head = groups.slice(0, best.at).join(":");
  return `${head}::${groups.slice(best.at + best.length).join(":")}`;
}

/** Whether every byte is zero: the any-address, which cannot be an IPCP's own. */
export function isAnyAddress(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
