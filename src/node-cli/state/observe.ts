import { readFileSync } from 'node:fs';
import { namespaceOf } from '../../linux/namespaces.ts';
import { cgroupParent } from './directory.ts';
import { keyOf } from './mounts.ts';
import { deviceText, processIds, type ToolboxUser, toolboxSeenBy, usersOf } from './node-mounts.ts';
import type { ContainerName, MountRecord, SessionRecord } from './records.ts';
import type { State } from './state.ts';

/** A toolbox in one mount namespace. */
export interface Shown {
  readonly container: ContainerName;
  readonly image: string;
  /** Whose processes can see it. */
  readonly visibility: 'container' | 'session' | 'node';
  /** `-m`, `session PID`, `run`, `node agent`, or `unknown`. */
  readonly heldBy: readonly string[];
  readonly since?: string;
  readonly users: readonly ToolboxUser[];
}

/** Every mount namespace of the node with something at /dev/crashcart, and the images that are kept for new containers. */
export function observe(state: Pick<State, 'mounts' | 'sessions' | 'keptImages'>): readonly Shown[] {
  const pids = processIds();
  const namespaces = Map.groupBy(pids, (pid) => namespaceOf(pid, 'mnt') ?? '');
  namespaces.delete('');
  const shown = [...namespaces].flatMap(([namespace, inside]) => {
    const [first = 0] = inside;
    const device = toolboxSeenBy(first);
    if (device === undefined) return [];
    const users = usersOf(device, inside);
    const record = state.mounts.read(keyOf(namespace));
    if (record && deviceText(record.device) === device) return [ofContainer(record, users)];
    return [ofOthers(first, users, state.sessions.all())];
  });
  return [
    ...shown,
    ...state.keptImages.all().map(
      ({ image, since }): Shown => ({
        container: { runtime: '-', id: '', label: '(new containers)' },
        image: image.name,
        visibility: 'node',
        heldBy: ['run'],
        since,
        users: [],
      }),
    ),
  ];
}

const ofContainer = ({ container, image, kept, users, since }: MountRecord, using: readonly ToolboxUser[]): Shown => ({
  container,
  image: image.name,
  visibility: 'container',
  heldBy: [...(kept ? ['-m'] : []), ...users.map(({ pid }) => `session ${pid}`)],
  since,
  users: using,
});

/** A private copy of a container's namespace, ours or the node agent's; or a container that was started with the toolbox. */
function ofOthers(pid: number, users: readonly ToolboxUser[], sessions: readonly SessionRecord[]): Shown {
  const cgroup = cgroupOf(pid);
  const session = sessions.find(({ uid }) => cgroup.includes(`${cgroupParent}/${uid}`));
  if (session) {
    const { container, image, since, owner } = session;
    return { container, image: image.name, visibility: 'session', heldBy: [`session ${owner.pid}`], since, users };
  }
  const ofAgent = /\/crashcart(\.slice)?\//.test(cgroup);
  return {
    container: { runtime: 'pid', id: `${pid}`, label: `process ${pid}` },
    image: '-',
    visibility: ofAgent ? 'session' : 'container',
    heldBy: [ofAgent ? 'node agent' : 'unknown'],
    users,
  };
}

function cgroupOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return '';
  }
}
