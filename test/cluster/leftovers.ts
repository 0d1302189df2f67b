import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupProcesses, cgroupTree, findCgroups } from './cgroup.ts';
import { run } from './command.ts';
import { deriveNaming, subnets } from './naming.ts';
import { hostLinks } from './network.ts';
import { isProgram } from './preflight.ts';
import { allPids, namespaceOf } from './process.ts';
import { directoryOf, readState } from './state.ts';

/** What may stay: what a person reads after the cluster is gone. */
export const keptFiles: readonly string[] = ['log'];

/** Mounts below `directory`, of the text of a /proc/PID/mountinfo. Field 4 is a bind mount's source, field 5 its place. */
export function mountsBelow(mountinfo: string, directory: string): string[] {
  const inside = (path: string | undefined): boolean =>
    path === directory || path?.startsWith(`${directory}/`) === true;
  return mountinfo
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , , source, place]) => inside(source) || inside(place))
    .map(([, , , , place]) => place as string);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function processes(prefix: string, directory: string): string[] {
  const members = new Set(cgroupProcesses(prefix));
  const mentions = (pid: number): boolean =>
    pid !== process.pid &&
    read(`/proc/${pid}/cmdline`)
      .split('\0')
      .some((part) => part.includes(`${directory}/`));
  return allPids()
    .filter((pid) => members.has(pid) || mentions(pid))
    .map((pid) => `process ${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim().slice(0, 120)}`);
}

function mounts(directory: string): string[] {
  // One process of every mount namespace tells about it; a mount that leaked into another one counts too.
  const seen = new Map(allPids().map((pid) => [namespaceOf(pid, 'mnt'), pid]));
  return [...seen].flatMap(([namespace, pid]) =>
    mountsBelow(read(`/proc/${pid}/mountinfo`), directory).map((place) => `mount ${place} in ${namespace}`),
  );
}

function loopDevices(directory: string): string[] {
  return readdirSync('/sys/block')
    .filter((name) => read(`/sys/block/${name}/loop/backing_file`).startsWith(`${directory}/`))
    .map((name) => `loop device /dev/${name}`);
}

async function firewall(prefix: string, addresses: readonly string[]): Promise<string[]> {
  if (!isProgram('nft')) return []; // then nobody here has made rules with it
  const rules = await run('nft', ['list', 'ruleset']);
  return rules
    .split('\n')
    .filter((line) => [prefix, ...addresses].some((address) => line.includes(address)))
    .map((line) => `nft rule ${line.trim()}`);
}

function files(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((name) => !keptFiles.includes(name))
    .map((name) => `file ${join(directory, name)}`);
}

/**
 * Everything on this machine that belongs to the cluster, one line each; empty when nothing is left of it. It looks at
 * the machine, not at what the cluster wrote down, so that it finds what a crash left too.
 */
export async function leftovers(name: string): Promise<string[]> {
  const naming = deriveNaming(name);
  const directory = directoryOf(naming);
  const block = subnets(readState(name)?.block ?? naming.preferredSubnet);
  return [
    ...processes(naming.prefix, directory),
    ...mounts(directory),
    ...loopDevices(directory),
    ...(await hostLinks()).filter((link) => link.startsWith(naming.prefix)).map((link) => `link ${link}`),
    ...findCgroups(naming.prefix)
      .flatMap(cgroupTree)
      .map((path) => `cgroup ${path}`),
    ...(await firewall(naming.prefix, [`${block.nodes}.`])),
    ...files(directory),
  ];
}
