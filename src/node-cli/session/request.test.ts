import { describe, expect, it } from 'vitest';
import { shippedProfiles } from '../../api/profile-rules.ts';
import { environmentFor } from './environment.ts';
import { parseCapability, parseUser, rulesFor } from './request.ts';

describe('parseUser', () => {
  it('takes a user alone and with a group', () => {
    expect(parseUser('0')).toEqual({ uid: 0 });
    expect(parseUser('1000:50')).toEqual({ uid: 1000, gid: 50 });
  });
  it.each(['root', '', '1:', ':1', '-1', '1:2:3', '4294967295', '99999999999'])('refuses "%s"', (text) => {
    expect(() => parseUser(text)).toThrow(/--user/);
  });
});

it('takes capabilities with and without their prefix, in either case, and no others', () => {
  expect(['NET_ADMIN', 'cap_net_admin', 'CAP_NET_ADMIN'].map(parseCapability)).toEqual(Array(3).fill('CAP_NET_ADMIN'));
  for (const text of ['NET_ADMINISTRATION', '', 'CAP_'])
    expect(() => parseCapability(text)).toThrow(/capabilities\(7\)/);
});

describe('rulesFor', () => {
  it('lets root of the node be anybody, and adds what was asked for', () => {
    expect(rulesFor('general', ['CAP_NET_ADMIN'])).toEqual({
      ...shippedProfiles.general,
      users: 'Any',
      capabilities: { add: ['SYS_PTRACE', 'CAP_NET_ADMIN'] },
    });
    expect(rulesFor('sysadmin', ['CAP_NET_ADMIN']).capabilities.add).toBe('All');
  });
  it('does not turn "restricted" into something else', () => {
    expect(() => rulesFor('restricted', ['CAP_NET_ADMIN'])).toThrow(/leave --cap out/);
    expect(rulesFor('restricted', [])).toMatchObject({ runAsNonRoot: true, capabilities: { drop: 'All' } });
  });
});

it('takes nothing of the container’s environment but the path of its user’s home', () => {
  const spec = { user: { uid: 5, gid: 5, additionalGids: [] }, env: ['HOME=/srv', 'LD_PRELOAD=/evil.so', 'SECRET=1'] };
  const candidate = { runtime: 'docker', id: 'aa', names: ['we\x1bb'], state: 'running', running: true } as const;
  const given = environmentFor({ candidate, spec, uid: undefined, term: 'xterm;rm' });
  expect(given).toEqual({
    TERM: 'xterm-256color',
    HOME: '/srv',
    LANG: 'C.UTF-8',
    HISTFILE: '',
    INPUTRC: '/dev/null',
    CRASHCART_POD: 'we\\u001bb',
  });
  expect(environmentFor({ candidate, spec, uid: 0, term: undefined })).toMatchObject({ HOME: '/root', USER: 'root' });
});
