import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { silentLogger } from '../base/log.ts';
import type { AgentLink } from '../gateway/agent-link.ts';
import type { ObservedSession } from '../wire/agent-protocol.ts';
import { Orphans } from './orphans.ts';

test('however many sessions an agent says it has and however often, one question at a time goes to the API server', async () => {
  const said = Array.from({ length: 50 }, (_, index): [string, ObservedSession] => [
    `uid-${index}`,
    { uid: `uid-${index}`, namespace: 'shop', name: 's', phase: 'Running', attached: 0, cleanedUp: false },
  ]);
  const removed: string[] = [];
  const link = {
    sessions: () => new Map(said),
    remove: async (uid: string) => {
      removed.push(uid);
      return { ...said[0]?.[1], uid, cleanedUp: true };
    },
  } as unknown as AgentLink;
  let [asking, most, asked] = [0, 0, 0];
  const orphans = new Orphans({
    agents: { get: () => link, nodes: () => ['node-1'] },
    sessions: { byUid: () => undefined },
    cluster: {
      session: async () => {
        asked += 1;
        asking += 1;
        most = Math.max(most, asking);
        await turn();
        asking -= 1;
        return undefined;
      },
    },
    log: silentLogger,
  });
  await Promise.all([orphans.sweep(), orphans.sweep(['node-1']), orphans.sweep(['node-1'])]);
  expect({ most, asked, removed: removed.length }).toEqual({ most: 1, asked: 50, removed: 50 });
});
