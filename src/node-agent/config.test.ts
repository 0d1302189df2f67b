import { expect, test, vi } from 'vitest';
import { parseConfig } from './config.ts';

const parse = (args: string[], env: Record<string, string> = { NODE_NAME: 'node-1', POD_NAMESPACE: 'tools' }) => {
  const print = vi.fn();
  return { config: parseConfig({ args, env, version: '1.2.3', print }), printed: () => print.mock.calls.join('') };
};

test('the defaults are the places that the chart mounts', () => {
  expect(parse([]).config).toEqual({
    nodeName: 'node-1',
    criSocket: '/run/containerd/containerd.sock',
    toolboxes: '/toolboxes',
    cgroupRoot: '/sys/fs/cgroup',
    enter: '/usr/lib/crashcart/crashcart-enter',
    state: '/run/crashcart',
    gateway: 'crashcart-tunnel.tools.svc',
    tunnelPort: 10_251,
    caFile: '/etc/crashcart/ca/ca.crt',
    tokenFile: '/var/run/secrets/crashcart.dev/token',
    metricsPort: 9090,
    maxSessions: 256,
    recordingBytes: 64 * 1024 ** 2,
    recordingsBytes: 2 * 1024 ** 3,
    recordingsKeep: 7 * 24 * 3_600_000,
    logLevel: 'info',
  });
});

test('every flag of the chart is understood', () => {
  const args = [
    '--cri-socket=/run/crio/crio.sock',
    '--cgroup-root=/host/sys/fs/cgroup',
    '--gateway=gw',
    '--log-level=debug',
  ];
  expect(parse([...args, '--tunnel-port=1', '--metrics-port', '65535']).config).toMatchObject({
    criSocket: '/run/crio/crio.sock',
    cgroupRoot: '/host/sys/fs/cgroup',
    gateway: 'gw',
    tunnelPort: 1,
    metricsPort: 65_535,
    logLevel: 'debug',
  });
});

test.each([
  [['--tunnel-port=0'], '--tunnel-port'],
  [['--tunnel-port=65536'], '--tunnel-port'],
  [['--metrics-port=1e3'], '--metrics-port'],
  [['--max-sessions=100000'], '--max-sessions'],
  [['--log-level=loud'], '--log-level'],
  [['--toolboxes=relative'], '--toolboxes'],
  [['--privileged'], '--privileged'],
  [['stray'], 'arguments'],
])('%j is refused with a sentence about %s', (args, named) => {
  expect(() => parse(args)).toThrow(
    expect.objectContaining({ reason: 'Invalid', message: expect.stringContaining(named) }),
  );
});

test('an agent that does not know its node does not start', () => {
  expect(() => parse([], {})).toThrow(/NODE_NAME/);
});

test('help and version are printed and nothing runs', () => {
  const help = parse(['--help']);
  expect(help.config).toBeUndefined();
  expect(help.printed()).toContain('--cri-socket');
  const version = parse(['--version']);
  expect(version.config).toBeUndefined();
  expect(version.printed()).toBe('1.2.3\n');
});
