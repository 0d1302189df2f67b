import { type DebugProfile, parseDebugProfile } from '../api/debug-profile.ts';
import { apiVersion, profilePlural } from '../api/names.ts';
import type { Logger } from '../base/log.ts';
import type { KubeClient } from './client.ts';
import { resourcePath } from './paths.ts';
import { Reflector } from './reflector.ts';

export interface ProfileCache {
  readonly synced: Promise<void>;
  get(name: string): DebugProfile | undefined;
  onChange(listener: () => void): () => void;
  run(signal: AbortSignal): Promise<void>;
}

export function createProfileCache(client: KubeClient, log: Logger): ProfileCache {
  const path = resourcePath(apiVersion, profilePlural);
  const reflector = new Reflector({ client, path, parse: parseDebugProfile, log });
  return {
    synced: reflector.synced,
    get: (name) => reflector.get(name),
    onChange: (listener) => reflector.onChange(() => listener()),
    run: (signal) => reflector.run(signal),
  };
}
