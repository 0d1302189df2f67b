import { existsSync } from 'node:fs';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { specOfProcess } from '../target/process-spec.ts';
import type { Candidate, Runtime } from './runtime.ts';

/** Any process of the node, by its pid: what is in no runtime's list. */
export const processes: Runtime = {
  name: 'pid',
  where: '/proc',
  version: async () => process.platform,
  list: async () => [],
  describe: async ({ id }) =>
    existsSync(`/proc/${id}`) ? { pid: Number(id), spec: specOfProcess(Number(id)) } : undefined,
  exec: ({ id }) => {
    throw new CrashcartError(
      reasons.Invalid,
      `A process has no runtime to run commands through: leave --exec out, or name the container of process ${id}.`,
    );
  },
  [Symbol.dispose]: () => {},
};

export const candidateOfPid = (id: string): Candidate => ({
  runtime: 'pid',
  id,
  names: [],
  state: 'running',
  running: existsSync(`/proc/${id}`),
});
