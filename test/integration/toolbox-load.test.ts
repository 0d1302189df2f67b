import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostArchitecture, readLock } from '../../builder/debian/lock.ts';
import { writeToolboxImage } from '../../builder/images/toolbox-image.ts';
import { buildToolbox } from '../../builder/toolbox/build.ts';
import { until } from '../cluster/command.ts';
import { startNode, type TestNode } from './node-cli/test-node.ts';

/** What carries a toolbox to nodes is one layer in zstd: container runtimes of Debian load it, and run the program in it. */
describe('the image of a toolbox', () => {
  const lock = readLock(hostArchitecture());
  let node: TestNode;
  let tar: string;
  let ref: string;
  let digest: string;
  const env: NodeJS.ProcessEnv = {};

  beforeAll(async () => {
    node = await startNode({ env });
    const { directory } = node;
    const erofs = join(directory, 'slim.erofs');
    tar = join(directory, 'slim.oci.tar');
    await buildToolbox({ lock, toolbox: 'slim', format: 'plain', environment: process.env, out: erofs });
    digest = sha256(erofs);
    const image = { lock, toolbox: 'slim', erofs, out: tar, level: 'local' as const, environment: process.env };
    ref = await writeToolboxImage(image);
    const write = (name: string, ...lines: string[]): string => {
      writeFileSync(join(directory, name), lines.join('\n'));
      return join(directory, name);
    };
    const storage = `graphroot = "${directory}/podman"`;
    env['CONTAINERS_STORAGE_CONF'] = write(
      'storage.conf',
      '[storage]',
      'driver = "overlay"',
      storage,
      'runroot = "/run/containers/storage"',
    );
    env['CONTAINERS_CONF'] = write(
      'containers.conf',
      '[containers]',
      'netns = "none"',
      '[engine]',
      'cgroup_manager = "cgroupfs"',
      'runtime = "runc"',
      'events_logger = "file"',
    );
    const root = `root = "${directory}/containerd"`;
    write(
      'config.toml',
      'version = 2',
      root,
      'state = "/run/containerd"',
      'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    );
  }, 240_000);
  afterAll(() => node?.[Symbol.asyncDispose]());

  const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
  /** A directory as the node's, which is mounted where the image's program installs to. */
  const destination = (name: string): string => {
    const path = join(node.directory, name);
    mkdirSync(path);
    return path;
  };
  const expectInstalled = (directory: string): void => {
    expect(readdirSync(directory)).toEqual(['slim.erofs']);
    expect(sha256(join(directory, 'slim.erofs'))).toBe(digest);
  };

  it('is loaded and run by podman', { timeout: 120_000 }, async () => {
    const to = destination('by-podman');
    await node.must('podman', ['load', '--input', tar]);
    const cgroup = ['--cgroup-parent', `/${node.cgroup}`];
    await node.must('podman', ['run', '--rm', ...cgroup, '--volume', `${to}:/toolboxes`, ref]);
    expectInstalled(to);
    const inspected: unknown = JSON.parse(await node.must('podman', ['image', 'inspect', ref]));
    expect(inspected).toMatchObject([
      { Annotations: { 'dev.crashcart.toolbox.digest': `sha256:${digest}` }, Architecture: lock.architecture },
    ]);
  });

  it('is imported and run by containerd', { timeout: 120_000 }, async () => {
    const to = destination('by-containerd');
    node.daemon('/usr/bin/containerd', ['--config', join(node.directory, 'config.toml')]);
    const ctr = (...args: string[]) => node.run('/usr/bin/ctr', args);
    await until('containerd to answer', async () => (await ctr('version')).code === 0 || undefined, {
      timeout: 60_000,
      every: 200,
    });
    await node.must('/usr/bin/ctr', ['images', 'import', tar]);
    const mount = `type=bind,src=${to},dst=/toolboxes,options=rbind:rw`;
    await node.must('/usr/bin/ctr', [
      'run',
      '--rm',
      '--cgroup',
      `/${node.cgroup}/installer`,
      '--mount',
      mount,
      ref,
      'installer',
    ]);
    expectInstalled(to);
  });
});
