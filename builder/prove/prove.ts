import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostToolCommand } from '../debian/host-tools.ts';
import type { Lock } from '../debian/lock.ts';
import type { Tell } from '../step.ts';
import { type Environment, environments } from './environments.ts';
import { doAll } from './functional.ts';
import { muslFiles } from './musl.ts';
import { openRoom, type Room } from './room.ts';
import { type Failure, startAll } from './start.ts';

export interface Proof {
  commands: number;
  /** Commands that passed, by environment. */
  passed: Readonly<Record<string, number>>;
  /** Pieces of work that were done. */
  works: readonly string[];
  failures: readonly Failure[];
}

export interface ProofOptions {
  image: string;
  type: string;
  /** Of this machine's architecture: it has what the proof itself takes. */
  lock: Lock;
  environment: NodeJS.ProcessEnv;
  tell: Tell;
}

/**
 * Starts every command of a toolbox image in four environments, and does real work with them in a hostile one. Takes root, changes
 * nothing outside namespaces of its own.
 */
export async function prove(options: ProofOptions): Promise<Proof> {
  const { lock, environment, tell } = options;
  const musl = await muslFiles(lock, environment);
  const strace = await hostToolCommand(lock, environment, 'usr/bin/strace', 'proof');
  const all = environments(lock.architecture, musl);
  const passed: Record<string, number> = {};
  const failures: Failure[] = [];
  let commands: string[] = [];
  for (const each of all) {
    await using room = await openRoom({ image: options.image, type: options.type, files: each.files });
    commands = await commandsOf(room);
    const start = performance.now();
    const failed = await startAll(room, each, commands, strace);
    failures.push(...failed);
    passed[each.name] = commands.length - failed.length;
    tell(
      `${commands.length - failed.length} of ${commands.length} commands start in ${each.name} (${((performance.now() - start) / 1000).toFixed(0)} s)`,
    );
  }
  const hostile = all[1];
  if (!hostile) throw new Error('there is no hostile environment');
  const { done, failures: undone } = await work(options, hostile, musl, commands);
  tell(`${done.length} of ${done.length + undone.length} pieces of work are done in ${hostile.name}`);
  return { commands: commands.length, passed, works: done, failures: [...failures, ...undone] };
}

/** What is in bin and sbin, as paths in the toolbox. */
async function commandsOf(room: Room): Promise<string[]> {
  const { stdout } = await room.run([
    '/dev/crashcart/bin/busybox',
    'sh',
    '-c',
    'cd /dev/crashcart && ls -d bin/* sbin/*',
  ]);
  return stdout.split('\n').filter((path) => path !== '');
}

async function work(
  { image, type }: ProofOptions,
  hostile: Environment,
  musl: Readonly<Record<string, Uint8Array>>,
  commands: readonly string[],
): Promise<{ done: string[]; failures: Failure[] }> {
  const has = new Set(commands.map((path) => path.replace(/^s?bin\//, '')));
  await using room = await openRoom({ image, type, writableTmp: true, files: { ...hostile.files, ...musl } });
  const env = { ...hostile.env, PATH: '/dev/crashcart/bin:/dev/crashcart/sbin', BASH_ENV: '', LC_ALL: 'C.UTF-8' };
  using keys = await certificate(room, env);
  using peer = await startPeer(room, keys);
  using workload = startWorkload(room);
  void [peer, workload];
  return await doAll(room, env, has, hostile.name);
}

interface Keys extends Disposable {
  certificate: string;
  key: string;
}

/** Made by the toolbox's own openssl: that it can is part of the proof. */
async function certificate(room: Room, env: Readonly<Record<string, string>>): Promise<Keys> {
  const subject = ['-subj', '/CN=host.test', '-addext', 'subjectAltName=DNS:host.test'];
  const made = await room.run(
    [
      '/dev/crashcart/bin/openssl',
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      ...subject,
      '-keyout',
      '/tmp/tls.key',
      '-out',
      '/tmp/tls.crt',
    ],
    { env },
  );
  const read = async (path: string) => (await room.run(['/dev/crashcart/bin/busybox', 'cat', path])).stdout;
  const directory = mkdtempSync(join(tmpdir(), 'crashcart-tls-'));
  const keys = { certificate: join(directory, 'tls.crt'), key: join(directory, 'tls.key') };
  mkdirSync(directory, { recursive: true });
  writeFileSync(keys.certificate, await read('/tmp/tls.crt'));
  writeFileSync(keys.key, await read('/tmp/tls.key'), { mode: 0o600 });
  if (made.code !== 0) throw new Error(`the toolbox's openssl makes no certificate: ${made.stderr}`);
  return { ...keys, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

async function startPeer(room: Room, { certificate: crt, key }: Keys): Promise<Disposable> {
  const script = fileURLToPath(new URL('./peer.ts', import.meta.url));
  const peer = spawn('nsenter', ['-t', String(room.pid), '-n', '--', process.execPath, script, crt, key], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(peer, 'close').then(() => {
    throw new Error('the peer of the proof cannot be started');
  });
  ended.catch(() => {});
  await Promise.race([once(peer.stdout, 'data'), ended]);
  return endsWith(peer);
}

function startWorkload(room: Room): Disposable {
  const enter = ['-t', String(room.pid), '-m', '-p', '-n', '-i', '-u', '--'];
  return endsWith(
    spawn('nsenter', [...enter, 'chroot', room.root, '/dev/crashcart/bin/busybox', 'env', '-i', '/app/workload'], {
      stdio: 'ignore',
    }),
  );
}

const endsWith = (child: ChildProcess): Disposable => ({
  [Symbol.dispose]: () => {
    child.kill('SIGKILL');
  },
});
