import { describe, expect, it } from 'vitest';
import { allCapabilities, capabilityMask, capabilityNames } from '../../linux/capabilities.ts';
import { decidePrivileges, type ProfileRequest } from './profile.ts';

const containerSet = ['CAP_CHOWN', 'CAP_KILL'];

function decide(
  request: Partial<Omit<ProfileRequest, 'spec'>> & {
    uid?: number;
    bounding?: string[];
    ambient?: string[];
    nnp?: boolean;
  },
) {
  const { uid = 0, bounding = containerSet, ambient = [], nnp = false, ...rest } = request;
  const decided = decidePrivileges({
    spec: {
      user: { uid, gid: 100, additionalGids: [7] },
      capabilities: { bounding, ambient },
      noNewPrivileges: nnp,
      cgroupsPath: '/kubepods/x',
      env: [],
      cwd: '/',
    },
    profile: 'general',
    available: allCapabilities(40),
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
    expect(decide({ uid: 5, user: { uid: 9 } })).toMatchObject({ uid: 9, gid: 100 });
    expect(decide({ user: { uid: 9, gid: 8 } })).toMatchObject({ uid: 9, gid: 8 });
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
