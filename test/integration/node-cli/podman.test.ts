import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { until } from '../../cluster/command.ts';
import { buildTestImages, testImages } from '../../cluster/test-images.ts';
import { crashcartProgram, startNode, type TestNode } from './test-node.ts';

const project = join(import.meta.dirname, '../../..');

let node: TestNode;
let before: string;

beforeAll(async () => {
  execFileSync(process.execPath, [join(project, 'builder/main.ts'), 'node-cli'], { stdio: 'ignore' });
  // Its configuration has to be named before there is a node to name it in.
  const env: NodeJS.ProcessEnv = {};
  node = await startNode({ env });
  const { directory, cgroup } = node;
  const write = (name: string, lines: readonly string[]): string => {
    writeFileSync(join(directory, name), lines.join('\n'));
    return join(directory, name);
  };
  env['CONTAINERS_STORAGE_CONF'] = write('storage.conf', [
    '[storage]', 'driver = "overlay"', `graphroot = "${directory}/podman"`, 'runroot = "/run/containers/storage"',
  ]); // biome-ignore format: lines
  env['CONTAINERS_CONF'] = write('containers.conf', [
    '[containers]', 'netns = "none"', '[engine]', 'cgroup_manager = "cgroupfs"', 'runtime = "runc"', 'events_logger = "file"',
  ]); // biome-ignore format: lines
  const images = await buildTestImages();
  for (const image of [images.busybox, images.pause]) await podman('load', '--input', image);
  await podman('run', '--detach', '--name', 'web', '--cgroup-parent', `/${cgroup}`, testImages.busybox);
  await podman(
    'run',
    '--detach',
    '--name',
    'mapped',
    '--uidmap',
    '0:100000:65536',
    '--user',
    '5:6',
    '--cgroup-parent',
    `/${cgroup}`,
    testImages.busybox,
  );
  await node.crashcart(['ps']);
  before = await node.traces();
}, 180_000);

afterAll(async () => {
  await node?.run('podman', ['rm', '--all', '--force', '--time', '0']);
  await node?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  expect(await node.traces()).toBe(before);
  expect(await node.must('podman', ['exec', 'web', 'ls', '/dev'])).not.toContain('crashcart');
});

const podman = (...args: readonly string[]): Promise<string> => node.must('podman', args);

it('opens a shell in a container of podman, which needs no service', async () => {
  using terminal = node.terminal(crashcartProgram, ['web']);
  await terminal.expect(/crashcart.* web:\//);
  terminal.enter('tty; exit 3');
  await terminal.expect(/\/dev\/pts\/0/);
  expect(await terminal.exit()).toBe(3);
});

it('is root, or the container’s own user, of its user namespace', async () => {
  const script = 'echo $(id -u):$(id -g); stat -c %u:%g /dev/crashcart/bin; cat /proc/self/uid_map';
  const own = await node.crashcart(['mapped', 'sh', '-c', script]);
  expect(own.stdout).toMatch(/^5:6\n0:0\n +0 +100000 +65536\n$/);
  const root = await node.crashcart(['--private', '--user', '0:0', 'mapped', 'sh', '-c', script]);
  expect(root.stdout).toMatch(/^0:0\n0:0\n/);
  expect(await node.crashcart(['--user', '70000', 'mapped', 'true'])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/no user 70000/),
  });
});

it('shows the toolbox to podman exec and to nsenter, with owners of the user namespace', async () => {
  await node.crashcart(['-m', 'mapped']);
  expect(await podman('exec', 'mapped', '/dev/crashcart/bin/stat', '-c', '%u', '/dev/crashcart/bin/bash')).toBe('0\n');
  const pid = (await podman('inspect', '--format', '{{.State.Pid}}', 'mapped')).trim();
  const inside = [
    '-m',
    '-u',
    '-i',
    '-n',
    '-p',
    '-U',
    '-S',
    '7',
    '-G',
    '8',
    '-t',
    pid,
    '--',
    '/dev/crashcart/bin/busybox',
    'id',
    '-u',
  ];
  expect(await node.must('nsenter', inside)).toBe('7\n');
  expect(await node.crashcart(['-u', 'mapped'])).toMatchObject({ code: 0 });
});

it('goes through podman exec with -e', async () => {
  expect(await node.crashcart(['-e', '--user', '9', 'web', '/dev/crashcart/bin/busybox', 'id', '-u'])).toMatchObject({
    code: 0,
    stdout: '9\n',
  });
});

it('finds the container of a pod by the pod’s name and id', async () => {
  const pod = (
    await podman(
      'pod',
      'create',
      '--name',
      'shop',
      '--infra-image',
      testImages.pause,
      '--cgroup-parent',
      `/${node.cgroup}`,
      '--network',
      'none',
    )
  ).trim();
  await podman('run', '--detach', '--pod', 'shop', '--name', 'in-pod', testImages.busybox);
  for (const id of ['shop', pod, pod.slice(0, 8)]) {
    expect(await node.crashcart(['--private', id, 'cat', '/proc/1/comm'])).toMatchObject({ code: 0, stdout: 'sh\n' });
  }
  await podman('pod', 'rm', '--force', '--time', '0', 'shop');
});

it('asks the socket where podman serves one', async () => {
  mkdirSync(join(node.directory, 'api'));
  const socket = join(node.directory, 'api/podman.sock');
  node.daemon('podman', ['system', 'service', '--time', '0', `unix://${socket}`]);
  const doctor = () => node.crashcart(['--runtime', `podman=${socket}`, 'doctor']);
  await until(
    'podman to serve',
    async () => (await doctor()).stdout.includes(`4.3.1 at ${socket}, 2 running`) || undefined,
    { timeout: 20_000, every: 200 },
  );
  expect(await node.crashcart(['--runtime', `podman=${socket}`, 'web', 'echo', 'hello'])).toMatchObject({
    code: 0,
    stdout: 'hello\n',
  });
  expect(await node.crashcart(['-e', '--runtime', `podman=${socket}`, 'web', 'echo', 'remotely'])).toMatchObject({
    code: 0,
    stdout: 'remotely\n',
  });
});
