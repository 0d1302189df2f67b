import type { Fact } from './facts.ts';

/** `unknown` is what may not be read: no fault, but nothing that was seen either. */
export type State = 'ok' | 'warning' | 'fault' | 'unknown';

export interface Finding {
  readonly check: string;
  readonly state: State;
  /** One sentence. */
  readonly says: string;
  /** What to do or to type. */
  readonly next?: string;
}

/** For what was not answered. `what` as in "may not read the …". */
export function unanswered(check: string, what: string, fact: Fact<unknown> & { readonly known: false }): Finding {
  if (fact.why === 'forbidden') return { check, state: 'unknown', says: `you may not read the ${what}` };
  return { check, state: 'warning', says: `the ${what} could not be read: ${fact.message}` };
}
