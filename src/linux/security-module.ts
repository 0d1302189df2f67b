import { readFileSync } from 'node:fs';

/** The one of the kernel's mandatory access controls that labels processes here. */
export type SecurityModule = 'apparmor' | 'selinux';

let found: SecurityModule | undefined;

/** Found by what the kernel answers about ourselves: SELinux speaks in contexts, AppArmor in profiles. One that has answered is there for good. */
export function findSecurityModule(): SecurityModule | undefined {
  if (found) return found;
  const label = labelOf('self');
  if (label === undefined || label === '') return undefined;
  found = label.split(':').length >= 4 ? 'selinux' : 'apparmor';
  return found;
}

/** Without AppArmor's mode: `cri-containerd.apparmor.d`; undefined where no module answers or the process is gone. */
export function labelOf(pid: number | 'self'): string | undefined {
  for (const file of ['apparmor/current', 'current']) {
    try {
      const text = readFileSync(`/proc/${pid}/attr/${file}`, 'utf8').replace(/[\n\0]+$/, '');
      return text.replace(/ \((enforce|complain|kill|mixed|unconfined|user)\)$/, '');
    } catch {
      // no such file, or a module that does not label processes (EINVAL)
    }
  }
  return undefined;
}

/** What a process writes about itself to get a label, and below /proc where; SELinux gives it at the next exec. */
export const labelRequest = (module: SecurityModule, name: string): { readonly file: string; readonly text: string } =>
  module === 'apparmor'
    ? { file: 'thread-self/attr/apparmor/current', text: `changeprofile ${name}` }
    : { file: 'thread-self/attr/exec', text: name };
