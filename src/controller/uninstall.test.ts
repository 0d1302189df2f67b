import { expect, test } from 'vitest';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { AgentLink } from '../gateway/agent-link.ts';
import { endSessions } from './uninstall.ts';

test('every session of every agent is ended, and one that cannot be told holds up no other', async () => {
  const removed: string[] = [];
  const warned: unknown[] = [];
  const link = (...uids: string[]): AgentLink =>
    ({
      sessions: () => new Map(uids.map((uid) => [uid, {}])),
      remove: async (uid: string, reason: string) => {
        if (uid === 'stuck') throw new CrashcartError(reasons.AgentLost, 'gone');
        removed.push(`${uid}:${reason}`);
      },
    }) as unknown as AgentLink;
  const links = new Map([
    ['node-1', link('a', 'stuck')],
    ['node-2', link('b')],
  ]);
  const log = { warn: (_: string, fields: unknown) => warned.push(fields) } as unknown as Logger;
  await endSessions({ get: (node) => links.get(node), nodes: () => [...links.keys()] }, log);
  expect(removed.sort()).toEqual(['a:Deleted', 'b:Deleted']);
  expect(warned).toMatchObject([{ uid: 'stuck', node: 'node-1' }]);
});
