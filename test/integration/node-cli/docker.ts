import { until } from '../../cluster/command.ts';
import { buildTestImages, testImages } from '../../cluster/test-images.ts';
import type { TestNode } from './test-node.ts';

/** Debian's dockerd, with a root of its own, at its usual socket; no network but loopback. */
export async function startDocker(node: TestNode): Promise<void> {
  const images = await buildTestImages();
  node.daemon('dockerd', [
    '--data-root', `${node.directory}/docker`,
    '--exec-root', '/run/docker',
    '--pidfile', '/run/docker.pid',
    '--host', 'unix:///run/docker.sock',
    '--cgroup-parent', `/${node.cgroup}`,
    '--iptables=false', '--ip6tables=false', '--bridge=none', '--userland-proxy=false',
  ]); // biome-ignore format: a command line
  await until('dockerd to answer', async () => (await node.run('docker', ['version'])).code === 0 || undefined, {
    timeout: 60_000,
    every: 200,
  });
  for (const image of [images.busybox, images.distroless]) await node.must('docker', ['load', '--input', image]);
}

/** Its id. */
export async function startContainer(
  node: TestNode,
  name: string,
  options: readonly string[] = [],
  image: keyof typeof testImages = 'busybox',
): Promise<string> {
  const id = await node.must('docker', [
    'run',
    '--detach',
    '--network',
    'none',
    '--name',
    name,
    ...options,
    testImages[image],
  ]);
  return id.trim();
}
