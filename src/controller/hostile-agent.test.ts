import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import type { AgentLink } from '../gateway/agent-link.ts';
import { Memory } from './memory.ts';
import { Reconciler, type ReconcilerOptions } from './reconciler.ts';

test('an agent can let go of its own sessions only, and of none that was never known', () => {
  const memory = new Memory();
  const answer = { uid: 'u', namespace: 'shop', name: 's', phase: 'Running', attached: 0, cleanedUp: false } as const;
  memory.of('u').dispatched = { node: 'node-1', link: {} as AgentLink, answer };
  const reconciler = new Reconciler({ memory, log: silentLogger } as unknown as ReconcilerOptions);
  reconciler.forgotten('u', 'node-2');
  expect(memory.of('u').dispatched?.answer).toBe(answer);
  reconciler.forgotten('u', 'node-1');
  expect(memory.of('u').dispatched?.answer).toBeUndefined();
  reconciler.forgotten('never-seen', 'node-1');
  expect(memory.peek('never-seen')).toBeUndefined();
});
