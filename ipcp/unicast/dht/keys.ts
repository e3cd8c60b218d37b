/** Keys of the directory: distances between them, and maps by them. Pure. */

/** Whether two keys are the same bytes. */
export function sameKey(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Negative if `a` is nearer to `key` than `b` (XOR of all bytes), positive if farther, 0 if they are the same. */
export function nearer(key: Uint8Array, a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < key.length; i++) {
    const d = (a[i]! ^ key[i]!) - (b[i]! ^ key[i]!);
    if (d !== 0) return d;
  }
  return 0;
}

/** Leading bits that two keys share. */
export function sharedBits(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const d = a[i]! ^ b[i]!;
    if (d !== 0) return i * 8 + Math.clz32(d) - 24;
  }
  return a.length * 8;
}

/** 52 bits of a key: the number that maps use. */
function number(key: Uint8Array): number {
  const hi = ((key[0]! << 24) | (key[1]! << 16) | (key[2]! << 8) | key[3]!) >>> 0;
  const lo = ((key[4] ?? 0) << 12) | ((key[5] ?? 0) << 4) | ((key[6] ?? 0) >> 4);
  return hi * 0x100000 + lo;
}

interface Entry<V> {
  readonly key: Uint8Array;
  value: V;
}

/** A map by key. Keys that begin alike share a place, so that a hostile choice of keys costs time, not truth. */
export class KeyMap<V> {
  readonly #places = new Map<number, Entry<V>[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: Uint8Array): V | undefined {
    return this.#places.get(number(key))?.find((e) => sameKey(e.key, key))?.value;
  }

  /** Keeps the key: it must not change. */
  set(key: Uint8Array, value: V): void {
    const at = number(key);
    const place = this.#places.get(at);
    const entry = place?.find((e) => sameKey(e.key, key));
    if (entry !== undefined) {
      entry.value = value;
      return;
    }
    if (place === undefined) this.#places.set(at, [{ key, value }]);
    else place.push({ key, value });
    this.#size += 1;
  }

  delete(key: Uint8Array): boolean {
    const at = number(key);
    const place = this.#places.get(at);
    const i = place?.findIndex((e) => sameKey(e.key, key)) ?? -1;
    if (place === undefined || i < 0) return false;
    place.splice(i, 1);
    if (place.length === 0) this.#places.delete(at);
    this.#size -= 1;
    return true;
  }

  *[Symbol.iterator](): Generator<[Uint8Array, V]> {
    for (const place of this.#places.values()) for (const e of place) yield [e.key, e.value];
  }
}
