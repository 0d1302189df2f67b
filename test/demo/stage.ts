import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { type Cluster, open, up } from '../cluster/cluster.ts';
import { builtImages, type Target } from '../support/install.ts';
import { run } from '../support/run.ts';

export interface Stage extends Target {
  /** What a person may want to do when the demo is over. */
  readonly goodbye: string;
}

const name = 'crashcart';

/** The two-node cluster of this machine; one that already runs gets this checkout's images and is used as it is. */
export async function testCluster(step: (text: string) => void): Promise<Stage> {
  step('A two-node Kubernetes on this machine');
  const built = await builtImages();
  const images = [built.crashcart.tar, built.toolbox.tar];
  const cluster = runningCluster() ?? (await bringUp(images));
  // Importing what is there already takes no time worth a question.
  for (const image of images) await cluster.importImage(image);
  return {
    kubeconfig: cluster.kubeconfig,
    kubectl: cluster.bin('kubectl'),
    helm: cluster.bin('helm'),
    goodbye: '  make cluster-down                              remove the cluster, whole',
  };
}

function runningCluster(): Cluster | undefined {
  try {
    return open(name);
  } catch (error) {
    if (error instanceof CrashcartError && error.reason === reasons.NotFound) return undefined;
    throw error;
  }
}

/** Ctrl-C while it is being built takes all of it down again. */
async function bringUp(images: readonly string[]): Promise<Cluster> {
  const interruption = new AbortController();
  const abort = (): void =>
    interruption.abort(new CrashcartError(reasons.Killed, 'Interrupted; the cluster was taken down again'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, abort);
  try {
    const report = (line: string): void => void process.stdout.write(`    ${line}\n`);
    return await up({ name, images, report, signal: interruption.signal });
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, abort);
  }
}

/** The cluster of the person who set KUBECONFIG, with the person's own kubectl and helm. */
export async function ownCluster(kubeconfig: string, step: (text: string) => void): Promise<Stage> {
  step(`Your own cluster (KUBECONFIG=${kubeconfig})`);
  const registry = process.env['IMAGE_REGISTRY'];
  const images = await builtImages();
  if (!registry) {
    throw new Error(
      `The nodes of your cluster must be able to pull the two images: push build/images/*.tar (${images.crashcart.ref}, ${images.toolbox.ref}) ` +
        'to a registry of yours and run IMAGE_REGISTRY=registry.example/team make demo; or unset KUBECONFIG to use a cluster on this machine',
    );
  }
  for (const tool of ['kubectl', 'helm']) {
    const { code } = await run('sh', ['-c', `command -v ${tool}`]);
    if (code !== 0)
      throw new Error(`${tool} is not on PATH: install it, it is what installs Crashcart into your cluster`);
  }
  return {
    kubeconfig,
    kubectl: 'kubectl',
    helm: 'helm',
    registry,
    goodbye: '  helm uninstall crashcart -n crashcart-system   take it out of your cluster again',
  };
}
