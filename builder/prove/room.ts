import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CrashcartError, reasons } from '../../src/base/errors.ts';

/** How a command ended, and what it said on both outputs. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** It was ended because it took too long. */
  timedOut: boolean;
  stdout: string;
  stderr: string;
}

export interface InRoom {
  env?: Readonly<Record<string, string>>;
  uid?: number;
  input?: string;
  timeoutMs?: number;
  /** A program of this machine, with its first arguments, that starts the command instead of the shell of the room. */
  under?: readonly string[];
}

/**
 * A root file system of its own in namespaces of its own (mount, process, network, IPC, host name), with a toolbox at /dev/crashcart
 * and nothing of this machine but the kernel. Everything in it ends with it.
 */
export interface Room extends AsyncDisposable {
  /** The root as this machine sees its files; what is mounted is seen from inside only. */
  root: string;
  /** Of the first process in it, in this machine's numbers. */
  pid: number;
  run(command: readonly string[], options?: InRoom): Promise<Ended>;
}

export interface RoomOptions {
  image: string;
  type: string;
  /** Files of the root file system. */
  files?: Readonly<Record<string, string | Uint8Array>>;
  /** What starts commands in it; the toolbox's busybox unless given. A program of another architecture cannot do it. */
  busybox?: string;
  /** Whether /tmp can be written to; the rest never can. */
  writableTmp?: boolean;
}

const mostOutput = 4 * 1024 * 1024;
const startTimeoutMs = 20_000;

const setUp = `set -e
root=$1 image=$2 type=$3 tmp=$4
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t tmpfs -o mode=755,size=1m tmpfs "$root/dev"
mkdir "$root/dev/crashcart" "$root/dev/pts" "$root/dev/shm"
for node in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do
  set -- $node; mknod -m 666 "$root/dev/$1" c 1 "$2"
done
mknod -m 666 "$root/dev/tty" c 5 0
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t "$type" -o ro,nosuid,nodev$( [ -b "$image" ] || [ "$type" = erofs ] || echo ,loop ) "$image" "$root/dev/crashcart"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
[ "$tmp" = no ] || mount -t tmpfs -o mode=1777,size=256m tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
ip link set lo up 2>/dev/null || true
echo ready
exec sleep 100000
`;

export async function openRoom(options: RoomOptions): Promise<Room> {
  const busybox = options.busybox ?? '/dev/crashcart/bin/busybox';
  const root = mkdtempSync(join(tmpdir(), 'crashcart-room-'));
  chmodSync(root, 0o755);
  for (const directory of ['dev', 'proc', 'sys', 'tmp', 'etc']) mkdirSync(join(root, directory));
  for (const [path, content] of Object.entries(options.files ?? {})) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), content, { mode: 0o755 });
    chownSync(join(root, path), 0, 0);
  }
  const namespaces = ['--mount', '--pid', '--net', '--ipc', '--uts', '--fork', '--kill-child'];
  const args = [
    ...namespaces,
    'sh',
    '-c',
    setUp,
    'sh',
    root,
    options.image,
    options.type,
    options.writableTmp ? 'yes' : 'no',
  ];
  const unshare = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    await ready(unshare);
    const pid = Number(readFileSync(`/proc/${unshare.pid}/task/${unshare.pid}/children`, 'utf8').trim().split(' ')[0]);
    return {
      root,
      pid,
      run: (command, how = {}) => runIn({ pid, root, busybox }, command, how),
      [Symbol.asyncDispose]: () => close(unshare, root),
    };
  } catch (error) {
    await close(unshare, root);
    throw error;
  }
}

async function ready(unshare: ChildProcess): Promise<void> {
  let said = '';
  let complaint = '';
  let ended = false;
  unshare.stdout?.on('data', (chunk) => (said += chunk));
  unshare.stderr?.on('data', (chunk) => (complaint += chunk));
  unshare.once('error', (error) => (complaint += error.message));
  unshare.once('close', () => (ended = true));
  for (const start = performance.now(); !said.includes('ready'); await delay(10)) {
    if (ended || performance.now() - start > startTimeoutMs)
      throw new CrashcartError(
        reasons.Unavailable,
        `The room for the proof cannot be made (it takes root, and the kernel must mount the image): ${complaint.trim() || 'no word'}`,
      );
  }
}

async function close(unshare: ChildProcess, root: string): Promise<void> {
  if (unshare.exitCode === null && unshare.signalCode === null && unshare.pid !== undefined) {
    unshare.kill('SIGKILL');
    await new Promise((resolve) => unshare.once('close', resolve));
  }
  rmSync(root, { recursive: true, force: true });
}

/** Runs a command in the room: `env -i` inside, so that what a hostile environment does to it begins with the command itself. */
async function runIn(
  { pid, root, busybox }: { pid: number; root: string; busybox: string },
  command: readonly string[],
  how: InRoom,
): Promise<Ended> {
  const variables = Object.entries(how.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const user = how.uid === undefined ? [] : [`--userspec=${how.uid}:${how.uid}`, '--groups='];
  const enter = ['-t', String(pid), '-m', '-p', '-n', '-i', '-u', '--'];
  const inside = ['chroot', ...user, root, busybox, 'env', '-i', ...variables, ...command];
  const child = spawn('nsenter', [...enter, ...(how.under ?? []), ...inside], {
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const ended: Ended = { code: null, signal: null, timedOut: false, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (ended.stdout.length < mostOutput) ended.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (ended.stderr.length < mostOutput) ended.stderr += text;
  });
  child.stdin.on('error', () => {});
  child.stdin.end(how.input ?? '');
  const timer = setTimeout(() => {
    ended.timedOut = true;
    try {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    } catch {
      // It ended in that moment.
    }
  }, how.timeoutMs ?? 10_000);
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      ended.code = code;
      ended.signal = signal;
    });
    child.once('close', () => resolve());
  }).finally(() => clearTimeout(timer));
  return ended;
}
