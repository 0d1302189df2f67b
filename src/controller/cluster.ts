import type { DebugSession, DebugSessionStatus } from '../api/debug-session.ts';
import { apiVersion, finalizer, kind, plural } from '../api/names.ts';
import { parseDebugSession } from '../api/parse.ts';
import { apply } from '../kube/apply.ts';
import type { KubeClient } from '../kube/client.ts';
import { isCode } from '../kube/kube-error.ts';
import { resourcePath } from '../kube/paths.ts';
import { type Pod, parsePod } from './pod.ts';

/** What the reconciler reads and writes in the API server: one method for each line of docs/rights.md. */
export interface Cluster {
  pod(namespace: string, name: string): Promise<Pod | 'absent'>;
  node(name: string): Promise<'present' | 'absent'>;
  /** undefined: it is gone, or another one has its name. */
  session(namespace: string, name: string, uid: string): Promise<DebugSession | undefined>;
  /** Resolves with the object as it stands then; undefined: it is gone. */
  addFinalizer(session: DebugSession): Promise<DebugSession | undefined>;
  /** False: it was gone already. */
  removeFinalizer(session: DebugSession): Promise<boolean>;
  applyStatus(session: DebugSession, status: DebugSessionStatus): Promise<void>;
  deleteSession(session: DebugSession): Promise<void>;
}

export function createCluster(client: KubeClient): Cluster {
  const get = async (path: string): Promise<unknown> => {
    try {
      return await client.request({ method: 'GET', path });
    } catch (caught) {
      if (isCode(caught, 404)) return undefined;
      throw caught;
    }
  };
  const session: Cluster['session'] = async (namespace, name, uid) => {
    const found = await get(resourcePath(apiVersion, plural, { namespace, name }));
    const parsed = found === undefined ? undefined : parseDebugSession(found);
    return parsed?.metadata.uid === uid ? parsed : undefined;
  };
  return {
    session,
    async pod(namespace, name) {
      const found = await get(resourcePath('v1', 'pods', { namespace, name }));
      return found === undefined ? 'absent' : parsePod(found);
    },
    async node(name) {
      return (await get(resourcePath('v1', 'nodes', { name }))) === undefined ? 'absent' : 'present';
    },
    async addFinalizer({ metadata: { namespace, name, uid } }) {
      const object = { apiVersion, kind, metadata: { namespace, name, uid, finalizers: [finalizer] } };
      try {
        return parseDebugSession(await apply(client, resourcePath(apiVersion, plural, { namespace, name }), object));
      } catch (caught) {
        // 409 is the uid's: an apply never makes the object anew.
        if (isCode(caught, 404) || isCode(caught, 409)) return undefined;
        throw caught;
      }
    },
    async removeFinalizer({ metadata: { namespace, name, uid } }) {
      // Read again: the position in the list must be that of the version that is tested.
      const current = await session(namespace, name, uid);
      const index = current?.metadata.finalizers?.indexOf(finalizer) ?? -1;
      if (!current || index < 0) return false;
      const body = [
        { op: 'test', path: '/metadata/resourceVersion', value: current.metadata.resourceVersion },
        { op: 'remove', path: `/metadata/finalizers/${index}` },
      ];
      const path = resourcePath(apiVersion, plural, { namespace, name });
      await client
        .request({ method: 'PATCH', path, body, contentType: 'application/json-patch+json' })
        .catch(ignoreNotFound);
      return true;
    },
    async applyStatus({ metadata: { namespace, name, uid } }, status) {
      const path = resourcePath(apiVersion, plural, { namespace, name, subresource: 'status' });
      await apply(client, path, { apiVersion, kind, metadata: { namespace, name, uid }, status }).catch(ignoreNotFound);
    },
    async deleteSession({ metadata: { namespace, name, uid } }) {
      const path = resourcePath(apiVersion, plural, { namespace, name });
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } };
      await client.request({ method: 'DELETE', path, body }).catch((caught) => {
        // 409: another object has the name now.
        if (!isCode(caught, 409)) ignoreNotFound(caught);
      });
    },
  };
}

function ignoreNotFound(caught: unknown): void {
  if (!isCode(caught, 404)) throw caught;
}
