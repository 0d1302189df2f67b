import { describe } from '../../src/base/errors.ts';
import { installCrashcart } from '../support/install.ts';
import { testCluster } from './stage.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** `make cluster`: the two-node cluster of this machine with this checkout's Crashcart in it. */
try {
  const stage = await testCluster((text) => say(`==> ${text}`));
  say('==> Installing Crashcart with Helm');
  await installCrashcart(stage);
  say(`
Ready. kubectl, helm and kubectl-crashcart are in build/bin:
  export KUBECONFIG=${stage.kubeconfig} PATH=$PWD/build/bin:$PATH
  kubectl get nodes
  kubectl crashcart --help
${stage.goodbye}`);
} catch (error) {
  process.stderr.write(`cluster: ${describe(error)}\n`);
  process.exitCode = 1;
}
