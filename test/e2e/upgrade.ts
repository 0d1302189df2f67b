import { join } from 'node:path';
import { expect } from 'vitest';
import { defaultNamespace } from '../../src/api/names.ts';
import { cluster } from '../support/environment.ts';
import { run } from '../support/run.ts';

/** Changes these values of what is installed, as `--set` takes them, and waits until it runs so. */
export async function upgrade(...values: string[]): Promise<void> {
  const { tools, kubeconfig } = cluster();
  const chart = join(import.meta.dirname, '../../charts/crashcart');
  const flags = ['--reuse-values', '--wait', '--timeout', '3m', ...values.flatMap((value) => ['--set', value])];
  const env = { ...process.env, KUBECONFIG: kubeconfig };
  const { code, stderr } = await run(
    tools.helm,
    ['upgrade', 'crashcart', chart, '--namespace', defaultNamespace, ...flags],
    { env, timeoutMs: 200_000 },
  );
  expect(code, stderr).toBe(0);
}
