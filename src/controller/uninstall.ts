import { apiServiceName } from '../api/names.ts';
import { describe } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { KubeClient } from '../kube/client.ts';
import { isCode } from '../kube/kube-error.ts';
import { resourcePath } from '../kube/paths.ts';
import { Reflector } from '../kube/reflector.ts';

/**
 * Deletes the APIService as soon as our own namespace is being deleted: once our pods are gone it would have no backend, and the
 * deletion of every namespace in the cluster, this one first of all, would wait for it. Watched, not polled, because the
 * namespace's ServiceAccounts, and our token with them, go within a second. In every replica, not the leader only.
 */
export async function guardUninstall(
  client: KubeClient,
  namespace: string,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const reflector = new Reflector({
    client,
    path: resourcePath('v1', 'namespaces'),
    query: { fieldSelector: `metadata.name=${namespace}` },
    parse: (value) => ({ terminating: (value as Namespace).metadata?.deletionTimestamp !== undefined }),
    log,
  });
  let done = false;
  reflector.onChange((change) => {
    if (done || change.type === 'deleted' || !change.object.terminating) return;
    done = true;
    log.warn('our namespace is being deleted: removing the APIService', { namespace });
    void deleteApiService(client, log);
  });
  await reflector.run(signal);
}

interface Namespace {
  readonly metadata?: { readonly deletionTimestamp?: string };
}

async function deleteApiService(client: KubeClient, log: Logger): Promise<void> {
  const path = resourcePath('apiregistration.k8s.io/v1', 'apiservices', { name: apiServiceName });
  try {
    await client.request({ method: 'DELETE', path, idempotent: true });
    log.info('APIService removed', { name: apiServiceName });
  } catch (caught) {
    if (isCode(caught, 404)) return;
    log.error(`APIService not removed: run "kubectl delete apiservice ${apiServiceName}"`, { error: describe(caught) });
  }
}
