import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { must } from '../support/dry-run.ts';
import { cluster, crashcart, kubectl } from '../support/environment.ts';
import { run } from '../support/run.ts';
import { completed, promptOf, shells } from '../support/shells.ts';
import { nothingLeftAfterEach } from './nothing-left.ts';

nothingLeftAfterEach();

// zsh and fish, too, where the machine has them; test/integration/completion.test.ts sees to it that it does.
const there = shells.filter(({ name }) => name === 'bash' || existsSync(`/usr/bin/${name}`));

test.each(there.map((shell) => [shell.name, shell] as const))(
  '%s completes what is in the cluster',
  async (_, shell) => {
    const { kubeconfig, tools } = cluster();
    using terminal = await promptOf(shell, tools.crashcart, { env: { KUBECONFIG: kubeconfig } });
    const line = (typed: string): Promise<string> => completed(terminal, `kubectl-crashcart ${typed}`);
    const manifest = {
      apiVersion: 'crashcart.dev/v1alpha1',
      kind: 'DebugSession',
      metadata: { name: 'completed-by-tab', namespace: 'tools' },
      spec: { target: { pod: { name: 'box' } } },
    };
    expect(await kubectl(['apply', '-f', '-'], { input: JSON.stringify(manifest) })).toMatchObject({ code: 0 });
    await must('wait', '-n', 'tools', 'dbg/completed-by-tab', '--for=condition=Ready', '--timeout=20s');
    for (const verb of ['attach', 'logs', 'extend', 'rm']) {
      expect(await line(`${verb} -n tools compl`)).toBe(`kubectl-crashcart ${verb} -n tools completed-by-tab x`);
    }
    expect(await line('-n tool')).toBe('kubectl-crashcart -n tools x');
    expect(await line('-n shop cart')).toBe('kubectl-crashcart -n shop cart-0 x');
    expect(await line('-n shop deploy/check')).toBe('kubectl-crashcart -n shop deploy/checkout x');
    expect(await line('cart-0 -n shop --profile sysad')).toBe('kubectl-crashcart cart-0 -n shop --profile sysadmin x');
    await must('delete', '-n', 'tools', 'dbg/completed-by-tab', '--timeout=30s');
  },
);

test('kubectl completes "kubectl crashcart" by the small script', async () => {
  const { kubeconfig, tools } = cluster();
  const { stdout } = await crashcart(['completion', 'kubectl']);
  const directory = mkdtempSync(join(tmpdir(), 'crashcart-completion-'));
  try {
    const script = join(directory, 'kubectl_complete-crashcart');
    writeFileSync(script, stdout);
    chmodSync(script, 0o755);
    const env = {
      ...process.env,
      KUBECONFIG: kubeconfig,
      PATH: `${directory}:${dirname(tools.crashcart)}:${process.env['PATH']}`,
    };
    const answer = async (...words: string[]) =>
      (await run(tools.kubectl, ['__complete', 'crashcart', ...words], { env })).stdout;
    expect(await answer('repl')).toMatch(/^replay\n:4\n/);
    expect(await answer('-n', 'shop', 'cart')).toMatch(/^cart-0\n:4\n/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
