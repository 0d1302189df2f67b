import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { hierarchies } from '../cluster/cgroup.ts';
import { type Cluster, down, leftovers, testImages, up } from '../cluster/cluster.ts';
import { deriveNaming } from '../cluster/naming.ts';
import { directoryOf } from '../cluster/state.ts';

const name = 'e2e-cluster';

/** Places of the host that the programs of a node write to by default. */
const hostPlaces = [
  '/var/lib/kubelet',
  '/var/lib/cni',
  '/var/lib/containerd',
  '/etc/cni',
  '/opt/cni',
  '/opt/containerd',
].concat(['/run/containerd', '/run/netns', '/usr/libexec/kubernetes', '/var/log/pods', '/var/log/containers']);
const presentPlaces = (): string[] => hostPlaces.filter((place) => existsSync(place));

describe('the test cluster', () => {
  let cluster: Cluster;
  let before: string[];

  beforeAll(async () => {
    before = presentPlaces();
    cluster = await up({ name });
    const pod = (index: number, spec: object): object => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod-${index}`, labels: { app: `pod-${index}` } },
      spec: { nodeName: cluster.nodes[index - 1]!.name, terminationGracePeriodSeconds: 0, ...spec },
    });
    const container = { name: 'main', image: testImages.busybox, imagePullPolicy: 'Never' };
    const objects = [
      pod(1, { containers: [{ ...container, command: ['httpd', '-f', '-p', '8080', '-h', '/etc'] }] }),
      pod(2, { containers: [container], hostUsers: false }),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { selector: { app: 'pod-1' }, ports: [{ port: 80, targetPort: 8080 }] },
      },
      {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'guarded', labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
      },
    ];
    await cluster.kubectl(['create', '-f', '-'], { input: objects.map((object) => stringify(object)).join('---\n') });
    await cluster.kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s']);
  });
  afterAll(() => down(name));

  const exec = (pod: string, ...command: string[]): Promise<string> => cluster.kubectl(['exec', pod, '--', ...command]);

  test('runs a pod on each of its nodes, and exec reaches both', async () => {
    expect(cluster.nodes.map((node) => node.name)).toEqual([`${name}-1`, `${name}-2`]);
    expect((await exec('pod-1', 'hostname')).trim()).toBe('pod-1');
    expect((await exec('pod-2', 'hostname')).trim()).toBe('pod-2');
  });

  test('resolves a Service by its name and carries it from one node to the other', async () => {
    expect(await exec('pod-2', 'wget', '-q', '-O', '-', 'http://web/passwd')).toContain('root:x:0:0');
  });

  test('gives a pod with hostUsers: false a user namespace of its own', async () => {
    const [inside, outside] = (await exec('pod-2', 'cat', '/proc/self/uid_map')).trim().split(/\s+/).map(Number);
    expect(inside).toBe(0);
    expect(outside).toBeGreaterThan(0);
    expect((await exec('pod-1', 'cat', '/proc/self/uid_map')).trim().split(/\s+/)[1]).toBe('0');
  });

  test('refuses a privileged pod in a restricted namespace and takes a modest one', async () => {
    const modest = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
    const pod = (podName: string, securityContext: object): string =>
      stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: podName, namespace: 'guarded' },
        spec: {
          securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [{ name: 'main', image: testImages.distroless, imagePullPolicy: 'Never', securityContext }],
        },
      });
    const create = (input: string): Promise<string> => cluster.kubectl(['create', '-f', '-'], { input });
    await expect(create(pod('privileged', { privileged: true }))).rejects.toThrow(/violates PodSecurity "restricted/);
    await create(pod('modest', modest));
    await cluster.kubectl(['wait', '-n', 'guarded', '--for=condition=Ready', 'pod/modest', '--timeout=30s']);
  });

  test('adds an ephemeral container that sees the processes of its target', async () => {
    const debug = ['debug', 'pod-1', '--container=helper', '--target=main', '--profile=general', '--attach=false'];
    await cluster.kubectl([...debug, `--image=${testImages.busybox}`, '--image-pull-policy=Never', '--', 'ps']);
    const phase = '{.status.ephemeralContainerStatuses[0].state.terminated.reason}';
    await cluster.kubectl(['wait', 'pod/pod-1', `--for=jsonpath=${phase}=Completed`, '--timeout=30s']);
    expect(await cluster.kubectl(['logs', 'pod-1', '-c', 'helper'])).toContain('httpd');
  });

  test('writes who did what to which subresource into its audit log', async () => {
    await exec('pod-1', 'true');
    const events = readFileSync(cluster.auditLog, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const found = events.find(({ objectRef }) => objectRef?.subresource === 'exec' && objectRef.name === 'pod-1');
    expect(found).toMatchObject({ user: { username: 'admin' }, level: 'Metadata' });
    expect(events.some(({ stage }) => stage === 'RequestReceived')).toBe(false);
  });

  test('starts a service of a node again', async () => {
    const [node] = cluster.nodes;
    const pid = (): Promise<string> => cluster.on(node!.name, ['cat', '/run/kube-scheduler.pid']);
    const first = await pid();
    await cluster.restart(node!.name, 'kube-scheduler');
    await expect.poll(pid, { timeout: 5_000 }).not.toBe(first);
  });

  test('finds what somebody left on purpose, and goes away without a trace otherwise', async () => {
    const { prefix } = deriveNaming(name);
    const running = await leftovers(name);
    for (const kind of ['process ', 'mount ', 'link ', 'cgroup ', 'file ']) {
      expect(
        running.filter((line) => line.startsWith(kind)),
        `${kind}of the running cluster`,
      ).not.toEqual([]);
    }
    await down(name);
    expect(await leftovers(name)).toEqual([]);
    expect(presentPlaces()).toEqual(before);

    const cgroup = join(hierarchies()[0]!, prefix, 'forgotten');
    const file = join(directoryOf(deriveNaming(name)), 'forgotten');
    const link = ['link', 'add', `${prefix}-x`, 'type', 'veth', 'peer', 'name', `${prefix}-y`];
    execFileSync('ip', link);
    mkdirSync(cgroup, { recursive: true });
    writeFileSync(file, '');
    const sleeper = spawn('sleep', ['60'], { stdio: 'ignore', detached: true });
    writeFileSync(join(cgroup, 'cgroup.procs'), `${sleeper.pid}`);
    const found = await leftovers(name);
    expect(found).toEqual(
      expect.arrayContaining([
        `process ${sleeper.pid}: sleep 60`,
        `link ${prefix}-x`,
        `cgroup ${cgroup}`,
        `file ${file}`,
      ]),
    );
    await down(name);
    expect(await leftovers(name)).toEqual([]);
    expect(existsSync(cgroup)).toBe(false);
  });
});
