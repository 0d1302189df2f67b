import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseRuntimeInfo } from '../../node-agent/target/runtime-spec.ts';
import { candidateOf } from './cri.ts';
import { parseDockerInspect, parseDockerList, withUser } from './docker.ts';
import { parsePodmanInspect, parsePodmanList } from './podman.ts';

const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`fixtures/${name}.json`, import.meta.url), 'utf8'));

const spec = {
  user: { uid: 33, gid: 33, additionalGids: [4] },
  capabilities: { bounding: [], ambient: [] },
  noNewPrivileges: false,
  cgroupsPath: '',
  env: ['PATH=/of-the-process'],
  cwd: '/',
};

describe('answers of Docker 20.10', () => {
  it('name containers, their states and their pods', () => {
    expect(parseDockerList(fixture('docker-list'))).toMatchObject([
      { id: expect.stringMatching(/^f8f02e48c9a1/), names: ['web'], state: 'running', running: true },
      { names: ['old'], state: 'exited', running: false },
    ]);
  });

  it('say the pid, the user and the OCI runtime', () => {
    expect(parseDockerInspect(fixture('docker-inspect'))).toEqual({
      pid: 121,
      user: '1000:50',
      env: ['PATH=/bin'],
      cwd: '/srv',
      runtime: 'runc',
    });
  });

  it('read as nothing where they are of another kind', () => {
    expect(parseDockerList({ message: 'page not found' })).toEqual([]);
    expect(parseDockerInspect([])).toEqual({ pid: 0, user: '', env: [], cwd: '/', runtime: '' });
  });
});

describe('withUser', () => {
  const more = { env: [], cwd: '/srv' };
  it('starts as the container was started, not as its process has become', () => {
    expect(withUser(spec, '', more).user).toEqual({ uid: 0, gid: 0, additionalGids: [] });
    expect(withUser(spec, '1000:50', more).user).toEqual({ uid: 1000, gid: 50, additionalGids: [] });
    expect(withUser(spec, '33', more)).toEqual({ ...spec, ...more });
  });
  it('takes the process’s user for one that has a name', () => {
    expect(withUser(spec, 'www-data', more).user).toEqual(spec.user);
  });
});

describe('answers of Podman 4.3', () => {
  it('name containers and their pods, without the one that holds the pod', () => {
    expect(parsePodmanList(fixture('podman-list'))).toMatchObject([
      { runtime: 'podman', names: ['web'], running: true, state: 'running' },
      { names: ['in-pod'], pod: { name: 'shop', container: 'in-pod' } },
    ]);
    expect(parsePodmanList(fixture('podman-list'))).toHaveLength(2);
  });
  it('say the pid and where the specification is', () => {
    expect(parsePodmanInspect(fixture('podman-inspect'))).toEqual({
      pid: 4321,
      specFile: '/var/lib/containers/storage/overlay-containers/1f/userdata/config.json',
      runtime: '/usr/bin/runc',
    });
  });
});

describe('answers of CRI-O', () => {
  // server/container_status.go: sandboxID, pid, runtimeSpec and privileged, with checkpointedAt and restored where that is configured.
  const info = {
    sandboxID: 'aa'.repeat(32),
    pid: 4242,
    runtimeSpec: {
      ociVersion: '1.0.2-dev',
      process: {
        user: { uid: 1000, gid: 0, umask: 18, additionalGids: [0, 1000] },
        args: ['/app'],
        env: ['PATH=/usr/bin'],
        cwd: '/srv',
        capabilities: { bounding: ['CAP_CHOWN'], effective: ['CAP_CHOWN'], permitted: ['CAP_CHOWN'] },
        noNewPrivileges: true,
      },
      linux: {
        cgroupsPath: 'kubepods-pod1.slice:crio:bb',
        namespaces: [{ type: 'pid' }, { type: 'network', path: '/var/run/netns/x' }],
      },
    },
    privileged: false,
  };
  it.each([info, { ...info, checkpointedAt: '0001-01-01T00:00:00Z', restored: false }])(
    'give pid and specification',
    (answer) => {
      expect(parseRuntimeInfo(JSON.stringify(answer))).toMatchObject({
        pid: 4242,
        sandboxId: 'aa'.repeat(32),
        spec: {
          user: { uid: 1000, gid: 0, additionalGids: [0, 1000] },
          capabilities: { bounding: ['CAP_CHOWN'], ambient: [] },
          noNewPrivileges: true,
          cwd: '/srv',
        },
      });
    },
  );
  it('name a container by the labels of the kubelet, or without one by its own metadata', () => {
    const labels = {
      'io.kubernetes.pod.namespace': 'shop',
      'io.kubernetes.pod.name': 'web-0',
      'io.kubernetes.container.name': 'main',
    };
    const container = {
      id: 'bb',
      podSandboxId: 'aa',
      metadata: { name: 'main' },
      state: 'CONTAINER_RUNNING' as const,
      labels,
    };
    expect(candidateOf(container)).toEqual({
      runtime: 'cri',
      id: 'bb',
      names: ['main'],
      state: 'running',
      running: true,
      pod: { id: 'aa', namespace: 'shop', name: 'web-0', container: 'main' },
    });
    expect(candidateOf({ ...container, labels: {}, state: 'CONTAINER_EXITED' })).toEqual({
      runtime: 'cri',
      id: 'bb',
      names: ['main'],
      state: 'exited',
      running: false,
    });
  });
});
