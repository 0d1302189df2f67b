/** What the kernel says about toolboxes on this node: the truth that the records only explain. */
import { readdirSync, readFileSync } from 'node:fs';
import { toolboxMount } from '../../api/names.ts';
import { parseMountinfo } from '../../linux/mountinfo.ts';
import { namespaceOf } from '../../linux/namespaces.ts';

/** A device number as /proc writes it, `major:minor`, from st_dev in hexadecimal. */
export function deviceText(device: string): string {
  const number = BigInt(`0x${device}`);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & ~0xffn & 0xffffffffn);
  return `${major}:${minor}`;
}

export const processIds = (): readonly number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

/** Any process that is in a mount namespace. */
export const processIn = (mountNamespace: string): number | undefined =>
  processIds().find((pid) => namespaceOf(pid, 'mnt') === mountNamespace);

/** The device of what stands at /dev/crashcart for a process; undefined when nothing is mounted there. */
export function toolboxSeenBy(pid: number): string | undefined {
  try {
    const mounts = parseMountinfo(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
    return mounts.findLast(({ mountPoint }) => mountPoint === toolboxMount)?.device;
  } catch {
    return undefined; // it has just ended
  }
}

export interface ToolboxUser {
  readonly pid: number;
  /** As the process calls itself: anything. */
  readonly name: string;
}

/** The processes that run a program of a device. Read from their maps, which asks no file system of a container anything. */
export function usersOf(device: string, pids: readonly number[] = processIds()): readonly ToolboxUser[] {
  const [major = 0, minor = 0] = device.split(':').map(Number);
  const wanted = ` ${major.toString(16).padStart(2, '0')}:${minor.toString(16).padStart(2, '0')} `;
  return pids.flatMap((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/maps`, 'utf8').includes(wanted)) return [];
      return [{ pid, name: readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd() }];
    } catch {
      return [];
    }
  });
}
