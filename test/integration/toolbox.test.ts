import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callNumber, closeAll, type Kernel } from '../../src/linux/kernel.ts';
import { attachLoop } from '../../src/linux/loop.ts';
import { openToolboxes } from '../../src/node-agent/toolbox/toolboxes.ts';
import { startContainer } from './container.ts';
import { type Agent, openAgent, run, toolboxDirectory } from './session.ts';

let agent: Agent;
beforeAll(() => {
  agent = openAgent();
});
afterAll(() => agent[Symbol.dispose]());

describe('the toolbox', () => {
  it('is one superblock for all sessions, read-only, without devices and set-user-id', async () => {
    await using first = await startContainer(agent.kernel);
    await using second = await startContainer(agent.kernel);
    const line = ['grep', ' /dev/crashcart ', '/proc/self/mountinfo'];
    const seen = [await run(agent, first, line), await run(agent, second, line)].map(({ stdout }) => stdout.split(' '));
    expect(seen[0]![2]).toBe(seen[1]![2]);
    expect(seen[0]![5]!.split(',')).toEqual(expect.arrayContaining(['ro', 'nosuid', 'nodev']));
  });

  it('can come through a loop device, which the kernel frees by itself', async () => {
    const file = join(agent.stateDirectory, 'disk');
    writeFileSync(file, Buffer.alloc(1 << 20, 7));
    const device = attachLoop(agent.kernel, file);
    const byte = readFileSync(device.path).subarray(0, 1);
    expect(byte[0]).toBe(7);
    expect(() => writeFileSync(device.path, 'x', { flag: 'r+' })).toThrow();
    device[Symbol.dispose]();
  });

  it('that was replaced by another file serves new sessions, while old ones keep theirs', async () => {
    const directory = join(agent.stateDirectory, 'toolboxes-of-a-test');
    const file = join(directory, 'default.erofs');
    const image = readFileSync(join(toolboxDirectory, 'default.erofs'));
    mkdirSync(directory);
    writeFileSync(file, image);
    using toolboxes = openToolboxes(agent.kernel, directory, { stateDirectory: agent.stateDirectory });
    const deviceOf = (fd: number): number => statSync(`/proc/self/fd/${fd}`).dev;
    const [old, same] = [toolboxes.clone('default'), toolboxes.clone('default')];
    writeFileSync(`${file}.new`, image);
    renameSync(`${file}.new`, file);
    const renewed = toolboxes.clone('default');
    expect(deviceOf(same)).toBe(deviceOf(old));
    expect(deviceOf(renewed)).not.toBe(deviceOf(old));
    expect(readdirSync(`/proc/self/fd/${old}/bin`)).toContain('bash');
    closeAll(agent.kernel, old, same, renewed);
  });

  it('is attached in the agent’s own namespace where the kernel cannot clone a detached mount (before 6.15)', () => {
    let refusals = 1;
    const older: Kernel = {
      ...agent.kernel,
      syscall: (number, ...args) =>
        number === callNumber('open_tree') && refusals-- > 0 ? -22 : agent.kernel.syscall(number, ...args),
    };
    const before = readFileSync('/proc/self/mountinfo', 'utf8');
    {
      using toolboxes = openToolboxes(older, toolboxDirectory, { stateDirectory: agent.stateDirectory });
      const clone = toolboxes.clone('default');
      expect(readdirSync(`/proc/self/fd/${clone}/bin`)).toContain('bash');
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).toContain(join(agent.stateDirectory, 'toolboxes/default'));
      closeAll(agent.kernel, clone);
    }
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).toBe(before);
  });
});
