import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { fetchOptionsOf } from '../debian/cache.ts';
import type { Architecture, Lock } from '../debian/lock.ts';
import { unpackedPackage } from '../debian/unpacked.ts';
import { environments } from './environments.ts';
import type { Proof, ProofOptions } from './prove.ts';
import { openRoom, type Room } from './room.ts';
import { type Failure, ways, wrong } from './start.ts';

const qemu = { amd64: 'qemu-x86_64', arm64: 'qemu-aarch64' } as const;
const timeoutMs = 30_000;
const parallel = 3;

/**
 * Starts every program of a toolbox for another architecture under static qemu-user, in a container that is hostile in that
 * architecture's own way. Scripts are left out: the kernel would have to know of qemu to start them.
 */
export async function proveEmulated(options: ProofOptions, architecture: Architecture): Promise<Proof> {
  const hostile = environments(architecture, {})[1];
  if (!hostile) throw new Error('there is no hostile environment');
  const [emulator, busybox] = [`usr/bin/${qemu[architecture]}`, 'usr/bin/busybox'];
  const files = {
    ...hostile.files,
    'host/qemu': await fileOf(options, 'qemu-user', emulator),
    'host/busybox': await fileOf(options, 'busybox-static', busybox),
  };
  await using room = await openRoom({ image: options.image, type: options.type, files, busybox: '/host/busybox' });
  const programs = await programsOf(room);
  const failures: Failure[] = [];
  const queue = [...programs];
  const worker = async (): Promise<void> => {
    for (let program = queue.shift(); program !== undefined; program = queue.shift()) {
      const problem = await problemOf(room, hostile.env, program);
      if (problem !== undefined) failures.push({ command: program, environment: hostile.name, problem });
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  const passed = programs.length - failures.length;
  options.tell(`${passed} of ${programs.length} programs for ${architecture} start under qemu in ${hostile.name}`);
  return { commands: programs.length, passed: { [hostile.name]: passed }, works: [], failures };
}

async function fileOf(
  { lock, environment }: { lock: Lock; environment: NodeJS.ProcessEnv },
  name: string,
  path: string,
): Promise<Buffer> {
  const locked = lock.packages.find((each) => each.name === name);
  const entry = locked && (await unpackedPackage(locked, fetchOptionsOf(lock, environment))).get(path);
  if (entry?.type === 'file') return entry.read();
  throw new CrashcartError(
    reasons.Invalid,
    `The lock of ${lock.architecture} has no ${path} of ${name}; run \`builder/crashcart-build lock\`.`,
  );
}

/** Programs, by their first four bytes; each once. */
async function programsOf(room: Room): Promise<string[]> {
  const look = `cd /dev/crashcart; for file in bin/* sbin/* libexec/*; do
    [ -h $file ] || ! [ -f $file ] || [ "$(/host/busybox head -c 4 $file | /host/busybox tail -c 3)" != ELF ] || echo $file
  done`;
  const { stdout } = await room.run(['/host/busybox', 'sh', '-c', look], { timeoutMs: 60_000 });
  return stdout.split('\n').filter((path) => path !== '');
}

async function problemOf(
  room: Room,
  env: Readonly<Record<string, string>>,
  program: string,
): Promise<string | undefined> {
  let first: string | undefined;
  for (const way of ways) {
    const ended = await room.run(['/host/qemu', `/dev/crashcart/${program}`, ...way], { env, timeoutMs });
    const problem = wrong(ended);
    if (problem === undefined) return undefined;
    first ??= `${way.join(' ')}: ${problem}`;
  }
  return first;
}
