import { describe, expect, it } from 'vitest';
import { capabilityMask } from '../../linux/capabilities.ts';
import type { SeccompFilter } from '../../linux/seccomp/filter.ts';
import { assembleFilter } from '../../linux/seccomp/filter.ts';
import { parseSeccomp } from '../target/seccomp-spec.ts';
import { decideSeccomp, runtimeDefault } from './seccomp.ts';

/** Without conditions on arguments. */
function verdict(filter: SeccompFilter, name: string): string {
  const rule = filter.rules.find(({ names, when = [] }) => names.includes(name) && when.length === 0);
  const found = rule?.verdict ?? filter.otherwise;
  return typeof found === 'string' ? found : `errno ${found.errno}`;
}

describe('runtimeDefault', () => {
  it('opens the calls of a capability to who holds it, and closes them to others', () => {
    const plain = runtimeDefault(capabilityMask(['CHOWN']));
    const admin = runtimeDefault(capabilityMask(['SYS_ADMIN']));
    for (const name of ['mount', 'setns', 'unshare', 'bpf', 'perf_event_open']) {
      expect(verdict(plain, name), name).toBe('errno 1');
      expect(verdict(admin, name), name).toBe('allow');
    }
    expect(verdict(plain, 'clone3')).toBe('errno 38');
    expect(verdict(admin, 'clone3')).toBe('allow');
    expect(verdict(plain, 'ptrace')).toBe('allow');
    const tracer = runtimeDefault(capabilityMask(['SYS_PTRACE']));
    expect(verdict(tracer, 'perf_event_open')).toBe('allow');
    expect(verdict(tracer, 'kcmp')).toBe('allow');
    for (const name of ['kexec_load', 'io_uring_setup', 'keyctl']) expect(verdict(admin, name), name).toBe('errno 1');
  });

  it('is taken by both architectures', () => {
    for (const architecture of ['x64', 'arm64'] as const)
      expect(assembleFilter(runtimeDefault(0n), architecture).length).toBeLessThan(4096);
  });
});

const shell = ['execve', 'exit_group', 'read', 'write', 'clone', 'ioctl', 'openat', 'close', 'mmap', 'rt_sigaction'];
const tight = (names: readonly string[]): SeccompFilter => ({
  rules: [{ names, verdict: 'allow' }],
  otherwise: { errno: 1 },
  unknown: { errno: 38 },
});
const request = { profile: 'general', capabilities: 0n, added: 0n } as const;

describe('decideSeccomp', () => {
  it('keeps to the container’s own filter as well, but for the calls that the profile is for', () => {
    const added = capabilityMask(['SYS_PTRACE']);
    const filters = decideSeccomp({
      ...request,
      rule: 'Container',
      container: tight(shell),
      capabilities: added,
      added,
    });
    expect(filters).toHaveLength(2);
    expect(verdict(filters[1]!, 'mkdir')).toBe('errno 1');
    expect(verdict(filters[1]!, 'ptrace')).toBe('allow');
    expect(verdict(filters[1]!, 'capset')).toBe('allow');
    const [, baseline] = decideSeccomp({ ...request, rule: 'Container', container: tight(shell) });
    expect(verdict(baseline!, 'ptrace')).toBe('errno 1');
  });

  it('refuses a container under whose filter no shell can start, and says what to do', () => {
    const container = tight(shell.filter((name) => name !== 'execve' && name !== 'ioctl'));
    expect(() => decideSeccomp({ ...request, rule: 'Container', container })).toThrow(
      /does not let through execve, ioctl,.*"sysadmin"/,
    );
    expect(decideSeccomp({ ...request, rule: 'RuntimeDefault', container })).toHaveLength(1);
  });

  it('keeps the node’s floor closed to everybody', () => {
    const [floor, ...more] = decideSeccomp({ ...request, rule: 'Floor', container: tight([]) });
    expect(more).toEqual([]);
    expect(verdict(floor!, 'finit_module')).toBe('errno 1');
    expect(verdict(floor!, 'mount')).toBe('allow');
  });
});

describe('parseSeccomp', () => {
  it('is nothing for an unconfined container', () => {
    expect(parseSeccomp(undefined)).toBeUndefined();
    expect(parseSeccomp(null)).toBeUndefined();
  });

  it('takes actions, errors and conditions of the OCI specification', () => {
    const filter = parseSeccomp({
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 13,
      syscalls: [
        { names: ['read', 'write'], action: 'SCMP_ACT_ALLOW' },
        {
          names: ['clone'],
          action: 'SCMP_ACT_ALLOW',
          args: [{ index: 0, value: 2114060288, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
        },
        { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
        {
          names: ['socket'],
          action: 'SCMP_ACT_ALLOW',
          args: [
            { index: 0, value: 1, op: 'SCMP_CMP_EQ' },
            { index: 0, value: 2, op: 'SCMP_CMP_EQ' },
          ],
        },
        { names: ['bind'], action: 'SCMP_ACT_NOTIFY' },
        { names: ['kill'], action: 'SCMP_ACT_KILL_PROCESS' },
      ],
    });
    expect(filter).toMatchObject({ otherwise: { errno: 13 }, unknown: { errno: 38 } });
    expect(filter?.rules).toEqual([
      { names: ['read', 'write'], verdict: 'allow', when: [] },
      { names: ['clone'], verdict: 'allow', when: [{ argument: 0, is: 'masked', mask: 2114060288n, value: 0n }] },
      { names: ['clone3'], verdict: { errno: 38 }, when: [] },
      { names: ['socket'], verdict: 'allow', when: [{ argument: 0, is: 'equal', value: 1n }] },
      { names: ['socket'], verdict: 'allow', when: [{ argument: 0, is: 'equal', value: 2n }] },
      { names: ['bind'], verdict: { errno: 1 }, when: [] },
      { names: ['kill'], verdict: 'kill', when: [] },
    ]);
  });

  it('is as tight as can be where it does not understand', () => {
    const args = [{ index: 9, value: 1, op: 'SCMP_CMP_EQ' }];
    expect(parseSeccomp({})).toMatchObject({ otherwise: { errno: 1 }, rules: [] });
    expect(
      parseSeccomp({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [
          { names: ['read'], action: 'SCMP_ACT_ALLOW', args },
          { names: ['mount'], action: 'SCMP_ACT_ERRNO', args },
          { names: ['bpf'], action: 'SCMP_ACT_ERRNO', args: [{ index: 0, value: 2 ** 60, op: 'SCMP_CMP_EQ' }] },
          7,
        ],
      })?.rules,
    ).toEqual([
      { names: ['mount'], verdict: { errno: 1 } },
      { names: ['bpf'], verdict: { errno: 1 } },
    ]);
  });
});
