/** Numbers as C's printf writes them. */

/**
 * `%.<digits>f`: exact ties go to the even digit, where `toFixed` takes the larger (spec 80 §2.3).
 * `digits` is at most 20.
 */
export function fixed(x: number, digits: number): string {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  const rounded = x.toFixed(digits);
  // A tie has few binary places behind the point, so forty more digits are all there are.
  const exact = Math.abs(x).toFixed(Math.min(100, digits + 40));
  const tail = exact.slice(exact.length - 40);
  if (!/^50*$/.test(tail)) return rounded;
  const down = exact.slice(0, exact.length - 40).replace(/\.$/, "");
  if (Number(down.at(-1)) % 2 !== 0) return rounded;
  return x < 0 ? `-${down}` : down;
}

/** `%<width>…`: right-aligned. */
export function right(text: string | number, width: number): string {
  return String(text).padStart(width);
}
