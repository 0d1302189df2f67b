import { setTimeout as sleep } from 'node:timers/promises';
import { apiVersion, profileKind, profilePlural } from '../api/names.ts';
import { CrashcartError, describe, reasons } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { apply } from '../kube/apply.ts';
import type { KubeClient } from '../kube/client.ts';
import { resourcePath } from '../kube/paths.ts';
import type { ProfileCache } from '../kube/profile-cache.ts';

/** `spec` of each, by name. */
export type ShippedProfiles = Readonly<Record<string, object>>;

/** @throws CrashcartError Invalid */
export function parseShippedProfiles(text: string): ShippedProfiles {
  try {
    const found: unknown = JSON.parse(text);
    if (typeof found === 'object' && found !== null) return found as ShippedProfiles;
  } catch {
    // Told below.
  }
  throw new CrashcartError(reasons.Invalid, 'the file of --profiles is not the map of profiles that the chart makes');
}

export interface KeepProfilesOptions {
  readonly client: KubeClient;
  readonly profiles: Pick<ProfileCache, 'get' | 'synced'>;
  readonly shipped: ShippedProfiles;
  readonly log: Logger;
}

const periodMs = 60_000;
const retryMs = 2_000;

/**
 * The leader's part: the profiles of the chart, as the chart has them, at the beginning of its term; later only one that was deleted. Helm cannot
 * do it: it looks every kind of a release up before it makes the first object, and this release defines the kind.
 */
export async function keepProfiles(options: KeepProfilesOptions, signal: AbortSignal): Promise<void> {
  const { client, profiles, shipped, log } = options;
  const pending = new Set(Object.keys(shipped));
  while (!signal.aborted) {
    for (const name of Object.keys(shipped)) if (!pending.has(name) && !profiles.get(name)) pending.add(name);
    for (const name of pending) {
      try {
        await applyProfile(client, name, shipped[name] ?? {});
        pending.delete(name);
      } catch (caught) {
        log.warn('profile not in order, trying again', { profile: name, error: describe(caught) });
      }
    }
    await sleep(pending.size > 0 ? retryMs : periodMs, undefined, { signal }).catch(() => {});
  }
}

async function applyProfile(client: KubeClient, name: string, spec: object): Promise<void> {
  const labels = { 'app.kubernetes.io/part-of': 'crashcart', 'app.kubernetes.io/managed-by': 'crashcart-controller' };
  const object = { apiVersion, kind: profileKind, metadata: { name, labels }, spec };
  await apply(client, resourcePath(apiVersion, profilePlural, { name }), object);
}
