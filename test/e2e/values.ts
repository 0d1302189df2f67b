/** Of the chart, for a cluster of tests: what takes minutes in a cluster of people takes seconds here. */
export const quick: readonly string[] = ['attach.reviewEvery=3s', 'breaker.after=15s', 'certificates.lifetime=90s'];
