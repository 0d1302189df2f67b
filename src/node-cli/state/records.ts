import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../../linux/durable-file.ts';
import { parseStartTime } from '../../linux/proc.ts';

/** One process for as long as the machine runs: pids are used again, start times are not. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
}

/** For people. */
export interface ContainerName {
  readonly runtime: string;
  readonly id: string;
  readonly label: string;
}

/** The toolbox in a container's own mount namespace. */
export interface MountRecord {
  readonly container: ContainerName;
  /** In whose mount namespace it was put. */
  readonly process: ProcessIdentity;
  readonly mountNamespace: string;
  readonly image: { readonly name: string; readonly key: string };
  /** st_dev of the toolbox, hexadecimal. */
  readonly device: string;
  /** /dev/crashcart was made by us, and so was /dev. */
  readonly created: boolean;
  readonly createdDev: boolean;
  /** Stays until `-u`. */
  readonly kept: boolean;
  /** The crashcart processes that use it. */
  readonly users: readonly ProcessIdentity[];
  /** ISO 8601. */
  readonly since: string;
}

/** A session of a crashcart process that runs. */
export interface SessionRecord {
  /** Names its cgroup. */
  readonly uid: string;
  readonly owner: ProcessIdentity;
  readonly container: ContainerName;
  readonly mountNamespace: string;
  readonly image: { readonly name: string; readonly key: string };
  readonly private: boolean;
  readonly since: string;
}

/** An image that stays mounted on the node for containers that were started with it. */
export interface ImageRecord {
  readonly image: { readonly name: string; readonly key: string };
  readonly file: string;
  readonly since: string;
}

export interface Records<T> {
  /** All that can be read; a file that is none is left out. */
  all(): readonly T[];
  read(key: string): T | undefined;
  /** Durable and whole: a crash leaves the old record or the new one. */
  write(key: string, record: T): void;
  erase(key: string): void;
}

type Shape = Readonly<Record<string, 'string' | 'number' | 'boolean' | 'object'>>;

const shapes = {
  mounts: {
    container: 'object', process: 'object', mountNamespace: 'string', image: 'object', device: 'string', created: 'boolean',
    createdDev: 'boolean', kept: 'boolean', users: 'object', since: 'string',
  },
  sessions: { uid: 'string', owner: 'object', container: 'object',
    mountNamespace: 'string', image: 'object', private: 'boolean', since: 'string' },
  images: { image: 'object', file: 'string', since: 'string' },
} as const satisfies Record<string, Shape>; // biome-ignore format: a table

export const openMountRecords = (directory: string): Records<MountRecord> =>
  open(join(directory, 'mounts'), shapes.mounts);
export const openSessionRecords = (directory: string): Records<SessionRecord> =>
  open(join(directory, 'sessions'), shapes.sessions);
export const openImageRecords = (directory: string): Records<ImageRecord> =>
  open(join(directory, 'kept-images'), shapes.images);

function open<T>(directory: string, shape: Shape): Records<T> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const file = (key: string): string => join(directory, `${encodeURIComponent(key)}.json`);
  const readFile = (path: string): readonly T[] => {
    const value = parse(path);
    return hasShape(value, shape) ? [value as T] : [];
  };
  return {
    all: () =>
      readdirSync(directory)
        .filter((name) => name.endsWith('.json'))
        .flatMap((name) => readFile(join(directory, name))),
    read: (key) => readFile(file(key))[0],
    write: (key, record) => replaceFile(file(key), JSON.stringify(record)),
    erase: (key) => rmSync(file(key), { force: true }),
  };
}

function parse(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

const hasShape = (value: unknown, shape: Shape): boolean =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(shape).every(([key, type]) => typeof (value as Record<string, unknown>)[key] === type);

export const identityOf = (pid: number): ProcessIdentity => ({ pid, startTime: startTimeOf(pid) ?? '' });

export const isAlive = ({ pid, startTime }: ProcessIdentity): boolean => startTimeOf(pid) === startTime;

export const isSame = (one: ProcessIdentity, other: ProcessIdentity): boolean =>
  one.pid === other.pid && one.startTime === other.startTime;

/** Undefined when there is no such process. */
function startTimeOf(pid: number): string | undefined {
  try {
    return parseStartTime(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}
