import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe } from '../../src/base/errors.ts';
import { installCrashcart } from '../support/install.ts';
import { run } from '../support/run.ts';
import { ownCluster, type Stage, testCluster } from './stage.ts';
import { scriptedVisit } from './visit.ts';
import { applyWorkload, workload } from './workload.ts';

const plugin = join(import.meta.dirname, '../../build/bin/kubectl-crashcart');
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const step = (text: string): void => say(`\n==> ${text}`);

const isPerson = (): boolean => process.stdin.isTTY === true && process.stdout.isTTY === true;

/** `make demo`: everything from nothing, then a shell inside a running pod: yours at a terminal, a scripted visit without one. */
async function demo(): Promise<number> {
  const stage = process.env['KUBECONFIG'] ? await ownCluster(process.env['KUBECONFIG'], step) : await testCluster(step);
  step('Installing Crashcart with Helm');
  await installCrashcart(stage);
  step(
    `Starting ${workload.pod} in namespace ${workload.namespace}: distroless, non-root, read-only, no capabilities, Pod Security "restricted"`,
  );
  await applyWorkload(stage);
  // However a person leaves the shell, the demo has worked; only the scripted visit can fail.
  const code = isPerson() ? await visit(stage) : await scriptedVisit(plugin, stage, say);
  afterwards(stage);
  return code;
}

async function visit(stage: Stage): Promise<number> {
  step(`kubectl crashcart pod/${workload.pod} -n ${workload.namespace}`);
  say('    You are about to be inside that container. Try: ps, ls /, ss -tln, tools; leave with exit or Ctrl-D.\n');
  const env = { ...process.env, KUBECONFIG: stage.kubeconfig };
  const child = spawn(plugin, [`pod/${workload.pod}`, '-n', workload.namespace], { env, stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code === 0) return 0;
  const newest = ['--sort-by=.metadata.creationTimestamp', '-o', 'jsonpath={.items[-1:].status.phase}'];
  const { stdout: phase } = await run(stage.kubectl, ['get', 'debugsessions', '-n', workload.namespace, ...newest], {
    env,
  });
  if (phase !== 'Finished') return code ?? 1;
  say(`\nThe shell ended with ${code}, and so did kubectl crashcart.`);
  return 0;
}

function afterwards(stage: Stage): void {
  say(`
What is left: the record, and nothing else. The pod never changed.
  export KUBECONFIG=${stage.kubeconfig} PATH=$PWD/build/bin:$PATH
  kubectl get debugsessions -n ${workload.namespace}          who looked, when, and how it ended
  kubectl crashcart pod/${workload.pod} -n ${workload.namespace}      go in again
${stage.goodbye}`);
}

try {
  process.exitCode = await demo();
} catch (error) {
  process.stderr.write(`demo: ${describe(error)}\n`);
  process.exitCode = 1;
}
