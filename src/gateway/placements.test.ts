import { beforeEach, expect, test } from 'vitest';
import type { ObservedSession, SessionEvent } from '../wire/agent-protocol.ts';
import type { AgentLink } from './agent-link.ts';
import { AgentRegistry } from './agents.ts';
import { Placements } from './placements.ts';

let registry: AgentRegistry;
let placements: Placements;
beforeEach(() => {
  registry = new AgentRegistry();
  placements = new Placements(registry);
  placements.setSecret('of the serving certificate');
});

const shown = (uid: string, placement?: string): ObservedSession => ({
  uid,
  namespace: 'shop',
  name: 'look',
  phase: 'Preparing',
  attached: 0,
  ...(placement === undefined ? {} : { placement }),
  cleanedUp: false,
});

/** An agent that shows these sessions; `tell` brings one more. */
function connect(node: string, ...sessions: readonly ObservedSession[]) {
  const known = new Map(sessions.map((session) => [session.uid, session]));
  const link = { node, sessions: () => known } as unknown as AgentLink;
  registry.add(link, () => {});
  return (session: ObservedSession, type: SessionEvent['type'] = 'changed'): void => {
    known.set(session.uid, session);
    const events = { changed: { type: 'changed', session }, list: { type: 'list', sessions: [session] } } as const;
    registry.event(link, type === 'list' ? events.list : events.changed);
  };
}

test('a session is on the node whose agent shows it with the seal for that node', () => {
  connect('node-a', shown('u-1', placements.seal('u-1', 'node-a')));
  connect('node-b', shown('u-2', placements.seal('u-2', 'node-b')));
  expect(placements.nodeOf('u-2')).toBe('node-b');
  expect(placements.nodeOf('u-3')).toBeUndefined();
});

test.each<[string, () => string | undefined]>([
  ['no seal', () => undefined],
  ['the seal of another node', () => placements.seal('u-1', 'node-a')],
  ['the seal of another session', () => placements.seal('u-2', 'node-b')],
  ['the seal of another secret', () => sealOfOther('u-1', 'node-b')],
  ['an empty seal', () => ''],
  ['a seal of characters beyond ASCII', () => 'é'.repeat(21)],
])('an agent that claims a session with %s is not believed', (_, seal) => {
  connect('node-b', shown('u-1', seal()));
  expect(placements.nodeOf('u-1')).toBeUndefined();
});

test('without a secret nothing is sealed, and no seal is believed', () => {
  const early = new Placements(registry);
  connect('node-a', shown('u-1', placements.seal('u-1', 'node-a')), shown('u-2', ''));
  expect(early.seal('u-1', 'node-a')).toBeUndefined();
  expect([early.nodeOf('u-1'), early.nodeOf('u-2')]).toEqual([undefined, undefined]);
});

test.each(['changed', 'list'] as const)(
  'who waits for a session hears of it from its own agent (%s), not from another one',
  async (type) => {
    const waiting = new AbortController();
    const heard: string[] = [];
    const told = placements.waitFor('u-1', waiting.signal).then((node) => heard.push(node));
    const thief = connect('node-b');
    const owner = connect('node-a');
    thief(shown('u-1', 'x'.repeat(43)), type);
    owner(shown('u-2', placements.seal('u-2', 'node-a')), type);
    await Promise.resolve();
    expect(heard).toEqual([]);
    owner(shown('u-1', placements.seal('u-1', 'node-a')), type);
    await told;
    expect(heard).toEqual(['node-a']);
    waiting.abort();
  },
);

function sealOfOther(uid: string, node: string): string | undefined {
  const other = new Placements(registry);
  other.setSecret('of another certificate');
  return other.seal(uid, node);
}
