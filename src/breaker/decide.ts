/** When the APIService goes and when it comes back: no clock, no network. */
export interface Sight {
  /** `unavailableForMs` 0: it is available, or nobody has looked yet. */
  readonly apiService: 'absent' | { readonly unavailableForMs: number };
  /** We have withdrawn it, and nobody has put it back. */
  readonly withdrawn: boolean;
  /** Whether the backend has just answered us, as it would the API server. */
  readonly backendAnswers: boolean;
  /** Since the last withdrawal. */
  readonly withdrawnForMs: number;
  /** Withdrawals since it was last available for long. */
  readonly withdrawals: number;
}

export type Decision = 'wait' | 'withdraw' | 'restore' | 'forget';

/** What the backend says to us and what the API server hears of it may differ for good (a firewall): each time it is given longer. */
const firstPauseMs = 60_000;
const longestPauseMs = 60 * 60_000;

export function decide(sight: Sight, afterMs: number): Decision {
  const { apiService, withdrawn } = sight;
  if (apiService === 'absent') return withdrawn && mayRestore(sight) ? 'restore' : 'wait';
  // Somebody has put it back: helm upgrade, or a person.
  if (withdrawn) return 'forget';
  return apiService.unavailableForMs >= afterMs ? 'withdraw' : 'wait';
}

function mayRestore({ backendAnswers, withdrawals, withdrawnForMs }: Sight): boolean {
  if (!backendAnswers) return false;
  const pauseMs = withdrawals <= 1 ? 0 : Math.min(firstPauseMs * 2 ** (withdrawals - 2), longestPauseMs);
  return withdrawnForMs >= pauseMs;
}
