import { expect, test } from 'vitest';
import type { DebugSession } from '../api/debug-session.ts';
import { sessionTable } from './session-table.ts';

const now = Date.parse('2026-01-01T01:00:00Z');

function session(name: string, created: string, rest: Partial<DebugSession> = {}): DebugSession {
  return {
    metadata: { name, namespace: 'shop', creationTimestamp: created },
    spec: { target: { pod: { name: 'web-0' } }, profile: 'general', tty: true },
    ...rest,
  } as DebugSession;
}

test('sessions stand in columns, the newest last', () => {
  const sessions = [
    session('web-0-new', '2026-01-01T00:59:30Z'),
    session('web-0-old', '2026-01-01T00:00:00Z', {
      status: {
        phase: 'Running',
        nodeName: 'node-a',
        container: 'app',
        attached: [
          { user: 'alice', since: '2026-01-01T00:10:00Z', mode: 'Writer' },
          { user: 'bob', since: '2026-01-01T00:05:00Z', mode: 'Observer' },
        ],
      },
    }),
  ];
  expect(sessionTable(sessions, { wide: false, namespaces: false, now })).toBe(
    [
      'NAME        TARGET      NODE     PHASE     AGE   ATTACHED',
      'web-0-old   web-0/app   node-a   Running   1h    alice +1',
      'web-0-new   web-0       <none>   Pending   30s   <none>',
      '',
    ].join('\n'),
  );
});

test('wide says what was done and how it ended', () => {
  const ended = session('web-0-x', '2026-01-01T00:00:00Z', {
    spec: { target: { pod: { name: 'web-0' } }, profile: 'netadmin', command: ['tcpdump', '-i', 'any'] } as never,
    status: { phase: 'Finished', exit: { code: 137, reason: 'IdleTimeout', at: '' } },
  });
  const [, row] = sessionTable([ended], { wide: true, namespaces: true, now }).split('\n');
  expect(row).toMatch(
    /^shop +web-0-x +web-0 +<none> +Finished +1h +<none> +netadmin +tcpdump -i any +137 +IdleTimeout$/,
  );
});

test('a command that was made to steer the terminal is shown, not obeyed', () => {
  const hostile = session('web-0-x', '2026-01-01T00:00:00Z', {
    spec: { target: { pod: { name: 'web-0' } }, profile: 'general', command: ['\x1b[2J', 'a\nb'] } as never,
  });
  const text = sessionTable([hostile], { wide: true, namespaces: false, now });
  expect(text).toContain('\\u001b[2J a b');
  expect(text.split('\n')).toHaveLength(3);
});
