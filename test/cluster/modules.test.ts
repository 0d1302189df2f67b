import { expect, test } from 'vitest';
import { buildArguments, moduleOf, modules } from './modules.ts';

test('every binary is built by exactly one module', () => {
  const binaries = modules.flatMap((module) => Object.values(module.packages));
  expect(new Set(binaries).size).toBe(binaries.length);
  expect(moduleOf('kubelet')?.name).toBe('kubernetes');
  expect(moduleOf('host-local')?.name).toBe('cni');
  expect(moduleOf('docker')).toBeUndefined();
});

test('a module of one package gives its binary the name that the table says', () => {
  const etcd = modules.find((module) => module.name === 'etcd')!;
  expect(buildArguments(etcd, '/out')).toContain('/out/etcd');
});

test('kubernetes knows its own version', () => {
  const kubernetes = modules.find((module) => module.name === 'kubernetes')!;
  const flags = buildArguments(kubernetes, '/out').join(' ');
  expect(flags).toContain(`k8s.io/component-base/version.gitVersion=${kubernetes.version}`);
  expect(flags).toContain('k8s.io/client-go/pkg/version.gitMinor=37');
});
