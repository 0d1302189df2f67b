import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseRuntimeInfo } from './runtime-spec.ts';

const info = (value: unknown) => parseRuntimeInfo(JSON.stringify(value));

test("containerd's own words about a container that runs as 65532", () => {
  const captured = readFileSync(new URL('./fixtures/containerd-2.4.json', import.meta.url), 'utf8');
  const { spec, ...rest } = parseRuntimeInfo(captured);
  expect(rest).toEqual({
    pid: 31_547,
    sandboxId: '0fe2ae65991c275e652687434e4b6dfd34dac44166dde17a09e58a4af40f1e40',
    runtimeType: 'io.containerd.runc.v2',
    runtimeBinary: '/usr/local/sbin/runc',
  });
  expect(spec.user).toEqual({ uid: 65_532, gid: 65_532, additionalGids: [65_532] });
  expect(spec.noNewPrivileges).toBe(true);
  expect(spec.hasUserNamespace).toBe(false);
  expect(spec.namespaces.map(({ type }) => type)).toEqual(['pid', 'ipc', 'uts', 'mount', 'network']);
  expect(spec.capabilities.bounding).toHaveLength(14);
  expect(spec.capabilities.ambient).toEqual([]);
  expect(spec.cgroupsPath).toMatch(/^\/kubepods\/pod5c1f2c1e-/);
  expect(spec.env).toContain('PATH=/bin');
});

test.each([
  [
    'containerd 1.x spells the runtime of the shim otherwise',
    { pid: 7, runtimeType: 'io.containerd.runc.v2', runtimeOptions: { BinaryName: '/usr/bin/crun' }, runtimeSpec: {} },
    { pid: 7, runtimeType: 'io.containerd.runc.v2', runtimeBinary: '/usr/bin/crun' },
  ],
  [
    'CRI-O gives no runtime and a systemd cgroup',
    {
      sandboxID: 'a1',
      pid: 9,
      privileged: false,
      runtimeSpec: { linux: { cgroupsPath: 'kubepods-burstable.slice:crio:b2' } },
    },
    { pid: 9, sandboxId: 'a1', spec: { cgroupsPath: 'kubepods-burstable.slice:crio:b2' } },
  ],
  [
    'a user namespace is seen, with its path or without',
    { pid: 9, runtimeSpec: { linux: { namespaces: [{ type: 'user', path: '/proc/3/ns/user' }, { type: 'pid' }] } } },
    {
      spec: { hasUserNamespace: true, namespaces: [{ type: 'user', path: '/proc/3/ns/user' }, { type: 'pid' }] },
    },
  ],
  [
    'fields that are missing or of another type get their least powerful value',
    {
      pid: '12',
      runtimeSpec: { process: { capabilities: { bounding: 'CAP_SYS_ADMIN' }, env: [1, 'A=b'] }, linux: null },
    },
    {
      pid: 0,
      spec: {
        user: { uid: 0, gid: 0, additionalGids: [] },
        capabilities: { bounding: [], effective: [], permitted: [], ambient: [], inheritable: [] },
        noNewPrivileges: false,
        namespaces: [],
        cgroupsPath: '',
        env: ['A=b'],
        cwd: '/',
      },
    },
  ],
])('%s', (_title, value, expected) => {
  expect(info(value)).toMatchObject(expected);
});

test.each([
  ['no verbose answer', undefined],
  ['no JSON', 'pid=7'],
  ['a list', '[]'],
  ['no runtimeSpec', '{"pid":7}'],
  ['a user that is not a number', '{"pid":7,"runtimeSpec":{"process":{"user":{"uid":"root"}}}}'],
  ['a negative user', '{"pid":7,"runtimeSpec":{"process":{"user":{"uid":-1}}}}'],
])('%s is refused, because nothing about the container is certain then', (_title, text) => {
  expect(() => parseRuntimeInfo(text)).toThrow(expect.objectContaining({ reason: 'ContainerUnsupported' }));
});
