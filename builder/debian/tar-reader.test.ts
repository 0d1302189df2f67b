import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readTar, type TarMember } from './tar-reader.ts';

describe('readTar', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tar-reader-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** As dpkg-deb does it: GNU format, names that begin with `./`. */
  const tar = (...paths: string[]) =>
    execFileSync('tar', ['--format=gnu', '--owner=0', '--group=0', '-cf', '-', '-C', directory, ...paths]);

  const read = (bytes: Buffer) => readAll([bytes]);
  const readAll = async (chunks: Buffer[]): Promise<TarMember[]> => {
    const members: TarMember[] = [];
    for await (const member of readTar(chunks)) members.push(member);
    return members;
  };

  it('reads files, directories, links and hard links as GNU tar writes them', async () => {
    mkdirSync(join(directory, 'usr'), { mode: 0o755 });
    writeFileSync(join(directory, 'usr/a'), 'content', { mode: 0o755 });
    linkSync(join(directory, 'usr/a'), join(directory, 'usr/b'));
    symlinkSync('a', join(directory, 'usr/c'));
    const entries = new Map((await read(tar('--sort=name', '.'))).map((entry) => [entry.path, entry]));
    expect([...entries.keys()]).toEqual(['usr', 'usr/a', 'usr/b', 'usr/c']);
    expect(entries.get('usr')).toMatchObject({ type: 'directory' });
    expect(entries.get('usr/a')).toEqual({ path: 'usr/a', type: 'file', mode: 0o755, content: Buffer.from('content') });
    expect(entries.get('usr/b')).toEqual({ path: 'usr/b', type: 'hardlink', target: 'usr/a' });
    expect(entries.get('usr/c')).toEqual({ path: 'usr/c', type: 'symlink', target: 'a' });
  });

  it('reads names and link targets of more than a hundred bytes, in chunks of any size', async () => {
    const [name, target] = ['n'.repeat(150), 't'.repeat(180)];
    writeFileSync(join(directory, name), '');
    symlinkSync(target, join(directory, 'link'));
    const bytes = tar(name, 'link');
    const chunks = Array.from({ length: Math.ceil(bytes.length / 700) }, (_, at) =>
      bytes.subarray(at * 700, (at + 1) * 700),
    );
    expect(await readAll(chunks)).toMatchObject([{ path: name }, { path: 'link', target }]);
  });

  it('refuses a path that leaves the archive', async () => {
    writeFileSync(join(directory, 'a'), '');
    const bytes = tar('--transform=s|a|../../a|', '-P', 'a');
    await expect(read(bytes)).rejects.toThrow('../../a leads out of the archive');
  });

  it('refuses a changed header, a cut archive and a device', async () => {
    writeFileSync(join(directory, 'a'), 'x'.repeat(2000));
    const bytes = tar('a');
    await expect(read(bytes.subarray(0, 1024))).rejects.toThrow('cut short');
    bytes.write('b', 0);
    await expect(read(bytes)).rejects.toThrow('wrong checksum');
    await expect(read(execFileSync('tar', ['-cf', '-', '-C', '/', 'dev/null']))).rejects.toThrow('has the type "3"');
  });
});
