import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { shippedProfiles } from '../../src/api/profile-rules.ts';
import { resourceNumber } from '../../src/linux/rlimits.ts';
import { compileStatic } from '../support/compile.ts';
import { cgroupDirectories, testCgroup } from './cgroups.ts';
import { type ContainerOptions, startContainer } from './container.ts';
import { type Agent, openAgent, run, shell, start } from './session.ts';

let agent: Agent;
let probe: string;
beforeAll(() => {
  agent = openAgent();
  probe = compileStatic(join(import.meta.dirname, 'calls.c'));
});
afterAll(() => agent[Symbol.dispose]());

const withProbe = (options: ContainerOptions = {}): ContainerOptions => ({
  ...options,
  prepare: (rootfs) => void execFileSync('cp', [probe, join(rootfs, 'calls')]),
});

/** What each call of calls.c was answered: `EPERM`, `ENOSYS`, `open`. */
async function calls(options: ContainerOptions, request: Parameters<typeof run>[3] = {}) {
  await using container = await startContainer(agent.kernel, withProbe(options));
  const { stdout } = await run(agent, container, ['/calls'], request);
  return Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(' ')),
  );
}

const closed = ['keyctl', 'io_uring_setup', 'kexec_load', 'init_module', 'userfaultfd', 'socket(AF_VSOCK)', 'reboot'];

describe('the seccomp filter', () => {
  it.each(['general', 'baseline', 'netadmin'] as const)('of %s is the container runtime’s default', async (profile) => {
    const answers = await calls({}, { profile });
    for (const name of [...closed, 'mount', 'unshare', 'setns', 'bpf', 'clone(CLONE_NEWUSER)'])
      expect([name, answers[name]]).toEqual([name, 'EPERM']);
    expect(answers).toMatchObject({ getpid: 'open', clone3: 'ENOSYS', newest: 'ENOSYS', ptrace: 'open' });
    // Behind the filter stands the sysctl perf_event_paranoid, which Debian's kernels have at 3.
    const perf = answers['perf_event_open'];
    expect(perf === 'EACCES' ? 'open' : perf).toBe(profile === 'general' ? 'open' : 'EPERM');
    expect(answers).toMatchObject({ Seccomp: '2', Seccomp_filters: '1' });
  });

  it('of restricted holds under no_new_privs, and is as tight', async () => {
    const answers = await calls({ uid: 1000 }, { profile: 'restricted' });
    expect(answers).toMatchObject({ Seccomp: '2', NoNewPrivs: '1', chroot: 'EPERM', getpid: 'open' });
  });

  it('of sysadmin closes nothing but what takes the node over', async () => {
    const answers = await calls({}, { profile: 'sysadmin' });
    for (const name of ['init_module', 'kexec_load', 'reboot']) expect([name, answers[name]]).toEqual([name, 'EPERM']);
    expect(answers).toMatchObject({ unshare: 'open', bpf: 'open', newest: 'ENOSYS', Seccomp: '2' });
  });

  it('never lets through what the container’s own does not, but for what the profile is for', async () => {
    const seccomp = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [
        { names: ['getpid', 'ptrace', 'mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 },
        {
          names: ['socket'],
          action: 'SCMP_ACT_ERRNO',
          errnoRet: 97,
          args: [{ index: 0, value: 16, op: 'SCMP_CMP_EQ' }],
        },
      ],
    };
    const general = await calls({ seccomp });
    expect(general).toMatchObject({
      Seccomp_filters: '2',
      getpid: 'EACCES',
      ptrace: 'open',
      'socket(AF_NETLINK)': 'EAFNOSUPPORT',
      'socket(AF_UNIX)': 'open',
      mount: 'EPERM',
    });
    expect(await calls({ seccomp }, { profile: 'baseline' })).toMatchObject({ ptrace: 'EACCES' });
    expect(await calls({ seccomp }, { profile: 'sysadmin' })).toMatchObject({ getpid: 'open' });
  });

  it('lets setuid programs of the container work as with kubectl exec, unless the container has no_new_privs', async () => {
    const options = (noNewPrivileges: boolean): ContainerOptions => ({
      uid: 1000,
      gid: 1000,
      noNewPrivileges,
      prepare: (rootfs) => {
        execFileSync('cp', [probe, join(rootfs, 'calls')]);
        execFileSync('chmod', ['4755', join(rootfs, 'calls')]);
      },
    });
    for (const [noNewPrivileges, uid] of [
      [false, '0'],
      [true, '1000'],
    ] as const) {
      await using container = await startContainer(agent.kernel, options(noNewPrivileges));
      const { stdout } = await run(agent, container, ['/calls']);
      expect(stdout).toContain(`Uid ${uid}\n`);
      expect(stdout).toContain('Seccomp 2\n');
    }
  });

  it('refuses a container under whose filter nothing can start, with the way out', async () => {
    const seccomp = {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['ioctl'], action: 'SCMP_ACT_ERRNO' }],
    };
    await using container = await startContainer(agent.kernel, { seccomp });
    await expect(start(agent, container, { command: ['true'] })).rejects.toMatchObject({
      reason: 'ProfileRefused',
      message: expect.stringContaining('does not let through ioctl'),
    });
    expect((await run(agent, container, ['true'], { profile: 'sysadmin' })).code).toBe(0);
  });
});

describe('resource limits', () => {
  it('of the container hold for the session, and there are no core dumps', async () => {
    await using container = await startContainer(agent.kernel, {
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 77, hard: 88 }],
    });
    const script = 'ulimit -Sn; ulimit -Hn; ulimit -c';
    expect((await run(agent, container, shell(script))).stdout).toBe('77\n88\n0\n');
  });

  it('may leave hardly a descriptor, and a session starts all the same', async () => {
    await using container = await startContainer(agent.kernel);
    // runc itself could start nothing with so few.
    const rlimits = [{ resource: resourceNumber('RLIMIT_NOFILE') ?? 0, soft: 4n, hard: 4n }];
    const { target } = container;
    const narrow = { ...container, target: { ...target, spec: { ...target.spec, rlimits } } };
    expect(await run(agent, narrow, ['echo', 'in'])).toMatchObject({ code: 0, stdout: 'in\n' });
  });
});

const limits = shippedProfiles.general.limits;

/** One file of the session's cgroup, from whichever hierarchy has it. */
function ofCgroup(session: string, ...files: readonly string[]): string {
  const directories = cgroupDirectories(`${testCgroup}/crashcart/${session}`);
  for (const file of files.flatMap((name) => directories.map((directory) => join(directory, name)))) {
    try {
      return readFileSync(file, 'utf8').trim();
    } catch {
      // another hierarchy has it
    }
  }
  throw new Error(`no ${files.join()} in ${directories.join()}`);
}

describe('the session’s cgroup', () => {
  it('ends a memory hog at its own limit, and the shell that started it lives', async () => {
    await using container = await startContainer(agent.kernel, withProbe());
    const hog = await run(agent, container, shell('/calls hog; echo "ended $?"; echo still here'));
    expect(hog.stdout).toContain('ended 137');
    expect(hog.stdout).toContain('still here');
    const reached = Number(/reached (\d+) MiB/.exec(hog.stdout.split('\n').reverse().join('\n'))?.[1]);
    expect(reached).toBeLessThanOrEqual(limits.memoryBytes! / 2 ** 20);
    expect(reached).toBeGreaterThan(limits.memoryBytes! / 2 ** 20 / 2);
    expect((await run(agent, container, ['true'])).code, 'the container lives').toBe(0);
  });

  it('ends a fork bomb at its own limit, far from the node’s, and is emptied', async () => {
    await using container = await startContainer(agent.kernel, withProbe());
    await using session = await start(agent, container, { uid: 'bomb', command: ['/calls', 'bomb'] });
    session.stdout.resume();
    const current = (): number => Number(ofCgroup('bomb', 'pids.current'));
    for (const deadline = Date.now() + 20_000; current() < limits.pids! && Date.now() < deadline; ) await sleep(20);
    expect(current()).toBe(limits.pids);
    expect((await run(agent, container, ['true'])).code, 'the node can fork').toBe(0);
    expect(await session.cleanup()).toEqual({});
  });

  it('bounds its processor time', async () => {
    await using container = await startContainer(agent.kernel);
    await using session = await start(agent, container, { uid: 'cpu', command: shell('sleep 100') });
    session.stdout.resume();
    expect(['100000 100000', '100000']).toContain(ofCgroup('cpu', 'cpu.max', 'cpu.cfs_quota_us'));
  });
});
