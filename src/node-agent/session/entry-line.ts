import { toolboxMount } from '../../api/names.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { errnoName } from '../../linux/errno.ts';

/** What crashcart-enter says on its status pipe, a line each. */
export type EntryLine =
  | { readonly type: 'error'; readonly step: string; readonly errno: number; readonly detail: string }
  | { readonly type: 'supervisor' | 'started'; readonly pid: number }
  | { readonly type: 'placed'; readonly created: boolean; readonly createdDev: boolean }
  | { readonly type: 'removed' }
  | { readonly type: 'warning'; readonly detail: string };

/** What it does not know becomes a warning, for the log. */
export function parseEntryLine(line: string): EntryLine {
  const [type = '', ...words] = line.split(' ');
  const [first = '', second = ''] = words;
  switch (type) {
    case 'error':
      return { type, step: first, errno: Number(second), detail: words.slice(2).join(' ') };
    case 'supervisor':
    case 'started':
      return { type, pid: Number(first) };
    case 'placed':
      return { type, created: first === '1', createdDev: second === '1' };
    case 'removed':
      return { type };
    default:
      return { type: 'warning', detail: line };
  }
}

export const doesNotAnswer = (): CrashcartError =>
  new CrashcartError(
    reasons.Timeout,
    'Entering the container took too long: one of its file systems does not answer; look at its network and FUSE mounts.',
  );

const [esrch, erofs] = [3, 30];

/** The one sentence for a person; the failed step and its errno stay in the cause. */
export function entryError({ step, errno, detail }: Extract<EntryLine, { type: 'error' }>): CrashcartError {
  const cause = new Error(`crashcart-enter: ${step}: ${printable(detail)}: ${errnoName(errno)}`);
  if (step === 'occupied') {
    const what = detail.startsWith('/dev')
      ? printable(detail)
      : `the container has ${printable(detail)} of its own at ${toolboxMount}`;
    return new CrashcartError(
      reasons.MountPointOccupied,
      `The toolbox cannot be placed: ${what}; crashcart does not hide or replace what belongs to a container, so remove it there first.`,
      { cause },
    );
  }
  if (step === 'setns' && errno === esrch) {
    return new CrashcartError(
      reasons.ContainerNotRunning,
      'The container ended while it was being entered: try again once it runs.',
      { cause },
    );
  }
  if (step === 'mountpoint' && errno === erofs) {
    return new CrashcartError(
      reasons.ContainerUnsupported,
      'The container has no directory for the toolbox, and its file system takes none: take visibility Session.',
      { cause },
    );
  }
  return new CrashcartError(reasons.Internal, `Entering the container failed at "${step}": see the node agent's log.`, {
    cause,
  });
}
