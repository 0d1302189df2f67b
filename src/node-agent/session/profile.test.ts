import { describe, expect, it } from 'vitest';
import type { ProfileName } from '../../api/debug-session.ts';
import { shippedProfiles } from '../../api/profile-rules.ts';
import { allCapabilities, capabilityMask, capabilityNames } from '../../linux/capabilities.ts';
import { decidePrivileges, type ProfileRequest } from './profile.ts';

const containerSet = ['CAP_CHOWN', 'CAP_KILL'];

function decide(
  request: Partial<Omit<ProfileRequest, 'spec' | 'profile'>> & {
    profile?: ProfileName;
    uid?: number;
    bounding?: string[];
    ambient?: string[];
    nnp?: boolean;
  },
) {
  const { uid = 0, bounding = containerSet, ambient = [], nnp = false, profile = 'general', ...rest } = request;
  const decided = decidePrivileges({
    spec: {
      user: { uid, gid: 100, additionalGids: [7] },
      capabilities: { bounding, ambient },
      noNewPrivileges: nnp,
      cgroupsPath: '/kubepods/x',
      env: [],
      cwd: '/',
    },
    profile,
    rules: shippedProfiles[profile],
    available: allCapabilities(40),
    seesNode: false,
    ...rest,
  });
  return {
    ...decided,
    permitted: capabilityNames(decided.permitted),
    bounding: capabilityNames(decided.bounding),
    ambient: capabilityNames(decided.ambient),
  };
}

describe('decidePrivileges', () => {
  it('takes user, group and supplementary groups from the container unless others are asked for', () => {
    expect(decide({ uid: 5 })).toMatchObject({ uid: 5, gid: 100, groups: [7] });
    const bounding = ['CAP_SETUID', 'CAP_SETGID'];
    expect(decide({ bounding, user: { uid: 9 } })).toMatchObject({ uid: 9, gid: 100 });
    expect(decide({ bounding, user: { uid: 9, gid: 8 } })).toMatchObject({ uid: 9, gid: 8 });
    expect(decide({ uid: 5, user: { uid: 5, gid: 7 } })).toMatchObject({ uid: 5, gid: 7 });
  });

  it('refuses a user that the container’s own processes could not become, but to sysadmin', () => {
    const bounding = ['CAP_SETUID', 'CAP_SETGID'];
    for (const profile of ['general', 'baseline', 'restricted', 'netadmin'] as const) {
      for (const user of [{ uid: 0 }, { uid: 0, gid: 0 }, { uid: 6 }, { gid: 0 }]) {
        expect(() => decide({ uid: 5, bounding, profile, user })).toThrow(
          'The container runs as 5:100 and cannot become',
        );
      }
    }
    expect(() => decide({ user: { uid: 9 } }), 'root without CAP_SETUID').toThrow('cannot become 9:100');
    expect(() => decide({ bounding: ['CAP_SETUID'], user: { gid: 9 } })).toThrow('cannot become 0:9');
    expect(decide({ uid: 5, profile: 'sysadmin', user: { uid: 0, gid: 0 } })).toMatchObject({ uid: 0, gid: 0 });
  });

  it('lets general trace no process of the node, where the container sees those', () => {
    expect(decide({ seesNode: true }).bounding).toEqual([...containerSet, 'CAP_WAKE_ALARM']);
    expect(decide({ uid: 5, seesNode: true }).permitted).toEqual(['CAP_WAKE_ALARM']);
    expect(decide({ seesNode: true, bounding: ['CAP_SYS_PTRACE'] }).permitted, 'its own').toEqual(['CAP_SYS_PTRACE']);
  });

  it('gives root the container’s set, what the profile adds and the guard against tracing', () => {
    expect(decide({ profile: 'baseline' }).permitted).toEqual([...containerSet, 'CAP_WAKE_ALARM']);
    expect(decide({ profile: 'general' }).permitted).toEqual([...containerSet, 'CAP_SYS_PTRACE', 'CAP_WAKE_ALARM']);
    expect(decide({ profile: 'netadmin' }).permitted).toEqual([
      ...containerSet,
      'CAP_NET_ADMIN',
      'CAP_NET_RAW',
      'CAP_WAKE_ALARM',
    ]);
    expect(decide({ profile: 'sysadmin' }).permitted).toHaveLength(41);
  });

  it('gives another user only the additions, as ambient ones, and what the container has as ambient', () => {
    expect(decide({ uid: 5 })).toMatchObject({
      permitted: ['CAP_SYS_PTRACE', 'CAP_WAKE_ALARM'],
      ambient: ['CAP_SYS_PTRACE', 'CAP_WAKE_ALARM'],
    });
    expect(decide({ uid: 5, ambient: ['CAP_KILL'], profile: 'baseline' }).ambient).toEqual([
      'CAP_KILL',
      'CAP_WAKE_ALARM',
    ]);
    expect(decide({ uid: 5 }).bounding).toEqual([...containerSet, 'CAP_SYS_PTRACE', 'CAP_WAKE_ALARM']);
  });

  it('guards what a profile adds of its own where nothing of the container’s is kept', () => {
    const rules = { ...shippedProfiles.restricted, runAsNonRoot: false };
    expect(decide({ rules: { ...rules, capabilities: { add: ['NET_ADMIN'], drop: 'All' } } }).permitted).toEqual([
      'CAP_NET_ADMIN',
      'CAP_WAKE_ALARM',
    ]);
  });

  it('drops everything for restricted, and refuses it to root', () => {
    expect(decide({ uid: 5, profile: 'restricted' })).toMatchObject({
      permitted: [],
      bounding: [],
      ambient: [],
      noNewPrivileges: true,
    });
    expect(() => decide({ profile: 'restricted' })).toThrow(expect.objectContaining({ reason: 'ProfileRefused' }));
  });

  it('keeps no_new_privs where the container has it', () => {
    expect(decide({ nnp: true }).noNewPrivileges).toBe(true);
    expect(decide({}).noNewPrivileges).toBe(false);
  });

  it('refuses more power than the container has where the container could take the session over', () => {
    const bounding = [...containerSet, 'CAP_SYS_PTRACE'];
    expect(() => decide({ bounding, profile: 'netadmin' })).toThrow('CAP_NET_ADMIN, CAP_NET_RAW');
    expect(decide({ bounding, profile: 'general' }).permitted).toEqual(bounding);
  });

  it('never gives what the agent lacks: refused where the profile promises it, left out of the container’s set', () => {
    const available = capabilityMask(['CAP_CHOWN', 'CAP_SYS_PTRACE']);
    expect(decide({ available }).permitted).toEqual(['CAP_CHOWN', 'CAP_SYS_PTRACE']);
    expect(() => decide({ available, profile: 'netadmin' })).toThrow('which the node agent does not hold');
  });
});
