export interface Summary {
  readonly min: number;
  readonly median: number;
  readonly p99: number;
}

/** Nearest-rank percentiles; with fewer than 100 samples p99 is the largest. Throws on an empty list. */
export function summarize(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = (p: number): number => {
    const value = sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
    if (value === undefined) throw new Error('summarize: no samples');
    return value;
  };
  return { min: rank(0), median: rank(0.5), p99: rank(0.99) };
}

export type Rows = ReadonlyMap<string, readonly number[]>;

/** A Markdown table of one measure: a row for each contender, and the ratio of its median to the first one's. */
export function table(title: string, unit: string, rows: Rows): string {
  const summaries = [...rows].map(([name, samples]) => ({ name, ...summarize(samples), rounds: samples.length }));
  const base = summaries[0]?.median ?? Number.NaN;
  const lines = summaries.map(
    ({ name, min, median, p99, rounds }) =>
      `| ${name} | ${min.toFixed(1)} | ${median.toFixed(1)} | ${p99.toFixed(1)} | ${(median / base).toFixed(2)} | ${rounds} |`,
  );
  return [
    `### ${title} (${unit})`,
    '',
    '| | min | median | p99 | median ÷ first | rounds |',
    '|---|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n');
}
