import type { ResourceAttributes, Reviews, UserInfo, Verdict } from './kubernetes.ts';

/** So long a yes may be used again: who attaches to ten sessions, or reconnects, is asked about once. A no, or an error, is never kept. */
const keepMs = 10_000;
/** One entry is a user with all groups and one right; the oldest goes first. */
const maxEntries = 4_096;

/** Reviews whose yes is kept for ten seconds. The key is all that the review would carry, `extra` too. */
export function cacheAllowed(
  reviews: Pick<Reviews, 'authorize'>,
  now: () => number = () => performance.now(),
): Pick<Reviews, 'authorize'> {
  const kept = new Map<string, { readonly verdict: Verdict; readonly untilMs: number }>();
  return {
    async authorize(user: UserInfo, attributes: ResourceAttributes): Promise<Verdict> {
      const key = JSON.stringify([user, attributes]);
      const known = kept.get(key);
      if (known && known.untilMs > now()) return known.verdict;
      kept.delete(key);
      // From when the question was put: the answer may take its time.
      const untilMs = now() + keepMs;
      const verdict = await reviews.authorize(user, attributes);
      if (verdict.allowed !== true) return verdict;
      kept.set(key, { verdict, untilMs });
      if (kept.size > maxEntries) kept.delete(kept.keys().next().value ?? '');
      return verdict;
    },
  };
}
