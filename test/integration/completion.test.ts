import { join } from 'node:path';
import { expect, test } from 'vitest';
import { completed, promptOf, shells } from '../support/shells.ts';

// The scripts of `kubectl crashcart completion`, in the shells that they are for, at a prompt. What comes from a cluster: test/e2e/completion.test.ts.
const program = join(import.meta.dirname, '../../build/bin/kubectl-crashcart');
const nowhere = { env: { KUBECONFIG: '/nonexistent/kubeconfig' } };

test.each(shells.map((shell) => [shell.name, shell] as const))(
  '%s completes verbs, flags and their values',
  async (_, shell) => {
    using terminal = await promptOf(shell, program, nowhere);
    const line = (typed: string): Promise<string> => completed(terminal, `kubectl-crashcart ${typed}`);
    expect(await line('repl')).toBe('kubectl-crashcart replay x');
    expect(await line('attach --wat')).toBe('kubectl-crashcart attach --watch x');
    expect(await line('extend y --unt')).toBe('kubectl-crashcart extend y --until x');
    expect(await line('ls -o js')).toBe('kubectl-crashcart ls -o json x');
    expect(await line('web-0 --visibility Cont')).toBe('kubectl-crashcart web-0 --visibility Container x');
    // Of a kind the name is still to come: no space behind it.
    expect(await line('deplo')).toBe('kubectl-crashcart deploy/x');
  },
);
