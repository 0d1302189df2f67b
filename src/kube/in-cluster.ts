import { readFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { Connection } from './connection.ts';

const mount = '/var/run/secrets/kubernetes.io/serviceaccount';
/** The kubelet replaces a bound token at 80 % of its hour: a minute of staleness is far from its end. */
const rereadMs = 60_000;

export interface InClusterOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly directory?: string;
  readonly now?: () => number;
}

/** The API server as the pod's own ServiceAccount. Throws CrashcartError `Invalid` where there is no such mount. */
export function inClusterConnection(options: InClusterOptions = {}): Connection {
  const { env = process.env, directory = mount, now = () => performance.now() } = options;
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  if (!host) {
    throw new CrashcartError(
      reasons.Invalid,
      'KUBERNETES_SERVICE_HOST is not set, so this is not a pod: name a kubeconfig with --kubeconfig',
    );
  }
  const token = rereadFile(join(directory, 'token'), now);
  const ca = rereadFile(join(directory, 'ca.crt'), now);
  return {
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    namespace: env['POD_NAMESPACE'] ?? readFileSync(join(directory, 'namespace'), 'utf8').trim(),
    async credentials() {
      return { tls: { ca: await ca() }, headers: { authorization: `Bearer ${(await token()).trim()}` } };
    },
  };
}

export const isInCluster = (env: Readonly<Record<string, string | undefined>> = process.env): boolean =>
  Boolean(env['KUBERNETES_SERVICE_HOST']);

function rereadFile(path: string, now: () => number): () => Promise<string> {
  let text: string | undefined;
  let readAt = 0;
  return async () => {
    if (text !== undefined && now() - readAt < rereadMs) return text;
    try {
      await stat(path);
      text = await readFile(path, 'utf8');
      readAt = now();
    } catch (cause) {
      // The last one may still be valid while the kubelet swaps the volume's directory.
      if (text === undefined) {
        throw new CrashcartError(reasons.Unauthorized, `the ServiceAccount's file ${path} cannot be read`, { cause });
      }
    }
    return text;
  };
}
