import type { DebugSession } from '../api/debug-session.ts';
import { plural } from '../api/names.ts';
import { printable } from '../base/text.ts';
import { type Host, note } from './host.ts';
import { apiOf, type Invocation } from './invocation.ts';
import { printObject } from './output.ts';
import { sessionTable } from './session-table.ts';
import { listSessions } from './sessions-api.ts';

export async function ls(invocation: Invocation): Promise<number> {
  const { line, host } = invocation;
  const api = apiOf(invocation);
  const everywhere = line.switch('all-namespaces') ?? false;
  try {
    const sessions = await listSessions(api, everywhere ? undefined : api.connection.namespace);
    const format = line.text('output');
    if (sessions.length === 0 && (format === undefined || format === 'wide')) {
      note(host, everywhere ? 'no sessions' : `no sessions in namespace "${api.connection.namespace}"`);
      return 0;
    }
    await print(sessions, format, everywhere, host);
    return 0;
  } finally {
    await api.close();
  }
}

async function print(sessions: readonly DebugSession[], format: string | undefined, namespaces: boolean, host: Host) {
  switch (format) {
    case 'json':
    case 'yaml':
      await printObject(host, format, { apiVersion: 'v1', kind: 'List', items: sessions });
      return;
    case 'name':
      for (const { metadata } of sessions) host.stdout.write(`${plural}.crashcart.dev/${printable(metadata.name)}\n`);
      return;
    default:
      host.stdout.write(sessionTable(sessions, { wide: format === 'wide', namespaces, now: Date.now() }));
  }
}
