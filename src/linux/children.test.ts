import { spawnSync } from 'node:child_process';
import { existsSync, readlinkSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { Children } from './children.ts';
import { openPipe } from './descriptors.ts';
import { closeAll, type Fd, loadKernel } from './kernel.ts';

const kernel = loadKernel();
const children = new Children(kernel);
const env = { PATH: '/usr/bin:/bin', GREETING: 'bon jour' };

function start(script: string, descriptors: readonly Fd[]) {
  return children.start({ path: '/bin/sh', argv: ['sh', '-c', script], env, descriptors });
}

/** What a script says, once it has ended. */
async function say(script: string, inherited: readonly Fd[] = []): Promise<readonly string[]> {
  const { read, write } = openPipe(kernel);
  await start(script, [read, write, write, ...inherited]).ended;
  const text = Buffer.alloc(4096);
  const length = readSync(read, text);
  closeAll(kernel, read, write);
  return text.toString('utf8', 0, length).trim().split('\n');
}

test('a program gets its arguments and its environment', async () => {
  expect(await say('echo "$GREETING é"')).toEqual(['bon jour é']);
});

test('descriptors come to their places, also where other ones of the list stand there, and nothing else comes', async () => {
  const pipes = Array.from({ length: 4 }, () => openPipe(kernel));
  const ends = pipes.flatMap(({ read, write }) => [write, read]).reverse();
  const seen = await say('for n in 3 4 5 6 7 8 9 10 11; do readlink /proc/$$/fd/$n || echo none; done', ends);
  expect(seen).toEqual([...ends.map((fd) => readlinkSync(`/proc/self/fd/${fd}`)), 'none']);
  for (const { read, write } of pipes) closeAll(kernel, read, write);
});

test('what cannot be started is an error that names the program, and no child', () => {
  const program = { argv: ['x'], env: {}, descriptors: [] };
  expect(() => children.start({ path: '/nonsense/program', ...program })).toThrow(
    'posix_spawn(/nonsense/program): ENOENT',
  );
  expect(() => children.start({ path: '/bin/true', ...program, argv: ['a\0b'] })).toThrow('NUL');
});

test('who waits for a child is kept alive by it, and by one that was given up nobody is', () => {
  const program = (how: string): string => `
    import { Children } from ${JSON.stringify(join(import.meta.dirname, 'children.ts'))};
    import { loadKernel } from ${JSON.stringify(join(import.meta.dirname, 'kernel.ts'))};
    const child = new Children(loadKernel()).start({
      path: '/bin/sh', argv: ['sh', '-c', 'sleep 0.2; exec sleep 100'], env: { PATH: '/bin' }, descriptors: [0, 1, 2] });
    ${how}`;
  const exit = (how: string): number | null =>
    spawnSync(process.execPath, ['--input-type=module', '-e', program(how)], { stdio: 'ignore' }).status;
  expect(exit('child.kill(); await child.ended; process.exitCode = 7;')).toBe(7);
  expect(exit('child.giveUp(); process.exitCode = 7;')).toBe(7);
});

test('a child that ends before anybody listens for its signal is seen at once, not by the timer', async () => {
  vi.useFakeTimers({ toFake: ['setInterval'] });
  const listen = vi.spyOn(process, 'on').mockImplementationOnce((_, listener) => {
    spawnSync('/bin/sleep', ['0.1']);
    return process.addListener('SIGCHLD', listener);
  });
  try {
    await new Children(kernel).start({ path: '/bin/true', argv: ['true'], env, descriptors: [] }).ended;
    expect(listen).toHaveBeenCalledOnce();
  } finally {
    listen.mockRestore();
    vi.useRealTimers();
  }
}, 10_000);

test('a child that has ended is reaped, whether somebody waits for it or has given it up', async () => {
  const { read, write } = openPipe(kernel);
  const ends = [read, write, write];
  const [quick, slow] = [start('exit 3', ends), start('sleep 100', ends)];
  const given = start('sleep 100', ends);
  given.giveUp();
  slow.kill();
  await Promise.all([quick.ended, slow.ended, given.ended]);
  expect([quick, slow, given].filter(({ pid }) => existsSync(`/proc/${pid}`))).toEqual([]);
  // Whose number it may be by now.
  expect(() => slow.giveUp()).not.toThrow();
  closeAll(kernel, read, write);
});
