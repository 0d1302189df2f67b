import { expect, it } from 'vitest';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { parseRuntimeChoice } from './choice.ts';
import type { Candidate, Runtime, RuntimeName } from './runtime.ts';
import { listAll } from './runtimes.ts';

const runtime = (name: RuntimeName, list: () => Promise<readonly Partial<Candidate>[]>): Runtime => ({
  name,
  where: name,
  version: async () => '1',
  list: async () =>
    (await list()).map((each) => ({ runtime: name, id: '', names: [], state: 'running', running: true, ...each })),
  describe: async () => undefined,
  exec: () => [],
  [Symbol.dispose]: () => {},
});

it('lists a container once that two runtimes know, as the one that people know it by', async () => {
  const docker = runtime('docker', async () => [{ id: 'aa' }]);
  const containerd = runtime('containerd', async () => [{ id: 'aa', namespace: 'moby' }, { id: 'bb' }]);
  const cri = runtime('cri', async () => [{ id: 'bb' }]);
  const { found } = await listAll([containerd, cri, docker]);
  expect(found.map(({ candidate }) => [candidate.runtime, candidate.id])).toEqual([
    ['cri', 'bb'],
    ['docker', 'aa'],
  ]);
});

it('keeps two containers that bear one id in two namespaces of containerd', async () => {
  const { found } = await listAll([
    runtime('containerd', async () => [
      { id: 'web', namespace: 'a' },
      { id: 'web', namespace: 'b' },
    ]),
  ]);
  expect(found).toHaveLength(2);
});

it('goes on without a runtime that does not answer, and says so; one that has no CRI is none', async () => {
  const refused = new CrashcartError(reasons.RuntimeUnavailable, 'refused');
  const unimplemented = new CrashcartError(reasons.RuntimeUnavailable, 'no CRI', {
    cause: Object.assign(new Error('12'), { code: 12 }),
  });
  const fails = (error: Error) => async () => Promise.reject(error);
  const { found, failures } = await listAll([
    runtime('docker', fails(refused)),
    runtime('cri', fails(unimplemented)),
    runtime('podman', async () => [{ id: 'aa' }]),
  ]);
  expect(found).toHaveLength(1);
  expect(failures).toEqual([refused]);
});

it('takes a runtime with and without its socket', () => {
  expect(parseRuntimeChoice('docker')).toEqual({ name: 'docker' });
  expect(parseRuntimeChoice('cri=/run/x=y.sock')).toEqual({ name: 'cri', socket: '/run/x=y.sock' });
  expect(() => parseRuntimeChoice('rkt')).toThrow(/docker, podman/);
  expect(() => parseRuntimeChoice('docker=tcp://x')).toThrow(/absolute path/);
});
