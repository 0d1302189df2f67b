import { afterEach, expect } from 'vitest';
import { cluster, getJson } from '../support/environment.ts';
import { eventually } from '../support/eventually.ts';
import { nodeLeftovers } from '../support/node-leftovers.ts';

interface Item {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly deletionTimestamp?: string };
  readonly status?: { readonly phase?: string };
}

/** Records of ended sessions may stay until their TTL; running ones, and ones that cannot be deleted, may not. */
async function sessionsLeft(): Promise<string[]> {
  const { items } = await getJson<{ items: Item[] }>(['get', 'debugsessions', '-A']);
  return items
    .filter(
      ({ metadata, status }) =>
        metadata.deletionTimestamp !== undefined || !/^(Finished|Failed)$/.test(status?.phase ?? ''),
    )
    .map(({ metadata, status }) => `session ${metadata.namespace}/${metadata.name} (${status?.phase})`);
}

export async function leftovers(): Promise<string[]> {
  const found = await Promise.all([
    sessionsLeft(),
    ...cluster().nodes.map(async (node) => (await nodeLeftovers(node)).map((line) => `${node.name}: ${line}`)),
  ]);
  return found.flat();
}

/** After each test of a file nothing of a session may be left on any node. The check itself is tested in leftovers.test.ts. */
export const nothingLeftAfterEach = (): void =>
  afterEach(async () => {
    await eventually(async () => expect(await leftovers()).toEqual([]), 10_000);
  });
