import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheDirectory, fetchOptionsOf, fetchPackages } from '../builder/debian/cache.ts';
import { hostArchitecture, packagesOf, readLock } from '../builder/debian/lock.ts';
import { unpackedPackage } from '../builder/debian/unpacked.ts';
import type { FormatName } from '../builder/formats/formats.ts';
import { inProject } from '../builder/paths.ts';
import { openRoom } from '../builder/prove/room.ts';
import { ensure } from '../builder/step.ts';
import { stepsOf } from '../builder/steps.ts';
import { buildToolbox } from '../builder/toolbox/build.ts';
import { costOf } from './cost.ts';
import { table } from './statistics.ts';

/** Rounds of each measure; the contenders take turns, so that noise of the machine falls on all alike. */
const rounds = Number(process.env['ROUNDS'] ?? 10);
const contenders: readonly (FormatName | 'plain')[] = ['erofs', 'plain', 'squashfs', 'ext4'];
const names: Readonly<Record<(typeof contenders)[number], string>> = {
  erofs: 'erofs, lz4hc 64k (as built)',
  plain: 'erofs, not compressed (as shipped)',
  squashfs: 'squashfs, zstd 128k',
  ext4: 'ext4',
};
const commands: Readonly<Record<string, readonly string[]>> = {
  'bash -c :': ['bash', '-c', ':'],
  'curl --version': ['curl', '--version'],
  'gdb --version': ['gdb', '--version'],
  "python3 -c 'import ssl'": ['python3', '-c', 'import ssl'],
};
const say = (text: string): void => void process.stderr.write(`${text}\n`);
const lock = readLock(hostArchitecture());

async function main(): Promise<void> {
  // The image to ship has the program inside that copies the toolbox onto a node.
  await ensure(stepsOf(lock, process.env).native, say);
  const directory = mkdtempSync(join(tmpdir(), 'toolbox-bench-'));
  try {
    const report = [await builds(directory), await starts(directory)].join('\n');
    process.stdout.write(report);
    writeFileSync(inProject('build/bench-toolbox.md'), report);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What the builder and all that it starts take, with and without what earlier builds left in the cache. */
async function builds(directory: string): Promise<string> {
  const cache = join(directory, 'cache');
  const env = { ...process.env, CRASHCART_CACHE: cache };
  const rows: string[] = [];
  const build = async (what: string, ...args: string[]): Promise<void> => {
    say(`Building: ${what} ...`);
    const builder = [inProject('builder/crashcart-build.ts'), 'build', '-o', join(directory, 'built'), ...args];
    const cost = await costOf(process.execPath, builder, env);
    const numbers = [cost.seconds.toFixed(1), cost.processorSeconds.toFixed(1), cost.peakMegabytes.toFixed(0)];
    rows.push(`| ${[what, ...numbers].join(' | ')} |`);
  };
  // The packages themselves are not fetched again: the way to a mirror is not what is measured.
  const packages = [...packagesOf(lock, 'default'), ...packagesOf(lock, 'host')];
  await fetchPackages(packages, fetchOptionsOf(lock, process.env));
  mkdirSync(join(cache, 'debian'), { recursive: true });
  for (const { sha256 } of packages)
    copyFileSync(join(cacheDirectory(process.env), 'debian', `${sha256}.deb`), join(cache, 'debian', `${sha256}.deb`));
  await build('default, cold: packages there, nothing unpacked', '-t', 'default');
  // As if it had not been there before: it is unpacked, and everything is put together anew.
  const added = lock.packages.find(({ name }) => name === 'nmap');
  for (const name of readdirSync(cache).filter((each) => each.startsWith('unpacked')))
    rmSync(join(cache, name, `${added?.sha256}.json`));
  await build('default, one package more (nmap)', '-t', 'default');
  await build('default, again', '-t', 'default');
  await build('slim, again', '-t', 'slim');
  await build('default, the image to ship (zstd -19)', '-t', 'default', '-f', 'oci');
  const shipped = `The image to ship has ${(statSync(join(directory, 'built')).size / 1e6).toFixed(1)} MB.`;
  const head = ['| | seconds | processor seconds | peak MB, all processes |', '|---|---|---|---|'];
  return ['### Builds', '', ...head, ...rows, '', shipped, ''].join('\n');
}

async function starts(directory: string): Promise<string> {
  const images = new Map<string, string>();
  for (const format of contenders) {
    say(`Building ${format} ...`);
    const out = join(directory, `default.${format}`);
    await buildToolbox({ lock, toolbox: 'default', format, environment: process.env, out });
    images.set(format, out);
  }
  const sizes = contenders.map(
    (format) => `| ${names[format]} | ${(statSync(images.get(format) ?? '').size / 1e6).toFixed(1)} |`,
  );
  const busybox = await hostBusybox();
  const cold = new Map<string, Map<string, number[]>>();
  const warm = new Map<string, Map<string, number[]>>();
  for (let round = 0; round < rounds; round++) {
    say(`Starts: round ${round + 1} of ${rounds}`);
    for (const [title, command] of Object.entries(commands))
      for (const format of contenders) {
        const image = images.get(format) ?? '';
        // Out of the page cache: what a mount reads comes from the disk.
        spawnSync('dd', [`of=${image}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], { stdio: 'ignore' });
        await using room = await openRoom({
          image,
          type: format === 'plain' ? 'erofs' : format,
          files: { 'host/busybox': busybox },
          busybox: '/host/busybox',
        });
        const time = async (): Promise<number> => {
          const start = performance.now();
          await ended(room.pid, room.root, command);
          return performance.now() - start;
        };
        push(cold, title, names[format], await time());
        await time();
        push(warm, title, names[format], await time());
      }
  }
  const tables = Object.keys(commands).flatMap((title) => [
    table(`${title}, cold`, 'ms', cold.get(title) ?? new Map()),
    table(`${title}, warm`, 'ms', warm.get(title) ?? new Map()),
  ]);
  return ['### Images of default', '', '| | MB |', '|---|---|', ...sizes, '', ...tables].join('\n');
}

function push(all: Map<string, Map<string, number[]>>, title: string, name: string, sample: number): void {
  const rows = all.get(title) ?? new Map<string, number[]>();
  all.set(title, rows.set(name, [...(rows.get(name) ?? []), sample]));
}

/** The same way in for all: what it takes is in every figure. */
async function ended(pid: number, root: string, command: readonly string[]): Promise<void> {
  const enter = [
    '-t',
    String(pid),
    '-m',
    '-p',
    '-n',
    '--',
    'chroot',
    root,
    '/host/busybox',
    'env',
    '-i',
    'PATH=/dev/crashcart/bin',
  ];
  const child = spawn('nsenter', [...enter, ...command], { stdio: 'ignore' });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}`);
}

async function hostBusybox(): Promise<Uint8Array> {
  const locked = lock.packages.find(({ name }) => name === 'busybox-static');
  const file = locked && (await unpackedPackage(locked, fetchOptionsOf(lock, process.env))).get('usr/bin/busybox');
  if (file?.type !== 'file') throw new Error('the lock has no busybox-static');
  return file.read();
}

await main();
