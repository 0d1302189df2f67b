import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { type CgroupLayout, findCgroups } from '../../linux/cgroup.ts';
import { hasErrno } from '../../linux/errno.ts';
import { closeAll, type Kernel, loadKernel } from '../../linux/kernel.ts';
import { mountNamespaceFlag } from '../../linux/namespaces.ts';
import { probeKernel } from '../../linux/probe.ts';
import { openEntry, runEntry } from '../../node-agent/session/entry.ts';
import { enterProgram } from '../carried.ts';
import { findImage, imageDirectories } from '../image/find-image.ts';
import { mountImage } from '../image/mount-image.ts';
import type { Invocation } from '../invocation.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import { isUnimplemented, openRuntimes } from '../runtimes/runtimes.ts';

export interface Finding {
  readonly what: string;
  /** `bad`: crashcart does not work here; `poor`: a part of it does not. */
  readonly verdict: 'good' | 'poor' | 'bad';
  readonly detail: string;
}

/** Every finding is of a call that was made, never of a version. */
export async function doctor(invocation: Invocation): Promise<number> {
  const { host, json } = invocation;
  const findings = await examine(invocation);
  const bad = findings.some(({ verdict }) => verdict === 'bad');
  if (json) host.stdout.write(`${JSON.stringify({ works: !bad, findings }, null, 2)}\n`);
  else host.stdout.write(report(findings));
  return bad ? 1 : 0;
}

const marks = { good: 'ok  ', poor: 'poor', bad: 'BAD ' } as const;

const report = (findings: readonly Finding[]): string =>
  findings.map(({ what, verdict, detail }) => `${marks[verdict]}  ${what.padEnd(20)}  ${printable(detail)}\n`).join('');

async function examine(invocation: Invocation): Promise<readonly Finding[]> {
  const root = process.geteuid?.() === 0;
  const rootFinding = finding(
    'root',
    root ? 'good' : 'bad',
    root ? 'yes' : 'no: run it with sudo; the rest was not looked at',
  );
  if (!root) return [rootFinding];
  const kernel = loadKernel();
  const cgroups = findCgroups('/sys/fs/cgroup');
  return [
    rootFinding,
    ...(await kernelFindings(kernel, cgroups)),
    cgroupFinding(cgroups),
    lsmFinding(),
    await entryFinding(kernel),
    imageFinding(kernel, invocation),
    ...(await runtimeFindings(invocation)),
  ];
}

const finding = (what: string, verdict: Finding['verdict'], detail: string): Finding => ({ what, verdict, detail });

/** What is lost without each; those without a word here are indispensable. */
const lost: Readonly<Record<string, string>> = {
  idmappedMounts: 'in containers with a user namespace the files of the toolbox belong to nobody',
  erofs: 'images of erofs cannot be mounted; name one of squashfs or ext4 with --image',
  cgroupKill: 'processes of a session are killed one by one',
};

async function kernelFindings(kernel: Kernel, cgroups: CgroupLayout): Promise<readonly Finding[]> {
  const child =
    cgroups.unified && readdirSync(cgroups.unified, { withFileTypes: true }).find((entry) => entry.isDirectory());
  const features = await probeKernel(kernel, cgroups.unified && child ? join(cgroups.unified, child.name) : undefined);
  return Object.entries(features).map(([name, there]) => {
    if (there) return finding(`kernel: ${name}`, 'good', 'there');
    const what = lost[name];
    return finding(
      `kernel: ${name}`,
      what === undefined ? 'bad' : 'poor',
      what ?? 'missing, and crashcart cannot do without (Linux 5.12 has all of them)',
    );
  });
}

function cgroupFinding({ unified, legacy }: CgroupLayout): Finding {
  if (unified !== undefined && legacy.length === 0) return finding('cgroups', 'good', 'v2');
  if (unified !== undefined)
    return finding(
      'cgroups',
      'good',
      `v2 beside ${legacy.length} hierarchies of v1 (entering takes some 10 ms longer)`,
    );
  if (legacy.length > 0)
    return finding('cgroups', 'poor', 'v1 only: sessions have no device filter, and are killed process by process');
  return finding('cgroups', 'bad', 'none at /sys/fs/cgroup');
}

function lsmFinding(): Finding {
  const active = readIfThere('/sys/kernel/security/lsm').trim();
  const enforcing = readIfThere('/sys/fs/selinux/enforce').trim() === '1';
  const detail = [active || 'none that can be read', ...(enforcing ? ['SELinux enforces'] : [])].join('; ');
  return finding('security modules', 'good', detail);
}

const readIfThere = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

/** Some systems forbid running what is in memory only (sysctl vm.memfd_noexec). */
async function entryFinding(kernel: Kernel): Promise<Finding> {
  try {
    using entry = openEntry(kernel, enterProgram());
    // Of no process: an error is its answer.
    const values = { namespaces: mountNamespaceFlag };
    const { lines, closed } = runEntry(kernel, entry, { verb: 'remove', descriptors: {}, values });
    let answered = false;
    for await (const line of lines) answered ||= line.type === 'error';
    await closed;
    if (answered) return finding('crashcart-enter', 'good', 'runs from sealed memory');
    return finding('crashcart-enter', 'bad', 'ends at once');
  } catch (error) {
    const why = hasErrno(error, 'EACCES') ? 'does not run: is vm.memfd_noexec set to 2?' : describe(error);
    return finding('crashcart-enter', 'bad', why);
  }
}

function imageFinding(kernel: Kernel, { image }: Invocation): Finding {
  try {
    const { file } = findImage(image, imageDirectories());
    const { mount, how } = mountImage(kernel, file);
    closeAll(kernel, mount);
    return finding(
      'toolbox image',
      'good',
      `${file}, mounted ${how === 'file' ? 'from the file itself' : 'through a loop device'}`,
    );
  } catch (error) {
    return finding('toolbox image', 'bad', describe(error));
  }
}

async function runtimeFindings({ runtimes, host }: Invocation): Promise<readonly Finding[]> {
  const opened = (await openRuntimes(runtimes, host.env)).filter(({ name }) => name !== 'pid');
  const found = (await Promise.all(opened.map(runtimeFinding))).flat();
  for (const runtime of opened) runtime[Symbol.dispose]();
  if (found.length > 0) return found;
  return [
    finding(
      'runtimes',
      'poor',
      `no socket of docker, podman, containerd or CRI-O, and no podman: name processes by their pid${existsSync('/.dockerenv') ? ' (this is a container itself)' : ''}`,
    ),
  ];
}

async function runtimeFinding(runtime: Runtime): Promise<readonly Finding[]> {
  const what = `runtime: ${runtime.name}`;
  try {
    const [version, containers] = await Promise.all([runtime.version(), runtime.list()]);
    const running = containers.filter((each) => each.running).length;
    return [finding(what, 'good', `${version} at ${runtime.where}, ${running} running`)];
  } catch (error) {
    if (isUnimplemented(error)) return [];
    return [finding(what, 'poor', describe(error))];
  }
}
