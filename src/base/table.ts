import { printable } from './text.ts';

/** Columns as kubectl prints them: as wide as their widest cell, `gap` spaces apart, one line a row whatever a cell contains. */
export function formatTable(rows: readonly (readonly string[])[], gap: number): string {
  const shown = rows.map((row) => row.map(oneLine));
  const widths = (shown[0] ?? []).map((_, at) => Math.max(...shown.map((row) => row[at]?.length ?? 0)));
  return shown.map((row) => `${padded(row, widths, gap)}\n`).join('');
}

const padded = (row: readonly string[], widths: readonly number[], gap: number): string =>
  row
    .map((cell, at) => cell.padEnd(widths[at] ?? 0))
    .join(' '.repeat(gap))
    .trimEnd();

const oneLine = (text: string): string => printable(text).replace(/[\t\n]/g, ' ');
