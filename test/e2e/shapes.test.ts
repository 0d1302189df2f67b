import { readlinkSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cluster, crashcart, crashcartTerminal, getJson, kubectl } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { onNode } from '../support/node-leftovers.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

const namespace = 'shapes';
const box = (name: string, more: object = {}): object => ({
  name,
  image: 'localhost/busybox:1',
  imagePullPolicy: 'IfNotPresent',
  command: ['sleep', '1000000'],
  ...more,
});
const secured = (securityContext: object): object => ({ containers: [box('box', { securityContext })] });

interface Shape {
  readonly spec: object;
  /** Which container; left out where there is one. */
  readonly container?: string;
  /** What a command in the session writes: proof that the pod is what it says. */
  readonly proof: readonly [command: string, output: RegExp | (() => RegExp)];
}

/** A namespace as one of the nodes itself has it. */
const ofSomeNode = (namespace: string): RegExp => {
  const links = cluster().nodes.map(({ pid }) => readlinkSync(`/proc/${pid}/ns/${namespace}`));
  return new RegExp(links.map((link) => `${namespace}: ${link.replace(/[[\]]/g, '\\$&')}`).join('|'));
};

/** Refuses mkdir(2) and mkdirat(2), lets everything else through. */
const tightProfile = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
};
const profileFile = 'crashcart-shapes.json';

const shapes: Readonly<Record<string, Shape>> = {
  init: {
    spec: { initContainers: [box('first')], containers: [box('main')] },
    container: 'first',
    proof: ['echo "pods: $(hostname)"', /pods: init/],
  },
  sidecar: {
    spec: { initContainers: [box('beside', { restartPolicy: 'Always' })], containers: [box('main')] },
    container: 'beside',
    proof: ['echo "pods: $(hostname)"', /pods: sidecar/],
  },
  ephemeral: {
    spec: { containers: [box('main')] },
    container: 'helper',
    proof: ['echo "pods: $(hostname)"', /pods: ephemeral/],
  },
  'host-pid': {
    spec: { hostPID: true, containers: [box('box')] },
    proof: ['test "$(ls -d /proc/[0-9]* | wc -l)" -gt 10 && echo "sees: $((40+2))"', /sees: 42/],
  },
  'host-network': {
    spec: { hostNetwork: true, containers: [box('box')] },
    proof: ['echo "net: $(hostname)"', /net: \S+-[12]\s/],
  },
  'host-ipc': {
    spec: { hostIPC: true, containers: [box('box')] },
    proof: ['echo "ipc: $(readlink /proc/self/ns/ipc)"', () => ofSomeNode('ipc')],
  },
  privileged: {
    spec: secured({ privileged: true }),
    // SYS_ADMIN is bit 21.
    proof: ['echo "admin: $(( 0x$(sed -n "s/CapBnd:\\t//p" /proc/self/status) >> 21 & 1 ))"', /admin: 1/],
  },
  'shared-pids': {
    spec: { shareProcessNamespace: true, containers: [box('left'), box('right')] },
    container: 'right',
    proof: ['echo "sleeps: $(grep -l "^sleep" /proc/[0-9]*/comm | wc -l)"', /sleeps: 2/],
  },
  mapped: {
    spec: { hostUsers: false, containers: [box('box')] },
    proof: ['echo "mapped: $(awk "{print (\\$2 > 0)}" /proc/self/uid_map)"', /mapped: 1/],
  },
  hardened: {
    spec: secured({
      runAsUser: 65_532,
      runAsGroup: 65_532,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    }),
    proof: ['echo "who: $(id -u)"', /who: 65532/],
  },
  'runtime-default': {
    spec: secured({ seccompProfile: { type: 'RuntimeDefault' } }),
    proof: ['echo "filters: $(grep Seccomp: /proc/self/status | tr -d "\\t")"', /filters: Seccomp:2/],
  },
  localhost: {
    spec: secured({ seccompProfile: { type: 'Localhost', localhostProfile: profileFile } }),
    // What the container's own filter refuses, a session in it cannot do either.
    proof: ['mkdir /tmp/x; echo "mkdir: $?"', /mkdir: 1/],
  },
  'read-only': {
    spec: secured({ readOnlyRootFilesystem: true }),
    proof: ['touch /x; echo "touch: $?"', /touch: 1/],
  },
};

nothingLeftAfterEach();

beforeAll(async () => {
  for (const node of cluster().nodes) {
    const write = `mkdir -p /var/lib/kubelet/seccomp && cat > /var/lib/kubelet/seccomp/${profileFile} <<'E'\n${JSON.stringify(tightProfile)}\nE`;
    expect(await onNode(node, write)).toMatchObject({ code: 0 });
  }
  await kubectl(['create', 'namespace', namespace]);
  await kubectl(['wait', '-n', namespace, '--for=create', '--timeout=30s', 'serviceaccount/default']);
  const items = [...Object.entries(shapes).map(([name, { spec }]) => pod(name, spec)), pod('short', shortLived)];
  const made = await kubectl(['create', '-f', '-'], {
    input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
  });
  expect(made).toMatchObject({ code: 0 });
  const whole = Object.keys(shapes).filter((name) => name !== 'init');
  const ready = ['--for=condition=Ready', '--timeout=120s', ...whole.map((name) => `pod/${name}`)];
  expect(await kubectl(['wait', '-n', namespace, ...ready], { timeoutMs: 130_000 })).toMatchObject({ code: 0 });
  const debug = ['debug', '-n', namespace, 'ephemeral', '--container=helper', '--target=main', '--attach=false'];
  const image = ['--image=localhost/busybox:1', '--image-pull-policy=IfNotPresent', '--profile=general'];
  expect(await kubectl([...debug, ...image, '--', 'sleep', '1000000'])).toMatchObject({ code: 0 });
  await running('ephemeral', 'ephemeralContainerStatuses');
  await running('init', 'initContainerStatuses');
});

afterAll(async () => {
  await kubectl(['delete', 'namespace', namespace, '--timeout=60s'], { timeoutMs: 70_000 });
  for (const node of cluster().nodes) await onNode(node, `rm -f /var/lib/kubelet/seccomp/${profileFile}`);
});

/** Comes and goes all the time. */
const shortLived = {
  restartPolicy: 'Always',
  containers: [box('box', { command: ['sleep', '0.5'] })],
};

const pod = (name: string, spec: object): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace },
  spec: { terminationGracePeriodSeconds: 0, automountServiceAccountToken: false, ...spec },
});

async function running(name: string, list: string): Promise<void> {
  await eventually(async () => {
    const { status } = await getJson<{ status: Record<string, unknown> }>(['get', 'pod', name, '-n', namespace]);
    expect(status[list]).toEqual([expect.objectContaining({ state: { running: expect.anything() } })]);
  }, 60_000);
}

const target = (name: string, { container }: Pick<Shape, 'container'>): string[] => [
  `pod/${name}`,
  ...['-n', namespace],
  ...(container === undefined ? [] : ['-c', container]),
];

test.each(Object.entries(shapes))('%s: a prompt, a tool, the exit code', async (name, shape) => {
  using terminal = crashcartTerminal(target(name, shape));
  await terminal.expect(/[$#] /);
  terminal.enter('echo "tty=$(tty) tool=$(command -v strace)"');
  await terminal.expect(/tty=\/dev\/pts\/0 tool=\/dev\/crashcart\/\S*strace/);
  const [command, output] = shape.proof;
  terminal.enter(command);
  await terminal.expect(typeof output === 'function' ? output() : output);
  terminal.enter('exit 7');
  expect(await terminal.exit()).toBe(7);
});

test.each(Object.entries(shapes))('%s: shown to the whole container, and taken out again', async (name, shape) => {
  const inside = ['--visibility', 'Container', '--', 'sh', '-c', 'ls -d /dev/crashcart/bin; exit 9'];
  const result = await crashcart([...target(name, shape), ...inside]);
  expect(result).toMatchObject({ code: 9, stdout: '/dev/crashcart/bin\n' });
});

test('a container that ends while it is entered gives a clear answer, and leaves nothing', async () => {
  for (let round = 0; round < 6; round++) {
    const { code, stderr, stdout } = await crashcart([...target('short', {}), '--', 'sleep', '1000'], {
      timeoutMs: 60_000,
    });
    // Ended with its container, or refused because there was none: never 0, never silent.
    expect([code, stdout]).toEqual([expect.any(Number), '']);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/container|running|137|exited/i);
  }
});
