/** How often the rights of who is attached are reviewed again. */
export const reviewEveryMs = 3_000;

/** Of the chart, for a cluster of tests: what takes minutes in a cluster of people takes seconds here. */
export const quick: readonly string[] = [
  `attach.reviewEvery=${reviewEveryMs}ms`,
  'breaker.after=15s',
  'certificates.lifetime=90s',
];
