import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readTar } from './tar-reader.ts';

describe('readTar', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tar-reader-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** As dpkg-deb does it: GNU format, names that begin with `./`. */
  const tar = (...paths: string[]) =>
    execFileSync('tar', ['--format=gnu', '--owner=0', '--group=0', '-cf', '-', '-C', directory, ...paths]);

  it('reads files, directories, links and hard links as GNU tar writes them', () => {
    mkdirSync(join(directory, 'usr'), { mode: 0o755 });
    writeFileSync(join(directory, 'usr/a'), 'content', { mode: 0o755 });
    linkSync(join(directory, 'usr/a'), join(directory, 'usr/b'));
    symlinkSync('a', join(directory, 'usr/c'));
    const entries = new Map(readTar(tar('--sort=name', '.')).map((entry) => [entry.path, entry]));
    expect([...entries.keys()]).toEqual(['usr', 'usr/a', 'usr/b', 'usr/c']);
    expect(entries.get('usr')).toMatchObject({ type: 'directory' });
    for (const path of ['usr/a', 'usr/b'])
      expect(entries.get(path)).toEqual({ path, type: 'file', mode: 0o755, content: Buffer.from('content') });
    expect(entries.get('usr/c')).toEqual({ path: 'usr/c', type: 'symlink', target: 'a' });
  });

  it('reads names and link targets of more than a hundred bytes', () => {
    const [name, target] = ['n'.repeat(150), 't'.repeat(180)];
    writeFileSync(join(directory, name), '');
    symlinkSync(target, join(directory, 'link'));
    expect(readTar(tar(name, 'link'))).toMatchObject([{ path: name }, { path: 'link', target }]);
  });

  it('refuses a path that leaves the archive', () => {
    writeFileSync(join(directory, 'a'), '');
    const bytes = tar('--transform=s|a|../../a|', '-P', 'a');
    expect(() => readTar(bytes)).toThrow('../../a leads out of the archive');
  });

  it('refuses a changed header, a cut archive and a device', () => {
    writeFileSync(join(directory, 'a'), 'x'.repeat(2000));
    const bytes = tar('a');
    expect(() => readTar(bytes.subarray(0, 1024))).toThrow('cut short');
    bytes.write('b', 0);
    expect(() => readTar(bytes)).toThrow('wrong checksum');
    expect(() => readTar(execFileSync('tar', ['-cf', '-', '-C', '/', 'dev/null']))).toThrow('has the type "3"');
  });
});
