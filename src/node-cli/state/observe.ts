import { readFileSync } from 'node:fs';
import { namespaceOf } from '../../linux/namespaces.ts';
import { cgroupParent } from './directory.ts';
import { keyOf } from './mounts.ts';
import { deviceText, processIds, type ToolboxUser, toolboxSeenBy, usersOf } from './node-mounts.ts';
import type { ContainerName, MountRecord, SessionRecord } from './records.ts';
import type { State } from './state.ts';

/** A toolbox that somebody sees. */
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

interface Seen {
  readonly namespace: string;
  /** A process in it. */
  readonly pid: number;
  readonly device: string;
  readonly users: readonly ToolboxUser[];
}

type Records = Pick<State, 'mounts' | 'sessions' | 'keptImages'>;

/** Every mount namespace of the node with something at /dev/crashcart, and the images that are kept for new containers. */
export function observe(state: Records): readonly Shown[] {
  const sessions = state.sessions.all();
  const seen = lookAround().map((each) => ({ ...each, session: sessionOf(each.pid, sessions) }));
  const shown = seen.flatMap((each): readonly Shown[] => {
    const { namespace, device, session, users, pid } = each;
    const record = state.mounts.read(keyOf(namespace));
    if (record && deviceText(record.device) === device) {
      // A session's terminal is its own, and so it has a copy of the namespace: what it uses is used of this.
      const others = seen.filter((other) => isCopyOf(other.session, namespace)).flatMap((other) => other.users);
      return [ofContainer(record, [...users, ...others])];
    }
    if (session) return session.private ? [ofSession(session, users)] : [];
    return [ofOthers(pid, users)];
  });
  return [...shown, ...state.keptImages.all().map(ofImage)];
}

const isCopyOf = (session: SessionRecord | undefined, namespace: string): boolean =>
  session !== undefined && !session.private && session.mountNamespace === namespace;

function lookAround(): readonly Seen[] {
  const namespaces = Map.groupBy(processIds(), (pid) => namespaceOf(pid, 'mnt') ?? '');
  namespaces.delete('');
  return [...namespaces].flatMap(([namespace, pids]) => {
    const [pid = 0] = pids;
    const device = toolboxSeenBy(pid);
    return device === undefined ? [] : [{ namespace, pid, device, users: usersOf(device, pids) }];
  });
}

const ofContainer = ({ container, image, kept, users, since }: MountRecord, using: readonly ToolboxUser[]): Shown => ({
  container,
  image: image.name,
  visibility: 'container',
  heldBy: [...(kept ? ['-m'] : []), ...users.map(({ pid }) => `session ${pid}`)],
  since,
  users: using,
});

const ofSession = ({ container, image, since, owner }: SessionRecord, users: readonly ToolboxUser[]): Shown => ({
  container,
  image: image.name,
  visibility: 'session',
  heldBy: [`session ${owner.pid}`],
  since,
  users,
});

const ofImage = ({ image, since }: { image: { name: string }; since: string }): Shown => ({
  container: { runtime: '-', id: '', label: '(new containers)' },
  image: image.name,
  visibility: 'node',
  heldBy: ['run'],
  since,
  users: [],
});

/** The node agent's, or a container that was started with the toolbox. */
function ofOthers(pid: number, users: readonly ToolboxUser[]): Shown {
  const ofAgent = /\/crashcart(\.slice)?\//.test(cgroupOf(pid));
  return {
    container: { runtime: 'pid', id: `${pid}`, label: `process ${pid}` },
    image: '-',
    visibility: ofAgent ? 'session' : 'container',
    heldBy: [ofAgent ? 'node agent' : 'unknown'],
    users,
  };
}

function sessionOf(pid: number, sessions: readonly SessionRecord[]): SessionRecord | undefined {
  const cgroups = cgroupOf(pid).replaceAll('\n', '/\n');
  return sessions.find(({ uid }) => cgroups.includes(`${cgroupParent}/${uid}/`));
}

function cgroupOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return '';
  }
}
