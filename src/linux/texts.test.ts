import { describe, expect, it } from 'vitest';
import { isShared, mountOf, parseMountinfo } from './mountinfo.ts';
import { isEnding, parseIdMap, parseProcessStatus, parseStartTime, toHostId } from './proc.ts';

// Of a runc container on Linux 6.18.
const mountinfo = `233 179 254:0 /rootfs / rw,relatime - ext4 /dev/vda rw,discard
235 233 0:92 / /proc rw,relatime - proc proc rw
237 233 0:79 / /dev rw,nosuid shared:12 master:3 - tmpfs tmpfs rw,size=65536k
238 237 0:80 / /dev/with\\040blank rw - tmpfs tmp\\134fs rw
junk
`;

describe('parseMountinfo', () => {
  it('reads every field, with any number of tags', () => {
    const [root, , dev] = parseMountinfo(mountinfo);
    expect(root).toEqual({
      id: 233,
      parent: 179,
      device: '254:0',
      root: '/rootfs',
      mountPoint: '/',
      options: ['rw', 'relatime'],
      tags: [],
      type: 'ext4',
      source: '/dev/vda',
    });
    expect(dev?.tags).toEqual(['shared:12', 'master:3']);
  });

  it('undoes the escapes and leaves out what is no line', () => {
    const mounts = parseMountinfo(mountinfo);
    expect(mounts).toHaveLength(4);
    expect(mounts[3]).toMatchObject({ mountPoint: '/dev/with blank', source: 'tmp\\fs' });
  });

  it('finds what is seen at a path', () => {
    const mounts = parseMountinfo(mountinfo);
    expect(mountOf(mounts, '/dev')?.id).toBe(237);
    expect(mountOf(mounts, '/devices')?.id).toBe(233);
    expect(mountOf(mounts, '/dev/null')).toSatisfy(isShared);
    expect(mountOf([], '/')).toBeUndefined();
  });
});

describe('texts of /proc', () => {
  it('give ids, capabilities and no_new_privs of a process', () => {
    const status = parseProcessStatus(
      'Name:\ta: b\nUid:\t1\t2\t3\t4\nGid:\t5\t5\t5\t5\nGroups:\t7 8 \nCapInh:\t0\nCapPrm:\tff\nCapEff:\tff\nCapBnd:\t1ff\nCapAmb:\t0\nNoNewPrivs:\t1\n',
    );
    expect(status).toMatchObject({ uids: [1, 2, 3, 4], gids: [5, 5, 5, 5], groups: [7, 8], noNewPrivileges: true });
    expect(status.capabilities).toMatchObject({ permitted: 0xffn, bounding: 0x1ffn, ambient: 0n });
  });

  it('never take a missing capability field for an empty set', () => {
    expect(parseProcessStatus('').capabilities.effective).not.toBe(0n);
  });

  it('give the start time whatever the command is called', () => {
    const fields = Array.from({ length: 50 }, (_, at) => at + 3);
    expect(parseStartTime(`12 (a) b) ${fields.join(' ')}`)).toBe('22');
  });

  it('tells of one that has begun to end by its state or its flags', () => {
    const stat = (state: string, flags: number): string => `12 (a) b) ${state} 1 12 12 0 -1 ${flags} 0`;
    expect(isEnding(stat('S', 0x400100))).toBe(false);
    expect(isEnding(stat('R', 0x400104))).toBe(true);
    expect(isEnding(stat('Z', 0x400100))).toBe(true);
  });

  it('map ids of a user namespace to the host, or say that there is none', () => {
    const map = parseIdMap('         0     100000      65536\n     70000     200000          1\n');
    expect([0, 1000, 70_000, 65_536].map((id) => toHostId(map, id))).toEqual([100_000, 101_000, 200_000, undefined]);
  });
});
