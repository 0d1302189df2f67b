import { existsSync, readlinkSync, readSync } from 'node:fs';
import { expect, test } from 'vitest';
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

test('a child that has ended is reaped, whether somebody waits for it or has given it up', async () => {
  const { read, write } = openPipe(kernel);
  const ends = [read, write, write];
  const [quick, slow] = [start('exit 3', ends), start('sleep 100', ends)];
  slow.giveUp();
  await Promise.all([quick.ended, slow.ended]);
  expect([quick, slow].filter(({ pid }) => existsSync(`/proc/${pid}`))).toEqual([]);
  // Whose number it may be by now.
  expect(() => slow.giveUp()).not.toThrow();
  closeAll(kernel, read, write);
});
