import { join } from 'node:path';
import { createAuthority, type KeyPair, serviceAccountKeys } from './certificates.ts';
import { kubeconfig } from './kubeconfig.ts';
import { apiServiceAddress } from './naming.ts';
import { writeFiles } from './node.ts';
import { apiPort } from './services.ts';

interface PkiOptions {
  readonly cluster: string;
  readonly directory: string;
  /** Address of the API server: the first node's. */
  readonly server: string;
  readonly nodes: readonly { readonly name: string; readonly ip: string; readonly directory: string }[];
}

const apiServerNames = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
];
const superusers = 'system:masters';

/** Makes every certificate and kubeconfig of a cluster; private keys are readable for root only. */
export async function writePki({ cluster, directory, server, nodes }: PkiOptions): Promise<void> {
  const [ca, frontProxy] = await Promise.all([createAuthority('kubernetes-ca'), createAuthority('front-proxy-ca')]);
  const config = (user: string, pair: KeyPair): string =>
    kubeconfig(cluster, `https://${server}:${apiPort}`, ca.certificate, user, pair);
  const userConfig = async (user: string, group?: string): Promise<string> =>
    config(user, await ca.issue({ user, ...(group && { group }) }));

  const serving = { user: 'kube-apiserver', names: [...apiServerNames, 'localhost'] };
  const issued = {
    'kube-apiserver': await ca.issue({ ...serving, addresses: ['127.0.0.1', apiServiceAddress, server] }),
    'kubelet-client': await ca.issue({ user: 'kube-apiserver-kubelet-client', group: superusers }),
    'front-proxy-client': await frontProxy.issue({ user: 'front-proxy-client' }),
  };
  const tokens = serviceAccountKeys();
  const pki: Record<string, string> = {
    'ca.crt': ca.certificate,
    'ca.key': ca.key,
    'front-proxy-ca.crt': frontProxy.certificate,
    'service-account.pub': tokens.publicKey,
    'service-account.key': tokens.privateKey,
  };
  for (const [name, pair] of Object.entries(issued)) {
    pki[`${name}.crt`] = pair.certificate;
    pki[`${name}.key`] = pair.key;
  }
  writeFiles(join(directory, 'pki'), pki, 0o600);

  const etc: Record<string, string> = {};
  for (const user of ['kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'coredns'])
    etc[`${user}.kubeconfig`] = await userConfig(`system:${user}`);
  writeFiles(join(directory, 'etc'), etc, 0o600);
  writeFiles(directory, { kubeconfig: await userConfig('admin', superusers) }, 0o600);

  for (const { name, ip, directory: own } of nodes) {
    const user = { user: `system:node:${name}`, group: 'system:nodes' };
    const pair = await ca.issue({ ...user, names: [name], addresses: [ip] });
    const files = {
      'kubelet.crt': pair.certificate,
      'kubelet.key': pair.key,
      'kubelet.kubeconfig': config(user.user, pair),
    };
    writeFiles(join(own, 'etc'), files, 0o600);
  }
}
