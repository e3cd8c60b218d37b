/** Columns of text. Pure. */

/** `%<width>…`: right-aligned. */
export function right(text: string | number, width: number): string {
  return String(text).padStart(width);
}
