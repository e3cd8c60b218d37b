/** The word that somebody meant, where a word is not known. Pure. */

/** Insertions, deletions, changes and swaps of neighbours that make `b` of `a`. */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + same);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      row.push(least);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

/** Longest word that is looked at; a longer one is no slip of the hand. */
const LENGTH_MAX = 40;

/** The known word nearest to `word`, or undefined when none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word === "" || word.length > LENGTH_MAX) return undefined;
  const typed = word.toLowerCase();
  const most = Math.max(1, Math.floor(typed.length / 3));
  let found: string | undefined;
  let least = most + 1;
  for (const candidate of known) {
    const d = distance(typed, candidate.toLowerCase());
    if (d < least) [found, least] = [candidate, d];
  }
  return found;
}

/** `, did you mean "x"?`, or nothing. */
export function didYouMean(word: string, known: readonly string[]): string {
  const found = nearest(word, known);
  return found === undefined ? "" : `, did you mean "${found}"?`;
}
