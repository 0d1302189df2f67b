import { stringify } from 'yaml';
import type { KeyPair } from './certificates.ts';

/** A kubeconfig with everything inside, so that the file alone is enough. */
export function kubeconfig(cluster: string, server: string, authority: string, user: string, pair: KeyPair): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: cluster, cluster: { server, 'certificate-authority-data': base64(authority) } }],
      users: [
        {
          name: user,
          user: { 'client-certificate-data': base64(pair.certificate), 'client-key-data': base64(pair.key) },
        },
      ],
      contexts: [{ name: cluster, context: { cluster, user } }],
      'current-context': cluster,
    },
    { lineWidth: 0 },
  );
}
