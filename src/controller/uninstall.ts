import { apiServiceName } from '../api/names.ts';
import { describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { Agents } from '../gateway/agents.ts';
import type { KubeClient } from '../kube/client.ts';
import { isCode } from '../kube/kube-error.ts';
import { resourcePath } from '../kube/paths.ts';
import { Reflector } from '../kube/reflector.ts';

export interface UninstallOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly agents: Pick<Agents, 'get' | 'nodes'>;
  readonly log: Logger;
  /** Whether there is an APIService to take away. */
  readonly aggregated: boolean;
}

/**
 * Deletes the APIService as soon as our own namespace is being deleted: once our pods are gone it would have no backend, and the
 * deletion of every namespace in the cluster, this one first of all, would wait for it. Watched, not polled, because the
 * namespace's ServiceAccounts, and our token with them, go within a second. In every replica, not the leader only. Sessions outlive their
 * agents, so they are ended now: no agent will come back for them.
 */
export async function guardUninstall(
  { client, namespace, agents, log, aggregated }: UninstallOptions,
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
    log.warn('our namespace is being deleted: sessions end', { namespace });
    if (aggregated) void deleteApiService(client, log);
    void endSessions(agents, log);
  });
  await reflector.run(signal);
}

/** Every session of every agent that is connected here. Never rejects: what could not be told ends with its lease. */
export async function endSessions(agents: Pick<Agents, 'get' | 'nodes'>, log: Logger): Promise<void> {
  const ends = agents.nodes().flatMap((node) => {
    const link = agents.get(node);
    return [...(link?.sessions()?.keys() ?? [])].map(async (uid) => {
      try {
        await link?.remove(uid, reasons.Deleted);
      } catch (caught) {
        log.warn('a session goes on until its lease is over', { uid, node, error: describe(caught) });
      }
    });
  });
  await Promise.all(ends);
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
