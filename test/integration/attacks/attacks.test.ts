import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { duplicate } from '../../../src/linux/descriptors.ts';
import { closeAll } from '../../../src/linux/kernel.ts';
import { type ContainerOptions, defaultCapabilities, startContainer } from '../container.ts';
import { type Agent, openAgent, run, shell, start, traces } from '../session.ts';
import { sessions, startAttack } from './attack.ts';

// Of which each takes some 50 ms here, and five times that where a tracer withholds the exits.
const rounds = Number(process.env['CRASHCART_ATTACK_ROUNDS'] ?? 200);
vi.setConfig({ testTimeout: 120_000 });

let agent: Agent;
beforeAll(async () => {
  agent = openAgent();
  await using container = await startContainer(agent.kernel);
  await run(agent, container, ['true']); // what is opened once is open now
});
afterAll(() => agent[Symbol.dispose]());

const watch = ['watch', '/tmp/attack'];
const profiles = ['general', 'baseline', 'netadmin', 'sysadmin'] as const;
const tracer = [...defaultCapabilities, 'CAP_SYS_PTRACE'];

describe('tracing, reading and writing every process that appears', () => {
  it.each<[string, ContainerOptions, number]>([
    ['with the usual capabilities', {}, rounds],
    ['in a user namespace', { userNamespace: true }, 100],
    ['where the pids are the node’s', { hostPid: true }, 100],
  ])('%s gets nothing', async (_what, options, count) => {
    await using attack = await startAttack(agent, watch, options);
    const before = traces(attack.container);
    const { ran, refused } = await sessions(agent, attack.container, count, (round) => ({
      profile: profiles[round % profiles.length]!,
      tty: round % 2 === 0,
      visibility: round % 5 === 0 ? 'Container' : 'Session',
    }));
    expect(traces(attack.container)).toEqual(before);
    const { hits, seen } = await attack.stop();
    expect(hits).toEqual([]);
    expect(refused).toEqual([]);
    expect(ran).toBe(count);
    // A session starts in milliseconds: of ten it sees about one. That it would notice something is shown by mutations.test.ts.
    expect(seen, 'it did look').toBeGreaterThan(0);
  });

  it.each<[string, ContainerOptions]>([
    ['of the node’s root', { capabilities: tracer }],
    ['in a user namespace', { capabilities: tracer, userNamespace: true }],
  ])('with CAP_SYS_PTRACE %s gets at nothing that has more than itself, and at no program', async (_what, options) => {
    await using attack = await startAttack(agent, watch, options);
    await sessions(agent, attack.container, rounds / 2, (round) => ({
      profile: round % 2 ? 'general' : 'baseline',
      tty: round % 3 === 0,
    }));
    const { hits, seen } = await attack.stop();
    // Who holds that capability may look at the waiting command: it is as weak as the session, and its program is sealed memory.
    expect(hits.filter((line) => !line.startsWith('hit exe-of-crashcart-enter'))).toEqual([]);
    expect(seen, 'it did look').toBeGreaterThan(0);
  });

  it('as the very user of a restricted session never meets the entering program', async () => {
    const user = { uid: 1000, gid: 1000 };
    await using attack = await startAttack(agent, watch, { ...user, capabilities: [] });
    await sessions(agent, attack.container, rounds / 2, () => ({ profile: 'restricted' }));
    const { hits, seen } = await attack.stop();
    expect(hits).toEqual([]);
    expect(seen, 'it did look').toBeGreaterThan(0);
  });
});

describe('races for the mount point', () => {
  const cases = ['exchange', 'shuffle'].flatMap((mode) =>
    (['Container', 'Session'] as const).map((visibility) => [mode, visibility] as const),
  );
  it.each(cases)('%s: the toolbox of visibility %s goes nowhere else', async (mode, visibility) => {
    await using attack = await startAttack(agent, [mode, '/tmp/attack']);
    const before = mountsOf(attack.container.mountinfo());
    const host = readFileSync('/proc/self/mountinfo', 'utf8');
    const { ran, refused } = await sessions(agent, attack.container, rounds, () => ({ visibility }));
    const { hits } = await attack.stop();
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).toBe(host);
    expect(hits).toEqual([]);
    expect(ran + refused.length).toBe(rounds);
    expect(
      before.filter((point) => point.includes('crashcart')),
      'before',
    ).toEqual([]);
  });

  it('a link for /dev itself leads nowhere', async () => {
    const options: ContainerOptions = {
      dev: 'none',
      prepare: (rootfs) => mkdirSync(join(rootfs, 'tmp/elsewhere'), { recursive: true }),
    };
    await using container = await startContainer(agent.kernel, options);
    for (const aim of ['/tmp/elsewhere', '/proc/1/root/tmp', '../../../../tmp']) {
      execFileSync('ln', ['-sfn', aim, join(container.rootfs, 'dev')]);
      const before = container.mountinfo();
      for (const visibility of ['Session', 'Container'] as const)
        await expect(start(agent, container, { visibility, command: ['true'] })).rejects.toMatchObject({
          reason: 'MountPointOccupied',
        });
      expect(container.mountinfo()).toBe(before);
      execFileSync('rm', [join(container.rootfs, 'dev')]);
    }
  });
});

const mountsOf = (mountinfo: string): string[] => mountinfo.split('\n').map((line) => line.split(' ')[4] ?? '');

describe('files that programs obey', () => {
  it('of the container run nothing in the session', async () => {
    const mark = 'touch /tmp/ran; echo ran >> /tmp/ran';
    await using container = await startContainer(agent.kernel, {
      env: [
        'PATH=/usr/bin:/bin',
        'LD_PRELOAD=/evil.so',
        'BASH_ENV=/evil.sh',
        'ENV=/evil.sh',
        'PROMPT_COMMAND=/evil.sh',
      ],
      prepare: (rootfs) => {
        const source = join(rootfs, 'evil.c');
        const body = '__attribute__((constructor)) static void ran(void) { open("/tmp/ran", O_CREAT, 0666); }';
        writeFileSync(source, `#include <fcntl.h>\n${body}\n`);
        execFileSync('cc', ['-shared', '-fPIC', '-o', join(rootfs, 'evil.so'), source]);
        for (const directory of [
          'lib',
          'lib64',
          'usr/lib',
          'lib/x86_64-linux-gnu',
          'lib/aarch64-linux-gnu',
          'root',
          'etc/profile.d',
        ]) {
          mkdirSync(join(rootfs, directory), { recursive: true });
          for (const library of [
            'libc.so.6',
            'libnss_evil.so.2',
            'libnss_files.so.2',
            'libtinfo.so.6',
            'libm.so.6',
            'libselinux.so.1',
          ])
            execFileSync('cp', [join(rootfs, 'evil.so'), join(rootfs, directory, library)]);
        }
        writeFileSync(join(rootfs, 'etc/ld.so.preload'), '/evil.so\n');
        writeFileSync(join(rootfs, 'etc/ld.so.conf'), '/lib\n');
        writeFileSync(join(rootfs, 'etc/nsswitch.conf'), 'passwd: evil files\ngroup: evil\nhosts: evil files dns\n');
        writeFileSync(join(rootfs, 'evil.sh'), `#!/dev/crashcart/bin/sh\n${mark}\n`, { mode: 0o755 });
        for (const file of [
          '.bashrc',
          '.profile',
          '.bash_profile',
          'root/.bashrc',
          'root/.bash_profile',
          'root/.profile',
          'etc/bash.bashrc',
          'etc/bashrc',
          'etc/profile',
          'etc/profile.d/evil.sh',
          '.gdbinit',
          'root/.gdbinit',
          '.vimrc',
          'root/.vimrc',
          '.lessfilter',
        ])
          writeFileSync(join(rootfs, file), `${mark}\n`);
      },
    });
    const tools =
      'id; ls -la / >/dev/null; ps aux >/dev/null; grep -c . /etc/passwd; getent passwd nobody; env; bash -c true; python3 -c 1';
    await run(agent, container, shell(tools));
    // The default command: what a person gets who says nothing.
    await using session = await start(agent, container, { tty: true });
    session.stdout.resume();
    session.stdin?.write('id; ls ~ / >/dev/null; exit\n');
    await session.exited;
    expect(existsSync(join(container.rootfs, 'tmp/ran'))).toBe(false);
  });

  it('a false /proc over the container’s own tells the agent nothing', async () => {
    await using container = await startContainer(agent.kernel, {
      capabilities: [...defaultCapabilities, 'CAP_SYS_ADMIN'],
    });
    execFileSync('mount', ['-N', `${container.target.pid}`, '-t', 'tmpfs', 'tmpfs', '/proc']);
    mkdirSync(`/proc/${container.target.pid}/root/proc/self/attr`, { recursive: true });
    for (const file of ['self/status', 'self/oom_score_adj', 'self/attr/current'])
      writeFileSync(`/proc/${container.target.pid}/root/proc/${file}`, 'CapEff:\t000001ffffffffff\nSeccomp:\t0\n');
    const { stdout, code } = await run(agent, container, shell('cat /proc/self/status; exit 4'));
    expect(code).toBe(4);
    expect(stdout).toContain('Seccomp:\t0');
  });
});

describe('a container that has used up', () => {
  it('its pids and all inotify instances still gets a session', async () => {
    await using attack = await startAttack(agent, ['exhaust', '/tmp/attack'], { pidsLimit: 40 });
    for (let round = 0; round < 20; round++)
      expect((await run(agent, attack.container, shell('echo $((40+2))'), { tty: true })).stdout).toBe('42\r\n');
  });

  it('its mount table still gets one, or a refusal that leaves nothing', async () => {
    for (const [count, works] of [
      [20_000, true],
      [99_900, true],
      [99_985, false],
    ] as const) {
      const capabilities = [...defaultCapabilities, 'CAP_SYS_ADMIN'];
      await using attack = await startAttack(agent, ['mounts', `${count}`], { capabilities });
      const before = traces(attack.container);
      const once = sessions(agent, attack.container, 3, () => ({}));
      expect(await once).toMatchObject(works ? { ran: 3, refused: [] } : { ran: 0 });
      expect(traces(attack.container)).toEqual(before);
    }
  });
});

describe('a pid that has come to mean another process', () => {
  it('is refused: the pidfd is what counts', async () => {
    await using dead = await startContainer(agent.kernel);
    await using alive = await startContainer(agent.kernel);
    const pidfd = duplicate(agent.kernel, dead.target.pidfd);
    await dead.kill();
    const before = traces(alive);
    const target = { ...alive.target, pidfd };
    const { ran, refused } = await sessions(agent, alive, 200, (round) => ({
      target,
      visibility: round % 2 ? 'Session' : 'Container',
    }));
    expect(ran).toBe(0);
    expect(refused.filter((why) => !why.startsWith('ContainerNotRunning'))).toEqual([]);
    expect(traces(alive)).toEqual(before);
    closeAll(agent.kernel, pidfd);
  });
});

describe('the way out of a session', () => {
  // Major and minor numbers of memory, kernel log, disks, loop, device mapper, tun, fuse, kvm, input.
  const devices = [
    'c 1 1',
    'c 1 2',
    'c 1 4',
    'c 1 11',
    'b 7 0',
    'b 8 0',
    'b 253 0',
    'b 254 0',
    'b 259 0',
    'c 10 200',
    'c 10 229',
    'c 10 232',
    'c 13 64',
    'c 4 1',
    'c 4 64',
  ];

  it('by a device of the node is closed, whatever the profile', async () => {
    const prepare = (rootfs: string): void => {
      for (const [at, device] of devices.entries())
        execFileSync('mknod', [join(rootfs, `made${at}`), ...device.split(' ')]);
    };
    await using container = await startContainer(agent.kernel, { prepare });
    const script = devices
      .map(
        (device, at) =>
          `cat /made${at} >/dev/null 2>/tmp/why; echo $?; grep -c 'not permitted' /tmp/why; mknod /tmp/n${at} ${device} 2>/tmp/why; echo $?`,
      )
      .join('; ');
    const { stdout } = await run(agent, container, shell(script), { profile: 'sysadmin' });
    expect(stdout.trim().split('\n')).toEqual(devices.flatMap(() => ['1', '1', '1']));
  });

  it('by another cgroup is closed to all but sysadmin', async () => {
    await using container = await startContainer(agent.kernel, { cgroupNamespace: true });
    const script = [
      'mkdir -p /tmp/c; mount -t cgroup2 none /tmp/c; mount -t cgroup -o pids none /tmp/c',
      'find /sys/fs/cgroup /tmp/c -name cgroup.procs 2>/dev/null | while read f; do echo $$ > $f && echo escaped $f; done',
      'unshare -C true && echo escaped; unshare -m true && echo escaped; unshare -U true && echo escaped',
    ].join('; ');
    for (const profile of ['general', 'baseline', 'netadmin'] as const) {
      const { stdout, stderr } = await run(agent, container, shell(`{ ${script}; } 2>&1`), { profile });
      expect(stdout + stderr).not.toContain('escaped');
      expect(stdout).toMatch(/(not permitted|ermission denied)/);
    }
  });

  it('by a descriptor that was left open is closed: there is none but the standard streams', async () => {
    await using container = await startContainer(agent.kernel);
    for (const tty of [true, false])
      for (const profile of ['general', 'sysadmin'] as const) {
        const { stdout } = await run(agent, container, ['ls', '/proc/self/fd'], { tty, profile });
        expect(stdout.trim().split(/\s+/)).toEqual(['0', '1', '2', '3']); // 3: the directory that ls reads
      }
  });
});

describe('the operator’s terminal', () => {
  it('gets no control sequence from what the container is called or holds, in a refusal', async () => {
    await using container = await startContainer(agent.kernel);
    const path = `/proc/${container.target.pid}/root/dev/crashcart`;
    writeFileSync(path, 'mine');
    const spec = { ...container.target.spec, cwd: '/\x1b]52;c;aGk=\x07', apparmorProfile: '\x1b[2J' };
    const refusal = await start(agent, container, {
      target: { ...container.target, spec },
      command: ['\x1b[31m'],
    }).catch(String);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those
    expect(refusal).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  });
});
