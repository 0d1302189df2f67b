import { up } from '../cluster/cluster.ts';
import { builtImages, type Target } from '../support/install.ts';
import { run } from '../support/run.ts';

export interface Stage extends Target {
  /** What a person may want to do when the demo is over. */
  readonly goodbye: string;
}

/** The two-node cluster of this machine; one that already runs is used as it is. */
export async function testCluster(step: (text: string) => void): Promise<Stage> {
  step('A two-node Kubernetes on this machine');
  const images = await builtImages();
  const cluster = await up({ name: 'crashcart', images: [images.crashcart.tar, images.toolbox.tar] });
  return {
    kubeconfig: cluster.kubeconfig,
    kubectl: cluster.bin('kubectl'),
    helm: cluster.bin('helm'),
    goodbye: '  make cluster-down                              remove the cluster, whole',
  };
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
