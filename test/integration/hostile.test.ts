import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { profiles } from '../../src/api/debug-session.ts';
import { capabilityMask } from '../../src/linux/capabilities.ts';
import { defaultCapabilities, startContainer } from './container.ts';
import { type Agent, openAgent, run, shell, start, Typist } from './session.ts';

let agent: Agent;
beforeAll(() => {
  agent = openAgent();
});
afterAll(() => agent[Symbol.dispose]());

const spying = { args: ['/workload', 'spy', '/tmp/spied'] };

describe('a container that tries to get at every process it sees', () => {
  it.each(profiles.filter((profile) => profile !== 'restricted'))(
    'sees sessions of the profile %s and can open nothing of them',
    async (profile) => {
      await using container = await startContainer(agent.kernel, spying);
      for (let at = 0; at < 5; at++) {
        await using session = await start(agent, container, { profile, tty: true, command: ['sh'] });
        const typist = new Typist(session);
        typist.type('echo up $((40+2))\n');
        await typist.waitFor(/up 42/);
        await sleep(20);
      }
      const spied = readFileSync(join(container.rootfs, 'tmp/spied'), 'utf8').trim().split('\n');
      expect(spied.filter((line) => line.endsWith(' seen')).length).toBeGreaterThan(5);
      expect(spied.filter((line) => !line.endsWith(' seen'))).toEqual([]);
    },
  );

  it('cannot catch the entering program even with CAP_SYS_PTRACE: what it can trace has no more than itself', async () => {
    await using container = await startContainer(agent.kernel, {
      ...spying,
      capabilities: [...defaultCapabilities, 'CAP_SYS_PTRACE'],
    });
    for (let at = 0; at < 5; at++) {
      const { stdout } = await run(agent, container, ['grep', 'CapPrm', '/proc/self/status']);
      expect(BigInt(`0x${stdout.trim().split('\t')[1]}`)).toBe(
        capabilityMask([...defaultCapabilities, 'CAP_SYS_PTRACE']),
      );
    }
  });

  it('is given no session with more than itself, when it could take it over', async () => {
    await using container = await startContainer(agent.kernel, {
      capabilities: [...defaultCapabilities, 'CAP_SYS_PTRACE'],
    });
    await expect(start(agent, container, { profile: 'netadmin' })).rejects.toMatchObject({ reason: 'ProfileRefused' });
  });
});

describe('capabilities', () => {
  const guard = ['CAP_WAKE_ALARM'];
  it.each([
    ['general', [...defaultCapabilities, 'CAP_SYS_PTRACE', ...guard]],
    ['baseline', [...defaultCapabilities, ...guard]],
    ['netadmin', [...defaultCapabilities, 'CAP_NET_ADMIN', ...guard]],
  ] as const)('of root in the profile %s are the container’s and what the profile adds', async (profile, expected) => {
    await using container = await startContainer(agent.kernel);
    const { stdout } = await run(agent, container, ['grep', '^CapEff', '/proc/self/status'], { profile });
    expect(BigInt(`0x${stdout.trim().split('\t')[1]}`)).toBe(capabilityMask(expected));
  });

  it('of another user are ambient, so that the profile means something for it too', async () => {
    await using container = await startContainer(agent.kernel, { uid: 1000, gid: 1000 });
    const { stdout } = await run(agent, container, ['grep', '^CapEff', '/proc/self/status'], { profile: 'netadmin' });
    expect(BigInt(`0x${stdout.trim().split('\t')[1]}`)).toBe(
      capabilityMask(['CAP_NET_ADMIN', 'CAP_NET_RAW', ...guard]),
    );
  });

  it('in the profile restricted are none, for ever, and root is refused', async () => {
    await using container = await startContainer(agent.kernel);
    await expect(start(agent, container, { profile: 'restricted' })).rejects.toMatchObject({
      reason: 'ProfileRefused',
    });
    const command = ['grep', '-E', '^(Cap|NoNewPrivs)', '/proc/self/status'];
    const { stdout } = await run(agent, container, command, { profile: 'restricted', user: { uid: 1000, gid: 1000 } });
    const values = stdout
      .trim()
      .split('\n')
      .map((line) => line.split('\t')[1]);
    expect(values).toEqual([...Array(5).fill('0'.repeat(16)), '1']);
  });
});

describe('devices', () => {
  it('of the node stay closed to a session that may make device nodes', async () => {
    await using container = await startContainer(agent.kernel);
    const script =
      'mknod /tmp/kmsg c 1 11; mknod /tmp/disk b 254 0; cat /dev/null && echo fine > /dev/null && head -c 1 /dev/zero | wc -c';
    const { stdout, stderr } = await run(agent, container, shell(script), { profile: 'sysadmin' });
    expect(stderr.match(/Operation not permitted/g)).toHaveLength(2);
    expect(stdout).toBe('1\n');
  });

  it('of the node stay closed although the container holds a node for them', async () => {
    await using container = await startContainer(agent.kernel, {
      prepare: (rootfs) => void execFileSync('mknod', [join(rootfs, 'kmsg'), 'c', '1', '11']),
    });
    const { stderr, code } = await run(agent, container, ['cat', '/kmsg'], { profile: 'sysadmin' });
    expect(stderr).toContain('Operation not permitted');
    expect(code).toBe(1);
  });
});

describe('a container that sees the node’s processes', () => {
  it('gives whoever may use general no way into them', async () => {
    await using container = await startContainer(agent.kernel, { hostPid: true });
    const { stdout } = await run(agent, container, ['grep', 'CapBnd', '/proc/self/status']);
    const bounding = BigInt(`0x${stdout.trim().split('\t')[1]}`);
    expect(bounding & capabilityMask(['SYS_PTRACE'])).toBe(0n);
  });
});

describe('a fork bomb in a session', () => {
  it('ends at the session’s own limit, far from the node’s', async () => {
    await using container = await startContainer(agent.kernel);
    const bomb = 'n=0; while [ $n -lt 1500 ]; do n=$((n+1)); sleep 60 >/dev/null 2>&1 & done; echo all';
    const { stdout, stderr } = await run(agent, container, ['busybox', 'sh', '-c', bomb]);
    expect(stdout).toBe('');
    expect(stderr).toContain('Resource temporarily unavailable');
  });
});

describe('the container’s own loader files', () => {
  it('are not obeyed: /etc/ld.so.preload names a library that would show itself', async () => {
    await using container = await startContainer(agent.kernel, {
      prepare: (rootfs) => {
        const source = join(rootfs, 'evil.c');
        writeFileSync(
          source,
          '#include <fcntl.h>\n__attribute__((constructor)) static void ran(void) { open("/tmp/ran", O_CREAT, 0666); }',
        );
        execFileSync('cc', ['-shared', '-fPIC', '-o', join(rootfs, 'evil.so'), source]);
        writeFileSync(join(rootfs, 'etc/ld.so.preload'), '/evil.so\n');
      },
    });
    expect((await run(agent, container, shell('test -e /tmp/ran; echo $?'))).stdout).toBe('1\n');
  });
});
