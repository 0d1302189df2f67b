import { setTimeout as sleep } from 'node:timers/promises';
import { plural } from '../api/names.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { ApiClient } from './api-client.ts';
import { usage } from './command-line.ts';
import { complain, type Host } from './host.ts';
import { apiOf, type Invocation } from './invocation.ts';
import { deleteSession, listSessions, peekSession } from './sessions-api.ts';

/** How long the node gets to prove that nothing is left. The agent's own teardown is bounded well below. */
const waitMs = 60_000;
const lookEveryMs = 200;

export async function rm(invocation: Invocation): Promise<number> {
  const { line, host } = invocation;
  const all = line.switch('all') ?? false;
  const named = line.positionals.map((name) => name.replace(/^(debugsessions?(\.crashcart\.dev)?|dbg)\//, ''));
  if (all === named.length > 0) throw usage('name the sessions to end, or say --all: see "kubectl crashcart ls"');
  const api = apiOf(invocation);
  const { namespace } = api.connection;
  try {
    const names = all ? (await listSessions(api, namespace)).map(({ metadata }) => metadata.name) : named;
    const wait = line.switch('wait') ?? true;
    const results = await Promise.all(names.map((name) => removeOne(api, namespace, name, wait, host)));
    return results.every(Boolean) ? 0 : 1;
  } finally {
    await api.close();
  }
}

/** One that fails does not keep the others. */
async function removeOne(api: ApiClient, namespace: string, name: string, wait: boolean, host: Host): Promise<boolean> {
  try {
    await deleteSession(api, namespace, name);
    if (wait) await gone(api, namespace, name);
    host.stdout.write(`${plural}.crashcart.dev/${name} ${wait ? 'deleted' : 'is being deleted'}\n`);
    return true;
  } catch (caught) {
    complain(host, caught);
    return false;
  }
}

async function gone(api: ApiClient, namespace: string, name: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < waitMs; waitedMs += lookEveryMs) {
    const session = await peekSession(api, namespace, name);
    // A session without deletionTimestamp is a new one under the same name.
    if (session?.metadata.deletionTimestamp === undefined) return;
    await sleep(lookEveryMs);
  }
  throw new CrashcartError(
    reasons.Timeout,
    `session "${name}" is still being cleaned up after ${waitMs / 1_000} s: see its CleanedUp condition in "kubectl describe debugsession ${name} -n ${namespace}"`,
  );
}
