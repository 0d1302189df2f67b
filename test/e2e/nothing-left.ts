import { afterEach } from 'vitest';
import { cluster, getJson, kubectl } from '../support/environment.ts';
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

async function nothingLeft(): Promise<void> {
  const lines = await leftovers();
  if (lines.length > 0) throw new Error(`left behind:\n${lines.join('\n')}`);
}

/** What is still left after a while fails the test that has just run, and is cleared away, so that it fails no other one after it. */
export async function expectNothingLeft(withinMs = 10_000): Promise<void> {
  try {
    await eventually(nothingLeft, withinMs);
  } catch (left) {
    await clearAway();
    throw left;
  }
}

/** By the way that people have: whatever the controller and the agents cannot remove stays, and the next test will say so, too. */
async function clearAway(): Promise<void> {
  await kubectl(['delete', 'debugsessions', '-A', '--all', '--timeout=60s'], { timeoutMs: 70_000 });
  await eventually(nothingLeft, 20_000).catch((caught: unknown) => console.error('not cleared away either:', caught));
}

/** After each test of a file nothing of a session may be left on any node. The check itself is tested in leftovers.test.ts. */
export const nothingLeftAfterEach = (): void => afterEach(() => expectNothingLeft());
