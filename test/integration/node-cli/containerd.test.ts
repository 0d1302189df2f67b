import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../cluster/command.ts';
import { buildTestImages, testImages } from '../../cluster/test-images.ts';
import { type Containerd, startContainerd } from '../../support/containerd/containerd.ts';
import { crashcartProgram, startNode, type TestNode } from './test-node.ts';

const project = join(import.meta.dirname, '../../..');

beforeAll(() => {
  execFileSync(process.execPath, [join(project, 'builder/main.ts'), 'node-cli'], { stdio: 'ignore' });
}, 120_000);

describe('containerd of Debian, with ctr', () => {
  let node: TestNode;
  let before: string;
  const ctr = (namespace: string, ...args: readonly string[]): Promise<string> =>
    node.must('/usr/bin/ctr', ['--namespace', namespace, ...args]);
  const start = (namespace: string, name: string): Promise<string> =>
    ctr(namespace, 'run', '--detach', '--cgroup', `/${node.cgroup}/${name}`, testImages.busybox, name);

  beforeAll(async () => {
    node = await startNode();
    const config = join(node.directory, 'config.toml');
    writeFileSync(
      config,
      `version = 2\nroot = "${node.directory}/root"\nstate = "/run/containerd"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n`,
    );
    node.daemon('/usr/bin/containerd', ['--config', config]);
    await until(
      'containerd to answer',
      async () => (await node.run('/usr/bin/ctr', ['version'])).code === 0 || undefined,
      { timeout: 30_000, every: 100 },
    );
    const { busybox } = await buildTestImages();
    for (const namespace of ['default', 'build']) await ctr(namespace, 'images', 'import', busybox);
    await start('default', 'web');
    await start('build', 'builder');
    await start('build', 'twin');
    await start('default', 'twin');
    await node.crashcart(['ps']);
    before = await node.traces();
  }, 120_000);
  afterAll(() => node?.[Symbol.asyncDispose]());
  afterEach(async () => {
    expect(await node.traces()).toBe(before);
  });

  it('opens a shell in a container of any namespace', async () => {
    using terminal = node.terminal(crashcartProgram, ['builder']);
    await terminal.expect(/crashcart.* builder \(namespace build\):\//);
    terminal.enter('tty; exit 3');
    await terminal.expect(/\/dev\/pts\/0/);
    expect(await terminal.exit()).toBe(3);
    expect(await node.crashcart(['--private', 'web', 'echo', 'hello'])).toMatchObject({ code: 0, stdout: 'hello\n' });
  });

  it('lists what a name may mean in two of them', async () => {
    const { code, stderr } = await node.crashcart(['twin', 'true']);
    expect(code).toBe(125);
    expect(stderr).toMatch(/containerd +twin +twin \(namespace build\)/);
    expect(stderr).toMatch(/containerd +twin +twin\n/);
  });

  it('shows the toolbox to ctr tasks exec, and goes through it with -e', async () => {
    await node.crashcart(['-m', 'web']);
    expect(
      await ctr('default', 'tasks', 'exec', '--exec-id', 'x', 'web', '/dev/crashcart/bin/busybox', 'echo', 'in'),
    ).toBe('in\n');
    await node.crashcart(['-u', 'web']);
    expect(
      await node.crashcart(['-e', 'builder', '/dev/crashcart/bin/sh', '-c', 'echo through; exit 4']),
    ).toMatchObject({ code: 4, stdout: 'through\n' });
  });

  it('doctor names it, and does not miss the CRI that it was told to leave out', async () => {
    const { stdout } = await node.crashcart(['doctor']);
    expect(stdout).toMatch(/ok +runtime: containerd +1\.6\S* at \/run\/containerd\/containerd.sock, 4 running/);
    expect(stdout).not.toMatch(/runtime: cri/);
  });
});

describe('containerd 2 with CRI, as on a node of Kubernetes', () => {
  let containerd: Containerd;
  let node: TestNode;
  let before: string;
  const cri = (...args: readonly string[]) => node.crashcart(['--runtime', `cri=${containerd.socket}`, ...args]);

  beforeAll(async () => {
    containerd = await startContainerd();
    await containerd.runContainer({ uid: 'shop-0', image: 'distroless', readOnly: true });
    await containerd.runContainer({ uid: 'shop-1', image: 'busybox' });
    // Its containers have the pids of this machine.
    node = await startNode({ ownPids: false });
    await node.crashcart(['ps']);
    before = await node.traces();
  }, 120_000);
  afterAll(async () => {
    await node?.[Symbol.asyncDispose]();
    await containerd?.[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    expect(await node.traces()).toBe(before);
  });

  it('enters the container of a pod by namespace and name, by the pod’s name, and by a start of its id', async () => {
    expect(await cri('k8s', 'test/shop-0', 'id', '-u')).toMatchObject({ code: 0, stdout: '65532\n' });
    expect(await cri('--private', 'k8s', 'test/shop-1/main', 'id', '-u')).toMatchObject({ code: 0, stdout: '0\n' });
    expect(await cri('shop-1', 'id', '-u')).toMatchObject({ code: 0, stdout: '0\n' });
    expect(await cri('k8s', 'test/shop-2', 'true')).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/"test\/shop-2"/),
    });
    expect(await cri('main', 'true')).toMatchObject({
      code: 125,
      stderr: expect.stringMatching(/test\/shop-0\/main\n.*test\/shop-1\/main/),
    });
  });

  it('opens a shell there whose prompt says where one is', async () => {
    using terminal = node.terminal(crashcartProgram, ['--runtime', `cri=${containerd.socket}`, 'k8s', 'test/shop-0']);
    await terminal.expect(/crashcart.* shop-0\/main:\//);
    terminal.enter('exit 3');
    expect(await terminal.exit()).toBe(3);
  });

  it('finds the same containers through containerd itself', async () => {
    const direct = ['--runtime', `containerd=${containerd.socket}`];
    expect(await node.crashcart([...direct, 'k8s', 'test/shop-1/main', 'echo', 'hello'])).toMatchObject({
      code: 0,
      stdout: 'hello\n',
    });
    const both = [...direct, '--runtime', `cri=${containerd.socket}`];
    expect(await node.crashcart([...both, 'shop-1', 'echo', 'once'])).toMatchObject({ code: 0, stdout: 'once\n' });
  });
});
