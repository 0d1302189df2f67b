import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostArchitecture, readLock } from '../../builder/debian/lock.ts';
import { muslFiles } from '../../builder/prove/musl.ts';
import { type Container, type ContainerOptions, defaultCapabilities, startContainer } from './container.ts';
import { type Agent, openAgent, run, shell, start, Typist, traces } from './session.ts';

const hardened: ContainerOptions = {
  uid: 65_532,
  gid: 65_532,
  readonlyRoot: true,
  capabilities: [],
  noNewPrivileges: true,
};

interface Shape extends ContainerOptions {
  /** It shares the pid namespace of another container, as in a pod with shareProcessNamespace. */
  readonly pod?: boolean;
  /** Visibility Container is refused so. */
  readonly refused?: RegExp;
}

const withoutDev = /file system takes none: take visibility Session/;

/** What a shell and its tools need, by name; the rest is answered ENOSYS, so that glibc takes the older way. */
const tight = {
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 38,
  syscalls: [
    {
      action: 'SCMP_ACT_ALLOW',
      names: `
        access arch_prctl brk capget capset chdir clone close close_range dup dup2 dup3 execve exit exit_group faccessat faccessat2 fadvise64 fchdir fcntl
        fstat fstatfs ftruncate futex getcwd getdents64 getegid geteuid getgid getgroups getpgid getpgrp getpid getppid getpriority getrandom
        getresgid getresuid getrlimit getrusage gettid getuid getxattr ioctl kill lgetxattr lseek lstat madvise mmap mprotect mremap munmap nanosleep
        clock_nanosleep newfstatat open openat pause pipe pipe2 poll ppoll prctl pread64 prlimit64 pselect6 read readlink readlinkat readv rseq
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait select sendfile setpgid setsid set_robust_list set_tid_address sigaltstack
        socket stat statfs statx sysinfo tgkill time umask uname unlink unlinkat utimensat vfork wait4 waitid write writev setgid setuid setgroups
        fchown chroot mount umount2 pivot_root setresuid setresgid setns unshare fchmod mkdir mkdirat mknodat symlinkat openat2 epoll_create1 epoll_ctl epoll_pwait
      `
        .trim()
        .split(/\s+/),
    },
  ],
};

const shapes: Readonly<Record<string, Shape>> = {
  'a distroless root container': {},
  'a 65532 container with a read-only root and no capability': hardened,
  'a container in a user namespace': { userNamespace: true },
  'a hardened container in a user namespace': { ...hardened, userNamespace: true },
  'a container in a user namespace of several mappings': {
    uid: 1000,
    gid: 3000,
    mappings: [
      { containerID: 0, hostID: 200_000, size: 1000 },
      { containerID: 1000, hostID: 300_000, size: 1 },
      { containerID: 3000, hostID: 310_000, size: 100 },
    ],
  },
  'a container with a read-only /dev': { readonlyRoot: true, dev: 'readonly' },
  'a container whose /dev is shared with others': {
    dev: 'shared',
    refused: /shares its \/dev mount.*take visibility Session/,
  },
  'a container with a second tmpfs over its /dev': { dev: 'covered' },
  'a container without /dev': { dev: 'none' },
  'a container without /dev and a root mounted read-only': { dev: 'none', readonlyRoot: true },
  'a container without /dev and a root that is read-only for ever': {
    dev: 'none',
    frozenRoot: true,
    refused: withoutDev,
  },
  'a container with a read-only root and /dev in a user namespace': {
    readonlyRoot: true,
    dev: 'readonly',
    userNamespace: true,
  },
  'a squashfs container': { squashedRoot: true, readonlyRoot: true },
  'a musl container': { args: ['/app/workload'], prepare: (rootfs) => writeFiles(rootfs, musl) },
  'a container of an empty image': {
    onceRunning: (root) => {
      for (const name of readdirSync(root))
        if (!['dev', 'proc', 'sys'].includes(name)) rmSync(join(root, name), { recursive: true });
    },
  },
  'a container with an empty directory of its own at /dev/crashcart': {
    onceRunning: (root) => void mkdirSync(join(root, 'dev/crashcart')),
  },
  'a container that shares the pid namespace of the node': { hostPid: true },
  'a container with the network and the IPC of the node': { hostNetwork: true, hostIpc: true },
  'a container with all namespaces of the node but its mounts': { hostPid: true, hostNetwork: true, hostIpc: true },
  'a container with the network of the node in a user namespace': { hostNetwork: true, userNamespace: true },
  'a container with a cgroup namespace': { cgroupNamespace: true },
  'a container in a pod with one pid namespace': { pod: true },
  'a privileged container': { privileged: true },
  'a container under a tight seccomp filter of its own': { seccomp: tight },
  'a container with no_new_privs and no capability': { capabilities: [], noNewPrivileges: true },
  'a container with all its groups': { uid: 1000, gid: 1000, groups: [2000, 3000], capabilities: defaultCapabilities },
};

let musl: Readonly<Record<string, Uint8Array>> = {};
beforeAll(async () => {
  musl = await muslFiles(readLock(hostArchitecture()), process.env);
});

function writeFiles(rootfs: string, files: Readonly<Record<string, Uint8Array>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(rootfs, dirname(path)), { recursive: true });
    writeFileSync(join(rootfs, path), content, { mode: 0o755 });
  }
}

describe.each(Object.entries(shapes))('%s', (_name, { pod: inPod, refused, ...options }) => {
  let agent: Agent;
  let container: Container;
  let pod: Container | undefined;
  beforeAll(async () => {
    agent = openAgent();
    pod = inPod ? await startContainer(agent.kernel) : undefined;
    container = await startContainer(agent.kernel, { ...options, ...(pod ? { sharePid: pod.target.pid } : {}) });
    await run(agent, container, shell('exit 0')); // what is opened once, such as the toolbox's superblock, is open now
  });
  afterAll(async () => {
    await container?.[Symbol.asyncDispose]();
    await pod?.[Symbol.asyncDispose]();
    agent?.[Symbol.dispose]();
  });

  if (refused) {
    it('is refused visibility Container with the way out, and left as it is', async () => {
      const before = traces(container);
      const session = start(agent, container, { visibility: 'Container', command: ['true'] });
      await expect(session).rejects.toMatchObject({
        reason: 'ContainerUnsupported',
        message: expect.stringMatching(refused),
      });
      expect(traces(container)).toEqual(before);
    });
  }

  const visibilities = refused ? (['Session'] as const) : (['Session', 'Container'] as const);
  describe.each(visibilities)('with visibility %s', (visibility) => {
    it('gives a terminal with job control, its size, the exit code, and leaves nothing', async () => {
      const before = traces(container);
      await using session = await start(agent, container, {
        tty: true,
        visibility,
        command: ['bash', '--norc', '-i'],
        size: { width: 91, height: 27 },
      });
      const typist = new Typist(session);
      // Marks of pasting would stand in the midst of what is looked for.
      typist.type("bind 'set enable-bracketed-paste off'; PS1='ready> '\n");
      await typist.waitFor(/[\r\n]ready> /);
      typist.type('tty; stty size\n');
      expect(await typist.waitFor(/27 91\r\n/)).toContain('/dev/pts/0\r\n');
      session.resize({ width: 120, height: 40 });
      typist.type('stty size\n');
      await typist.waitFor(/40 120\r\n/);
      typist.type("sh -c 'echo begun $((40+2)); exec sleep 100'\n");
      await typist.waitFor(/begun 42/);
      typist.type('\x1a');
      await typist.waitFor(/Stopped/);
      typist.type('fg\n');
      await typist.waitFor(/fg\r\n.*sleep 100/);
      await sleep(100); // the shell says it before it hands over the terminal
      typist.type('\x03');
      await typist.waitFor(/\^C[\s\S]*ready> /);
      typist.type('exit 7\n');
      expect(await session.exited).toEqual({ code: 7 });
      expect(await session.cleanup()).toEqual({});
      expect(await session.cleanup()).toEqual({});
      expect(traces(container)).toEqual(before);
    });

    it('pipes a megabyte through, keeps stderr apart and ends at end of file', async () => {
      const before = traces(container);
      const input = randomBytes(1 << 20);
      const command = shell('echo aside >&2; sha256sum; echo reopened > /dev/stdout; exit 5');
      const result = await run(agent, container, command, { visibility, stdin: true, input });
      const sum = createHash('sha256').update(input).digest('hex');
      expect(result).toEqual({ stdout: `${sum}  -\nreopened\n`, stderr: 'aside\n', code: 5 });
      expect(traces(container)).toEqual(before);
    });

    it('ends by a signal with its number, and by a kill of the whole session', async () => {
      const before = traces(container);
      expect(await run(agent, container, shell('kill -TERM $$'), { visibility })).toMatchObject({
        code: 143,
        signal: 'SIGTERM',
      });
      await using session = await start(agent, container, { visibility, command: shell('sleep 1000 & sleep 1000') });
      await session.end();
      expect(await session.exited).toEqual({ code: 137, signal: 'SIGKILL' });
      expect(await session.cleanup()).toEqual({});
      expect(traces(container)).toEqual(before);
    });
  });

  it('runs as the user of the container, in its working directory, without its environment', async () => {
    const { user } = container.target.spec;
    const { stdout } = await run(
      agent,
      container,
      shell('id -u; id -g; id -G; pwd; env | grep SECRET || echo clean; echo $PATH'),
    );
    const [uid, gid, groups, ...rest] = stdout.trimEnd().split('\n');
    expect([uid, gid]).toEqual([`${user.uid}`, `${user.gid}`]);
    expect(groups!.split(' ').map(Number).sort()).toEqual([...new Set([user.gid, ...user.additionalGids])].sort());
    expect(rest).toEqual(['/', 'clean', '/dev/crashcart/bin:/dev/crashcart/sbin:/usr/bin:/bin']);
  });

  it('hands the command no descriptor but its standard streams', async () => {
    // ls opens the directory it reads as the next free one.
    expect((await run(agent, container, ['ls', '/proc/self/fd'])).stdout.split('\n').filter(Boolean)).toEqual([
      '0',
      '1',
      '2',
      '3',
    ]);
  });
});
