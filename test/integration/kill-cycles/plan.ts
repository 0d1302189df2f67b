/** What is done to a node in one cycle: pure, and the same for the same seed and number. */
import type { Visibility } from '../../../src/api/debug-session.ts';

/** `takeover`: a new agent is started before the older one is killed, as an update that overlaps does. */
export const victims = [
  'agent',
  'agent by SIGTERM',
  'takeover',
  'supervisor',
  'command',
  'container',
  'containerd',
] as const;
export type Victim = (typeof victims)[number];

export interface PlannedSession {
  readonly visibility: Visibility;
  readonly tty: boolean;
  readonly command: readonly string[];
}

export interface Plan {
  readonly sessions: readonly PlannedSession[];
  /** Since the orders went out: into the start of the sessions, or behind it. */
  readonly strikeAfterMs: number;
  readonly strikes: readonly { readonly victim: Victim; readonly thenMs: number }[];
  /**
   * What the node's files look like to the next agent. `unfinished`: beside what is there lie files that were being written when the agent ended.
   * `torn`: the power went, and with it everything that ran; the files are cut at any place.
   */
  readonly journal: 'whole' | 'unfinished' | 'torn';
}

const commands: readonly (readonly string[])[] = [
  ['sleep', '1000'],
  ['sh', '-c', 'setsid sleep 1000 & exec sleep 1000'],
  ['sh', '-c', 'seq 1 10000000'],
  ['sh', '-c', 'sleep 0.1; exit 3'],
  ['no-such-command'],
];

export type Random = () => number;

/** mulberry32: small, and good enough to choose by. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function planOf(seed: number, cycle: number): Plan {
  const random = randomOf(seed + cycle * 0x9e3779b9);
  const below = (limit: number): number => Math.floor(random() * limit);
  const one = <T>(of: readonly T[]): T => of[below(of.length)]!;
  const sessions = Array.from({ length: 1 + below(3) }, () => ({
    visibility: one(['Session', 'Container'] as const),
    tty: random() < 0.5,
    command: one(commands),
  }));
  const count = random() < 0.65 ? 1 : 2;
  // Half of all strikes hit the agent itself, one way or another.
  const weighted: readonly Victim[] = ['agent', 'agent', 'agent', ...victims];
  const strikes = Array.from({ length: count }, () => ({ victim: one(weighted), thenMs: below(60) }));
  const dice = random();
  return {
    sessions,
    // A session needs some 30 ms to its start, more on a busy machine.
    strikeAfterMs: below(random() < 0.7 ? 90 : 400),
    strikes,
    journal: dice < 0.7 ? 'whole' : dice < 0.85 ? 'unfinished' : 'torn',
  };
}
