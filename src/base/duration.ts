/** Durations as Kubernetes users write them: `90s`, `15m`, `1h30m`, `500ms`. */
const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
const whole = /^(?:\d+(?:ms|h|m|s))+$/;

/** The pattern for the CRD's schema: the same language as `parseDuration`. */
export const durationPattern = '^([0-9]+(ms|s|m|h))+$';

/** Milliseconds, or undefined when the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  if (!whole.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|h|m|s)/g)) {
    total += Number(count) * unitMs[unit as keyof typeof unitMs];
  }
  return Number.isSafeInteger(total) ? total : undefined;
}

/** The same length of time again for `parseDuration`: 5400000 → `1h30m`. Whole seconds. */
export function writeDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  const parts = [
    [Math.floor(seconds / 3_600), 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  return (
    parts
      .filter(([count]) => count > 0)
      .map(([count, unit]) => `${count}${unit}`)
      .join('') || '0s'
  );
}

/** The shortest text that a person would write for it: 5400000 → `1h30m`; 4200 → `4s`. Never more than two units. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  const seconds = Math.floor(ms / 1_000);
  const parts: ReadonlyArray<readonly [number, string]> = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join('');
}
