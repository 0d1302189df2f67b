import { describe, expect, test } from 'vitest';
import type { AttachedClient, DebugSessionStatus } from '../api/debug-session.ts';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import { plan } from './plan.ts';
import { makeObserved, makeSession, makeSituation, placed } from './session-fixture.ts';
import { type Action, companySettlesMs } from './situation.ts';

const alice: AttachedClient = { user: 'alice', since: '2026-11-24T09:59:00Z', mode: 'Writer' };
const bob: AttachedClient = { user: 'bob', since: '2026-11-24T09:59:30Z', mode: 'Observer' };

const statusOf = (actions: readonly Action[]): DebugSessionStatus | undefined =>
  actions.flatMap((each) => (each.type === 'patchStatus' ? [each.status] : []))[0];

/** A session of which everything but its company is in the status already. */
function settled(clients: readonly AttachedClient[], attached: readonly AttachedClient[] | undefined, forMs: number) {
  const before = placed({ phase: 'Preparing', ...(attached ? { attached } : {}) });
  const observed = makeObserved({ clients: attached ?? [] });
  const status = statusOf(plan(makeSituation({ session: makeSession({ status: before }), observed })))!;
  return makeSituation({
    session: makeSession({ status }),
    observed: makeObserved({ clients }),
    companyForMs: forMs,
  });
}

describe('who is attached', () => {
  test('is written once it has stayed the same for a while', () => {
    expect(statusOf(plan(settled([alice, bob], undefined, companySettlesMs)))?.attached).toEqual([alice, bob]);
  });

  test('costs no write of its own before', () => {
    const [first, ...rest] = plan(settled([alice], undefined, 3_000));
    expect(first).toEqual({ type: 'requeueAfter', ms: companySettlesMs - 3_000 });
    expect(statusOf(rest)).toBeUndefined();
  });

  test('is written at once with whatever else is', () => {
    const session = makeSession({ status: placed() });
    const status = statusOf(plan(makeSituation({ session, observed: makeObserved({ clients: [alice] }) })));
    expect(status).toMatchObject({ phase: 'Running', attached: [alice] });
  });

  test('is taken out when everybody has gone for a while', () => {
    const [first] = plan(settled([], [alice], companySettlesMs));
    expect(first).toMatchObject({ type: 'patchStatus' });
    expect(statusOf([first!])).not.toHaveProperty('attached');
  });

  test('does not change what is there already', () => {
    const situation = settled([alice], [alice], 0);
    expect(statusOf(plan(situation))).toEqual(situation.session.status);
  });

  test.each<[string, Partial<ObservedSession>]>([
    [
      'the command has ended',
      { phase: 'Finished', exit: { code: 0, reason: 'Completed', at: '2026-11-24T10:00:00Z' }, cleanedUp: true },
    ],
    ['the session has failed', { phase: 'Failed', cleanedUp: true }],
  ])('is nobody when %s', (_, observed) => {
    const session = makeSession({ status: placed({ phase: 'Running', attached: [alice] }) });
    expect(statusOf(plan(makeSituation({ session, observed: makeObserved(observed) })))).not.toHaveProperty('attached');
  });

  test('is not known while the agent is away', () => {
    const session = makeSession({ status: placed({ phase: 'Running', attached: [alice] }) });
    const status = statusOf(plan(makeSituation({ session, agent: { connected: false, absentMs: 20_000 } })));
    expect(status).toMatchObject({ phase: 'Running' });
    expect(status).not.toHaveProperty('attached');
  });
});
