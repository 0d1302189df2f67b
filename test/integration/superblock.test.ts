import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type Container, startContainer } from './container.ts';
import { type Agent, openAgent, shell, start, toolboxDirectory } from './session.ts';

const tmpfs = 0x01021994;
const sessions = 12;

/** Devices whose file is the toolbox of the given directory. */
const loopDevices = (directory: string): string[] =>
  readdirSync('/sys/block').filter((name) => {
    const file = `/sys/block/${name}/loop/backing_file`;
    return existsSync(file) && readFileSync(file, 'utf8').trim() === join(directory, 'default.erofs');
  });

/** erofs mounts no file that lies in memory, whatever the kernel: there it takes the way of the kernels before 6.12. */
describe.each(['on a disk', 'in memory'] as const)('a toolbox whose file is %s', (place) => {
  let directory: string;
  let agent: Agent;
  let containers: Container[];

  beforeAll(async () => {
    directory = toolboxDirectory;
    if (place === 'in memory') {
      directory = mkdtempSync(join(tmpdir(), 'crashcart-it-memory-'));
      execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory]);
      copyFileSync(join(toolboxDirectory, 'default.erofs'), join(directory, 'default.erofs'));
    }
    agent = openAgent({ toolboxes: directory });
    containers = await Promise.all([
      startContainer(agent.kernel),
      startContainer(agent.kernel, { userNamespace: true }),
    ]);
  });
  afterAll(async () => {
    for (const container of containers) await container[Symbol.asyncDispose]();
    agent[Symbol.dispose]();
    // The kernel frees the device a moment after the last mount of it.
    await eventually(() => expect(loopDevices(directory)).toEqual([]));
    if (place !== 'in memory') return;
    execFileSync('umount', [directory]);
    rmdirSync(directory);
  });

  it(`is one superblock for ${sessions} sessions at once, through one loop device at the most`, async () => {
    if (place === 'in memory') expect(statfsSync(directory).type).toBe(tmpfs);
    await using stack = new AsyncDisposableStack();
    const devices = new Set<string>();
    for (let at = 0; at < sessions; at++) {
      const visibility = at % 3 === 0 ? 'Container' : 'Session';
      const command = shell('stat -c %d /dev/crashcart/; exec sleep 1000');
      const session = stack.use(await start(agent, containers[at % 2]!, { visibility, command }));
      devices.add(
        await new Promise((resolve) => session.stdout.once('data', (data: Buffer) => resolve(`${data}`.trim()))),
      );
    }
    expect([...devices]).toHaveLength(1);
    const loops = loopDevices(directory);
    if (place === 'in memory') expect(loops).toHaveLength(1);
    else expect(loops.length).toBeLessThanOrEqual(1);
  });
});
