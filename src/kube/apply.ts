import { fieldManager } from '../api/names.ts';
import type { KubeClient } from './client.ts';

/** YAML is a superset of JSON, and the server insists on this name. */
const applyContentType = 'application/apply-patch+yaml';

export interface ApplyOptions {
  readonly manager?: string;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/**
 * Server-side apply of `object` (with apiVersion, kind, metadata.name and only the fields that we own) to `path`, which
 * may be a `/status`. Forced: what we own is ours alone. Give `metadata.uid`, else an object that was deleted meanwhile is
 * made anew. Resolves with the object as it stands.
 */
export async function apply(
  client: KubeClient,
  path: string,
  object: object,
  options: ApplyOptions = {},
): Promise<unknown> {
  const { manager = fieldManager, signal, timeoutMs } = options;
  return await client.request({
    method: 'PATCH',
    path,
    query: { fieldManager: manager, force: true },
    contentType: applyContentType,
    body: object,
    idempotent: true,
    ...(signal ? { signal } : {}),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
}
