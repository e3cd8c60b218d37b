/**
 * The tables of `irm ipcp list` and `irm name list` (spec 21 A2.7, A3.5). Scripts read them.
 * Pure.
 */

import { printable } from "../lib/cli/reason.ts";

/** A column: its head and its width in characters; longer values push the frame. */
export interface Column {
  readonly head: string;
  readonly width: number;
}

/** A framed table with right-aligned cells; ends in a newline. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const rule = `+${columns.map(({ width }) => "-".repeat(width + 2)).join("+")}+\n`;
  const line = (cells: readonly string[]): string =>
    `|${cells.map((cell, i) => ` ${padStart(printable(cell), columns[i]!.width)} `).join("|")}|\n`;
  return rule + line(columns.map(({ head }) => head)) + rule + rows.map(line).join("") + rule;
}

/** Pads by characters, not UTF-16 units, so that most names line up. */
function padStart(text: string, width: number): string {
  return " ".repeat(Math.max(0, width - [...text].length)) + text;
}
