import type { AttachedClient, DebugSession } from '../api/debug-session.ts';
import { formatDuration } from '../base/duration.ts';
import { formatTable } from '../base/table.ts';

interface Column {
  readonly title: string;
  readonly wide?: boolean;
  readonly cell: (session: DebugSession, now: number) => string;
}

const columns: readonly Column[] = [
  { title: 'NAME', cell: ({ metadata }) => metadata.name },
  {
    title: 'TARGET',
    cell: ({ spec, status }) => target(spec.target.pod.name, spec.target.pod.container ?? status?.container),
  },
  { title: 'NODE', cell: ({ status }) => status?.nodeName ?? '' },
  {
    title: 'PHASE',
    cell: ({ status, metadata }) => (metadata.deletionTimestamp ? 'Deleting' : (status?.phase ?? 'Pending')),
  },
  { title: 'AGE', cell: ({ metadata }, now) => formatDuration(now - Date.parse(metadata.creationTimestamp)) },
  { title: 'ATTACHED', cell: ({ status }) => attached(status?.attached) },
  { title: 'PROFILE', wide: true, cell: ({ spec }) => spec.profile },
  { title: 'COMMAND', wide: true, cell: ({ spec }) => spec.command?.join(' ').slice(0, 40) ?? '(shell)' },
  { title: 'EXIT', wide: true, cell: ({ status }) => (status?.exit ? String(status.exit.code) : '') },
  { title: 'REASON', wide: true, cell: (session) => endReason(session) },
];

const target = (pod: string, container: string | undefined): string => (container ? `${pod}/${container}` : pod);

/** `alice`, `alice +2`, or `+1` where nobody types. */
function attached(clients: readonly AttachedClient[] = []): string {
  const [first] = clients;
  const writer = first?.mode === 'Writer' ? first.user : '';
  const others = clients.length - (writer === '' ? 0 : 1);
  return [writer, ...(others > 0 ? [`+${others}`] : [])].filter(Boolean).join(' ');
}

function endReason({ status }: DebugSession): string {
  if (status?.exit) return status.exit.reason;
  return status?.phase === 'Failed' ? (status.conditions?.find(({ type }) => type === 'Ready')?.reason ?? '') : '';
}

export interface TableOptions {
  readonly wide: boolean;
  readonly namespaces: boolean;
  readonly now: number;
}

/** Columns as kubectl prints them: three spaces apart, the newest session last, `<none>` for what is not there yet. */
export function sessionTable(sessions: readonly DebugSession[], { wide, namespaces, now }: TableOptions): string {
  const namespace: Column = { title: 'NAMESPACE', cell: ({ metadata }) => metadata.namespace };
  const shown = [...(namespaces ? [namespace] : []), ...columns.filter((column) => wide || !column.wide)];
  const ordered = sessions.toSorted(
    (a, b) => Date.parse(a.metadata.creationTimestamp) - Date.parse(b.metadata.creationTimestamp),
  );
  const rows = ordered.map((session) => shown.map(({ cell }) => cell(session, now) || '<none>'));
  return formatTable([shown.map(({ title }) => title), ...rows], 3);
}
